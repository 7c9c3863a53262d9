// Indices and exchange rates as a strip: each with its value, its change and how its day went. They are symbols like
// others, by what they were registered as, of every feed that one may read, those of the shown feed first; each has one
// value, by its primary feed. Beside them stand those that a source tells as events. Where there is neither there is no
// strip. Of the feed that is followed the stream tells; of others afar.js.
import { standings } from "./afar.js";
import { Digits, called, change, digitsOf, number, seconds, time } from "./format.js";
import { place } from "./history.js";
import { painter } from "./paint.js";
import * as rest from "./rest.js";
import { ToldIndices, isSame } from "./told_indices.js";

const CATEGORIES = "index,fx", MOST = 12, LISTED = 100, FRAME = "5Min", FRAME_S = 300, AGAIN_MS = 5000, TOGETHER_MS = 500;
const KST_MS = 9 * 3_600_000;
const WIDTH = 64, HEIGHT = 18;
const SVG = "http://www.w3.org/2000/svg";

export class Indices {
  #strip; #on; #feed = ""; #rows = new Map(); #told = new Map(); #turn = 0; #timer = 0; #due = 0; #settled = 0; #missed = false; #dirty = new Set(); #draw;

  // `on` has choose(feed, code), course(row) of one that is told, and listed() when they are others.
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
      if (link.dataset.told === undefined) on.choose(link.dataset.feed, link.dataset.code);
      else on.course(this.#told.get(link.dataset.code));
    });
    new ToldIndices((rows) => this.#tell(rows)).renew();
  }

  // Of which the feed that is followed tells.
  get codes() {
    return [...this.#rows.values()].filter((row) => row.feed === this.#feed).map((row) => row.symbol.symbol);
  }

  // With those of a feed first; again for what was missed, and for a new day.
  async load(feed) {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    clearTimeout(this.#due);
    [this.#feed, this.#due, this.#missed] = [feed, 0, false];
    try {
      const standing = await found(feed);
      const bars = await courses(standing);
      if (turn !== this.#turn) return;
      this.#rows = new Map(standing.map((one) => [one.symbol.symbol, this.#made(one, bars.get(one.feed)?.[one.symbol.symbol] ?? [])]));
      this.#dirty.clear(); // of rows that were
      this.#list();
      for (const row of this.#rows.values()) this.#show(row);
    } catch {
      if (turn === this.#turn) this.#timer = setTimeout(() => this.load(feed), AGAIN_MS);
    }
    this.#settled = Math.max(this.#settled, turn);
    if (this.#missed) this.#again();
  }

  // One of them gives reason to. On a new day all of them do, and are asked for together; while they are under way
  // nobody begins anew, or with a slow server none would ever come: they are asked for once more behind that.
  #again() {
    this.#missed = this.#settled !== this.#turn;
    if (!this.#missed) this.#due ||= setTimeout(() => this.load(this.#feed), TOGETHER_MS);
  }

  // A minute candle of the feed that is followed as it is now.
  minute(code, bar) {
    const row = this.#rows.get(code);
    if (row?.feed === this.#feed) this.#minute(row, bar);
  }

  // Those of other feeds.
  get afar() {
    return [...this.#rows.values()].filter((row) => row.feed !== this.#feed).map(({ feed, symbol }) => ({ feed, symbol: symbol.symbol }));
  }

  // Where those of such a feed stand.
  stand(feed, known) {
    for (const row of this.#rows.values()) {
      const bar = row.feed === feed && known[row.symbol.symbol]?.minuteBar;
      if (!bar || (bar.t === row.t && bar.c === row.last)) continue;
      if (row.t && seconds(bar.t) - seconds(row.t) > 2 * FRAME_S) return this.#again(); // nobody looked meanwhile
      this.#minute(row, bar);
    }
  }

  // One may not read it any more.
  denied(feed) {
    if ([...this.#rows.values()].some((row) => row.feed === feed)) this.#again();
  }

  #minute(row, bar) {
    if (bar.td > row.day) {
      row.day = bar.td; // once
      this.#again();
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
    this.#told = new Map(rows.map((one) => {
      const row = { ...(this.#told.get(one.code) ?? this.#element({ symbol: one.code, name: one.name }, false)), ...one, day: "", digits: new Digits() };
      row.against = gettext("from the day before");
      row.digits.most = one.scale; // as it was written: 880.00 has two
      return [one.code, row];
    }));
    this.#list();
    for (const row of this.#told.values()) this.#show(row);
  }

  #made({ symbol, feed, snapshot: { latestTrade, minuteBar, dailyBar, prevDailyBar } }, bars) {
    const old = this.#rows.get(symbol.symbol);
    const row = { ...(old ?? this.#element(symbol)), symbol, feed, day: dailyBar?.td ?? "", t: minuteBar?.t ?? "", last: latestTrade.p, reference: prevDailyBar?.c ?? dailyBar?.o, digits: new Digits() };
    row.against = prevDailyBar ? gettext("from the day before") : gettext("from the open");
    row.points = bars.map(({ t, c }) => ({ t, c }));
    row.digits.see(row.last, row.reference ?? 0);
    row.link.href = `?${new URLSearchParams({ feed, symbol: symbol.symbol, timeframe: "1Min" })}`;
    row.link.dataset.feed = feed;
    row.of.textContent = feed === this.#feed ? "" : feed;
    return row;
  }

  #element(symbol, opens = true) {
    const [item, link, name, of, value, moved] = ["li", "a", "span", "small", "b", "span"].map((kind) => document.createElement(kind));
    const picture = document.createElementNS(SVG, "svg");
    for (const [attribute, text] of [["viewBox", `0 0 ${WIDTH} ${HEIGHT}`], ["width", WIDTH], ["height", HEIGHT], ["aria-hidden", "true"]]) picture.setAttribute(attribute, text);
    const [base, line] = ["line", "polyline"].map((kind) => picture.appendChild(document.createElementNS(SVG, kind)));
    if (!opens) {
      link.href = "#told";
      link.dataset.told = "";
      link.setAttribute("role", "button"); // it opens a dialog
      link.setAttribute("aria-haspopup", "dialog");
    }
    link.dataset.code = symbol.symbol;
    name.textContent = called(symbol) || symbol.symbol;
    link.append(name, " ", of, " ", value, " ", moved, picture);
    item.append(link);
    return { item, link, of, value, moved, picture, base, line };
  }

  // One value of each index: where the same is a symbol and told as events it is the symbol's, which has candles, unless
  // that is of an earlier day.
  #list() {
    const told = [...this.#told.values()].filter((one) => !this.#symbols(one).some((row) => row.day >= dateOf(one.t)));
    const instead = new Set(told.flatMap((one) => this.#symbols(one)));
    const items = [...[...this.#rows.values()].filter((row) => !instead.has(row)), ...told].map(({ item }) => item);
    const there = this.#strip.children;
    if (items.length !== there.length || items.some((item, nth) => item !== there[nth])) this.#strip.replaceChildren(...items);
    this.#strip.hidden = !items.length;
    this.#on.listed();
  }

  #symbols({ code }) {
    return [...this.#rows.values()].filter((row) => isSame(code, row.symbol));
  }

  #show(row) {
    const { way, arrow, difference, percent } = change(row.last, row.reference);
    row.value.textContent = row.digits.text(row.last);
    row.moved.textContent = percent ? `${arrow} ${number(Math.abs(difference), Math.max(row.digits.most, digitsOf(row.reference)))} (${percent})`.trim() : "–";
    const newest = Math.max(...[...this.#rows.values()].map(({ day }) => Date.parse(day) || 0));
    const old = row.day && Date.parse(row.day) < newest ? row.day : ""; // it trades elsewhere, or has not come since
    row.link.title = [row.against, row.t && `${old} ${time(new Date(row.t)).slice(0, 5)}`.trim(), row.of.textContent].filter(Boolean).join(" · ");
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

const dateOf = (t) => new Date(Date.parse(t) + KST_MS).toISOString().slice(0, 10);

// Which there are and where they stand, as {symbol, feed, snapshot}: each on its primary feed; where one may not read
// that, or nothing came by it, on the shown one.
async function found(shown) {
  const asked = { category: CATEGORIES, active: "true" };
  const [own, all] = await Promise.all([rest.symbols({ ...asked, feed: shown, limit: MOST }), rest.symbols({ ...asked, limit: LISTED })]);
  const symbols = [...new Map([...own.symbols, ...all.symbols].map((one) => [one.symbol, one])).values()];
  const known = await standings(symbols);
  const there = (code, feed) => known.get(feed)?.[code]?.latestTrade;
  const missing = symbols.filter((one) => one.feed !== shown && !there(one.symbol, one.feed)).map((one) => ({ ...one, feed: shown }));
  if (missing.length) known.set(shown, { ...known.get(shown), ...(await standings(missing)).get(shown) });
  const standing = symbols.map((symbol) => {
    const feed = [symbol.feed, shown].find((one) => there(symbol.symbol, one));
    return { symbol, feed, snapshot: known.get(feed)?.[symbol.symbol] };
  });
  const first = ({ feed }) => (feed === shown ? 0 : 1);
  return standing.filter(({ feed }) => feed).sort((one, other) => first(one) - first(other)).slice(0, MOST);
}

// How the newest day of each feed went: candles by code, by feed.
async function courses(standing) {
  const feeds = [...new Set(standing.map(({ feed }) => feed))];
  return new Map(await Promise.all(feeds.map(async (feed) => {
    const mine = standing.filter((one) => one.feed === feed);
    const day = mine.map(({ snapshot }) => snapshot.dailyBar?.td ?? "").sort().at(-1);
    const codes = mine.map(({ symbol }) => symbol.symbol);
    return [feed, day ? await rest.barsOf(codes, { feed, timeframe: FRAME, start: day, limit: 10_000 }) : {}];
  })));
}
