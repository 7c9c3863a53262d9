// What is counted of the chosen symbol on its newest trading date, beside the ladder: folded until somebody opens it, and
// only then asked for and followed by the stream. Each leads to what it is made of: trading dates, order books, the trades
// below; together they are one stop of the tab key.
import * as links from "../collection/links.js";
import { Digits, number, short, size } from "./format.js";
import { painter } from "./paint.js";
import * as rest from "./rest.js";
import { Roving } from "./roving.js";
import { NAMES } from "./told_indices.js";

const KEY = "naru.statistics";
const SIZES = [["< 10", 0], ["< 100", 10], ["< 1,000", 100], ["< 10,000", 1000], ["< 100,000", 10_000], ["≥ 100,000", 100_000]]; // shares of a trade, and the least
const TRADES = "#tapeframe";
const known = (value) => value !== null && value !== undefined;
const share = (value, digits = 2) => (known(value) ? `${number(100 * value, digits)}%` : "–");
const signed = (value, digits = 2) => (known(value) ? `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(100 * value), digits)}%` : "–");
const grown = (value) => (known(value) ? signed(Math.expm1(value)) : "–"); // returns are logarithmic
const shares = (value) => (known(value) ? (value < 1e7 ? size(value) : short(value)) : "–");

const NO_BETA = {
  no_share: () => gettext("none of this kind"),
  no_index: () => gettext("no index collected"),
  index_without_days: (index) => (index ? interpolate(gettext("no closes of %s"), [index]) : gettext("STATS_INDEX has no closes")),
  few_dates: (index, dates) => interpolate(gettext("%s of 61 dates with %s"), [dates, index]),
  index_still: (index) => interpolate(gettext("%s did not move"), [index]),
};

// To which index it is, or why there is none.
function beta(one) {
  const index = NAMES[one.betaIndex] ?? one.betaIndex;
  if (known(one.beta)) return number(one.beta, 2) + (index ? ` (${index})` : "");
  return NO_BETA[one.betaMissing]?.(index, one.betaDates) ?? "–";
}

// What each is called, what it says of {one}, how it is counted and where that is.
const ROWS = [
  [gettext("Return 1 · 5 · 20 · 60 days"), (one) => [one.return1d, one.return5d, one.return20d, one.return60d].map(grown).join(" · "), gettext("closes of dates on which it traded, adjusted"), links.days],
  [gettext("Volatility a year"), (one) => share(one.volatilityClose, 1), gettext("by closes of 20 dates"), links.days],
  [gettext("Parkinson · Garman–Klass"), (one) => `${share(one.volatilityParkinson, 1)} · ${share(one.volatilityGarmanKlass, 1)}`, gettext("volatility a year, by the ranges of 20 dates"), links.days],
  [gettext("Volatility today"), (one) => share(one.volatilityIntraday), gettext("by the closes of its minutes, not a year's"), () => TRADES],
  [gettext("Beta"), beta, gettext("to the index, over 60 daily returns"), links.days],
  [gettext("VWAP"), (one, price) => price(one.vwap, 2), gettext("of all trades of the date"), links.days],
  [gettext("Last against VWAP"), (one) => signed(one.vwapDeviation), "", links.days],
  [gettext("Volume against usual"), (one) => (known(one.volumeRatio) ? `×${number(one.volumeRatio, 2)}` : "–"), gettext("by the mean of 20 dates up to the same minute"), links.days],
  [gettext("Bought · sold"), (one) => `${shares(one.upVolume)} · ${shares(one.downVolume)}`, gettext("taken by buyers and by sellers"), () => TRADES],
  [gettext("Flow"), (one) => signed(one.flow, 1), gettext("bought less sold, by their sum"), () => TRADES],
  [gettext("Spread"), (one, price) => (known(one.spread) ? `${price(one.spread)} (${number(1e4 * one.spreadShare, 1)} bp)` : "–"), gettext("best ask less best bid"), links.books],
  [gettext("Depth of bids · asks"), (one) => `${shares(one.bidDepth)} · ${shares(one.askDepth)}`, gettext("of all levels"), links.books],
  [gettext("Imbalance"), (one) => signed(one.imbalance, 1), gettext("bids less asks, by their sum"), links.books],
];

