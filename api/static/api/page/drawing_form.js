// The dialog of drawings: a list of those of the symbol, and a form in which one is made or changed by its values.
import { chartTime, number, ofClock } from "./format.js";

const KINDS = { level: gettext("horizontal line"), trend: gettext("trend line"), box: gettext("rectangle"), note: gettext("text") };
const ENDS = ["trend", "box"];
const local = (t) => new Date(chartTime(t) * 1000).toISOString().slice(0, 16);

export class DrawingForm {
  #dialog; #on; #list; #form; #told; #all = []; #chart = null; #edited = null;

  // `on` has saved(one, content), null for a new one; removed(one).
  constructor(dialog, on) {
    [this.#dialog, this.#on] = [dialog, on];
    [this.#list, this.#form, this.#told] = ["ul", "form.values", "[role=status]"].map((what) => dialog.querySelector(what));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#form.elements.kind.addEventListener("change", () => this.#fit());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#form.querySelector("[type=reset]").addEventListener("click", () => this.#edit(null));
  }

  // Those of the symbol that is looked at.
  set(all, chart) {
    [this.#all, this.#chart] = [all, chart];
    const held = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...all.map((one) => this.#row(one)));
    this.#list.hidden = !all.length;
    if (held) (this.#list.querySelector("button") ?? this.#form.elements.price).focus();
    if (this.#edited && !all.includes(this.#edited)) this.#edit(null);
  }

  show(one) {
    this.set(this.#all, this.#chart);
    this.#told.textContent = "";
    this.#edit(this.#all.includes(one) ? one : null);
    this.#dialog.showModal();
    this.#form.elements.price.focus();
  }

  #words({ kind, points, text }) {
    const price = (p) => number(p, this.#chart.digits.most);
    const places = points.map(({ t, p }) => (t === undefined ? price(p) : `${local(t).replace("T", " ")} ${price(p)}`));
    return [KINDS[kind], places.join(" → "), text].filter(Boolean).join(" · ");
  }

  #row(one) {
    const row = document.createElement("li");
    const [edit, off] = [document.createElement("button"), document.createElement("button")];
    const words = this.#words(one);
    Object.assign(edit, { type: "button", textContent: words, title: gettext("change") });
    edit.addEventListener("click", () => {
      this.#edit(one);
      this.#form.elements.price.focus();
    });
    Object.assign(off, { type: "button", textContent: "×" });
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [words]));
    off.addEventListener("click", () => {
      this.#on.removed(one);
      this.#told.textContent = interpolate(gettext("removed: %s"), [words]);
    });
    row.append(edit, off);
    return row;
  }

  // The values of one, or of a new one at the newest candle.
  #edit(one) {
    this.#edited = one;
    const { kind, price, time, price2, time2, text } = this.#form.elements;
    const last = this.#chart?.bars.at(-1);
    const [from, to] = one ? [one.points[0], one.points.at(-1)] : [{ t: last?.t, p: last?.c ?? "" }, { t: last?.t, p: last?.c ?? "" }];
    kind.value = one?.kind ?? "level";
    [price.value, price2.value, text.value] = [from.p, to.p, one?.text ?? ""];
    [time.value, time2.value] = [from.t ?? last?.t, to.t ?? last?.t].map((t) => (t ? local(t) : ""));
    this.#form.querySelector("[type=submit]").textContent = one ? gettext("Change it") : gettext("Draw it");
    this.#form.querySelector("[type=reset]").hidden = !one;
    this.#fit();
  }

  // Only what the kind has is asked for.
  #fit() {
    const { kind, time, price2, time2, text } = this.#form.elements;
    for (const [input, on] of [[time, kind.value !== "level"], [price2, ENDS.includes(kind.value)], [time2, ENDS.includes(kind.value)]]) {
      input.parentElement.hidden = input.disabled = !on;
    }
    text.required = kind.value === "note";
  }

  #save() {
    const { kind, price, time, price2, time2, text } = this.#form.elements;
    const old = this.#edited?.points ?? [];
    // What was not touched stays to the microsecond.
    const at = (input, was) => (was?.t !== undefined && local(was.t) === input.value ? was.t : ofClock(input.valueAsNumber));
    const points = [{ ...(time.disabled ? {} : { t: at(time, old[0]) }), p: Number(price.value) }];
    if (!price2.disabled) points.push({ t: at(time2, old.at(-1)), p: Number(price2.value) });
    if (points.some(({ t }) => Date.parse(t) > Date.now())) return void (this.#told.textContent = gettext("A time lies in the future."));
    const content = { kind: kind.value, points, text: text.value.trim() };
    this.#on.saved(this.#edited, content);
    this.#told.textContent = interpolate(gettext("drawn: %s"), [this.#words(content)]);
    this.#edit(null);
  }
}
