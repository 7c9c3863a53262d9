// The newest order book: ten asks above ten bids, the best next to each other, with a bar for each size. A level leads to
// the order books with what lay at its price, the sums to all of them; together they are one stop of the tab key.
import { books } from "../collection/links.js";
import { number, size } from "./format.js";
import { painter } from "./paint.js";
import { Roving } from "./roving.js";

const LEVELS = 10;

export class Ladder {
  #rows = []; #body; #sum; #expected; #nothing; #book = null; #digits; #reference = null; #question = {}; #roving; #draw;

  constructor({ body, sum, expected, nothing }) {
    [this.#body, this.#sum, this.#expected, this.#nothing] = [body, sum, expected, nothing];
    this.#draw = painter(() => this.#show());
    for (let place = 0; place < 2 * LEVELS; place += 1) {
      const line = document.createElement("tr");
      line.className = place < LEVELS ? "ask" : "bid";
      for (const kind of ["size", "price", "size"]) line.insertCell().className = kind;
      const bar = line.cells[place < LEVELS ? 0 : 2].appendChild(document.createElement("i"));
      const text = bar.parentNode.appendChild(document.createElement("span"));
      const link = line.cells[1].appendChild(Object.assign(document.createElement("a"), { hidden: true, title: gettext("Order books, with what lay at this price") }));
      this.#rows.push({ price: line.cells[1], link, text, bar });
      body.append(line);
    }
    this.#roving = new Roving(body.parentNode);
  }

  // Another symbol: its decimals, and nothing else is known yet.
  clear({ code, feed }, digits) {
    [this.#digits, this.#book, this.#reference, this.#question] = [digits, null, null, { code, feed }];
    for (const link of [this.#expected, ...this.#sum.querySelectorAll("a")]) link.href = books(feed, code);
    this.#draw();
  }

  // Prices above the reference are shown as risen.
  compare(reference) {
    if (reference === this.#reference) return;
    this.#reference = reference;
    this.#draw();
  }

  // A book is whole; an older one than is shown changes nothing.
  set(book) {
    if (!book || (this.#book && book.t < this.#book.t)) return;
    this.#book = book;
    this.#draw();
  }

  #show() {
    const book = this.#book;
    this.#nothing.hidden = Boolean(book);
    this.#body.parentNode.hidden = !book;
    this.#expected.hidden = !book?.ep || !book.es;
    if (!book) return;
    const levels = [...Array(LEVELS).keys()].map((place) => book.a[LEVELS - 1 - place]).concat([...Array(LEVELS).keys()].map((place) => book.b[place]));
    const most = Math.max(1e-9, ...levels.map((level) => level?.s ?? 0));
    this.#digits.see(...levels.flatMap((level) => (level ? [level.p] : [])));
    const { code, feed } = this.#question;
    this.#rows.forEach(({ price, link, text, bar }, place) => {
      const level = levels[place];
      if (link.hidden === Boolean(level)) link.hidden = !level;
      if (level && link.dataset.key !== String(level.p)) [link.dataset.key, link.href] = [level.p, books(feed, code, level.p)];
      write(link, level ? this.#digits.text(level.p) : "");
      write(text, level ? size(level.s) : "");
      const way = !level || !this.#reference || level.p === this.#reference ? "" : level.p > this.#reference ? "up" : "down";
      if (price.dataset.way !== way) price.dataset.way = way;
      bar.style.width = level ? `${((level.s / most) * 100).toFixed(1)}%` : "0";
    });
    this.#roving.renew();
    const [asks, bids] = this.#sum.querySelectorAll("[data-sum]");
    write(asks, book.at === null ? "–" : size(book.at));
    write(bids, book.bt === null ? "–" : size(book.bt));
    if (!this.#expected.hidden) {
      write(this.#expected, interpolate(gettext("expected %(price)s × %(size)s"), { price: this.#digits.text(book.ep), size: number(book.es) }, true));
    }
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
