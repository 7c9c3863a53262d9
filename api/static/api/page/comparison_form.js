// The dialog in which symbols are set beside the one that is looked at, of its feed or of others. What is chosen is the
// page's to keep.
import { key, ofFeed } from "./address.js";
import { MOST, refusal } from "./comparison.js";
import { called } from "./format.js";
import * as rest from "./rest.js";

const SHOWN = 40, WAIT_MS = 200;

export class ComparisonForm {
  #dialog; #on; #all = []; #asked = 0; #timer = 0; #shown; #offered; #search; #told; #names = new Map();

  // `on` has chosen(all) whenever the choice is another one, as {feed, code}; question(): the feed and code that are looked
  // at; name(key) of one that is on the chart, as far as it is known.
  constructor(dialog, on) {
    [this.#dialog, this.#on] = [dialog, on];
    [this.#shown, this.#offered, this.#search, this.#told] = [".shown", ".offered", "input[type=search]", "[role=status]"].map((what) => dialog.querySelector(what));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#told.textContent = "";
      this.#timer = setTimeout(() => this.#offer(), WAIT_MS);
    });
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // Enter would close the dialog
      clearTimeout(this.#timer);
      this.#offer().then((found) => found && this.#offered.querySelector("button")?.click());
    });
  }

  // Which are on the chart.
  set(all) {
    this.#all = all;
    this.#shown.hidden = !all.length;
    this.#shown.replaceChildren(...all.map((one) => this.#row(one)));
  }

  show() {
    [this.#told.textContent, this.#search.value] = ["", ""];
    this.set(this.#all); // by their names
    this.#offer();
    this.#dialog.showModal();
    this.#search.focus();
  }

  #row(one) {
    const row = document.createElement("li");
    const name = (this.#names.get(key(one)) ?? this.#on.name(key(one))) || one.code;
    const off = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [name]));
    off.addEventListener("click", () => {
      this.#choose(this.#all.filter((other) => other !== one), interpolate(gettext("removed: %s"), [name]));
      this.#search.focus();
    });
    row.append(Object.assign(document.createElement("strong"), { textContent: name }));
    if (one.feed !== this.#on.question().feed) row.append(Object.assign(document.createElement("small"), { textContent: one.feed }));
    row.append(off);
    return row;
  }

  #choose(all, text) {
    this.#on.chosen(all);
    this.#told.textContent = text;
    this.#offer();
  }

  // Whether what is offered is what the word finds; not where it could not be asked for, or another one was typed.
  async #offer() {
    const asked = ++this.#asked;
    const shown = this.#on.question();
    try {
      const { symbols, more } = await this.#found(this.#search.value.trim(), shown.feed);
      if (asked !== this.#asked) return false;
      const there = [shown, ...this.#all].map(key);
      const found = symbols.filter((one) => !there.includes(key({ feed: one.feed, code: one.symbol })));
      this.#offered.replaceChildren(...found.map((one) => this.#button(one, shown.feed)));
      const word = more ? interpolate(gettext("The first %s are shown: narrow them down by the search."), [symbols.length]) : found.length ? "" : gettext("No symbols.");
      if (word) this.#offered.append(Object.assign(document.createElement("li"), { className: "quiet", textContent: word }));
      return true;
    } catch (error) {
      if (asked !== this.#asked) return false;
      const refused = error.status === 403 || error.code === rest.UNKNOWN_FEED;
      this.#told.textContent = refused ? refusal(error) : gettext("Symbols could not be read: try again.");
      if (refused) this.#offered.replaceChildren();
      return false;
    }
  }

  // What a word finds: without one the symbols of the feed that is shown, with one those of all feeds, each on its
  // primary one; with `feed:` before it those that this feed has brought, whatever their primary one.
  async #found(text, shown) {
    const [feed, word] = ofFeed(text, "");
    const { symbols, next_page_token: more } = await rest.symbols({ feed: text ? undefined : shown, active: "true", limit: SHOWN, search: word || undefined });
    if (!feed || !symbols.length) return { symbols, more };
    const known = await rest.snapshots(symbols.map(({ symbol }) => symbol), feed);
    return { symbols: symbols.filter(({ symbol }) => known[symbol]?.latestTrade).map((one) => ({ ...one, feed })), more };
  }

  #button(symbol, shown) {
    const line = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    [button.dataset.code, button.dataset.feed] = [symbol.symbol, symbol.feed];
    const name = called(symbol) || symbol.symbol;
    const where = symbol.feed === shown ? symbol.market : `${symbol.market} · ${symbol.feed}`;
    for (const [kind, text] of [["strong", symbol.symbol], ["span", name], ["small", where]]) button.append(Object.assign(document.createElement(kind), { textContent: text }));
    button.addEventListener("click", () => this.#add({ feed: symbol.feed, code: symbol.symbol }, name));
    line.append(button);
    return line;
  }

  // One more; of another feed only if it may be read.
  async #add(one, name) {
    if (this.#all.length >= MOST) return void (this.#told.textContent = interpolate(gettext("at most %s at a time"), [MOST]));
    try {
      if (one.feed !== this.#on.question().feed) await rest.snapshots([one.code], one.feed);
    } catch (error) {
      return void (this.#told.textContent = `${one.feed}: ${refusal(error)}`);
    }
    this.#names.set(key(one), name);
    this.#choose([...this.#all, one], interpolate(gettext("added: %s"), [name]));
  }
}
