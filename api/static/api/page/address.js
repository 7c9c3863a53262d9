// What is looked at stands in the address: a reload, a bookmark and the button "back" find it again.
export const FRAMES = ["1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month"];
const OF_FEED = /^([a-z0-9_]{1,16}):(.*)$/;
const CODE = /^(?!\*$)[!-+\--~](?:[ -+\--~]{0,22}[!-+\--~])?$/; // as the server takes them

export function read() {
  const values = new URLSearchParams(location.search);
  const frame = values.get("timeframe");
  return {
    feed: values.get("feed") ?? "", code: values.get("symbol") ?? "", frame: FRAMES.includes(frame) ? frame : FRAMES[0],
    studies: values.get("i") ?? "", list: values.get("list") ?? "", vs: values.get("vs") ?? "",
  };
}

// `replace` for what nobody chose, so that "back" does not lead there.
export function write({ feed, code, frame, studies, list, vs }, replace) {
  const values = new URLSearchParams({ feed, symbol: code, timeframe: frame, ...(studies ? { i: studies } : {}), ...(list ? { list } : {}), ...(vs ? { vs } : {}) });
  const path = `${location.pathname}?${String(values).replaceAll("%3A", ":").replaceAll("%2C", ",")}`;
  if (path === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", path);
}

// The feed and the rest of `feed:word`; of a word alone, which is of the `shown` feed.
export function ofFeed(word, shown) {
  const [, feed, rest] = OF_FEED.exec(word) ?? [undefined, shown, word];
  return [feed, rest];
}

// What `vs` names beside the candles of a feed: {feed, code}, each once, and the words of it that can be no symbol.
export function compared(vs, shown) {
  const [found, wrong] = [new Map(), []];
  for (const word of vs.split(",").map((one) => one.trim()).filter(Boolean)) {
    const [feed, code] = ofFeed(word, shown);
    if (CODE.test(code)) found.set(key({ feed, code }), { feed, code });
    else wrong.push(word);
  }
  return { found: [...found.values()], wrong };
}

// The same as `vs`: a bare code where the feed is the one that is shown, unless the code itself looks like `feed:word`.
export const named = (all, shown) => all.map((one) => (one.feed === shown && !OF_FEED.test(one.code) ? one.code : key(one))).join();

export const key = ({ feed, code }) => `${feed}:${code}`;
