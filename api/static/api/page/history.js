// The candles of one symbol, feed and timeframe by REST, oldest first: the newest page, older ones as they are wanted,
// and again those that may have changed.
import * as rest from "./rest.js";

const PAGE = 1000;
const AGAIN = 120; // candles before the last one that are read again, for what was corrected meanwhile

// Candles of which the later ones are as `fresh` has them. Both go up.
export function joined(bars, fresh) {
  return fresh.length ? [...bars.slice(0, place(bars, fresh[0].t)), ...fresh] : bars;
}

// How many candles lie before a time, or by what `of` says of each.
export function place(bars, t, of = (bar) => bar.t) {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(bars[middle]) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class History {
  #code; #question; #token;
  from = ""; // the time from which on what was read again is all there is

  constructor(code, feed, frame) {
    this.#code = code;
    this.#question = { feed, timeframe: frame };
  }

  get more() {
    return this.#token !== null;
  }

  // The newest page, or the one before all that were read. The token marks the place by the last candle's time, so that
  // pages meet without a hole whatever came meanwhile. A page of wide candles may be empty and still not the last.
  async older() {
    let found = [];
    while (!found.length && this.#token !== null) {
      const page = await rest.barPage(this.#code, { ...this.#question, limit: PAGE, sort: "desc", page_token: this.#token });
      found = page.bars.reverse();
      this.#token = page.next_page_token;
    }
    return found;
  }

  // What has to take the place of the last candles of `bars`, from that of a time `since` on if it is one of them and older.
  async renewed(bars, since = "") {
    if (!bars.length) {
      [this.#token, this.from] = [undefined, ""];
      return this.older();
    }
    const after = since ? place(bars, since) : 0;
    const old = bars[after]?.t === since ? after : after - 1;
    const start = bars[Math.max(0, Math.min(bars.length - AGAIN, old < 0 ? bars.length : old))].t;
    const found = [];
    let token;
    do {
      const page = await rest.barPage(this.#code, { ...this.#question, start, limit: PAGE, page_token: token });
      found.push(...page.bars);
      token = page.next_page_token ?? undefined;
    } while (token);
    this.from = start;
    return found;
  }
}
