// How drawings look, as a primitive of the candles: a horizontal line goes all the way, what lies between two places
// ends there; the chosen one has handles. Where one is touched is told, too.
import { colour } from "./paint.js";

const NEAR = 7, HANDLE = 4.5; // px

export class Layer {
  drawings = []; chosen = null;
  #where; #text; #update = () => {}; #width = 0;

  // `where` has x(t) and y(p) in px of the pane, null where that is nowhere; `text` writes a price.
  constructor(where, text) {
    [this.#where, this.#text] = [where, text];
  }

  attached({ requestUpdate }) {
    this.#update = requestUpdate;
  }

  redraw() {
    this.#update();
  }

  paneViews() {
    return [{ zOrder: () => "top", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((space) => this.#draw(space)) }) }];
  }

  priceAxisViews() {
    return this.drawings.filter((one) => one.kind === "level").map((one) => ({
      coordinate: () => this.#where.y(one.points[0].p) ?? -100,
      text: () => this.#text(one.points[0].p),
      textColor: () => colour("ground"),
      backColor: () => colour(`tone-${one.tone}`),
    }));
  }

  // The places of a drawing in px, or null while it cannot be shown.
  #places(one) {
    const found = one.points.map(({ t, p }) => ({ x: t === undefined ? null : this.#where.x(t), y: this.#where.y(p) }));
    if (found.some(({ x, y }, nth) => y === null || (one.points[nth].t !== undefined && x === null))) return null;
    return found.map(({ x, y }) => ({ x: x ?? this.#width - 24, y }));
  }

  #draw({ context, mediaSize }) {
    this.#width = mediaSize.width;
    for (const one of this.drawings) {
      const places = this.#places(one);
      if (!places) continue;
      const [{ x, y }] = places;
      const end = places.at(-1);
      context.save();
      context.strokeStyle = context.fillStyle = colour(`tone-${one.tone}`);
      context.lineWidth = one === this.chosen ? 2.5 : 1.5;
      context.beginPath();
      if (one.kind === "level") {
        context.moveTo(0, y);
        context.lineTo(mediaSize.width, y);
      } else if (one.kind === "box") context.rect(Math.min(x, end.x), Math.min(y, end.y), Math.abs(end.x - x), Math.abs(end.y - y));
      else if (one.kind === "trend") {
        context.moveTo(x, y);
        context.lineTo(end.x, end.y);
      }
      context.stroke();
      if (one.kind === "box") {
        context.globalAlpha = 0.1;
        context.fill();
        context.globalAlpha = 1;
      }
      context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
      if (one.text) context.fillText(one.text, one.kind === "level" ? 8 : Math.min(x, end.x) + 4, Math.min(y, end.y) - 5);
      if (one === this.chosen || one.kind === "note") for (const place of places) this.#handle(context, place);
      context.restore();
    }
  }

  #handle(context, { x, y }) {
    context.beginPath();
    context.arc(x, y, HANDLE, 0, 2 * Math.PI);
    context.fillStyle = colour("panel");
    context.fill();
    context.stroke();
  }

  // The drawing at a place of the pane, the newest first: {one, point}, with the number of its handle where that is.
  at(x, y) {
    for (const one of [this.chosen, ...[...this.drawings].reverse()].filter(Boolean)) {
      const places = this.#places(one);
      if (!places) continue;
      const point = places.findIndex((place) => Math.hypot(place.x - x, place.y - y) <= NEAR + 3);
      if (point >= 0 && one.kind !== "level") return { one, point };
      if (edges(one.kind, places).some(([from, to]) => distance(x, y, from, to) <= NEAR)) return { one, point: null };
    }
    return null;
  }
}

function edges(kind, [from, to]) {
  if (kind === "level") return [[{ x: -1e5, y: from.y }, { x: 1e5, y: from.y }]];
  if (kind === "note") return [[from, { x: from.x + 60, y: from.y - 9 }]];
  if (kind === "trend") return [[from, to]];
  const [right, below] = [{ x: to.x, y: from.y }, { x: from.x, y: to.y }];
  return [[from, right], [right, to], [to, below], [below, from]];
}

function distance(x, y, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const along = Math.max(0, Math.min(1, ((x - from.x) * dx + (y - from.y) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(from.x + along * dx - x, from.y + along * dy - y);
}
