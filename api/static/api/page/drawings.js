// What somebody draws on the chart of a symbol: with the pointer, or by its values in a dialog. A change is seen at once
// and kept then; where it could not be kept, what is kept is shown again and a word says why.
import { DrawingForm } from "./drawing_form.js";
import { Layer } from "./drawing_layer.js";
import { browser, server } from "./drawing_store.js";
import { number } from "./format.js";
import { onColours } from "./paint.js";
import { RestError } from "./rest.js";

const TONES = 8, CLICK = 5, AGAIN_MS = 3000, STEPS = 30, PAGES = 10; // px; changes to take back; pages of candles that are read for a place
const HINTS = { level: gettext("Click the price."), trend: gettext("Click or drag from one place to the other."), box: gettext("Click or drag from one corner to the other.") };
const contentOf = ({ kind, points, text, tone }) => ({ kind, points, text, tone });

export class Drawings {
  #chart; #stage; #store; #layer; #form; #symbol = ""; #tool = ""; #begun = null; #held = null; #steps = []; #work = Promise.resolve(); #pages = 0; #waiting = 0; #ui;

  constructor(chart, stage, show) {
    [this.#chart, this.#stage] = [chart, stage];
    this.#ui = { opener: show("draw"), bar: show("drawbar"), undo: show("undraw"), erase: show("erase"), told: show("drawtold") };
    this.#store = this.#ui.bar.dataset.person === undefined ? browser : server;
    this.#layer = new Layer({ x: (t) => chart.x(t), y: (p) => chart.candles.priceToCoordinate(p) }, (price) => number(price, chart.digits.most));
    chart.candles.attachPrimitive(this.#layer);
    chart.followers.push(this);
    onColours(() => this.#layer.redraw());
    this.#form = new DrawingForm(show("drawings"), { saved: (one, content) => (one ? this.#change(one, content) : this.#add(content)), removed: (one) => this.#remove(one) });
    this.#ui.opener.addEventListener("click", () => this.toggle());
    this.#ui.bar.addEventListener("click", ({ target }) => target.dataset.tool && this.#take(target.dataset.tool === this.#tool ? "" : target.dataset.tool));
    this.#ui.undo.addEventListener("click", () => this.#undo());
    this.#ui.erase.addEventListener("click", () => this.#layer.chosen && this.#remove(this.#layer.chosen));
    show("drawn").addEventListener("click", () => this.#form.show(this.#layer.chosen));
    stage.addEventListener("pointerdown", (event) => this.#down(event), true);
    addEventListener("pointermove", (event) => this.#move(event));
    addEventListener("pointerup", (event) => this.#up(event));
    addEventListener("pointercancel", () => this.#drop());
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => document.hidden || this.#load()); // changed at another desk meanwhile
    this.#tell();
  }

  // The bar of tools.
  toggle() {
    const open = this.#ui.bar.hidden;
    this.#unfold(open);
    if (open) this.#ui.bar.querySelector("button").focus();
    else this.#take("");
  }

  #unfold(open) {
    this.#ui.bar.hidden = !open;
    this.#ui.opener.setAttribute("aria-expanded", String(open));
  }

  // The symbol that is looked at.
  follow(symbol) {
    this.#pages = 0;
    if (symbol === this.#symbol) return;
    this.#symbol = symbol;
    this.#steps = [];
    this.#drop();
    this.#show([]);
    this.#load();
  }

  cleared() {
    this.#drop();
    this.#layer.redraw();
  }

  // A line whose beginning lies before the candles is drawn when they are there.
  changed() {
    const [first] = this.#chart.bars;
    if (first && this.#pages < PAGES && this.#layer.drawings.some(({ points }) => points.some(({ t }) => t !== undefined && Date.parse(t) < Date.parse(first.t))))
      setTimeout(() => first === this.#chart.bars[0] && this.#older(first));
    this.#layer.redraw();
  }

  told() {}

  #older(first) {
    this.#pages += 1;
    this.#chart.older();
    setTimeout(() => first === this.#chart.bars[0] && this.changed(), AGAIN_MS); // one was under way, or failed
  }

  async #load() {
    const symbol = this.#symbol;
    clearTimeout(this.#waiting);
    if (!symbol) return undefined;
    const work = this.#work;
    await work;
    try {
      const all = await this.#store.all(symbol);
      if (symbol !== this.#symbol) return undefined;
      if (this.#held || this.#begun) return this.#later(symbol); // nothing goes from under the pointer
      if (work !== this.#work) return this.#load(); // something was changed meanwhile
      const known = new Map(this.#layer.drawings.map((one) => [one.id, one])); // the same object stays the same drawing
      this.#show(all.map((one) => Object.assign(known.get(one.id) ?? {}, one)));
      this.changed();
    } catch {
      this.#later(symbol);
    }
    return undefined;
  }

  #later(symbol) {
    this.#waiting = setTimeout(() => symbol === this.#symbol && this.#load(), AGAIN_MS);
  }

  #show(all) {
    this.#layer.drawings = all;
    if (!all.includes(this.#layer.chosen)) this.#layer.chosen = null;
    this.#form.set(all, this.#chart);
    this.#tell();
  }

  #tell(text) {
    const { undo, erase, told, bar } = this.#ui;
    undo.disabled = !this.#steps.length;
    erase.disabled = !this.#layer.chosen;
    for (const button of bar.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === this.#tool));
    told.textContent = text ?? HINTS[this.#tool] ?? (this.#store === browser ? gettext("Kept in this browser only: log in to have them everywhere.") : "");
    told.classList.toggle("wrong", text !== undefined);
    this.#layer.redraw();
  }

  #choose(one) {
    this.#layer.chosen = one;
    this.#tell();
  }

  // While a tool is taken, the chart stands still under the pointer.
  #take(tool) {
    this.#drop();
    this.#tool = tool;
    this.#still(tool !== "");
    this.#choose(null);
  }

  #still(on) {
    this.#stage.classList.toggle("drawing", on);
    this.#chart.board.applyOptions({ handleScroll: { pressedMouseMove: !on, horzTouchDrag: !on, vertTouchDrag: !on } });
  }

  // What changes: at once here, in its turn where it is kept, as far as it ever was (then it has an id). `back` undoes it.
  #keep(work, back) {
    const symbol = this.#symbol;
    if (back) this.#steps = [...this.#steps, back].slice(-STEPS);
    this.#show([...this.#layer.drawings]);
    this.#work = this.#work.then(() => work(symbol)).catch((error) => {
      if (symbol !== this.#symbol) return;
      this.#steps = [];
      this.#load().then(() => this.#tell(reason(error)));
    });
  }

  #add(content, undoing = false) {
    const one = { tone: (this.#layer.drawings.length % TONES) + 1, text: "", ...content };
    this.#layer.drawings = [...this.#layer.drawings, one];
    this.#layer.chosen = one;
    this.#append(one, undoing ? null : () => this.#remove(one, true));
  }

  #append(one, back) {
    this.#keep(async (symbol) => void (one.id = (await this.#store.add(symbol, contentOf(one))).id), back);
  }

  #change(one, content, before = contentOf(one), undoing = false) {
    Object.assign(one, content);
    const wished = contentOf(one);
    this.#keep((symbol) => one.id && this.#store.change(symbol, one.id, wished), undoing ? null : () => this.#change(one, before, undefined, true));
  }

  #remove(one, undoing = false) {
    this.#layer.drawings = this.#layer.drawings.filter((other) => other !== one);
    const again = () => {
      this.#layer.drawings = [...this.#layer.drawings, one];
      this.#append(one, null);
    };
    this.#keep((symbol) => one.id && this.#store.remove(symbol, one.id), undoing ? null : again);
  }

  #undo() {
    this.#drop();
    this.#steps.pop()?.();
    this.#tell();
  }

  #key(event) {
    if (event.isComposing || document.querySelector("dialog[open]") || event.target.closest?.("input, select, textarea")) return;
    const chosen = this.#layer.chosen;
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z" && this.#steps.length) this.#undo();
    else if (event.key === "Escape" && (this.#tool || chosen)) this.#take("");
    else if (["Delete", "Backspace"].includes(event.key) && chosen && mine(event.target) && !event.ctrlKey && !event.altKey && !event.metaKey) this.#remove(chosen);
    else return;
    event.preventDefault();
  }

  // A place of the pane of candles in px; null outside of it.
  #place(event) {
    const pane = this.#chart.board.panes()[0].getHTMLElement()?.getBoundingClientRect();
    if (!pane) return null;
    const [x, y] = [event.clientX - pane.left, event.clientY - pane.top];
    return { x, y, inside: x >= 0 && y >= 0 && y < pane.height && x < this.#chart.board.timeScale().width() };
  }

  #point({ x, y }, kind) {
    const [price, bar] = [this.#chart.candles.coordinateToPrice(y), this.#chart.barAt(x)];
    if (price === null || !bar) return null;
    const p = Number(price.toFixed(this.#chart.digits.most));
    return kind === "level" ? { p } : { t: bar.t, p };
  }

  #down(event) {
    const place = event.button === 0 && event.isPrimary && !event.target.closest("button") ? this.#place(event) : null;
    if (!place?.inside) return;
    if (this.#tool) return this.#begin(place);
    const found = this.#layer.at(place.x, place.y);
    this.#choose(found?.one ?? null);
    if (!found) return;
    this.#held = { ...found, place, before: structuredClone(contentOf(found.one)) };
    this.#still(true);
  }

  #begin(place) {
    const point = this.#point(place, this.#tool);
    if (!point) return;
    if (this.#begun) {
      this.#stretch(place);
      this.#begun.second = true;
      return;
    }
    const one = { kind: this.#tool, points: this.#tool === "level" ? [point] : [point, point], text: "", tone: (this.#layer.drawings.length % TONES) + 1 };
    this.#begun = { one, place };
    this.#layer.drawings = [...this.#layer.drawings, one];
    this.#choose(one);
  }

  #stretch(place) {
    const { one } = this.#begun;
    const point = this.#point(place, one.kind);
    if (point) one.points = one.kind === "level" ? [point] : [one.points[0], point];
    this.#layer.redraw();
  }

  #move(event) {
    if (!this.#begun && !this.#held) return;
    const place = this.#place(event);
    if (!place) return;
    if (this.#begun) return this.#stretch(place);
    const { one, point, before, place: from } = this.#held;
    if (point !== null) one.points = before.points.map((old, nth) => (nth === point ? this.#point(place, one.kind) ?? old : old));
    else one.points = this.#shifted(before, place.x - from.x, place.y - from.y);
    this.#layer.redraw();
  }

  // The whole by so many px; along time only as far as there are candles for all of it.
  #shifted({ kind, points }, dx, dy) {
    const { bars, candles } = this.#chart;
    const ends = [bars[0], bars.at(-1)].map(({ t }) => this.#chart.x(t));
    const places = points.map(({ t, p }) => ({ x: t === undefined ? ends[1] : this.#chart.x(t), y: candles.priceToCoordinate(p) }));
    const fits = places.every(({ x }) => x + dx >= ends[0] && x + dx <= ends[1]);
    return points.map((old, nth) => {
      const moved = this.#point({ x: places[nth].x + dx, y: places[nth].y + dy }, kind);
      return moved ? { ...moved, ...(kind !== "level" && !fits ? { t: old.t } : {}) } : old;
    });
  }

  #up(event) {
    const place = this.#place(event);
    if (this.#begun && place) {
      const { one, place: from, second } = this.#begun;
      const dragged = Math.hypot(place.x - from.x, place.y - from.y) > CLICK;
      if (one.kind !== "level" && !second && !dragged) return; // the second place is still to come
      this.#begun = null;
      this.#layer.drawings = this.#layer.drawings.filter((other) => other !== one);
      this.#tool = "";
      this.#still(false);
      this.#add(contentOf(one));
    } else if (this.#held) {
      const { one, before } = this.#held;
      this.#held = null;
      this.#still(false);
      this.#unfold(true);
      if (JSON.stringify(before.points) !== JSON.stringify(one.points)) this.#change(one, contentOf(one), before);
    }
  }

  // What was begun and not ended is as if it had not been.
  #drop() {
    if (this.#begun) this.#layer.drawings = this.#layer.drawings.filter((one) => one !== this.#begun.one);
    if (this.#held) Object.assign(this.#held.one, this.#held.before);
    if (this.#held) this.#still(false);
    [this.#begun, this.#held] = [null, null];
  }
}

// Whether a key that removes is meant for the chart: a row of the watch list has one of its own.
const mine = (target) => target === document.body || Boolean(target.closest?.(".chart"));

function reason(error) {
  if (error instanceof RestError && error.status === 422) return gettext("There are as many drawings as may be kept: remove one first.");
  if (error instanceof RestError && error.status === 404) return gettext("It was removed elsewhere meanwhile.");
  return interpolate(gettext("It could not be kept: %s"), [error.message]);
}
