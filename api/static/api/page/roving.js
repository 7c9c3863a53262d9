// The links of a panel as one stop of the tab key: arrows go from one to the next, Home and End to the ends.
const ROWS = "tr, li, dd";

export class Roving {
  #root; #selector; #stop = null;

  constructor(root, selector = "a") {
    [this.#root, this.#selector] = [root, selector];
    root.addEventListener("focusin", ({ target }) => target.matches(selector) && this.#set(target));
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  // Once links were made or hidden: one of those that are shown is the stop.
  renew() {
    const shown = this.#shown();
    if (!shown.includes(this.#stop)) this.#set(shown.find((one) => one.dataset.key && one.dataset.key === this.#stop?.dataset.key) ?? shown[0] ?? null);
  }

  #shown() {
    return [...this.#root.querySelectorAll(this.#selector)].filter((one) => !one.hidden);
  }

  #set(stop) {
    this.#stop = stop;
    for (const one of this.#root.querySelectorAll(this.#selector)) one.tabIndex = one === stop ? 0 : -1;
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !event.target.matches(this.#selector)) return;
    const shown = this.#shown(), at = shown.indexOf(event.target);
    const rowOf = (one) => one.closest(ROWS);
    const mine = shown.filter((one) => rowOf(one) === rowOf(event.target)), column = mine.indexOf(event.target);
    const beside = (other) => {
      const row = shown.filter((one) => other && rowOf(one) === rowOf(other));
      return row[Math.min(column, row.length - 1)];
    };
    const moves = {
      ArrowRight: () => shown[at + 1], ArrowLeft: () => shown[at - 1], Home: () => shown[0], End: () => shown.at(-1),
      ArrowDown: () => beside(shown[shown.indexOf(mine.at(-1)) + 1]), ArrowUp: () => beside(shown[shown.indexOf(mine[0]) - 1]),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]()?.focus();
  }
}
