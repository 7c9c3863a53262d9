// Indices that a source tells as events and not as trades of a symbol (KIS's `index`): they have no candles, but their
// value and their change are in the strip as those of the others are, and their day is told_course.js's.
import * as rest from "./rest.js";

const OFTEN_MS = 5000, SELDOM_MS = 60_000; // while some are told; while none is
const BACK_MS = 24 * 3_600_000, NEWEST = 60, POINTS = 500;
export const NAMES = { "0001": gettext("KOSPI"), 1001: gettext("KOSDAQ"), 2001: gettext("KOSPI 200") };
// What each is called where it is a symbol, in either language, without what may stand beside a name (KOSPI Index), as
// analytics/statistics/indices.py has both.
const CALLED = { "0001": ["kospi", "\ucf54\uc2a4\ud53c"], 1001: ["kosdaq", "\ucf54\uc2a4\ub2e5"], 2001: ["kospi200", "\ucf54\uc2a4\ud53c200"] };
const BESIDE = /\s|index|composite|\uc9c0\uc218|\uc885\ud569/g;
const FALLEN = new Set(["4", "5"]); // of prdy_vrss_sign: the lower limit, lower

// One of KIS's events as a row of the strip; null if it tells no value.
export function told({ body, t, x }) {
  const last = Number(body.prpr_nmix), moved = Math.abs(Number(body.bstp_nmix_prdy_vrss));
  if (!body.index || !body.prpr_nmix || !Number.isFinite(last)) return null;
  const signed = FALLEN.has(String(body.prdy_vrss_sign)) ? -moved : moved;
  const scale = (String(body.prpr_nmix).split(".")[1] ?? "").length;
  const reference = Number.isFinite(moved) && body.bstp_nmix_prdy_vrss !== undefined ? Number((last - signed).toFixed(scale)) : undefined;
  return { code: body.index, name: NAMES[body.index] ?? body.index, feed: x, t, last, reference, scale };
}

// Whether a symbol is the index that is told under a code.
export const isSame = (code, { symbol, name, name_en }) => [symbol, name, name_en].some((one) => CALLED[code]?.includes(one.toLowerCase().replace(BESIDE, "")));

export class ToldIndices {
  #on; #rows = new Map(); #timer = 0; #newest = "";

  // `on` is called with the rows, each with its points, when they changed.
  constructor(on) {
    this.#on = on;
    document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(this.#timer) : this.renew());
  }

  async renew() {
    clearTimeout(this.#timer);
    let wait = SELDOM_MS;
    try {
      const start = new Date(Date.now() - BACK_MS).toISOString();
      const events = await rest.newestEvents({ type: "index", start, limit: NEWEST });
      if (events.length && events[0].i !== this.#newest) this.#take(events);
      if (events.length) wait = OFTEN_MS;
    } catch {
      wait = OFTEN_MS;
    }
    if (!document.hidden) this.#timer = setTimeout(() => this.renew(), wait);
  }

  #take(events) {
    this.#newest = events[0].i;
    for (const row of events.map(told).reverse()) {
      if (!row) continue;
      const points = this.#rows.get(row.code)?.points ?? [];
      if (!points.length || row.t > points.at(-1).t) points.push({ t: row.t, c: row.last });
      if (points.length > POINTS) points.splice(0, points.length - POINTS);
      this.#rows.set(row.code, { ...row, points });
    }
    this.#on([...this.#rows.values()].sort((one, other) => (one.code < other.code ? -1 : 1)));
  }
}
