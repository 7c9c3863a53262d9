// Indicators on the chart: over the candles or in panes of their own, with their values beside them. The arithmetic is the
// server's alone: what may have changed is asked for again, at most every other second while candles move.
import { label, valueName } from "./catalogue.js";
import { chartTime, number } from "./format.js";
import { place } from "./history.js";
import { colour, onColours } from "./paint.js";
import * as rest from "./rest.js";

const PAGE = 1000, EVERY_MS = 2000, AGAIN_MS = 3000, TONES = 8;
// How values are drawn that are no plain lines: a tone beside the indicator's own, dashes, columns, or candles to the left.
const LOOKS = {
  bbands_upper: { tone: 0 }, bbands_middle: { tone: 0, dashed: true }, bbands_lower: { tone: 0 },
  vwap_upper: { tone: 0, dashed: true }, vwap: { tone: 0 }, vwap_lower: { tone: 0, dashed: true },
  macd_histogram: { columns: true }, plus_di: { colour: "up" }, minus_di: { colour: "down" },
  chikou: { tone: 4, dashed: true, back: (params) => params.displacement - 1 },
};
const LEVELS = { rsi: [30, 70], stoch: [20, 80], mfi: [20, 80], cci: [-100, 100], macd: [0], adx: [25] };
const PERCENT = new Set(["rsi", "stoch", "mfi"]);

// One indicator and its lines.
class Study {
  values = new Map(); first = null; stale = null; failed = ""; alone = false; lines = []; life = 0;
  #drawn = 0; #begin = null;

  constructor(one, slot, board) {
    [this.one, this.slot, this.board] = [one, slot, board];
    const { LineSeries, HistogramSeries, LineStyle } = window.LightweightCharts;
    const pane = one.indicator.overlay ? 0 : board.panes().length;
    for (const [nth, name] of one.indicator.values.entries()) {
      const look = LOOKS[name] ?? {};
      const options = { priceLineVisible: false, lastValueVisible: !one.indicator.overlay && nth === 0, ...(look.columns ? {} : { lineWidth: look.tone === undefined ? 2 : 1, crosshairMarkerRadius: 3, lineStyle: look.dashed ? LineStyle.Dashed : LineStyle.Solid }) };
      if (!one.indicator.overlay) options.priceFormat = { type: "custom", minMove: 0.01, formatter: told };
      if (PERCENT.has(one.indicator.name)) {
        options.autoscaleInfoProvider = () => ({ priceRange: { minValue: 0, maxValue: 100 } });
        options.priceFormat.tickmarksFormatter = (prices) => prices.map((price) => (price < 0 || price > 100 ? "" : told(price)));
      }
      const series = board.addSeries(look.columns ? HistogramSeries : LineSeries, options, pane);
      this.lines.push({ name, look, series, nth });
    }
    const [{ series }] = this.lines;
    if (!one.indicator.overlay) series.priceScale().applyOptions({ scaleMargins: { top: 0.22, bottom: 0.06 } });
    this.levels = (LEVELS[one.indicator.name] ?? []).map((price) => series.createPriceLine({ price, lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false }));
    this.coloured();
  }

  get pane() {
    return this.lines[0].series.getPane();
  }

  coloured() {
    this.tints = [`${colour("up")}99`, `${colour("down")}99`];
    for (const line of this.lines) {
      line.colour = colour(line.look.colour ?? `tone-${((this.slot + (line.look.tone ?? line.nth)) % TONES) + 1}`);
      line.series.applyOptions({ color: line.colour });
    }
    for (const level of this.levels) level.applyOptions({ color: colour("quiet") });
    this.#begin = null;
  }

  // Other parameters.
  become(one) {
    this.one = one;
    this.forget();
  }

  forget() {
    this.life += 1; // what is under way is of before
    this.values.clear();
    [this.first, this.stale, this.failed, this.#begin] = [null, null, "", null];
    for (const { series } of this.lines) series.setData([]);
  }

  // The value that is drawn at a candle.
  at(bars, where, { name, look }) {
    const from = where + (look.back?.(this.one.params) ?? 0);
    return this.values.get(bars[from]?.t)?.[name] ?? undefined;
  }

  #point(bars, where, line) {
    const [time, value] = [chartTime(bars[where].t), this.at(bars, where, line)];
    if (value === undefined) return { time };
    return line.look.columns ? { time, value, color: this.tints[value >= 0 ? 0 : 1] } : { time, value };
  }

