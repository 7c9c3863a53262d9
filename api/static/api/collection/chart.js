// A small chart of the past hours: lines over time in one SVG, with what the pointer is at. A moment that was not measured
// breaks the line.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 100;

function made(tag, values = {}, parent = null) {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) one.setAttribute(name, value);
  parent?.append(one);
  return one;
}

export class Figure {
  #element; #now; #read; #svg; #paths = []; #at; #zero; #from; #top; #keys; #told = null; #format; #names = null;

  // `format` writes a number; `id` is what an address leads to.
  constructor(parent, { title, format, href = "", id = "" }) {
    this.#format = format;
    this.#element = document.createElement("article");
    this.#element.className = "figure";
    if (id) this.#element.id = id;
    const head = document.createElement("h2");
    const called = Object.assign(document.createElement(href ? "a" : "span"), { textContent: title });
    if (href) called.href = href;
    this.#read = document.createElement("output");
    head.append(called, this.#read);
    this.#now = Object.assign(document.createElement("p"), { className: "now", textContent: "–" });
    this.#svg = made("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.#zero = made("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }, this.#svg);
    this.#at = made("line", { class: "at", y1: 0, y2: HEIGHT, visibility: "hidden" }, this.#svg);
    const axis = Object.assign(document.createElement("p"), { className: "axis" });
    this.#from = document.createElement("span");
    this.#top = document.createElement("span");
    this.#keys = Object.assign(document.createElement("span"), { className: "keys" });
    axis.append(this.#from, this.#keys, this.#top);
    this.#element.append(head, this.#now, this.#svg, axis);
    parent.append(this.#element);
    this.#svg.addEventListener("pointermove", (event) => this.#point(event));
    this.#svg.addEventListener("pointerleave", () => this.#point(null));
  }

  text(value) { return this.#format(value); }

  // What it is now, told in words; `level` is "warn" or "bad" when it needs somebody.
  say(text, small = "", level = "") {
    this.#element.dataset.level = level;
    this.#now.replaceChildren(text, " ", Object.assign(document.createElement("small"), { textContent: small }));
  }

  // As many lines as there are columns, which `names` tell apart; a key for each, with its value where the pointer is.
  #fit(names, count) {
    if (this.#names?.join() === names.join() && this.#paths.length === count) return;
    this.#names = names;
    this.#paths.forEach((path) => path.remove());
    this.#paths = Array.from({ length: count }, (_, place) => made("path", { "data-line": place }, this.#svg));
    this.#keys.replaceChildren(...names.map((name, place) => {
      const key = Object.assign(document.createElement("span"), { className: "key" });
      const mark = document.createElement("i");
      mark.dataset.line = place;
      key.append(mark, name, document.createElement("b"));
      return key;
    }));
  }

  // `times` in ms, a column of numbers (or null) for each line, `names` where there are several; from `first` to `last`
  // in ms.
  draw({ times, columns, names = [], stepMs, first, last, time }) {
    this.#fit(names, columns.length);
    this.#told = { times, columns, first, last, time };
    const all = columns.flat().filter((value) => value !== null && value !== undefined);
    const most = Math.max(0, ...all), least = Math.min(0, ...all);
    const x = (at) => ((at - first) / (last - first)) * WIDTH;
    const y = (value) => HEIGHT - (most > least ? (value - least) / (most - least) : 0) * (HEIGHT - 4);
    for (const name of ["y1", "y2"]) this.#zero.setAttribute(name, y(0));
    columns.forEach((values, place) => {
      let path = "", before = null;
      values.forEach((value, at) => {
        if (value === null || value === undefined || times[at] < first) return;
        path += `${before !== null && times[at] - before <= 2.5 * stepMs ? "L" : "M"}${x(times[at]).toFixed(1)},${y(value).toFixed(1)}`;
        if (before === null || times[at] - before > 2.5 * stepMs) path += "h0.1";
        before = times[at];
      });
      this.#paths[place].setAttribute("d", path);
    });
    this.#from.textContent = time(first);
    this.#top.textContent = all.length ? interpolate(gettext("most %s"), [this.#format(Math.max(...all))]) : gettext("nothing measured yet");
    this.#svg.setAttribute("aria-label", all.length
      ? interpolate(gettext("from %s on: least %s, most %s"), [time(first), this.#format(Math.min(...all)), this.#format(Math.max(...all))])
      : gettext("nothing measured yet"));
  }

  #point(event) {
    const told = this.#told;
    if (!event || !told?.times.length) {
      this.#at.setAttribute("visibility", "hidden");
      this.#read.textContent = "";
      for (const key of this.#keys.children) key.lastChild.textContent = "";
      return;
    }
    const box = this.#svg.getBoundingClientRect();
    const moment = told.first + ((event.clientX - box.left) / box.width) * (told.last - told.first);
    const near = told.times.reduce((best, at, place) => (Math.abs(at - moment) < Math.abs(told.times[best] - moment) ? place : best), 0);
    const where = ((told.times[near] - told.first) / (told.last - told.first)) * WIDTH;
    this.#at.setAttribute("x1", where);
    this.#at.setAttribute("x2", where);
    this.#at.setAttribute("visibility", "visible");
    const values = told.columns.map((column) => this.#format(column[near]));
    if (this.#names.length) [...this.#keys.children].forEach((key, place) => { key.lastChild.textContent = ` ${values[place]}`; });
    this.#read.textContent = [told.time(told.times[near]), ...(this.#names.length ? [] : values)].join(" ");
  }
}
