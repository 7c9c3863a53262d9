// Where drawings are kept: a person's on the server, a visitor's in this browser. What cannot be is a RestError either way.
import * as rest from "./rest.js";

const KEY = "naru.drawings", MOST_OF_SYMBOL = 100, MOST = 500;

export const server = {
  all: (symbol) => rest.drawings(symbol),
  add: (symbol, content) => rest.changed("drawings", "POST", { symbol, ...content }),
  change: (symbol, id, content) => rest.changed(`drawings/${id}`, "PUT", content),
  remove: (symbol, id) => rest.changed(`drawings/${id}`, "DELETE"),
};

export const browser = {
  all: async (symbol) => kept()[symbol] ?? [],
  async add(symbol, content) {
    const all = kept();
    const of = all[symbol] ?? [];
    if (of.length >= MOST_OF_SYMBOL || Object.values(all).flat().length >= MOST) throw new rest.RestError(422, "as many as there may be");
    const one = { ...content, id: crypto.getRandomValues(new Uint32Array(2)).join("") };
    keep({ ...all, [symbol]: [...of, one] });
    return one;
  },
  async change(symbol, id, content) {
    const all = kept();
    if (!all[symbol]?.some((one) => one.id === id)) throw new rest.RestError(404, "not found");
    keep({ ...all, [symbol]: all[symbol].map((one) => (one.id === id ? { ...content, id } : one)) });
  },
  async remove(symbol, id) {
    const { [symbol]: of = [], ...others } = kept();
    const left = of.filter((one) => one.id !== id);
    keep(left.length ? { ...others, [symbol]: left } : others);
  },
};

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(found).filter(([, of]) => Array.isArray(of) && of.every((one) => one?.id && one.kind && Array.isArray(one.points))));
  } catch {
    return {}; // no storage, or not what was written
  }
}

const keep = (all) => localStorage.setItem(KEY, JSON.stringify(all)); // throws where the browser keeps nothing