export class Statistics {
  #panel; #on; #cells; #bars; #told; #roving; #question = { code: "", feed: "" }; #one = null; #none = false; #draw;

  // `on` has listed(), when other symbols are to be followed, and trades(least), for those of a size from there on.
  constructor(panel, on) {
    [this.#panel, this.#on] = [panel, on];
    this.#draw = painter(() => this.#show());
    const figures = panel.querySelector("dl");
    this.#cells = ROWS.map(([title, , how]) => {
      const [term, value] = ["dt", "dd"].map((kind) => document.createElement(kind));
      term.textContent = title;
      if (how) term.append(Object.assign(document.createElement("small"), { textContent: how }));
      figures.append(term, value);
      return value.appendChild(document.createElement("a"));
    });
    this.#bars = SIZES.map(([title, least]) => {
      const line = document.createElement("li");
      const [name, bar, count] = ["span", "i", "b"].map((kind) => document.createElement(kind));
      name.textContent = title;
      const link = Object.assign(document.createElement("a"), { href: TRADES, title: interpolate(gettext("the trades below, of a size from %s"), [number(least)]) });
      link.dataset.least = least;
      count.append(link);
      line.append(name, bar, count);
      panel.querySelector("ol").append(line);
      return { bar, count: link };
    });
    this.#roving = new Roving(panel.querySelector("summary + *"));
    panel.addEventListener("click", (event) => {
      const link = event.target.closest(`a[href="${TRADES}"]`);
      if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      on.trades(Number(link.dataset.least ?? 0));
    });
    this.#told = panel.querySelector("[role=status]");
    try {
      panel.open = localStorage.getItem(KEY) === "open";
    } catch { /* a browser that keeps nothing */ }
    panel.addEventListener("toggle", () => {
      try {
        localStorage.setItem(KEY, panel.open ? "open" : "");
      } catch { /* until the page is left */ }
      this.#on.listed();
      this.#ask();
    });
  }

  // Whether anybody looks at them.
  get open() {
    return this.#panel.open;
  }

  // Another symbol, of which nothing is known yet.
  follow(code, feed) {
    if (code === this.#question.code && feed === this.#question.feed) return;
    [this.#question, this.#one, this.#none] = [{ code, feed }, null, false];
    ROWS.forEach(([, , , where], nth) => (this.#cells[nth].href = where(feed, code)));
    this.#roving.renew();
    this.#draw();
    this.#ask();
  }

  // As the stream tells them; older ones than are shown change nothing.
  take(one) {
    if (!this.open || (this.#one && one.t < this.#one.t)) return;
    this.#one = one;
    this.#draw();
  }

  async #ask() {
    const asked = this.#question;
    if (!this.open || !asked.code) return;
    const found = await rest.newestStats(asked.code, asked.feed).catch(() => undefined); // the stream tells them as well
    if (asked !== this.#question || found === undefined) return;
    this.#none = !found;
    if (found) this.take(found);
    else this.#draw();
  }

  #show() {
    const one = this.#one;
    const digits = new Digits();
    if (one) digits.see(...[one.last, one.spread].filter(known));
    const price = (value, least = 0) => (known(value) ? number(value, Math.max(digits.most, least)) : "–");
    ROWS.forEach(([, text], nth) => write(this.#cells[nth], one ? text(one, price) : "–"));
    const most = Math.max(1, ...(one?.tradeSizes ?? []));
    this.#bars.forEach(({ bar, count }, nth) => {
      const trades = one?.tradeSizes?.[nth];
      write(count, known(trades) ? number(trades) : "–");
      bar.style.setProperty("--share", `${known(trades) ? (100 * trades) / most : 0}%`);
    });
    write(this.#told, one ? interpolate(gettext("Trading day %s"), [one.td]) : this.#none ? gettext("No statistics yet.") : "");
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
