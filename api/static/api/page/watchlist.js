// Symbols with their last price and change, moving; a search over all feeds. One of the rows is a stop of the tab key,
// arrows move between them. A list of one's own has its own order; of all symbols, and of what a search finds, more come
// as the end of the list comes into view.
import { standings } from "./afar.js";
import { Digits, called, change } from "./format.js";
import { Order } from "./order.js";
import { painter } from "./paint.js";
import * as rest from "./rest.js";

const PAGE = 60, MOST = 300;

export class Watchlist {
  loading = false;
  #body; #nothing; #on; #old = new Set(); #rows = new Map(); #feed = ""; #selected = ""; #asked = 0; #dirty = new Set(); #draw; #order; #rest; #question = null; #token = null; #reading = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  // `on` has choose(code, feed); listed(), when the list is another; changed(), when a reference is; codes(), what is
  // in a list of one's own, null for all; arranged(codes) and removed(code) where that list is to be another.
  // `rest` has a button for more of them, and a word where there are too many.
  constructor(body, nothing, search, rest, on) {
    this.#body = body;
    this.#rest = { button: rest.querySelector("button"), word: rest.querySelector("[role=status]"), list: rest.parentElement };
    this.#rest.button.addEventListener("click", () => this.#further(true));
    this.#rest.seen = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && this.#further(), { root: rest.parentElement, rootMargin: "0px 0px 300px" }); // before the end is reached
    this.#nothing = nothing;
    this.#on = on;
    this.#draw = painter(() => {
      for (const row of this.#dirty) this.#show(row);
      this.#dirty.clear();
    });
    let timer = 0;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(this.#feed, search.value.trim()).catch(() => {}), 200);
    });
    search.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "ArrowDown" || event.key === "Enter") this.focus();
      else if (event.key !== "Escape") return;
      else if (search.value) {
        search.value = "";
        this.load(this.#feed, "").catch(() => {});
      } else this.focus();
      event.preventDefault();
    });
    // The press counts: by its end the list may have been drawn anew, and then there is no click. A click without one
    // is a screen reader's.
    for (const kind of ["mousedown", "click"])
      body.addEventListener(kind, (event) => event.button === 0 && !event.target.matches(".grip") && this.#choose(event.target.closest("tr")));
    body.addEventListener("keydown", (event) => this.#key(event));
    this.#order = new Order(body, () => on.arranged([...body.rows].map((row) => row.dataset.code)));
  }

  // Of which the feed that is followed tells.
  get codes() {
    return [...this.#rows.values()].filter((row) => row.feed === this.#feed).map((row) => row.symbol.symbol);
  }

  // The first row, whatever its feed.
  get top() {
    const row = this.#rows.get(this.#body.rows[0]?.dataset.code);
    return row?.feed && !row.denied ? { code: row.symbol.symbol, feed: row.feed } : undefined;
  }

  get empty() {
    return !this.#body.rows.length;
  }

  row(code) {
    const row = this.#rows.get(code);
    return row?.feed === this.#feed ? row : undefined;
  }

  focus() {
    const row = this.#rows.get(this.#selected)?.element;
    (row?.isConnected ? row : this.#body.rows[0])?.focus();
  }

  async load(feed, word) {
    if (feed !== this.#feed) this.#forget(feed);
    const asked = ++this.#asked;
    this.loading = true;
    try {
      await this.#read(feed, word, asked);
    } finally {
      this.loading = asked !== this.#asked;
    }
  }

  // A symbol that is followed without being in the list. RestError 404 if there is none.
  async learn(code, feed) {
    const [symbol, known] = await Promise.all([rest.symbol(code), rest.snapshots([code], feed)]);
    if (feed === this.#feed && !this.row(code)) this.#rows.set(code, this.#make({ ...symbol, feed }, known[code] ?? {}));
  }

  async #read(feed, word, asked) {
    const codes = word ? null : await this.#on.codes();
    const question = codes ? null : { feed: word ? undefined : feed, active: "true", search: word || undefined };
    const same = question && JSON.stringify(question) === JSON.stringify(this.#question); // then as many as were there
    const limit = same ? Math.min(Math.max(Math.ceil(this.#body.rows.length / PAGE), 1) * PAGE, MOST) : PAGE;
    const { symbols, next_page_token } = codes ? { symbols: await inOrder(codes) } : await rest.symbols({ ...question, limit });
    const known = await standings(symbols.filter((one) => one.feed));
    const moved = codes && String(await this.#on.codes()) !== String(codes);
    if (asked !== this.#asked) return; // a newer search overtook this one
    const more = same && Math.min(this.#body.rows.length, MOST) > limit;
    if (moved || more) return this.#read(feed, word, asked); // the list became another one meanwhile
    [this.#question, this.#token] = [question, next_page_token ?? null];
    const focused = this.#body.contains(document.activeElement) ? document.activeElement.dataset.code : undefined;
    const before = this.#rows;
    this.#rows = new Map();
    for (const symbol of symbols) {
      const [old, now] = [before.get(symbol.symbol), stands(known, symbol)];
      const row = old?.feed === symbol.feed ? Object.assign(old, figures(old, now)) : this.#make(symbol, now);
      row.denied = known.get(symbol.feed) === null;
      this.#rows.set(symbol.symbol, row);
      this.#show(row);
    }
    this.#body.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
    if (!same) this.#rest.list.scrollTop = 0; // another list is looked at from its beginning
    // The chosen symbol stays alive behind a search that does not show it.
    const chosen = before.get(this.#selected);
    if (chosen?.feed === feed && !this.#rows.has(this.#selected)) this.#rows.set(this.#selected, chosen);
    this.#order.active = Boolean(codes);
    this.#body.classList.toggle("own", this.#order.active);
    this.#nothing.hidden = symbols.length > 0;
    this.#nothing.textContent = codes ? gettext("This list is empty: choose a symbol by the search and press the star.") : gettext("No symbols.");
    this.mark(this.#selected);
    this.#end();
    if (focused !== undefined) (this.#rows.get(focused)?.element ?? this.#body.rows[0])?.focus();
    this.#on.listed();
  }

  // The next page of what the list is of. Whoever asked for it by key goes on at its first row.
  async #further(byKey = false) {
    if (this.#reading || !this.#token || this.#body.rows.length >= MOST) return;
    const asked = this.#asked;
    this.#reading = true;
    try {
      const { symbols, next_page_token } = await rest.symbols({ ...this.#question, limit: PAGE, page_token: this.#token });
      const known = await standings(symbols.filter((one) => one.feed));
      if (asked !== this.#asked) return;
      this.#token = next_page_token ?? null;
      const fresh = symbols.filter((one) => !this.#rows.get(one.symbol)?.element.isConnected).map((symbol) => {
        const row = this.row(symbol.symbol) ?? this.#make(symbol, stands(known, symbol));
        row.denied = known.get(symbol.feed) === null;
        this.#rows.set(symbol.symbol, row);
        this.#show(row);
        return row.element;
      });
      this.#body.append(...fresh);
      this.mark(this.#selected);
      if (byKey) fresh[0]?.focus();
      this.#end();
      this.#on.listed();
    } catch {
      // the button is there to try again
    } finally {
      this.#reading = false;
      if (asked !== this.#asked) this.#end(); // the list was read anew meanwhile, and its end came into view in vain
    }
  }

  // What stands below the last row: the way to more of them, or that there are too many to go through.
  #end() {
    const { button, word, seen } = this.#rest;
    const full = this.#body.rows.length >= MOST;
    button.hidden = !this.#token || full;
    word.textContent = this.#token && full ? interpolate(gettext("The first %s are shown: narrow them down by the search."), [this.#body.rows.length]) : "";
    seen.unobserve(button);
    if (!button.hidden) seen.observe(button); // told anew whether it is in view
  }

  mark(code) {
    this.#selected = code;
    for (const [key, row] of this.#rows) row.element.setAttribute("aria-selected", String(key === code && row.feed === this.#feed));
    const chosen = this.row(code)?.element;
    this.#stop(chosen?.isConnected ? chosen : this.#body.rows[0]);
  }

  minute(code, bar) {
    const row = this.row(code);
    if (!row || (row.time && bar.t < row.time)) return;
    [row.time, row.trades] = [bar.t, bar.n];
    if (bar.td > row.day) this.#renew(code);
    if (bar.c === row.last) return;
    row.moved = row.last === undefined ? "" : bar.c > row.last ? "up" : "down";
    row.last = bar.c;
    row.digits.see(bar.c);
    this.#dirty.add(row);
    this.#draw();
  }

  // Rows of other feeds than the one that is followed.
  get afar() {
    return [...this.#rows.values()].filter((row) => row.feed && row.feed !== this.#feed && !row.denied && row.element.isConnected).map((row) => row.symbol);
  }

  // Where those of such a feed stand.
  stand(feed, known) {
    for (const { symbol } of this.afar.filter((one) => one.feed === feed)) {
      const [row, told] = [this.#rows.get(symbol), known[symbol]];
      if (!told) continue;
      const before = row.last;
      Object.assign(row, figures({ ...row, time: undefined }, told)); // no stream told anything newer
      if (before !== undefined && row.last !== before) row.moved = row.last > before ? "up" : "down";
      this.#dirty.add(row);
    }
    this.#draw();
  }

  // One may not read it any more.
  denied(feed) {
    for (const { symbol } of this.afar.filter((one) => one.feed === feed)) {
      const row = this.#rows.get(symbol);
      row.denied = true;
      this.#dirty.add(row);
    }
    this.#draw();
  }

  #forget(feed) {
    this.#feed = feed;
    this.#rows.clear();
    this.#selected = "";
    this.#body.replaceChildren();
  }

  // Trades were taken back or came late: what the last price is, only the server knows.
  async again(code) {
    const feed = this.#feed;
    const known = await rest.snapshots([code], feed).catch(() => ({}));
    const row = this.row(code);
    if (feed !== this.#feed || !row || !known[code]) return;
    Object.assign(row, figures({ ...row, time: undefined }, known[code]));
    this.#show(row);
    this.#on.changed();
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
        const row = this.row(one);
        if (!row || !known[one]) continue;
        Object.assign(row, reference(known[one]));
        this.#show(row);
      }
      this.#on.changed();
    }, 500);
  }

  #make(symbol, snapshot) {
    const element = document.createElement("tr");
    element.tabIndex = -1;
    element.dataset.code = symbol.symbol;
    const [name, price] = [element.insertCell(), element.insertCell()];
    element.insertCell();
    const beside = called(symbol) ? symbol.symbol : symbol.market;
    const grip = Object.assign(document.createElement("i"), { className: "grip", textContent: "⠿", title: gettext("pull to another place") });
    grip.setAttribute("aria-hidden", "true"); // the keyboard has a way of its own
    name.append(
      grip,
      Object.assign(document.createElement("span"), { textContent: called(symbol) || symbol.symbol }),
      Object.assign(document.createElement("small"), { textContent: symbol.feed === this.#feed || !symbol.feed ? beside : `${beside} · ${symbol.feed}` }),
    );
    price.className = "price";
    const row = { symbol, feed: symbol.feed, element, moved: "", digits: new Digits() };
    return Object.assign(row, figures(row, snapshot));
  }

  #show(row) {
    const [, price, moved] = row.element.cells;
    const { way, arrow, percent } = change(row.last, row.reference);
    price.textContent = row.last === undefined ? "–" : row.digits.text(row.last);
    moved.textContent = row.denied ? gettext("no right to read") : percent ? `${arrow} ${percent}`.trim() : "–";
    moved.title = row.denied ? interpolate(gettext("You may not read the feed %s: ask who operates Naru."), [row.feed]) : row.against;
    price.className = `price ${way}`;
    moved.className = row.denied ? "denied" : way;
    if (row.moved && !this.#still.matches) {
      price.getAnimations().forEach((animation) => animation.cancel());
      price.animate([{ backgroundColor: `var(--${row.moved}-flash)` }, { backgroundColor: "transparent" }], 600);
    }
    row.moved = "";
  }

  #choose(element) {
    const { feed, denied } = this.#rows.get(element?.dataset.code) ?? {};
    if (!feed || denied) return;
    this.#stop(element);
    this.#on.choose(element.dataset.code, feed);
  }

  #key(event) {
    const element = event.target.closest("tr");
    const rows = [...this.#body.rows];
    const at = rows.indexOf(element);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.#choose(element);
    else if (event.key === "Delete" && this.#order.active) {
      (rows[at + 1] ?? rows[at - 1])?.focus();
      this.#on.removed(element.dataset.code);
    } else if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    else {
      const next = rows[Math.min(Math.max(to, 0), rows.length - 1)];
      if (next === rows.at(-1)) this.#further(); // whoever goes by key to the end waits for no picture of it
      this.#stop(next);
      next.focus();
    }
    event.preventDefault();
  }

  // The one row that the tab key stops at.
  #stop(element) {
    for (const row of this.#body.rows) row.tabIndex = row === element ? 0 : -1;
  }
}

const stands = (known, { feed, symbol }) => known.get(feed)?.[symbol] ?? {};

// The symbols of a list of one's own; one that is registered no more has no feed.
async function inOrder(codes) {
  if (!codes.length) return [];
  const { symbols } = await rest.symbols({ symbols: codes.join(","), limit: codes.length });
  const known = new Map(symbols.map((one) => [one.symbol, one]));
  return codes.map((code) => known.get(code) ?? { symbol: code, name: "", name_en: "", market: gettext("not registered"), feed: "" });
}

// What a snapshot makes of a row; a price that came by the stream meanwhile is the newer one.
function figures(row, snapshot) {
  const { latestTrade, minuteBar } = snapshot;
  const newer = row.time === undefined || (minuteBar && (minuteBar.t > row.time || (minuteBar.t === row.time && minuteBar.n > row.trades)));
  const told = newer ? { time: minuteBar?.t, trades: minuteBar?.n, last: latestTrade?.p ?? minuteBar?.c } : {};
  if (told.last !== undefined) row.digits.see(told.last);
  return { ...told, ...reference(snapshot) };
}

// The newest trading date that is known, and what the last price is compared with: the regular close of the date before.
function reference({ dailyBar, prevDailyBar }) {
  const before = prevDailyBar?.c;
  return {
    day: dailyBar?.td ?? "", reference: before ?? dailyBar?.o,
    against: before === undefined ? gettext("from the open") : gettext("from the day before"),
  };
}
