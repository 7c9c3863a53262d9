// Other symbols beside the candles, as lines: everything in percent from the left edge of what is seen. They stand at the
// times of the candles, so that the chart has no others, each with what it was worth by then, whatever the hours of its
// market. Of the feed that is followed the stream tells; of others afar.js.
import { key } from "./address.js";
import { called, chartTime, number, seconds } from "./format.js";
import { History, joined, place } from "./history.js";
import { actions } from "./marks.js";
import { colour, onColours, painter } from "./paint.js";
import * as rest from "./rest.js";

export const MOST = 3;
const EVERY_MS = 2000, AGAIN_MS = 3000, PAGES = 20; // pages that are read at a time for what lies further back
const TONES = [7, 6, 5];
const WIDTH_S = { "5Min": 300, "15Min": 900, "30Min": 1800, "1Hour": 3600 }; // minutes need none; of days the server knows
const DAY_MS = 86_400_000;

// By what candles of two series are the same one: their time; from days on their date, for it begins at another time in
// another zone.
const STANDS = {
  "1Day": ({ td }) => td,
  "1Week": ({ td }) => new Date(Date.parse(td) - ((new Date(td).getUTCDay() + 6) % 7) * DAY_MS).toISOString().slice(0, 10), // its Monday
  "1Month": ({ td }) => td.slice(0, 7),
};
const stands = (frame) => STANDS[frame] ?? (({ t }) => t);

// Why one cannot be shown.
export function refusal(error) {
  if (error.status === 403) return gettext("no right to read");
  if (error.status !== 404) return error.message;
  return error.code === rest.UNKNOWN_FEED ? gettext("no such feed") : gettext("not registered");
}

// One of them, from when it is chosen until it is taken away or looked at otherwise.
class Other {
  bars = []; history = null; failed = ""; timer = 0; again = 0; busy = false; name = ""; series = null; day = ""; of = stands(); seen = null;

  constructor({ feed, code }, slot) {
    Object.assign(this, { feed, code, slot, key: key({ feed, code }) });
  }

  // What it was worth by the candle at a place of `bars`: by the newest one, what it is worth now.
  worth(bars, where) {
    if (!this.bars.length || where >= bars.length - 1) return this.bars.at(-1)?.c;
    const then = this.of(bars[where]);
    const at = place(this.bars, then, this.of);
    return this.bars[this.bars[at] && this.of(this.bars[at]) === then ? at : at - 1]?.c;
  }

  // The place in `bars` at which it begins, or one further to the right.
  begins(bars, from) {
    return this.bars.length ? Math.max(from, Math.min(place(bars, this.of(this.bars[0]), this.of), bars.length - 1)) : from;
  }
}

export class Comparison {
  #chart; #list; #on; #others = []; #question = null; #whole = true; #pointed; #draw; #lines = "";

  // `on` has remove(key); changed(on), when there begins or ends to be something to compare.
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

  // {feed, code} of each.
  get all() {
    return this.#others.map(({ feed, code }) => ({ feed, code }));
  }

  // What one is called; empty while that is not known.
  name(of) {
    return this.#others.find((one) => one.key === of)?.name ?? "";
  }

