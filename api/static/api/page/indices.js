// The indices and exchange rates of a feed as a strip: each with its value, its change and how its day went. They are
// symbols like others, by what they were registered as; beside them stand those that a source tells as events, whatever
// the feed. Where there is neither there is no strip.
import { Digits, called, change, digitsOf, number, time } from "./format.js";
import { place } from "./history.js";
import { painter } from "./paint.js";
import * as rest from "./rest.js";
import { ToldIndices } from "./told_indices.js";

const CATEGORIES = "index,fx", MOST = 12, FRAME = "5Min", AGAIN_MS = 5000;
const WIDTH = 64, HEIGHT = 18;
const SVG = "http://www.w3.org/2000/svg";

export class Indices {
  #strip; #on; #feed = ""; #rows = new Map(); #told = new Map(); #turn = 0; #timer = 0; #dirty = new Set(); #draw;

  // `on` has choose(code), course(row) of one that is told, and listed() when they are others.
  constructor(strip, on) {
    [this.#strip, this.#on] = [strip, on];
    this.#draw = painter(() => {
      for (const row of this.#dirty) this.#show(row);
      this.#dirty.clear();
    });
    strip.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      if (link.dataset.told === undefined) on.choose(link.dataset.code);
      else on.course(this.#told.get(link.dataset.code));
    });
    new ToldIndices((rows) => this.#tell(rows)).renew();
  }

  get codes() {
    return [...this.#rows.keys()];
  }

  // Those of a feed; again for what was missed, and for a new day.
  async load(feed) {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    if (feed !== this.#feed) {
      this.#feed = feed;
      this.#rows.clear();
      this.#list();
    }
    try {
      const { symbols } = await rest.symbols({ feed, category: CATEGORIES, active: "true", limit: MOST });
      const codes = symbols.map(({ symbol }) => symbol);
      const known = codes.length ? await rest.snapshots(codes, feed) : {};
      const dates = Object.values(known).flatMap(({ dailyBar }) => (dailyBar ? [dailyBar.td] : []));
      const day = dates.sort().at(-1);
      const bars = day ? await rest.barsOf(codes, { feed, timeframe: FRAME, start: day, limit: 10_000 }) : {};
      if (turn !== this.#turn) return;
      const before = this.codes.join();
      this.#rows = new Map(symbols.filter(({ symbol }) => known[symbol]?.latestTrade).map((one) => [one.symbol, this.#made(one, known[one.symbol], bars[one.symbol] ?? [])]));
      if (before !== this.codes.join()) this.#list();
      for (const row of this.#rows.values()) this.#show(row);
    } catch {
      if (turn === this.#turn) this.#timer = setTimeout(() => this.load(feed), AGAIN_MS);
    }
  }

  // A minute candle of one of them as it is now.
  minute(code, bar) {
    const row = this.#rows.get(code);
    if (!row) return;
    if (bar.td > row.day) {
      row.day = bar.td; // once
      this.load(this.#feed);
      return;
    }
    if (bar.t < row.t) return;
    [row.t, row.last] = [bar.t, bar.c];
    row.digits.see(bar.c);
    const where = place(row.points, bar.t);
    row.points.splice(where, row.points.length - where, { t: bar.t, c: bar.c }); // by the minute since the page is open
    this.#dirty.add(row);
    this.#draw();
  }

  #tell(rows) {
    const before = [...this.#told.keys()].join();
    this.#told = new Map(rows.map((one) => {
      const row = { ...(this.#told.get(one.code) ?? this.#element({ symbol: one.code, name: one.name }, false)), ...one, day: "", digits: new Digits() };
      row.against = gettext("from the day before");
      row.digits.most = one.scale; // as it was written: 880.00 has two
      return [one.code, row];
    }));
    if (before !== [...this.#told.keys()].join()) this.#list();
    for (const row of this.#told.values()) this.#show(row);
  }

  #made(symbol, { latestTrade, minuteBar, dailyBar, prevDailyBar }, bars) {
    const old = this.#rows.get(symbol.symbol);
    const row = { ...(old ?? this.#element(symbol)), day: dailyBar?.td ?? "", t: minuteBar?.t ?? "", last: latestTrade.p, reference: prevDailyBar?.c ?? dailyBar?.o, digits: new Digits() };
    row.against = prevDailyBar ? gettext("from the day before") : gettext("from the open");
    row.points = bars.map(({ t, c }) => ({ t, c }));
    row.digits.see(row.last, row.reference ?? 0);
    return row;
  }

  #element(symbol, opens = true) {
    const [item, link, name, value, moved] = ["li", "a", "span", "b", "span"].map((kind) => document.createElement(kind));
    const picture = document.createElementNS(SVG, "svg");
    for (const [attribute, text] of [["viewBox", `0 0 ${WIDTH} ${HEIGHT}`], ["width", WIDTH], ["height", HEIGHT], ["aria-hidden", "true"]]) picture.setAttribute(attribute, text);
    const [base, line] = ["line", "polyline"].map((kind) => picture.appendChild(document.createElementNS(SVG, kind)));
    link.href = opens ? `?${new URLSearchParams({ feed: this.#feed, symbol: symbol.symbol, timeframe: "1Min" })}` : "#told";
    if (!opens) {
      link.dataset.told = "";
      link.setAttribute("role", "button"); // it opens a dialog
      link.setAttribute("aria-haspopup", "dialog");
    }
    link.dataset.code = symbol.symbol;
    name.textContent = called(symbol) || symbol.symbol;
    link.append(name, " ", value, " ", moved, picture);
    item.append(link);
    return { item, link, value, moved, picture, base, line };
  }

  #list() {
    const all = [...this.#rows.values(), ...this.#told.values()];
    this.#strip.replaceChildren(...all.map(({ item }) => item));
    this.#strip.hidden = !all.length;
    this.#on.listed();
  }

  #show(row) {
    const { way, arrow, difference, percent } = change(row.last, row.reference);
    row.value.textContent = row.digits.text(row.last);
    row.moved.textContent = percent ? `${arrow} ${number(Math.abs(difference), Math.max(row.digits.most, digitsOf(row.reference)))} (${percent})`.trim() : "–";
    row.link.title = `${row.against}${row.t ? ` · ${time(new Date(row.t)).slice(0, 5)}` : ""}`;
    row.value.className = row.moved.className = way;
    row.picture.setAttribute("class", way);
    const prices = row.points.map(({ c }) => c);
    const base = row.reference ?? prices[0];
    const [low, high] = [Math.min(base, ...prices), Math.max(base, ...prices)];
    const y = (price) => (high > low ? 1 + ((high - price) / (high - low)) * (HEIGHT - 2) : HEIGHT / 2).toFixed(1);
    for (const [attribute, text] of [["x1", 0], ["x2", WIDTH], ["y1", y(base)], ["y2", y(base)]]) row.base.setAttribute(attribute, text);
    const times = row.points.map(({ t }) => Date.parse(t));
    const x = (at) => (((at - times[0]) / Math.max(times.at(-1) - times[0], 1)) * WIDTH).toFixed(1);
    row.line.setAttribute("points", prices.map((price, nth) => `${x(times[nth])},${y(price)}`).join(" "));
  }
}
