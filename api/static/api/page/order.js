// Rows that are put in another order: by the keyboard with Alt and an arrow, or pulled at their grips.
export class Order {
  active = false;
  #body; #moved; #held = null; #from = -1;

  // `moved(row)` is told of the row that has another place now.
  constructor(body, moved) {
    [this.#body, this.#moved] = [body, moved];
    body.addEventListener("keydown", (event) => this.#key(event));
    body.addEventListener("pointerdown", (event) => {
      if (!this.active || event.button !== 0 || !event.target.matches(".grip")) return;
      this.#held = event.target.closest("tr");
      this.#from = this.#held.sectionRowIndex;
      this.#held.classList.add("held");
      body.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    body.addEventListener("pointermove", (event) => this.#held && this.#pull(event.clientY));
    for (const end of ["pointerup", "pointercancel"]) body.addEventListener(end, () => this.#leave());
  }

  #key(event) {
    const row = event.target.closest("tr");
    const up = event.key === "ArrowUp";
    if (!this.active || !event.altKey || event.ctrlKey || event.metaKey || !(up || event.key === "ArrowDown")) return;
    event.preventDefault();
    const beside = up ? row.previousElementSibling : row.nextElementSibling;
    if (!beside) return;
    beside[up ? "before" : "after"](row);
    row.focus(); // which is lost on the way
    this.#moved(row);
  }

  #pull(y) {
    const middle = (row) => row.getBoundingClientRect().top + row.offsetHeight / 2;
    const rows = [...this.#body.rows].filter((row) => row !== this.#held);
    const next = rows.find((row) => y < middle(row)) ?? null;
    if (next === this.#held.nextElementSibling) return;
    this.#body.insertBefore(this.#held, next);
    this.#held.scrollIntoView({ block: "nearest" });
  }

  #leave() {
    const row = this.#held;
    if (!row) return;
    this.#held = null;
    row.classList.remove("held");
    if (row.sectionRowIndex !== this.#from) this.#moved(row);
  }
}