  // The whole of what is chosen.
  show(all) {
    const [before, keys] = [this.#others, all.map(key)];
    for (const one of before) if (!keys.includes(one.key)) this.#end(one);
    const slots = new Set(before.filter((one) => keys.includes(one.key)).map(({ slot }) => slot));
    this.#others = all.map((wished, nth) => {
      const known = before.find((one) => one.key === keys[nth]);
      if (known) return known;
      const slot = TONES.find((free) => !slots.has(free));
      slots.add(slot);
      return this.#begin(new Other(wished, slot));
    });
    if (Boolean(before.length) !== Boolean(all.length)) {
      this.#chart.percent(all.length > 0);
      this.#on.changed(all.length > 0);
    }
    this.#legend();
  }

  // Beside whom: a feed, code and timeframe.
  ask(question) {
    this.#question = question;
    for (const one of this.#others) this.#anew(one);
    this.#legend();
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

  // A minute candle of the feed that is followed as it is now.
  minute(code, bar) {
    const one = this.#others.find((other) => other.code === code && other.feed === this.#question?.feed); // nothing is asked for yet
    if (one) this.#minute(one, bar);
  }

  // Those of other feeds.
  get afar() {
    return this.#others.filter((one) => this.#question && one.feed !== this.#question.feed && !one.failed).map(({ feed, code }) => ({ feed, symbol: code }));
  }

  // Where those of such a feed stand.
  stand(feed, known) {
    for (const one of this.#others) {
      const bar = one.feed === feed && !one.busy && known[one.code]?.minuteBar;
      if (!bar || (bar.t === one.seen?.t && bar.c === one.seen.c)) continue;
      if (bar.t !== one.seen?.t) this.#read(one, true); // how the minutes between ended, which nobody told
      one.seen = bar;
      this.#minute(one, bar);
    }
  }

  // One may not read it any more.
  denied(feed) {
    for (const one of this.#others) if (one.feed === feed) one.failed = refusal({ status: 403 });
    this.#legend();
  }

  #minute(one, bar) {
    if (one.failed) return;
    const last = one.bars.at(-1) ?? { t: "", c: 0 };
    const { frame } = this.#question;
    if (one.busy && !last.t) return; // it comes with the first reading
    if (bar.td < one.day) return this.#again(one); // the server adjusts candles of before an ex-date
    this.#date(one, bar.td);
    if (frame === "1Min") {
      const where = place(one.bars, bar.t);
      const known = one.bars[where]?.t === bar.t;
      one.bars.splice(where, known ? 1 : 0, { t: bar.t, td: bar.td, c: bar.c });
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

  // At most every other second, however many candles of days before come.
  #again(one) {
    one.again ||= setTimeout(() => {
      one.again = 0;
      this.#read(one, true);
    }, EVERY_MS);
  }

  #end(one) {
    clearTimeout(one.timer);
    clearTimeout(one.again);
    one.history = null; // what is under way is of nobody
    this.#chart.board.removeSeries(one.series);
  }

  #coloured(one) {
    one.colour = colour(`tone-${one.slot}`);
    one.series.applyOptions({ color: one.colour });
  }

  #anew(one) {
    const { frame } = this.#question;
    clearTimeout(one.timer);
    clearTimeout(one.again);
    Object.assign(one, { bars: [], timer: 0, again: 0, busy: false, failed: "", latest: undefined, seen: null, of: stands(frame), history: new History(one.code, one.feed, frame) });
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
      for (let page = 0; page < PAGES && of === one.history && this.#short(one); page += 1) this.#before(one, of, await of.older());
      if (of === one.history) one.busy = false;
    } catch (error) {
      if (of !== one.history) return;
      one.busy = false;
      const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused) one.failed = refusal(error);
      else setTimeout(() => of === one.history && this.#read(one, true), AGAIN_MS);
    }
    this.#legend();
  }

  // The last ones as they are now.
  #take(one, of, bars) {
    if (of !== one.history || !bars.length) return;
    one.bars = joined(one.bars, bars.map(({ t, td, c }) => ({ t, td, c })));
    this.#date(one, bars.at(-1).td);
    this.#whole = true;
    this.#draw();
  }

  // Older ones, of which another reading may have brought some: no later one goes for them.
  #before(one, of, bars) {
    if (of !== one.history) return;
    one.bars = joined(bars.map(({ t, td, c }) => ({ t, td, c })), one.bars);
    this.#whole = true;
    this.#draw();
  }

  // A new wide candle, or a day that changed: only the server knows where it begins and what counts.
  async #newest(one) {
    one.timer = 0;
    const of = one.history;
    const { frame } = this.#question;
    const bars = await rest.bars(one.code, { feed: one.feed, timeframe: frame, limit: 2, sort: "desc" }).catch(() => []);
    one.latest = undefined;
    this.#take(one, of, bars.reverse());
  }

  // On a new trading date candles before it may be adjusted from now on: then all are read again.
  async #date(one, day) {
    const [before, of] = [one.day, one.history];
    if (day <= before) return;
    one.day = day;
    if (!before) return;
    const found = await actions(one.code).catch(() => []);
    if (of === one.history && found.some((action) => action.adjusts && action.day === day)) this.#anew(one);
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

  // Lines that say the same stay the same elements: one may be pressed, or have the focus.
  #legend() {
    this.#list.hidden = !this.#others.length;
    const lines = JSON.stringify([this.#question?.feed, ...this.#others.map(({ key: of, name, failed, colour: tone }) => [of, name, failed, tone])]);
    if (lines === this.#lines) return this.#values();
    this.#lines = lines;
    const mine = document.createElement("li");
    mine.append(Object.assign(document.createElement("b"), { textContent: gettext("Candles") }), document.createElement("span"));
    this.#list.replaceChildren(mine, ...this.#others.map((one) => this.#line(one)));
    return this.#values();
  }

  #line(one) {
    const line = document.createElement("li");
    [line.dataset.code, line.dataset.feed] = [one.code, one.feed];
    const [name, value, off] = ["b", "span", "button"].map((kind) => document.createElement(kind));
    const title = one.name || one.code;
    [name.textContent, name.title, name.style.color] = [title, one.code, one.colour];
    if (this.#question && one.feed !== this.#question.feed) name.append(" ", Object.assign(document.createElement("small"), { textContent: one.feed }));
    if (one.failed) line.append(name, Object.assign(document.createElement("em"), { textContent: one.failed }), off);
    else line.append(name, value, off);
    off.textContent = "×";
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [title]));
    off.addEventListener("click", () => this.#on.remove(one.key));
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
