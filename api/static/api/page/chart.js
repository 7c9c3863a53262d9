// The candle chart with volume: red rises, blue falls. Wider candles are kept up with minute candles until their time is over.
import { LOCALE, chartTime, digitsOf, number, seconds, size } from "./format.js";

const UP = "#f6465d", DOWN = "#4b8bf5";
const WIDTH_S = { "1Min": 60, "5Min": 300, "15Min": 900, "1Hour": 3600 };

export class Chart {
  #chart; #candles; #volume; #legend; #frame = "1Min"; #bars = new Map(); #last = null; #minutes = new Map(); #digits = 0; #reload; #renew;

  // `reload` is called when a new wide candle begins: only the server knows where. `renew` is called when the newest day
  // changed: only the server knows what counts for a day, and its candle comes back by `newest`.
  constructor(place, legend, reload, renew) {
    const { createChart, CandlestickSeries, HistogramSeries, CrosshairMode } = window.LightweightCharts;
    this.#legend = legend;
    this.#reload = reload;
    this.#renew = renew;
    this.#chart = createChart(place, {
      autoSize: true,
      layout: { background: { color: "transparent" }, textColor: "#8c9ab0", attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily },
      grid: { vertLines: { color: "#1b2333" }, horzLines: { color: "#1b2333" } },
      rightPriceScale: { borderColor: "#232c3d", scaleMargins: { top: 0.06, bottom: 0.24 } },
      timeScale: { borderColor: "#232c3d", timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 1 },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: LOCALE },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {
      upColor: UP, downColor: DOWN, borderUpColor: UP, borderDownColor: DOWN, wickUpColor: UP, wickDownColor: DOWN,
    });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#chart.subscribeCrosshairMove((point) => this.#tell(point.time === undefined ? this.#last : this.#bars.get(point.time)));
  }

  // All of it anew: wide candles, and the minutes of the last one.
  set(frame, bars, minutes, fit) {
    this.#frame = frame;
    this.#bars = new Map(bars.map((bar) => [chartTime(bar.t), bar]));
    this.#last = bars.at(-1) ?? null;
    this.#minutes = new Map(minutes.map((bar) => [bar.t, bar]));
    this.#digits = Math.max(0, ...bars.slice(-200).flatMap((bar) => [bar.o, bar.h, bar.l, bar.c].map(digitsOf)));
    this.#candles.applyOptions({ priceFormat: { type: "price", precision: this.#digits, minMove: 10 ** -this.#digits } });
    this.#chart.timeScale().applyOptions({ timeVisible: frame !== "1Day" });
    this.#candles.setData(bars.map(candle));
    this.#volume.setData(bars.map(column));
    if (fit) {
      const shown = 90;
      this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(bars.length - shown, -20), to: bars.length + 3 });
    }
    this.#tell(this.#last);
  }

  // A minute candle as it is now; one from before the last candle is only a correction of what cannot be drawn again cheaply.
  minute(bar) {
    if (this.#frame === "1Min") return this.#put(bar);
    if (this.#frame === "1Day") return this.#renew();
    if (!this.#last) return this.#reload();
    const begin = seconds(this.#last.t);
    if (seconds(bar.t) >= begin + WIDTH_S[this.#frame]) return this.#reload();
    if (seconds(bar.t) < begin) return undefined;
    this.#minutes.set(bar.t, bar);
    return this.#put(merged(this.#last.t, [...this.#minutes.values()].sort((a, b) => (a.t < b.t ? -1 : 1))));
  }

  // The newest candle as the server has it.
  newest(bar) {
    this.#put(bar);
  }

  #put(bar) {
    const known = this.#bars.get(chartTime(bar.t));
    if (known && known.n > bar.n) return;
    this.#bars.set(chartTime(bar.t), bar);
    if (this.#last && seconds(bar.t) < seconds(this.#last.t)) {
      if (!known) return this.#redraw();
      this.#candles.update(candle(bar), true);
      this.#volume.update(column(bar), true);
      return;
    }
    this.#last = bar;
    this.#candles.update(candle(bar));
    this.#volume.update(column(bar));
    this.#tell(bar);
  }

  #redraw() {
    const bars = [...this.#bars.entries()].sort((a, b) => a[0] - b[0]).map(([, bar]) => bar);
    this.#candles.setData(bars.map(candle));
    this.#volume.setData(bars.map(column));
  }

  #tell(bar) {
    if (!bar) return void (this.#legend.textContent = "");
    const price = (value) => number(value, this.#digits);
    this.#legend.textContent =
      interpolate(
        gettext("open %(open)s  high %(high)s  low %(low)s  close %(close)s  volume %(volume)s  trades %(trades)s"),
        { open: price(bar.o), high: price(bar.h), low: price(bar.l), close: price(bar.c), volume: size(bar.v), trades: number(bar.n) },
        true,
      ) +
      (bar.vw ? `  VWAP ${number(bar.vw, Math.max(this.#digits, 2))}` : "") +
      (bar.rev ? `  ${interpolate(gettext("corrections %s"), [bar.rev])}` : "") +
      (bar.gap ? `  ⚠ ${gettext("rows are missing")}` : "");
  }
}

const candle = (bar) => ({ time: chartTime(bar.t), open: bar.o, high: bar.h, low: bar.l, close: bar.c });
const column = (bar) => ({ time: chartTime(bar.t), value: bar.v, color: bar.c >= bar.o ? "#f6465d66" : "#4b8bf566" });

function merged(start, bars) {
  const sum = (name) => bars.reduce((total, bar) => total + bar[name], 0);
  return {
    t: start, o: bars[0].o, h: Math.max(...bars.map((bar) => bar.h)), l: Math.min(...bars.map((bar) => bar.l)), c: bars.at(-1).c,
    v: sum("v"), n: sum("n"), rev: sum("rev"), gap: Number(bars.some((bar) => bar.gap)),
  };
}
