// The dialog in which symbols are set beside the one that is looked at. What is chosen is the page's to keep.
import { MOST } from "./comparison.js";
import { called } from "./format.js";
import * as rest from "./rest.js";

const SHOWN = 40, WAIT_MS = 200;

export class ComparisonForm {
  #dialog; #on; #codes = []; #asked = 0; #timer = 0; #shown; #offered; #search; #told; #names = new Map();

  // `on` has chosen(codes) whenever the choice is another one, and question(): the feed and code that are looked at.
  constructor(dialog, on) {
    [this.#dialog, this.#on] = [dialog, on];
    [this.#shown, this.#offered, this.#search, this.#told] = [".shown", ".offered", "input[type=search]", "[role=status]"].map((what) => dialog.querySelector(what));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#offer(), WAIT_MS);
    });
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // Enter would close the dialog
      clearTimeout(this.#timer);
      this.#offer().then(() => this.#offered.querySelector("button")?.click());
    });
  }

  // Which are on the chart.
  set(codes) {
    this.#codes = codes;
    this.#shown.hidden = !codes.length;
    this.#shown.replaceChildren(...codes.map((code) => this.#row(code)));
  }

  show() {
    [this.#told.textContent, this.#search.value] = ["", ""];
    this.#offer();
    this.#dialog.showModal();
    this.#search.focus();
  }

  #row(code) {
    const row = document.createElement("li");
    const name = this.#names.get(code) ?? code;
    const off = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [name]));
    off.addEventListener("click", () => {
      this.#choose(this.#codes.filter((one) => one !== code), interpolate(gettext("removed: %s"), [name]));
      this.#search.focus();
    });
    row.append(Object.assign(document.createElement("strong"), { textContent: name }), off);
    return row;
  }

  #choose(codes, text) {
    this.#on.chosen(codes);
    this.#told.textContent = text;
    this.#offer();
  }

  async #offer() {
    const asked = ++this.#asked;
    const { feed, code } = this.#on.question();
    try {
      const { symbols, next_page_token } = await rest.symbols({ feed, active: "true", limit: SHOWN, search: this.#search.value.trim() || undefined });
      if (asked !== this.#asked) return;
      const found = symbols.filter((one) => one.symbol !== code && !this.#codes.includes(one.symbol));
      this.#offered.replaceChildren(...found.map((one) => this.#button(one)));
      const more = next_page_token && interpolate(gettext("The first %s are shown: narrow them down by the search."), [symbols.length]);
      const word = more || (found.length ? "" : gettext("No symbols."));
      if (word) this.#offered.append(Object.assign(document.createElement("li"), { className: "quiet", textContent: word }));
    } catch {
      if (asked === this.#asked) this.#told.textContent = gettext("Symbols could not be read: try again.");
    }
  }

  #button(symbol) {
    const line = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.code = symbol.symbol;
    const name = called(symbol) || symbol.symbol;
    for (const [kind, text] of [["strong", symbol.symbol], ["span", name], ["small", symbol.market]]) button.append(Object.assign(document.createElement(kind), { textContent: text }));
    button.addEventListener("click", () => {
      if (this.#codes.length >= MOST) return void (this.#told.textContent = interpolate(gettext("at most %s at a time"), [MOST]));
      this.#names.set(symbol.symbol, name);
      this.#choose([...this.#codes, symbol.symbol], interpolate(gettext("added: %s"), [name]));
    });
    line.append(button);
    return line;
  }
}
