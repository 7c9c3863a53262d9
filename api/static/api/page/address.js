// What is looked at stands in the address: a reload, a bookmark and the button "back" find it again.
export const FRAMES = ["1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month"];

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
