// The candle chart with volume and marks. Wider candles are kept up with minute candles until their time is over.
import { Digits, LOCALE, chartTime, number, seconds, size } from "./format.js";
import { joined, place } from "./history.js";
import { colour, onColours, painter } from "./paint.js";

const WIDTH_S = { "1Min": 60, "5Min": 300, "15Min": 900, "30Min": 1800, "1Hour": 3600 }; // others are days
const SHOWN = 90, NEAR = 60; // candles shown at first; when so few are left of the view, older ones are wanted
const TOP = 0.08, BOTTOM = 0.24, MARK_PX = 30; // parts of the pane that candles leave free; what a mark over a candle takes

export class Chart {
  #chart; #candles; #volume; #marker; #legend; #frame = "1Min"; #bars = []; #minutes = new Map(); #marks = new Map(); #wants; #waiting = new Map(); #pointed; #draw; #log = false; #percent = false;
  digits = new Digits();
  followers = []; // who draws more: cleared(), changed(t) for candles from `t` on or for older ones, told(bar)

  // `wants` has reload(), for a new wide candle, of which only the server knows where it begins; renew(since), for a
  // day that changed, of which only the server knows what counts, or for older candles from a time on; older(), for what
  // lies before the first candle.
  constructor(stage, legend, wants) {
    const { createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries, CrosshairMode } = window.LightweightCharts;
    this.#legend = legend;
    this.#wants = wants;
    this.#draw = painter(() => this.#flush());
    this.#chart = createChart(stage, {
      autoSize: true,
      layout: { background: { color: "transparent" }, attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily },
      rightPriceScale: { scaleMargins: { top: TOP, bottom: BOTTOM } },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 0.5 },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: LOCALE },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {});
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.#marker = createSeriesMarkers(this.#candles, []);
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time }) => {
      this.#pointed = time === undefined ? undefined : this.#at(time);
      this.#tell();
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.reach());
    this.#colours();
    onColours(() => {
      this.#colours();
      this.#redraw();
    });
  }

  get bars() {
    return this.#bars;
  }

  get board() {
    return this.#chart;
  }

  // The series of candles, whose scale is that of prices.
  get candles() {
    return this.#candles;
  }

  // What lies before the first candle, however near the view is.
  older() {
    this.#wants.older();
  }

  // The same, as the view is near it: also where it could not be asked for when it was moved there.
  reach() {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (range && this.#bars.length && range.from < NEAR) this.#wants.older();
  }

  // The candle of a time in px of its pane, null before the first one.
  x(t) {
    const time = chartTime(t);
    if (!this.#bars.length || time < chartTime(this.#bars[0].t)) return null;
    const first = this.#first(time);
    const where = first < this.#bars.length && chartTime(this.#bars[first].t) === time ? first : first - 1;
    return this.#chart.timeScale().logicalToCoordinate(where);
  }

  // The candle nearest to such a place.
  barAt(x) {
    const where = Math.round(this.#chart.timeScale().coordinateToLogical(x) ?? 0);
    return this.#bars[Math.max(0, Math.min(where, this.#bars.length - 1))];
  }

  // Another symbol, feed or timeframe, of which nothing is known yet.
  clear(frame) {
    this.#frame = frame;
    this.#bars = [];
    this.#minutes.clear();
    this.#waiting.clear();
    this.#marks.clear();
    this.#pointed = undefined;
    this.digits = new Digits();
    this.#chart.timeScale().applyOptions({ timeVisible: frame in WIDTH_S });
    this.#redraw();
    for (const one of this.followers) one.cleared();
  }

  // The last candles as the server has them, all that there are from a time on, and the minutes of the very last. One of
  // which every trade was taken back is gone.
  renew(bars, minutes, from = "") {
    const empty = !this.#bars.length;
    this.#waiting.clear();
    this.#bars = joined(from ? this.#bars.slice(0, place(this.#bars, from)) : this.#bars, bars);
    this.#minutes = new Map(minutes.map((bar) => [bar.t, bar]));
    this.#see(bars.slice(-200), true);
    this.#redraw();
    if (from || bars.length) this.#follow(from || bars[0].t);
    if (empty) this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(bars.length - SHOWN, -20), to: bars.length + 3 });
  }

  // Older candles, which go before the others; the view stays where it is.
  before(bars) {
    this.#bars = joined(bars, this.#bars);
    this.#see(bars.slice(-200));
    this.#redraw();
    this.#follow();
  }

  mark(marks) {
    for (const mark of marks) this.#marks.set(mark.key, mark);
    this.#mark();
    this.#tell();
  }

  // A minute candle as it is now.
  minute(bar) {
    this.#waiting.set(bar.t, bar);
    this.#draw();
  }

  // The newest candles as the server has them.
  newest(bars) {
    for (const bar of bars) this.#put(bar);
    this.#tell();
  }

  logarithmic(on) {
    this.#log = on;
    this.#scale();
  }

  // In percent from the left edge of what is seen, which goes before the logarithm.
  percent(on) {
    this.#percent = on;
    this.#scale();
  }

  #scale() {
    const { Logarithmic, Normal, Percentage } = window.LightweightCharts.PriceScaleMode;
    this.#chart.priceScale("right").applyOptions({ mode: this.#percent ? Percentage : this.#log ? Logarithmic : Normal });
  }

  // How much of the top of the pane is written over, in px: candles and marks stay below it.
  headroom(px) {
    const height = this.#chart.panes()[0].getHeight();
    if (height) this.#chart.priceScale("right").applyOptions({ scaleMargins: { top: Math.min(Math.max(TOP, px && (px + MARK_PX) / height), 0.45), bottom: BOTTOM } });
  }

  #flush() {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const bar of waiting) this.#take(bar);
    this.#tell();
  }

  // What one from before the last wide candle comes to, only the server knows.
  #take(bar) {
    if (this.#frame === "1Min") return this.#put(bar);
    if (!(this.#frame in WIDTH_S)) return this.#wants.renew(bar.t < (this.#bars.at(-2)?.t ?? "") ? bar.t : "");
    const last = this.#bars.at(-1);
    if (!last) return this.#wants.reload();
    const begin = seconds(last.t);
    if (seconds(bar.t) >= begin + WIDTH_S[this.#frame]) return this.#wants.reload();
    if (seconds(bar.t) < begin) return this.#wants.renew(bar.t);
    this.#minutes.set(bar.t, bar);
    return this.#put(merged(last.t, [...this.#minutes.values()].sort((a, b) => (a.t < b.t ? -1 : 1))));
  }

  // The stream does not tell of gaps, so what REST told stays.
  #put(told) {
    const where = place(this.#bars, told.t);
    const known = this.#bars[where]?.t === told.t ? this.#bars[where] : null;
    const bar = { gap: known?.gap, ...told };
    if (known && known.n > bar.n && (known.rev ?? 0) >= (bar.rev ?? 0)) return;
    this.#follow(bar.t);
    const last = where >= this.#bars.length - (known ? 1 : 0);
    this.#bars.splice(where, known ? 1 : 0, bar);
    this.#see([bar]);
    if (!known && !last) return this.#redraw();
    this.#candles.update(candle(bar), !last);
    this.#volume.update(this.#column(bar), !last);
    if (!known || bar.rev !== known.rev) this.#mark();
  }

  #follow(t) {
    for (const one of this.followers) one.changed(t);
  }

  #redraw() {
    this.#candles.setData(this.#bars.map(candle));
    this.#volume.setData(this.#bars.map((bar) => this.#column(bar)));
    this.#mark();
    this.#tell();
  }

  #see(bars, always = false) {
    const grown = this.digits.see(...bars.flatMap((bar) => [bar.o, bar.h, bar.l, bar.c]));
    if (grown || always) this.#candles.applyOptions({ priceFormat: { type: "custom", formatter: (price) => this.digits.text(price), minMove: 10 ** -this.digits.most } });
  }

  // The candle in whose time something was: the last that began by then, the first for what was before all of them. What
  // is of a day stands at the first candle of it, and nowhere before the first of all.
  #bar({ t, until }) {
    const where = place(this.#bars, t);
    if (until) return this.#bars[where]?.t < until ? where : where - 1;
    return this.#bars[where]?.t === t ? where : Math.max(where - 1, 0);
  }

  #at(time) {
    return this.#bars[this.#first(time)];
  }

  // The place of the first candle that begins at a time of the chart or later.
  #first(time) {
    let [low, high] = [0, this.#bars.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chartTime(this.#bars[middle].t) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // One mark of a kind at a candle; the legend tells all of them.
  #mark() {
    if (!this.#bars.length) return this.#marker.setMarkers([]);
    const drawn = new Map();
    const put = (where, kind, label) => drawn.set(`${where} ${kind}`, { ...this.#looks[kind], time: chartTime(this.#bars[where].t), text: label });
    this.#bars.forEach((bar, where) => bar.rev && put(where, "rev", ""));
    for (const mark of this.#marks.values()) {
      const where = this.#bar(mark);
      if (where >= 0) put(where, mark.kind, mark.label);
    }
    this.#marker.setMarkers([...drawn.values()].sort((a, b) => a.time - b.time));
  }

  #looks = {};

  #colours() {
    const [up, down, line, quiet, warn, text] = ["up", "down", "line", "quiet", "warn", "text"].map(colour);
    this.#chart.applyOptions({
      layout: { textColor: quiet, panes: { separatorColor: line, separatorHoverColor: `${quiet}55` } }, grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line }, timeScale: { borderColor: line },
    });
    this.#candles.applyOptions({ upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down });
    this.#looks = {
      gap: { color: warn, shape: "square", position: "aboveBar" }, event: { color: text, shape: "arrowDown", position: "aboveBar" },
      action: { color: text, shape: "arrowUp", position: "belowBar" },
      void: { color: quiet, shape: "circle", position: "belowBar" }, rev: { color: quiet, shape: "circle", position: "belowBar", size: 0.5 },
    };
    this.#tints = { up: `${up}66`, down: `${down}66` };
  }

  #tints = {};
  #column = (bar) => ({ time: chartTime(bar.t), value: bar.v, color: bar.c >= bar.o ? this.#tints.up : this.#tints.down });

  #tell() {
    const bar = this.#pointed ?? this.#bars.at(-1);
    for (const one of this.followers) one.told(bar);
    if (!bar) return void (this.#legend.textContent = "");
    const price = (value) => this.digits.text(value);
    const told = [...this.#marks.values()].filter((mark) => this.#bars[this.#bar(mark)]?.t === bar.t).map((mark) => mark.text);
    this.#legend.textContent =
      interpolate(
        gettext("open %(open)s  high %(high)s  low %(low)s  close %(close)s  volume %(volume)s  trades %(trades)s"),
        { open: price(bar.o), high: price(bar.h), low: price(bar.l), close: price(bar.c), volume: size(bar.v), trades: number(bar.n) },
        true,
      ) +
      (bar.vw ? `  VWAP ${number(bar.vw, Math.max(this.digits.most, 2))}` : "") +
      (bar.rev ? `  ${interpolate(gettext("corrections %s"), [bar.rev])}` : "") +
      (bar.gap ? `  ⚠ ${gettext("rows are missing")}` : "") +
      (told.length ? `\n${told.slice(0, 3).join(" · ")}${told.length > 3 ? ` +${told.length - 3}` : ""}` : "");
    this.#legend.title = told.join("\n");
  }
}

const candle = (bar) => ({ time: chartTime(bar.t), open: bar.o, high: bar.h, low: bar.l, close: bar.c });

function merged(start, bars) {
  const sum = (name) => bars.reduce((total, bar) => total + (bar[name] ?? 0), 0);
  return {
    t: start, o: bars[0].o, h: Math.max(...bars.map((bar) => bar.h)), l: Math.min(...bars.map((bar) => bar.l)), c: bars.at(-1).c,
    v: sum("v"), n: sum("n"), rev: sum("rev"), gap: Number(bars.some((bar) => bar.gap)),
  };
}
