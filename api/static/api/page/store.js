// Where watch lists are kept: a person's on the server, a visitor's in this browser. A list is {id, name, symbols}; what
// cannot be is a RestError either way.
import * as rest from "./rest.js";

// As many as the server keeps of one person, and of one list.
export class Browser {
  #key = "naru.watchlists"; #most;

  constructor(most) {
    this.#most = most;
  }

  async all() {
    let kept = [];
    try {
      kept = JSON.parse(localStorage.getItem(this.#key) ?? "[]");
    } catch { /* no storage, or not what was written */ }
    return Array.isArray(kept) ? kept.filter((one) => one?.id && one.name && Array.isArray(one.symbols)) : [];
  }

  async create(name, symbols) {
    return this.#write([...(await this.all()), { id: Date.now().toString(36), name, symbols }]).at(-1);
  }

  async change(id, values) {
    const all = await this.all();
    const changed = Object.assign(this.#find(all, id), values);
    this.#write(all);
    return changed;
  }

  async add(id, code) {
    const { symbols } = this.#find(await this.all(), id);
    return this.change(id, { symbols: [...new Set([...symbols, code])] });
  }

  async remove(id, code) {
    const { symbols } = this.#find(await this.all(), id);
    return this.change(id, { symbols: symbols.filter((one) => one !== code) });
  }

  async delete(id) {
    const all = await this.all();
    this.#find(all, id);
    this.#write(all.filter((one) => one.id !== id));
  }

  #find(all, id) {
    const found = all.find((one) => one.id === id);
    if (!found) throw new rest.RestError(404, "no such list");
    return found;
  }

  #write(all) {
    if (all.length > this.#most.lists || new Set(all.map((one) => one.name)).size < all.length) throw new rest.RestError(422, "name", { name: [] });
    if (all.some((one) => one.symbols.length > this.#most.symbols)) throw new rest.RestError(422, "symbols", { symbols: [] });
    localStorage.setItem(this.#key, JSON.stringify(all)); // throws where the browser keeps nothing
    return all;
  }
}

export const server = {
  all: rest.watchlists,
  create: (name, symbols) => rest.changed("watchlists", "POST", { name, symbols }),
  change: (id, values) => rest.changed(`watchlists/${id}`, "PUT", values),
  add: (id, symbol) => rest.changed(`watchlists/${id}`, "POST", { symbol }),
  remove: (id, symbol) => rest.changed(`watchlists/${id}/${encodeURIComponent(symbol)}`, "DELETE"),
  delete: (id) => rest.changed(`watchlists/${id}`, "DELETE"),
};
