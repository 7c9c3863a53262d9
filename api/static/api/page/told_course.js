// How the day of an index that a source tells as events went: a small chart of what is stored of it, in a dialog. Newest
// first, a page at a time until the day is whole: of one a second that is a dozen. Were it told more often than LIMIT x
// PAGES allow, the chart says from when on it is. The feed is not asked for: of one that no symbol and no client has, the
// server would say that there is none, though it has what was told by it.
import { LOCALE, Digits, change, chartTime, dayAndTime, digitsOf, number, ofClock, time } from "./format.js";
import { colour, onColours } from "./paint.js";
import * as rest from "./rest.js";
import { told } from "./told_indices.js";

const LIMIT = 2000, PAGES = 24, DAY_MS = 86_400_000, KST_MS = 9 * 3_600_000;
const FIGURES = [["oprc_nmix", gettext("Open")], ["nmix_hgpr", gettext("High")], ["nmix_lwpr", gettext("Low")]];

export class ToldCourse {
  #dialog; #chart = null; #line; #turn = 0; #title; #list; #stage; #status;

  constructor(dialog) {
    this.#dialog = dialog;
    [this.#title, this.#list, this.#stage, this.#status] = ["h2", "dl", ".stage", "[role=status]"].map((what) => dialog.querySelector(what));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      this.#turn += 1;
      this.#chart?.remove();
      this.#chart = null;
    });
    onColours(() => this.#colours());
  }

  // Of a row of the strip.
  async open(row) {
    const turn = ++this.#turn;
    this.#title.textContent = row.name === row.code ? row.name : `${row.name} ${row.code}`;
    this.#list.replaceChildren();
    this.#status.textContent = gettext("Looking…");
    this.#dialog.showModal();
    this.#make(row);
    const begun = Math.floor((Date.parse(row.t) + KST_MS) / DAY_MS) * DAY_MS; // of its day, by Korea's clock
    const points = new Map(); // by second, the newest of each
    try {
      for (let token, page = 0; page === 0 || (token && page < PAGES); page += 1) {
        const found = await rest.eventsPage({ index: row.code, start: ofClock(begun), end: ofClock(begun + DAY_MS - 1), sort: "desc", limit: LIMIT, page_token: token });
        if (turn !== this.#turn) return;
        for (const event of found.events) {
          const one = event.x === row.feed ? told(event) : null;
          if (one && !points.has(chartTime(one.t))) points.set(chartTime(one.t), one);
          if (one && !this.#list.childElementCount) this.#figures(one, event.body);
        }
        token = found.next_page_token ?? undefined;
        this.#show([...points.values()].reverse(), token !== undefined);
      }
    } catch (error) {
      if (turn === this.#turn) this.#status.textContent = error.message;
    }
  }

  #make({ scale, reference }) {
    const { createChart, BaselineSeries } = window.LightweightCharts;
    this.#chart = createChart(this.#stage, {
      autoSize: true,
      layout: { background: { color: "transparent" }, attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily },
      timeScale: { timeVisible: true, secondsVisible: false },
      localization: { locale: LOCALE },
    });
    this.#line = this.#chart.addSeries(BaselineSeries, {
      lineWidth: 2, priceFormat: { type: "price", precision: scale, minMove: 10 ** -scale }, ...(reference === undefined ? {} : { baseValue: { type: "price", price: reference } }),
    });
    if (reference !== undefined) this.#line.createPriceLine({ price: reference, color: colour("quiet"), lineStyle: 2, lineWidth: 1, title: gettext("Previous close") });
    this.#colours();
  }

  #figures({ last, reference, scale, t }, body) {
    const { way, arrow, difference, percent } = change(last, reference);
    const digits = new Digits();
    digits.most = scale;
    const lines = [
      [gettext("Value"), digits.text(last), way],
      [gettext("from the day before"), percent ? `${arrow} ${number(Math.abs(difference), Math.max(scale, digitsOf(reference)))} (${percent})`.trim() : "–", way],
      ...FIGURES.filter(([name]) => Number.isFinite(Number.parseFloat(body[name]))).map(([name, words]) => [words, digits.text(Number(body[name])), ""]),
      [gettext("as of"), dayAndTime(new Date(t)), ""],
    ];
    this.#list.replaceChildren(...lines.map(([words, text, name]) => {
      const pair = document.createElement("div");
      pair.append(Object.assign(document.createElement("dt"), { textContent: words }), Object.assign(document.createElement("dd"), { textContent: text, className: name }));
      return pair;
    }));
  }

  #show(all, more) {
    this.#line.setData(all.map(({ t, last }) => ({ time: chartTime(t), value: last })));
    this.#chart.timeScale().fitContent();
    const since = all.length ? time(new Date(all[0].t)) : "";
    this.#status.textContent = !all.length ? gettext("Nothing is stored of this day.") : more ? interpolate(gettext("The newest of the day, from %s on"), [since]) : interpolate(gettext("The day as it was told, from %s on"), [since]);
  }

  #colours() {
    if (!this.#chart) return;
    const line = colour("line");
    this.#chart.applyOptions({ layout: { textColor: colour("quiet") }, grid: { vertLines: { color: line }, horzLines: { color: line } }, rightPriceScale: { borderColor: line }, timeScale: { borderColor: line } });
    const [up, down] = [colour("up"), colour("down")];
    this.#line.applyOptions({
      topLineColor: up, topFillColor1: `${up}40`, topFillColor2: `${up}08`, bottomLineColor: down, bottomFillColor1: `${down}08`, bottomFillColor2: `${down}40`,
    });
  }
}
