// A table of symbols: the first of an order, or all of them a part at a time. Rows stay where they are while one of
// them has the focus, so that nobody's place moves away.
import { called, change, number, short } from "../page/format.js";

export const addressOf = (feed, code) => `/?${new URLSearchParams({ feed, symbol: code, timeframe: "1Min" })}`;

export const COLUMNS = {
  last: (row) => [number(row.last, digits(row)), way(row)],
  change: (row) => [row.changeRate === null ? "–" : `${arrow(row)} ${number(Math.abs(row.changeRate), 2)}%`.trim(), way(row)],
  turnover: (row) => [short(Math.round(row.turnover)), ""],
  volume: (row) => [short(row.volume), ""],
  trades: (row) => [number(row.trades), ""],
  group: (row) => [row.title, "quiet"],
};

const way = (row) => change(row.last, row.last - (row.change ?? 0)).way;
const arrow = (row) => (row.changeRate > 0 ? "▲" : row.changeRate < 0 ? "▼" : "");
const digits = (row) => Math.min((String(row.last).split(".")[1] ?? "").length, 8);

export class Ranking {
  #body; #columns; #elements = new Map(); #feed = "";

  constructor(body, columns) {
    [this.#body, this.#columns] = [body, columns];
  }

  show(feed, rows) {
    if (feed !== this.#feed) this.#elements.clear();
    this.#feed = feed;
    const still = this.#body.contains(document.activeElement);
    const old = this.#elements;
    const shown = still ? [...old.values()].map((one) => rows.find((row) => row.symbol === one.code) ?? one.row) : rows;
    this.#elements = new Map();
    for (const row of shown) {
      const one = old.get(row.symbol) ?? this.#make(row);
      one.row = row;
      this.#columns.forEach((name, at) => {
        const [text, kind] = COLUMNS[name](row);
        const cell = one.element.cells[at + 1];
        if (cell.textContent !== text) cell.textContent = text;
        if (cell.className !== kind) cell.className = kind;
      });
      this.#elements.set(row.symbol, one);
    }
    if (!still) this.#body.replaceChildren(...[...this.#elements.values()].map((one) => one.element));
  }

  #make(row) {
    const element = document.createElement("tr");
    const head = document.createElement("th");
    const link = Object.assign(document.createElement("a"), { href: addressOf(this.#feed, row.symbol) });
    link.append(Object.assign(document.createElement("span"), { textContent: called(row) || row.symbol }), Object.assign(document.createElement("small"), { textContent: row.symbol }));
    head.scope = "row";
    head.append(link);
    element.append(head);
    for (const _ of this.#columns) element.insertCell();
    return { element, row, code: row.symbol };
  }
}
