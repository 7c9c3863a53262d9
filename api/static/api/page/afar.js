// What no stream of the page tells: symbols of other feeds than the one that is followed. All parts that show some are
// served together, by one request for each feed and interval, and only while the page is seen.
import * as rest from "./rest.js";

const EVERY_MS = 5000, AT_ONCE = 200; // as many symbols as the server takes in one request

// Where {symbol, feed} stand: snapshots by code, by feed; null for a feed that one may not read.
export async function standings(symbols) {
  return new Map(await Promise.all([...byFeed(symbols)].map(async ([feed, codes]) => [feed, await standing([...codes], feed)])));
}

export class Afar {
  #parts; #asked = new Set();

  // A part has `afar`, what it shows of other feeds as {symbol, feed}; stand(feed, known) and denied(feed), which are
  // told of feeds that it may show nothing of.
  constructor(parts) {
    this.#parts = parts;
    setInterval(() => this.#look(), EVERY_MS);
    document.addEventListener("visibilitychange", () => this.#look());
  }

  #look() {
    if (document.hidden) return;
    for (const [feed, codes] of byFeed(this.#parts.flatMap((part) => part.afar))) if (!this.#asked.has(feed)) this.#ask(feed, [...codes]);
  }

  async #ask(feed, codes) {
    this.#asked.add(feed);
    const known = await standing(codes, feed).catch(() => undefined); // asked again at the next turn
    this.#asked.delete(feed);
    if (known === undefined) return;
    for (const part of this.#parts) if (known) part.stand(feed, known);
    else part.denied(feed);
  }
}

function byFeed(symbols) {
  const codes = new Map();
  for (const { symbol, feed } of symbols) codes.set(feed, (codes.get(feed) ?? new Set()).add(symbol));
  return codes;
}

async function standing(codes, feed) {
  const parts = Array.from({ length: Math.ceil(codes.length / AT_ONCE) }, (_, nth) => codes.slice(nth * AT_ONCE, (nth + 1) * AT_ONCE));
  try {
    return Object.assign({}, ...(await Promise.all(parts.map((some) => rest.snapshots(some, feed)))));
  } catch (error) {
    if (error.status === 403) return null;
    if (error.code === rest.UNKNOWN_FEED) return {}; // nobody ever wrote it
    throw error;
  }
}
