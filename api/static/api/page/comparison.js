// Other symbols beside the candles, as lines: everything in percent from the left edge of what is seen. They stand at the
// times of the candles, so that the chart has no others, each with what it was worth by then.
import { called, chartTime, number, seconds } from "./format.js";
import { History, joined, place } from "./history.js";
import { colour, onColours, painter } from "./paint.js";
import * as rest from "./rest.js";

export const MOST = 3;
const EVERY_MS = 2000, AGAIN_MS = 3000, PAGES = 20; // pages that are read at a time for what lies further back
const TONES = [7, 6, 5];
const WIDTH_S = { "5Min": 300, "15Min": 900, "30Min": 1800, "1Hour": 3600 }; // minutes need none; of days the server knows

// One of them, from when it is chosen until it is taken away or looked at otherwise.
class Other {
  bars = []; history = null; failed = ""; timer = 0; busy = false; name = ""; series = null;

  constructor(code, slot) {
    [this.code, this.slot] = [code, slot];
  }

  // What it was worth by the candle at a place of `bars`: by the newest one, what it is worth now.
  worth(bars, where) {
    if (where >= bars.length - 1) return this.bars.at(-1)?.c;
    const at = place(this.bars, bars[where].t);
    return this.bars[this.bars[at]?.t === bars[where].t ? at : at - 1]?.c;
  }

  // The place in `bars` at which it begins, or one further to the right.
  begins(bars, from) {
    return this.bars.length ? Math.max(from, Math.min(place(bars, this.bars[0].t), bars.length - 1)) : from;
  }
}

export class Comparison {
  #chart; #list; #on; #others = []; #question = null; #whole = true; #pointed; #draw;

