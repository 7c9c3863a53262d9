// Symbols with their last price and change, moving; a search over all of the feed.
import { called, change, digitsOf, number } from "./format.js";
import * as rest from "./rest.js";

const MOST = 40;

export class Watchlist {
  loading = false;
  #body; #nothing; #select; #changed; #old = new Set(); #rows = new Map(); #feed = ""; #selected = ""; #asked = 0;

  // `select` is called with the code that was chosen, or null when the list is another; `changed` when a reference is.
  constructor(body, nothing, search, select, changed) {
    this.#body = body;
    this.#nothing = nothing;
    this.#select = select;
    this.#changed = changed;
    let timer = 0;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(this.#feed, search.value.trim()).catch(() => {}), 200);
    });
    // The press counts: by its end the list may have been drawn anew, and then there is no click. A click without one
    // is a screen reader's.
    for (const kind of ["mousedown", "click"])
      body.addEventListener(kind, (event) => event.button === 0 && this.#choose(event.target.closest("tr")));
    body.addEventListener("keydown", (event) => event.key === "Enter" && this.#choose(event.target.closest("tr")));
  }

  get codes() {
    return [...this.#rows.keys()];
  }

  symbol(code) {
    return this.#rows.get(code);
  }

  async load(feed, word) {
    this.#feed = feed;
    const asked = ++this.#asked;
    this.loading = true;
    try {
      await this.#read(feed, word, asked);
    } finally {
      this.loading = asked !== this.#asked;
    }
  }

  async #read(feed, word, asked) {
    const { symbols } = await rest.symbols({ feed, active: "true", limit: MOST, search: word || undefined });
    const known = symbols.length ? await rest.snapshots(symbols.map((one) => one.symbol), feed) : {};
    if (asked !== this.#asked) return; // a newer search overtook this one
    const chosen = this.#rows.get(this.#selected);
    this.#rows.clear();
    this.#body.replaceChildren();
    for (const symbol of symbols) this.#add(symbol, known[symbol.symbol] ?? {});
    if (chosen && !this.#rows.has(this.#selected)) this.#keep(chosen);
    this.#nothing.hidden = symbols.length > 0;
    this.mark(this.#selected);
    this.#select(null);
  }

  mark(code) {
    this.#selected = code;
    for (const [key, row] of this.#rows) row.element.setAttribute("aria-selected", String(key === code));
  }

  minute(code, bar) {
    const row = this.#rows.get(code);
    if (!row || (row.time && bar.t < row.time)) return;
    row.time = bar.t;
    if (bar.td > row.day) this.#renew(code);
    if (bar.c !== row.last) {
      row.blink = row.last === undefined ? "" : bar.c > row.last ? "blink-up" : "blink-down";
      row.last = bar.c;
      this.#show(row);
    }
  }

  // A new trading date: what it is compared with is another day now, and the server knows which.
  #renew(code) {
    if (this.#old.has(code)) return;
    this.#old.add(code);
    if (this.#old.size > 1) return; // they are asked for together
    setTimeout(async () => {
      const codes = [...this.#old];
      const feed = this.#feed;
      this.#old.clear();
      const known = await rest.snapshots(codes, feed).catch(() => ({}));
      if (feed !== this.#feed) return;
      for (const one of codes) {
        const row = this.#rows.get(one);
        if (!row || !known[one]) continue;
        Object.assign(row, reference(known[one]));
        this.#show(row);
      }
      this.#changed();
    }, 500);
  }

  // The chosen symbol stays alive behind a search that does not show it.
  #keep(row) {
    this.#rows.set(row.symbol.symbol, row);
  }

  #add(symbol, snapshot) {
    const element = document.createElement("tr");
    element.tabIndex = 0;
    element.dataset.code = symbol.symbol;
    element.innerHTML = "<td><span></span><small></small></td><td></td><td></td>";
    element.querySelector("span").textContent = called(symbol) || symbol.symbol;
    element.querySelector("small").textContent = called(symbol) ? symbol.symbol : symbol.market;
    const row = {
      symbol, element, time: snapshot.minuteBar?.t, last: snapshot.latestTrade?.p ?? snapshot.minuteBar?.c,
      blink: "", ...reference(snapshot),
    };
    this.#rows.set(symbol.symbol, row);
    this.#body.append(element);
    this.#show(row);
  }

  #show(row) {
    const [, price, moved] = row.element.children;
    const { way, arrow, percent } = change(row.last, row.reference);
    price.textContent = row.last === undefined ? "–" : number(row.last, digitsOf(row.last));
    moved.textContent = percent ? `${arrow} ${percent}`.trim() : "–";
    moved.title = row.against;
    price.className = moved.className = way;
    if (row.blink) {
      price.getAnimations().forEach((animation) => animation.cancel());
      void price.offsetWidth;
      price.classList.add(row.blink);
    }
  }

  #choose(element) {
    if (element) this.#select(element.dataset.code);
  }
}

// The newest trading date that is known, and what the last price is compared with: the regular close of the date before.
function reference({ dailyBar, prevDailyBar }) {
  const before = prevDailyBar?.c;
  return {
    day: dailyBar?.td ?? "", reference: before ?? dailyBar?.o,
    against: before === undefined ? gettext("from the open") : gettext("from the day before"),
  };
}
