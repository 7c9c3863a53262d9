// The market as one picture: a tile for each symbol, its area the traded value, its colour the change. Arrows move from
// tile to tile and Enter opens the chart; read by ear, the table below has the same.
import { called, digitsOf, number, short } from "../page/format.js";
import { colour, onColours, painter } from "../page/paint.js";
import { nested } from "./treemap.js";

const HEAD = 18, GAP = 1;
const FULL_PERCENT = 4; // a change from which on the colour is no stronger
const STRONGEST = 0.62, WEAKEST = 0.1; // parts of the colour over the ground, on which texts can still be read
const STEPS = 16;
const LAYOUT_MS = 30_000; // areas move that seldom, numbers and colours at once

export const signed = (percent, digits = 2) => (percent === null ? "–" : `${percent > 0 ? "+" : percent < 0 ? "−" : ""}${number(Math.abs(percent), digits)}%`);

export class HeatMap {
  #canvas; #hint; #told; #on; #groups = []; #places = { groups: [], tiles: [] }; #laid = 0; #pointed = null; #colours = new Map(); #sheet = {};
  #draw = painter(() => this.#paint());

  // `told` is where the tile that keys have come to is said; `on` has open(row, apart), and narrow(group) for a press on the title of a group.
  constructor(canvas, hint, told, on) {
    [this.#canvas, this.#hint, this.#told, this.#on] = [canvas, hint, told, on];
    new ResizeObserver(() => {
      this.#laid = 0;
      this.#draw();
    }).observe(canvas);
    onColours(() => {
      this.#colours.clear();
      this.#draw();
    });
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#come(this.#pointed ?? this.#places.tiles[0]));
    canvas.addEventListener("blur", () => this.#point(null));
    for (const kind of ["click", "auxclick"]) canvas.addEventListener(kind, (event) => event.button < 2 && this.#press(event));
  }

  // `anew` when other symbols than before are shown.
  show(groups, anew) {
    this.#groups = groups;
    if (anew || performance.now() - this.#laid > LAYOUT_MS) this.#laid = 0;
    this.#draw();
  }

  // Where a symbol's tile is, on the page.
  placeOf(code) {
    const tile = this.#places.tiles.find((one) => one.row.symbol === code);
    if (!tile) return null;
    const { left, top } = this.#canvas.getBoundingClientRect();
    return { x: left + tile.x + tile.width / 2, y: top + tile.y + tile.height / 2, width: tile.width, height: tile.height };
  }

  #lay(width, height) {
    this.#places = nested(this.#groups, { x: 0, y: 0, width, height }, HEAD);
    this.#laid = performance.now();
    this.#pointed = this.#places.tiles.find(({ row }) => row.symbol === this.#pointed?.row.symbol) ?? null;
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    const dots = devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * dots), Math.round(height * dots)];
    if (this.#canvas.width !== wide || this.#canvas.height !== high) Object.assign(this.#canvas, { width: wide, height: high });
    if (!this.#laid) this.#lay(width, height);
    if (!this.#colours.size) this.#mix();
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.fillStyle = this.#sheet.ground;
    pen.fillRect(0, 0, width, height);
    pen.textBaseline = "middle";
    for (const place of this.#places.groups) if (place.head) this.#title(pen, place);
    pen.textAlign = "center";
    for (const tile of this.#places.tiles) this.#tile(pen, tile);
    if (this.#pointed) {
      const { x, y, width: w, height: h } = this.#pointed;
      pen.strokeStyle = this.#sheet.text;
      pen.lineWidth = 2;
      pen.strokeRect(x + 1, y + 1, Math.max(w - 3, 0), Math.max(h - 3, 0));
    }
  }

  #title(pen, { group, x, y, width }) {
    pen.textAlign = "left";
    pen.fillStyle = this.#sheet.quiet;
    pen.font = `600 12px ${this.#sheet.font}`;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width - 6, HEAD);
    pen.clip();
    pen.fillText(group.title, x + 4, y + HEAD / 2 + 1);
    pen.restore();
  }

  #tile(pen, { row, x, y, width, height }) {
    const [w, h] = [width - GAP, height - GAP];
    pen.fillStyle = this.#colourOf(row.changeRate);
    pen.fillRect(x, y, Math.max(w, 0.5), Math.max(h, 0.5));
    if (w < 34 || h < 15) return;
    const name = called(row) || row.symbol;
    const size = Math.max(10, Math.min(Math.sqrt(w * h) / 7, 26, h / 2.6, (w - 6) / Math.min(wide(name), 9)));
    const two = h >= size * 2.3;
    pen.fillStyle = this.#sheet.text;
    pen.font = `600 ${size}px ${this.#sheet.font}`;
    const middle = y + h / 2;
    const [first, second] = two ? [name, signed(row.changeRate)] : [w > 90 ? `${name} ${signed(row.changeRate, 1)}` : name, ""];
    pen.fillText(cut(pen, first, w - 4), x + w / 2, two ? middle - size * 0.55 : middle);
    if (!second) return;
    pen.font = `${Math.max(9, size * 0.8)}px ${this.#sheet.font}`;
    if (pen.measureText(second).width <= w - 2) pen.fillText(second, x + w / 2, middle + size * 0.6);
  }

  // All colours of changes, from the page's own.
  #mix() {
    const style = getComputedStyle(document.body);
    this.#sheet = { ground: colour("ground"), text: colour("text"), quiet: colour("quiet"), font: style.fontFamily };
    const [ground, up, down] = ["chosen", "up", "down"].map((name) => channels(colour(name)));
    for (let step = -STEPS; step <= STEPS; step += 1) {
      const part = step === 0 ? 0 : WEAKEST + ((STRONGEST - WEAKEST) * Math.abs(step)) / STEPS;
      const to = step > 0 ? up : down;
      this.#colours.set(step, `rgb(${ground.map((one, at) => Math.round(one + (to[at] - one) * part)).join()})`);
    }
  }

  #colourOf(percent) {
    const strength = Math.max(-1, Math.min(1, (percent ?? 0) / FULL_PERCENT));
    const step = Math.round(strength * STEPS) || (percent ? Math.sign(percent) : 0);
    return this.#colours.get(step);
  }

  #under({ offsetX, offsetY }) {
    const within = ({ x, y, width, height }) => offsetX >= x && offsetX < x + width && offsetY >= y && offsetY < y + height;
    const tile = this.#places.tiles.find(within);
    return { tile, group: tile ? undefined : this.#places.groups.find(within)?.group };
  }

  #point(event) {
    const { tile, group } = event ? this.#under(event) : {};
    this.#canvas.style.cursor = tile || group ? "pointer" : "";
    this.#hint.hidden = !tile;
    if (tile) this.#say(tile, event.offsetX, event.offsetY);
    if (tile === this.#pointed || (!tile && !this.#pointed)) return;
    this.#pointed = tile ?? null;
    this.#draw();
  }

  // What a tile is, beside a place of it.
  #say({ row }, x, y) {
    const name = called(row) || row.symbol;
    const figures = [`${number(row.last, digitsOf(row.last))} ${signed(row.changeRate)}`, interpolate(gettext("Traded value %s"), [short(Math.round(row.turnover))])];
    this.#hint.textContent = `${name} ${row.symbol}\n${figures.join("\n")}`;
    const right = x > this.#canvas.clientWidth - 190;
    this.#hint.style.left = `${x + (right ? -180 : 14)}px`;
    this.#hint.style.top = `${Math.min(y + 14, this.#canvas.clientHeight - 70)}px`;
    return [name, ...figures].join(", ");
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const from = this.#pointed;
    const [first] = this.#places.tiles;
    if (["Enter", " "].includes(event.key) && from) this.#on.open(from.row, false);
    else if (event.key === "Home" || (event.key.startsWith("Arrow") && !from)) this.#come(first);
    else if (event.key.startsWith("Arrow")) this.#come(beside(this.#places.tiles, from, event.key) ?? from);
    else if (event.key === "Escape" && from) this.#point(null);
    else return;
    event.preventDefault();
  }

