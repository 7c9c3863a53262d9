// Time and sales: the newest trades on top, older ones by scrolling down, only those of a size where one is given.
import { size, time } from "./format.js";
import { painter } from "./paint.js";
import * as rest from "./rest.js";

const KEPT = 2000, DRAWN = 200, PAGE = 500, FILTERED_PAGES = 4;

export class Tape {
  #body; #frame; #filter; #least = 0; #trades = []; #known = new Set(); #fresh = []; #draw; #digits; #question = null; #token; #drawn = DRAWN; #reading = false; #turn = 0;

  constructor(body, frame, filter) {
    [this.#body, this.#frame] = [body, frame];
    this.#draw = painter(() => this.#show());
    this.#filter = filter;
    filter.addEventListener("input", () => {
      this.#least = Math.max(0, Number(filter.value) || 0);
      this.#drawn = DRAWN;
      this.#redraw();
      this.#fill();
    });
    frame.addEventListener("scroll", () => {
      if (frame.scrollTop + frame.clientHeight > frame.scrollHeight - 200) this.#older();
    });
  }

  // Only trades from a size on, and there.
  from(least) {
    this.#filter.value = least || "";
    this.#filter.dispatchEvent(new Event("input"));
    this.#frame.scrollTop = 0;
    this.#frame.focus();
  }

  // Another symbol.
  clear(code, feed, digits) {
    this.#turn += 1;
    [this.#question, this.#digits, this.#reading, this.#drawn] = [{ code, feed }, digits, false, DRAWN];
    this.#begin(undefined);
  }

  #begin(token) {
    [this.#token, this.#trades, this.#fresh, this.#known] = [token, [], [], new Set()];
    this.#body.replaceChildren();
  }

  // The newest trades by REST: at first, and for what was missed.
  async renew() {
    const [turn, { code, feed }] = [this.#turn, this.#question];
    const page = await rest.tradePage(code, { feed, limit: PAGE, sort: "desc" });
    if (turn !== this.#turn) return;
    const apart = page.next_page_token !== null && !page.trades.some((trade) => this.#known.has(trade.i));
    if (apart || !this.#trades.length) this.#begin(page.next_page_token); // more was missed than a page
    for (const trade of page.trades.reverse()) this.add(trade);
    this.#fill();
  }

  add(trade) {
    if (this.#known.has(trade.i)) return;
    this.#known.add(trade.i);
    const before = (this.#fresh.at(-1) ?? this.#trades[0])?.p ?? trade.p;
    const way = trade.tks === "B" || (trade.tks !== "S" && trade.p > before) ? "up" : trade.tks === "S" || trade.p < before ? "down" : "";
    this.#fresh.push({ ...trade, way });
    if (this.#fresh.length > KEPT) this.#forget(this.#fresh.splice(0, this.#fresh.length - KEPT));
    this.#draw();
  }

  // A trade that was taken back.
  remove(id) {
    this.#trades = this.#trades.filter((trade) => trade.i !== id);
    this.#fresh = this.#fresh.filter((trade) => trade.i !== id);
    this.#redraw();
  }

  // That some were skipped here.
  gap(text) {
    const line = document.createElement("tr");
    const cell = line.insertCell();
    [cell.colSpan, cell.className, cell.textContent] = [3, "gap", text];
    this.#body.prepend(line);
  }

  #show() {
    const fresh = this.#fresh;
    this.#fresh = [];
    if (!fresh.length) return;
    const late = this.#trades.length && fresh[0].t < this.#trades[0].t;
    this.#trades = fresh.reverse().concat(this.#trades);
    if (late || isUnsorted(fresh)) this.#trades.sort((a, b) => (a.t < b.t ? 1 : a.t > b.t ? -1 : b.i - a.i));
    if (this.#trades.length > KEPT) {
      this.#forget(this.#trades.splice(KEPT));
      this.#token = undefined; // what follows the last one kept is found by its time
    }
    const grown = this.#digits.see(...fresh.map((trade) => trade.p));
    if (late || grown || isUnsorted(fresh)) return this.#redraw();
    const lines = fresh.filter((trade) => this.#passes(trade)).slice(0, this.#drawn).map((trade) => this.#line(trade));
    const scrolled = this.#frame.scrollTop;
    this.#body.prepend(...lines);
    while (this.#body.rows.length > this.#drawn) this.#body.lastChild.remove();
    if (scrolled && lines.length) this.#frame.scrollTop = scrolled + lines.length * lines[0].offsetHeight;
  }

  #redraw() {
    this.#body.replaceChildren(...this.#trades.filter((trade) => this.#passes(trade)).slice(0, this.#drawn).map((trade) => this.#line(trade)));
  }

  async #older() {
    if (this.#reading || !this.#question) return;
    const passing = this.#trades.filter((trade) => this.#passes(trade)).length;
    if (passing > this.#drawn) {
      this.#drawn = Math.min(this.#drawn + DRAWN, KEPT);
      return void this.#redraw();
    }
    if (this.#token === null || this.#trades.length >= KEPT) return;
    this.#reading = true;
    const turn = this.#turn;
    try {
      await this.#readPage(turn);
    } catch {
      // Scrolling on asks again.
    }
    if (turn !== this.#turn) return;
    this.#reading = false;
    this.#drawn = Math.min(this.#drawn + DRAWN, KEPT);
    this.#redraw();
  }

  async #readPage(turn) {
    const { code, feed } = this.#question;
    const last = this.#token === undefined ? this.#trades.at(-1)?.t : undefined;
    const page = await rest.tradePage(code, { feed, limit: PAGE, sort: "desc", page_token: this.#token, end: last });
    if (turn !== this.#turn) return;
    this.#token = page.next_page_token;
    const more = page.trades.filter((trade) => !this.#known.has(trade.i));
    for (const trade of more) this.#known.add(trade.i);
    const ways = { B: "up", S: "down" };
    this.#trades = this.#trades.concat(more.map((trade) => ({ ...trade, way: ways[trade.tks] ?? "" }))).slice(0, KEPT);
  }

  // A filter that leaves little looks further back.
  async #fill() {
    for (let page = 0; page < FILTERED_PAGES; page += 1) {
      const passing = this.#trades.filter((trade) => this.#passes(trade)).length;
      if (!this.#least || passing >= 30 || this.#token === null || this.#reading) return;
      await this.#older();
    }
  }

  #passes(trade) {
    return trade.s >= this.#least;
  }

  #line(trade) {
    const line = document.createElement("tr");
    for (const text of [time(new Date(trade.t)), this.#digits.text(trade.p), size(trade.s)]) line.insertCell().textContent = text;
    line.cells[1].className = line.cells[2].className = trade.way;
    return line;
  }

  #forget(trades) {
    for (const trade of trades) this.#known.delete(trade.i);
  }
}

// Newest first is what is expected.
const isUnsorted = (trades) => trades.some((trade, place) => place && trade.t > trades[place - 1].t);