  // `on` has remove(code); changed(on), when there begins or ends to be something to compare.
  constructor(chart, list, on) {
    [this.#chart, this.#list, this.#on] = [chart, list, on];
    this.#draw = painter(() => this.#paint());
    chart.followers.push(this);
    chart.board.timeScale().subscribeVisibleLogicalRangeChange(() => this.#others.length && this.#draw());
    onColours(() => {
      for (const one of this.#others) this.#coloured(one);
      this.#legend();
    });
  }

  get codes() {
    return this.#others.map(({ code }) => code);
  }

  // The whole of what is chosen.
  show(codes) {
    const before = this.#others;
    for (const one of before) if (!codes.includes(one.code)) this.#end(one);
    const slots = new Set(before.filter(({ code }) => codes.includes(code)).map(({ slot }) => slot));
    this.#others = codes.map((code) => {
      const known = before.find((one) => one.code === code);
      if (known) return known;
      const slot = TONES.find((free) => !slots.has(free));
      slots.add(slot);
      return this.#begin(new Other(code, slot));
    });
    if (Boolean(before.length) !== Boolean(codes.length)) {
      this.#chart.percent(codes.length > 0);
      this.#on.changed(codes.length > 0);
    }
    this.#legend();
  }

  // Of whom: a feed, code and timeframe.
  ask(question) {
    this.#question = question;
    for (const one of this.#others) this.#anew(one);
  }

  // What was missed while the stream was away.
  renew() {
    for (const one of this.#others) this.#read(one, true);
  }

  cleared() {
    for (const one of this.#others) one.series.setData([]);
    this.#whole = true;
    this.#draw();
  }

  // Candles from `t` on are others; without it there are older ones.
  changed(t) {
    if (!this.#others.length) return;
    const last = this.#chart.bars.at(-1);
    if (t === undefined || !last || t < last.t) this.#whole = true;
    for (const one of this.#others) if (this.#short(one)) this.#read(one);
    this.#draw();
  }

  told(bar) {
    this.#pointed = bar;
    this.#values();
  }

  // A minute candle of one of them as it is now.
  minute(code, bar) {
    const one = this.#others.find((other) => other.code === code);
    if (!one || one.failed || !this.#question) return; // nothing is asked for yet
    const last = one.bars.at(-1) ?? { t: "", c: 0 };
    const { frame } = this.#question;
    if (one.busy && !last.t) return; // it comes with the first reading
    if (bar.td < (one.day ?? "")) return void this.#read(one, true); // the server adjusts candles of before an ex-date
    one.day = bar.td;
    if (frame === "1Min") {
      const where = place(one.bars, bar.t);
      const known = one.bars[where]?.t === bar.t;
      one.bars.splice(where, known ? 1 : 0, { t: bar.t, c: bar.c });
      if (where < one.bars.length - 1) this.#whole = true;
    } else if (last.t && frame in WIDTH_S && seconds(bar.t) < seconds(last.t) + WIDTH_S[frame] && bar.t >= (one.latest ?? last.t)) [last.c, one.latest] = [bar.c, bar.t];
    else one.timer ||= setTimeout(() => this.#newest(one), EVERY_MS);
    this.#draw();
  }

  #begin(one) {
    const { LineSeries } = window.LightweightCharts;
    one.series = this.#chart.board.addSeries(LineSeries, { lineWidth: 2, priceLineVisible: false, crosshairMarkerRadius: 3 });
    this.#coloured(one);
    if (this.#question) this.#anew(one);
    return one;
  }

  #end(one) {
    clearTimeout(one.timer);
    one.history = null; // what is under way is of nobody
    this.#chart.board.removeSeries(one.series);
  }

  #coloured(one) {
    one.colour = colour(`tone-${one.slot}`);
    one.series.applyOptions({ color: one.colour });
  }

  #anew(one) {
    const { feed, frame } = this.#question;
    clearTimeout(one.timer);
    Object.assign(one, { bars: [], timer: 0, busy: false, failed: "", latest: undefined, history: new History(one.code, feed, frame) });
    one.series.setData([]);
    this.#read(one);
  }

  #short(one) {
    const [first] = this.#chart.bars;
    return Boolean(first && !one.failed && one.history?.more && one.bars.length && one.bars[0].t > first.t);
  }

  // The newest of it, what is to be read `again`, and older ones as far back as the candles go.
  async #read(one, again = false) {
    const of = one.history;
    if (!of || (one.busy && !again)) return;
    one.busy = true;
    try {
      if (!one.name) one.name = called(await rest.symbol(one.code)) || one.code;
      if (again || !one.bars.length) this.#take(one, of, await of.renewed(one.bars));
      for (let page = 0; page < PAGES && of === one.history && this.#short(one); page += 1) this.#take(one, of, await of.older());
      if (of === one.history) one.busy = false;
    } catch (error) {
      if (of !== one.history) return;
      one.busy = false;
      const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused) one.failed = error.status === 403 ? gettext("no right to read") : error.status === 404 ? gettext("not registered") : error.message;
      else setTimeout(() => of === one.history && this.#read(one, true), AGAIN_MS);
    }
    this.#legend();
  }

  #take(one, of, bars) {
    if (of !== one.history || !bars.length) return;
    const found = bars.map(({ t, c }) => ({ t, c }));
    one.bars = one.bars.length && found[0].t < one.bars[0].t ? joined(found, one.bars) : joined(one.bars, found);
    this.#whole = true;
    this.#draw();
  }

  // A new wide candle, or a day that changed: only the server knows where it begins and what counts.
  async #newest(one) {
    one.timer = 0;
    const of = one.history;
    const { feed, frame } = this.#question;
    const bars = await rest.bars(one.code, { feed, timeframe: frame, limit: 2, sort: "desc" }).catch(() => []);
    one.latest = undefined;
    this.#take(one, of, bars.reverse());
  }

  #paint() {
    const bars = this.#chart.bars;
    for (const one of this.#others) {
      const points = [];
      for (let nth = one.begins(bars, this.#whole ? 0 : Math.max(bars.length - 2, 0)); nth < bars.length; nth += 1) {
        const value = one.worth(bars, nth);
        if (value !== undefined) points.push({ time: chartTime(bars[nth].t), value });
      }
      if (this.#whole) one.series.setData(points);
      else for (const point of points) one.series.update(point, point.time < one.drawn);
      one.drawn = points.at(-1)?.time ?? 0;
    }
    this.#whole = false;
    this.#values();
  }

  #legend() {
    this.#list.hidden = !this.#others.length;
    const mine = document.createElement("li");
    mine.append(Object.assign(document.createElement("b"), { textContent: gettext("Candles") }), document.createElement("span"));
    this.#list.replaceChildren(mine, ...this.#others.map((one) => this.#line(one)));
    this.#values();
  }

  #line(one) {
    const line = document.createElement("li");
    line.dataset.code = one.code;
    const [name, value, off] = ["b", "span", "button"].map((kind) => document.createElement(kind));
    const title = one.name || one.code;
    [name.textContent, name.title, name.style.color] = [title, one.code, one.colour];
    if (one.failed) line.append(name, Object.assign(document.createElement("em"), { textContent: one.failed }), off);
    else line.append(name, value, off);
    off.textContent = "×";
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [title]));
    off.addEventListener("click", () => this.#on.remove(one.code));
    return line;
  }

  // The change of each from the left edge, of the candle that is pointed at or the newest.
  #values() {
    if (!this.#others.length) return;
    const bars = this.#chart.bars;
    const edge = Math.max(0, Math.floor(this.#chart.board.timeScale().getVisibleLogicalRange()?.from ?? 0));
    const where = this.#pointed ? place(bars, this.#pointed.t) : bars.length - 1;
    const lines = [...this.#list.children].map((line) => line.querySelector("span"));
    [null, ...this.#others].forEach((one, nth) => {
      if (!lines[nth]) return;
      const base = one ? one.worth(bars, one.begins(bars, edge)) : bars[edge]?.c;
      const now = one ? one.worth(bars, where) : bars[where]?.c;
      const change = base > 0 && now !== undefined ? (now / base - 1) * 100 : NaN;
      write(lines[nth], Number.isNaN(change) ? "–" : `${change > 0 ? "+" : change < 0 ? "−" : ""}${number(Math.abs(change), 2)}%`);
    });
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