  // Keys have come to a tile.
  #come(tile) {
    if (!tile) return;
    this.#pointed = tile;
    this.#hint.hidden = false;
    this.#told.textContent = this.#say(tile, tile.x + Math.min(tile.width / 2, 40), tile.y + Math.min(tile.height / 2, 30));
    this.#draw();
  }

  #press(event) {
    const { tile, group } = this.#under(event);
    if (tile) this.#on.open(tile.row, event.button === 1 || event.ctrlKey || event.metaKey);
    else if (group && event.button === 0) this.#on.narrow(group);
  }
}

// The tile that lies next to one on the side of an arrow, the one most level with its middle.
function beside(tiles, from, arrow) {
  const [along, across, long, wide] = /Left|Right/.test(arrow) ? ["x", "y", "width", "height"] : ["y", "x", "height", "width"];
  const forward = /Right|Down/.test(arrow);
  const middle = from[across] + from[wide] / 2;
  const gap = (one) => (forward ? one[along] - from[along] - from[long] : from[along] - one[along] - one[long]);
  const off = (one) => Math.max(one[across] - middle, middle - one[across] - one[wide], 0);
  return tiles.filter((one) => one !== from && gap(one) > -1).sort((a, b) => gap(a) + 2 * off(a) - gap(b) - 2 * off(b))[0];
}

const channels = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

// How wide a text is, about, in its own heights: Hangul is as wide as high.
const wide = (text) => [...text].reduce((sum, one) => sum + (one > "\u1100" ? 0.95 : 0.6), 0);

function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text;
  while (kept && pen.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return kept ? `${kept}…` : "";
}
