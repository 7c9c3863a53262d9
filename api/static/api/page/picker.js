// The dialog in which indicators are added, changed and taken away again. What is chosen is the page's to keep.
import { MOST, byDefault, chosen, fault, parameterName, shortName, title } from "./catalogue.js";

export class Picker {
  #dialog; #on; #list = []; #all = []; #shown; #offered; #search; #told;

  // `on` has chosen(all) whenever the choice is another one.
  constructor(dialog, on) {
    [this.#dialog, this.#on] = [dialog, on];
    [this.#shown, this.#offered, this.#search, this.#told] = [".shown", ".offered", "input[type=search]", "[role=status]"].map((what) => dialog.querySelector(what));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#search.addEventListener("input", () => this.#offer());
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // Enter would close the dialog
      this.#offered.querySelector("button")?.click();
    });
  }

  get open() {
    return this.#dialog.open;
  }

  // Which there are, and which are on the chart.
  set(list, all) {
    [this.#list, this.#all] = [list, all];
    const held = this.#shown.contains(document.activeElement) ? document.activeElement.id : "";
    this.#shown.replaceChildren(...all.map((one, nth) => this.#row(one, nth)));
    if (held) (document.getElementById(held) ?? this.#search).focus();
    this.#shown.hidden = !all.length;
    this.#offer();
  }

  // Opens; at the parameters of one where one is named.
  show(one) {
    this.#told.textContent = "";
    this.#search.value = "";
    this.#offer();
    this.#dialog.showModal();
    const nth = this.#all.findIndex(({ key }) => key === one?.key);
    (this.#shown.children[nth]?.querySelector("input, button") ?? this.#search).focus();
  }

  #tell(all, text) {
    this.#on.chosen(all);
    this.#told.textContent = text;
  }

  #row(one, nth) {
    const { indicator, params } = one;
    const row = document.createElement("li");
    const name = document.createElement("strong");
    [name.textContent, name.title] = [shortName(indicator.name), title(indicator)];
    row.append(name);
    for (const { name: of, least, most, whole } of indicator.parameters) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "number", min: least, max: most, step: whole ? 1 : "any", required: true, value: params[of], id: `parameter-${nth}-${of}` });
      input.addEventListener("change", () => {
        const wished = { ...params, [of]: input.value === "" ? NaN : Number(input.value) };
        const next = chosen(indicator, wished);
        const wrong = fault(indicator, wished) ?? (this.#all.some(({ key }) => key === next.key && key !== one.key) ? gettext("it is there twice") : null);
        input.setCustomValidity(wrong ?? "");
        input.setAttribute("aria-invalid", String(Boolean(wrong)));
        if (wrong) this.#told.textContent = wrong;
        else this.#tell(this.#all.map((other) => (other === one ? next : other)), `${shortName(indicator.name)} ${parameterName(of)} ${input.value}`);
      });
      label.append(`${parameterName(of)} `, input);
      row.append(label);
    }
    const off = document.createElement("button");
    [off.type, off.textContent, off.id] = ["button", "×", `off-${nth}`];
    off.setAttribute("aria-label", interpolate(gettext("remove %s"), [title(indicator)]));
    off.addEventListener("click", () => {
      this.#tell(this.#all.filter((other) => other !== one), interpolate(gettext("removed: %s"), [title(indicator)]));
      this.#search.focus();
    });
    row.append(off);
    return row;
  }

  #offer() {
    const word = this.#search.value.trim().toLowerCase();
    const found = this.#list.filter((one) => `${one.name} ${shortName(one.name)} ${one.title} ${title(one)}`.toLowerCase().includes(word));
    this.#offered.replaceChildren(...found.map((indicator) => {
      const line = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.name = indicator.name;
      const [short, long, where] = ["strong", "span", "small"].map((kind) => document.createElement(kind));
      [short.textContent, long.textContent, where.textContent] = [shortName(indicator.name), title(indicator), indicator.overlay ? gettext("over the candles") : gettext("in a pane")];
      button.append(short, long, where);
      button.addEventListener("click", () => this.#add(indicator));
      line.append(button);
      return line;
    }));
    if (!found.length) this.#offered.append(Object.assign(document.createElement("li"), { className: "quiet", textContent: gettext("No such indicator.") }));
  }

  // The same one again begins with a parameter that is free.
  #add(indicator) {
    if (this.#all.length >= MOST) return void (this.#told.textContent = interpolate(gettext("at most %s at a time"), [MOST]));
    let one = byDefault(indicator);
    const [first] = indicator.parameters;
    while (this.#all.some(({ key }) => key === one.key)) {
      const params = first && { ...one.params, [first.name]: one.params[first.name] + (first.whole ? Math.max(1, one.params[first.name]) : 1) };
      if (!params || fault(indicator, params)) return void (this.#told.textContent = gettext("it is there twice"));
      one = chosen(indicator, params);
    }
    this.#tell([...this.#all, one], interpolate(gettext("added: %s"), [title(indicator)]));
  }
}