  // Draws what is known of the candles; only from `t` on where nothing before is another.
  draw(bars, t) {
    const same = this.#begin !== null && this.#begin === bars[0]?.t && t !== undefined && bars.length >= this.#drawn;
    const from = same ? place(bars, t) : 0;
    const few = same && bars.length - from < 50;
    for (const line of this.lines) {
      if (!few || line.look.back) line.series.setData(bars.map((_, where) => this.#point(bars, where, line)));
      else for (let where = Math.min(from, this.#drawn); where < bars.length; where += 1) line.series.update(this.#point(bars, where, line), where < this.#drawn - 1);
    }
    [this.#begin, this.#drawn] = [bars[0]?.t ?? null, bars.length];
  }

  remove() {
    this.life += 1;
    for (const { series } of this.lines) this.board.removeSeries(series);
  }
}

export class Studies {
  #chart; #places; #on; #studies = []; #asked = null; #timer = 0; #busy = false; #told; #legends = []; #over = true;

  // `on` has edit(one), when its parameters are wanted; remove(one); resized(panes), when there are more or fewer panes.
  constructor(chart, stage, on) {
    [this.#chart, this.#places, this.#on] = [chart, stage, on];
    chart.followers.push(this);
    onColours(() => {
      for (const study of this.#studies) {
        study.coloured();
        study.draw(chart.bars);
      }
      this.#legend();
    });
    new ResizeObserver(() => this.#place()).observe(stage);
  }

  // Of whom: a feed, code and timeframe.
  ask(question) {
    this.#asked = question;
  }

  // The whole of what is chosen. What is shown already stays, with other parameters where one took its place.
  show(all) {
    const before = this.#studies;
    const kept = new Map(before.map((study) => [study.one.key, study]));
    const left = before.filter((study) => !all.some(({ key }) => key === study.one.key));
    const after = all.map((one, nth) => {
      const same = kept.get(one.key);
      if (same) return same;
      const old = left.find((study) => study === before[nth] && study.one.indicator.name === one.indicator.name);
      if (old) left.splice(left.indexOf(old), 1)[0].become(one);
      return old ?? one;
    });
    for (const study of left) study.remove();
    const slots = new Set(after.filter((one) => one instanceof Study).map((study) => study.slot));
    this.#studies = after.map((one) => {
      if (one instanceof Study) return one;
      const slot = [...Array(TONES).keys()].find((free) => !slots.has(free)) ?? 0;
      slots.add(slot);
      const study = new Study(one, slot, this.#chart.board);
      this.#veil(study);
      return study;
    });
    const panes = this.#chart.board.panes();
    panes[0].setStretchFactor(Math.max(2.2, panes.length * 0.8));
    for (const pane of panes.slice(1)) pane.setStretchFactor(1);
    this.#on.resized(panes.length - 1);
    this.#legend();
    this.#soon(0);
  }

  // Whether those over the candles are drawn: on a scale of percent each would begin at zero, wherever it is.
  overlaid(on) {
    this.#over = on;
    for (const study of this.#studies) this.#veil(study);
    this.#legend();
  }

  #veil(study) {
    if (study.one.indicator.overlay) for (const { series } of study.lines) series.applyOptions({ visible: this.#over });
  }

  cleared() {
    for (const study of this.#studies) study.forget();
    this.#values();
  }

  // Candles from `t` on may be others; without it there are older ones.
  changed(t) {
    for (const study of this.#studies) {
      if (t !== undefined && study.first !== null && (study.stale === null || t < study.stale)) study.stale = t;
      if (t === undefined && !study.failed) study.draw(this.#chart.bars);
    }
    this.#soon(t === undefined ? 0 : EVERY_MS);
  }

  told(bar) {
    this.#told = bar;
    this.#values();
  }

  #soon(wait) {
    if (this.#timer && wait) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), wait);
  }

  // One reading after the other: first what is new, then what moved, then what is older. What moves meanwhile is read in
  // the next turn, so that several of one name come in theirs.
  async #read() {
    this.#timer = 0;
    if (this.#busy || !this.#asked) return;
    this.#busy = true;
    const done = new Set();
    let wait = 0;
    for (let work = this.#next(done); work && !wait; work = this.#next(done)) {
      const lives = work.studies.map((study) => study.life);
      if (work.live) for (const study of work.studies) done.add(study);
      try {
        const rows = await this.#rows(work);
        this.#take({ ...work, studies: work.studies.filter((study, nth) => study.life === lives[nth]) }, rows);
      } catch (error) {
        const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
        const [study] = work.studies;
        if (!refused) wait = AGAIN_MS;
        else if (work.studies.length > 1) for (const one of work.studies) one.alone = true; // which of them is it?
        else if (study.life === lives[0]) study.failed = error.message;
      }
    }
    this.#busy = false;
    this.#values();
    if (wait || this.#next(new Set())) this.#soon(wait || EVERY_MS);
  }

  // What is to be read next: {studies, start, end, live}, of which no two have one name.
  #next(done) {
    const bars = this.#chart.bars;
    const alive = bars.length ? this.#studies.filter((study) => !study.failed) : [];
    const together = (all) => (all[0].alone ? [all[0]] : all.filter((study, nth) => !study.alone && all.findIndex((other) => other.one.indicator === study.one.indicator) === nth));
    const fresh = alive.filter((study) => study.first === null);
    if (fresh.length) return { studies: together(fresh), start: bars[Math.max(0, bars.length - PAGE)].t };
    const moved = alive.filter((study) => study.stale !== null && !done.has(study));
    if (moved.length) return { studies: together(moved), start: moved.map((study) => study.stale).reduce((a, b) => (a < b ? a : b)), live: true };
    const short = alive.filter((study) => study.first > bars[0].t);
    if (!short.length) return null;
    const latest = short.map((study) => study.first).reduce((a, b) => (a > b ? a : b));
    const upto = place(bars, latest);
    return { studies: together(short.filter((study) => study.first === latest)), start: bars[Math.max(0, upto - PAGE)].t, end: bars[upto - 1].t };
  }

  async #rows({ studies, start, end }) {
    for (const study of studies) study.stale = null; // what changes from now on is read once more
    const names = studies.map(({ one }) => one.indicator.name).join(",");
    const params = studies.flatMap(({ one }) => Object.entries(one.params).map(([name, value]) => [`${one.indicator.name}.${name}`, value]));
    const { code, feed, frame } = this.#asked;
    const found = [];
    try {
      for (let token; token !== null; ) {
        const page = await rest.indicatorPage(code, { feed, timeframe: frame, name: names, ...Object.fromEntries(params), start, end, limit: PAGE, page_token: token });
        found.push(...page.indicators);
        token = page.next_page_token;
      }
    } catch (error) {
      for (const study of studies) if (study.first !== null && !end) study.stale = study.stale === null || start < study.stale ? start : study.stale;
      throw error;
    }
    return found;
  }

  #take({ studies, start, end }, rows) {
    for (const study of studies) {
      for (const row of rows) study.values.set(row.t, row);
      if (study.first === null || start < study.first) study.first = start;
      study.draw(this.#chart.bars, end ? undefined : start);
    }
  }

  // The legends: a list in each pane, with what the values are at the crosshair, or of the newest candle.
  #legend() {
    for (const list of this.#legends) list.remove();
    const groups = new Map();
    for (const study of this.#studies) groups.set(study.pane.paneIndex(), [...(groups.get(study.pane.paneIndex()) ?? []), study]);
    this.#legends = [...groups].map(([pane, studies]) => {
      const list = document.createElement("ul");
      [list.className, list.dataset.pane] = ["studies", pane];
      list.append(...studies.map((study) => this.#line(study)));
      this.#places.append(list);
      return list;
    });
    this.#place();
    this.#values();
  }

  #line(study) {
    const line = document.createElement("li");
    const [edit, off] = [document.createElement("button"), document.createElement("button")];
    const name = label(study.one);
    [edit.textContent, edit.title] = [name, gettext("change parameters")];
    edit.addEventListener("click", () => this.#on.edit(study.one));
    off.textContent = "×";
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [name]));
    off.addEventListener("click", () => this.#on.remove(study.one));
    for (const part of study.lines) {
      part.place = document.createElement("span");
      part.place.style.color = part.colour;
      part.place.title = valueName(part.name);
    }
    study.problem = document.createElement("em");
    line.append(edit, ...study.lines.map((part) => part.place), study.problem, off);
    line.dataset.key = study.one.key;
    return line;
  }

  #values() {
    const bars = this.#chart.bars;
    const where = this.#told ? place(bars, this.#told.t) : bars.length - 1;
    for (const study of this.#studies) {
      const text = study.one.indicator.overlay ? this.#price : told;
      for (const part of study.lines) part.place.textContent = text(study.at(bars, where, part));
      study.problem.textContent = study.failed || (study.one.indicator.overlay && !this.#over ? gettext("not drawn while symbols are compared") : "");
    }
  }

  #price = (value) => number(value, Math.max(this.#chart.digits.most, 2));

  // Lists stand at the top of their panes, which may be drawn apart.
  #place() {
    const panes = this.#chart.board.panes();
    const top = this.#places.getBoundingClientRect().top;
    for (const list of this.#legends) {
      const element = panes[list.dataset.pane]?.getHTMLElement();
      if (element) list.style.top = `${Math.round(element.getBoundingClientRect().top - top) + 2}px`;
    }
    this.#chart.headroom(this.#legends.find((list) => list.dataset.pane === "0")?.offsetHeight ?? 0);
  }
}

const told = (value) => number(value, Math.abs(value) < 10_000 ? 2 : 0);
