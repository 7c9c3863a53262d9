// Watch lists: which of them is shown, whether the symbol that is looked at is in it, and the dialog in which one is
// made, renamed or deleted.
import { RestError } from "./rest.js";
import { Browser, server } from "./store.js";

const NEW = "+", AGAIN_MS = 3000;

export class Lists {
  #store; #most; #on; #all = []; #known; #id = ""; #last = ""; #code = ""; #edited = null; #with = [];
  #select; #star; #edit; #told; #dialog; #form; #wrong; #remove; #wished = new Map(); #turn = Promise.resolve();

  // `on` has show(id), "" for all symbols, `quiet` when nobody chose it; changed(), when the symbols of the shown one are others.
  constructor(show, on) {
    this.#on = on;
    [this.#select, this.#star, this.#edit, this.#told, this.#dialog] = ["lists", "star", "editlist", "listtold", "listdialog"].map(show);
    [this.#form, this.#wrong, this.#remove] = ["form", "[role=alert]", "[value=delete]"].map((what) => this.#dialog.querySelector(what));
    const { person, lists, symbols } = this.#select.dataset;
    this.#most = { lists: Number(lists), symbols: Number(symbols) };
    this.#store = person === undefined ? new Browser(this.#most) : server;
    this.#select.addEventListener("change", () => {
      const { value } = this.#select;
      this.#select.value = this.#id;
      if (value === NEW) this.#open(null);
      else on.show(value);
    });
    this.#star.addEventListener("click", () => this.toggle());
    this.#edit.addEventListener("click", () => this.#shown && this.#open(this.#shown));
    this.#remove.addEventListener("click", () => this.#delete());
    this.#form.addEventListener("submit", (event) => {
      if (event.submitter?.value === "cancel") return;
      event.preventDefault();
      this.#save(this.#form.elements.name.value.trim());
    });
    // Changed elsewhere meanwhile: in another window, or at another desk.
    document.addEventListener("visibilitychange", () => document.hidden || this.#again().catch(() => {}));
    addEventListener("storage", () => this.#again().catch(() => {}));
    this.#known = this.#learn();
  }

  get #shown() {
    return this.#all.find((one) => one.id === this.#id);
  }

  // Into which the star puts a symbol.
  get #target() {
    return this.#shown ?? this.#all.find((one) => one.id === this.#last) ?? this.#all[0];
  }

  // Of the list that is shown, in its order; null for all symbols.
  async codes() {
    if (this.#id) await this.#known;
    return this.#shown ? [...this.#shown.symbols] : null;
  }

  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#tell("");
    this.#known.then(() => (this.#shown || !id ? this.#draw() : this.#again())).catch(() => {});
  }

  // The symbol that is looked at; "" for none.
  follow(code) {
    if (code === this.#code) return;
    this.#code = code;
    this.#draw();
  }

  toggle() {
    const [list, code] = [this.#target, this.#code];
    if (!code) return undefined;
    if (!list) return this.#open(null, [code]);
    return this.#put(list, code, !list.symbols.includes(code));
  }

  remove(code) {
    return this.#shown && this.#put(this.#shown, code, false);
  }

  // Another order. While one waits for its turn the newest is enough.
  async arrange(codes) {
    const list = this.#shown;
    if (!list) return;
    const waits = this.#wished.has(list.id);
    list.symbols = codes;
    this.#wished.set(list.id, codes);
    if (waits) return;
    try {
      this.#keep(await this.#after(() => this.#arranged(list.id)));
    } catch (error) {
      await this.#fail(error, list);
      this.#on.changed();
    }
  }

  async #arranged(id) {
    const codes = this.#wished.get(id);
    this.#wished.delete(id);
    // What came or went elsewhere is neither lost nor brought back.
    const now = (await this.#store.all()).find((one) => one.id === id)?.symbols;
    if (!now) throw new RestError(404, "no such list");
    return this.#store.change(id, { symbols: [...codes.filter((one) => now.includes(one)), ...now.filter((one) => !codes.includes(one))] });
  }

  // Reads and changes come one after another, so that no older answer takes the place of a newer one.
  #after(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  // A list as it is kept by now.
  #keep({ id, symbols }) {
    const list = this.#all.find((one) => one.id === id);
    if (!list || this.#wished.has(id)) return; // an order that is newer waits
    const before = list.symbols.join();
    list.symbols = symbols;
    this.#draw();
    if (id === this.#id && before !== symbols.join()) this.#on.changed();
  }

  async #put(list, code, into) {
    try {
      this.#keep(await this.#after(() => (into ? this.#store.add(list.id, code) : this.#store.remove(list.id, code))));
      this.#last = list.id;
      this.#tell(interpolate(into ? gettext("%s is in %s now") : gettext("%s is no longer in %s"), [code, list.name]));
    } catch (error) {
      await this.#fail(error, list, code);
    }
  }

  #open(list, symbols = []) {
    [this.#edited, this.#with] = [list, symbols];
    this.#dialog.querySelector("h2").textContent = list ? gettext("Edit the list") : gettext("New list");
    this.#form.elements.name.value = list?.name ?? "";
    this.#wrong.textContent = "";
    this.#remove.hidden = !list;
    this.#remove.dataset.sure = "";
    this.#remove.textContent = gettext("Delete the list");
    this.#dialog.showModal();
    this.#form.elements.name.select();
  }

  async #save(name) {
    const list = this.#edited;
    try {
      const { id } = await this.#after(() => (list ? this.#store.change(list.id, { name }) : this.#store.create(name, this.#with)));
      await this.#again();
      this.#dialog.close();
      this.#last = id;
      if (!list) this.#on.show(id);
    } catch (error) {
      await this.#fail(error, list, name, this.#wrong);
    }
  }

  // At the second press.
  async #delete() {
    const list = this.#edited;
    if (!this.#remove.dataset.sure) {
      this.#remove.dataset.sure = "yes";
      this.#remove.textContent = interpolate(gettext("Really delete %s"), [list.name]);
      return;
    }
    try {
      await this.#after(() => this.#store.delete(list.id));
    } catch (error) {
      if (error.status !== 404) return void this.#fail(error, list, "", this.#wrong);
    }
    this.#dialog.close();
    this.#all = this.#all.filter((one) => one.id !== list.id);
    if (list.id === this.#id) this.#on.show("", true);
    this.#tell(interpolate(gettext("%s was deleted"), [list.name]));
    this.#draw();
  }

  // Says in words what went wrong with a list and a name or a code, and shows the lists as they are kept.
  async #fail(error, list, what = "", where = null) {
    await this.#again().catch(() => {});
    const text = this.#words(error, this.#all.find((one) => one.id === list?.id), what);
    if (where && error.status !== 404) where.textContent = text;
    else {
      this.#dialog.close();
      this.#tell(text);
    }
  }

  #words({ status, fields }, list, what) {
    if (status === 404) return gettext("This list was deleted elsewhere.");
    if (status === 422 && fields.name) {
      if (this.#all.some((one) => one.name === what)) return interpolate(gettext("There is a list called %s."), [what]);
      return interpolate(gettext("There are %s lists, as many as there may be: delete one first."), [this.#most.lists]);
    }
    if (status === 422 && list?.symbols.length >= this.#most.symbols) return interpolate(gettext("%s symbols are in this list, as many as there may be: make another one."), [this.#most.symbols]);
    if (status === 422) return interpolate(gettext("%s is not registered."), [what]);
    return gettext("The change was not kept: try again.");
  }

  async #learn() {
    for (;;) {
      try {
        return await this.#again();
      } catch {
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    }
  }

  async #again() {
    const before = this.#shown?.symbols.join();
    this.#all = await this.#after(() => this.#store.all());
    this.#draw();
    if (this.#id && !this.#shown) {
      this.#on.show("", true);
      this.#tell(gettext("This list was deleted elsewhere."));
    } else if (before !== undefined && before !== this.#shown?.symbols.join()) this.#on.changed();
  }

  #draw() {
    const options = [["", gettext("All symbols")], ...this.#all.map(({ id, name }) => [id, name]), [NEW, gettext("New list…")]];
    if (JSON.stringify([...this.#select.options].map((one) => [one.value, one.text])) !== JSON.stringify(options))
      this.#select.replaceChildren(...options.map(([value, name]) => new Option(name, value)));
    this.#select.value = this.#shown ? this.#id : "";
    this.#edit.disabled = !this.#shown;
    const target = this.#target;
    const inside = Boolean(target?.symbols.includes(this.#code));
    this.#star.disabled = !this.#code;
    this.#star.textContent = inside ? "★" : "☆";
    this.#star.setAttribute("aria-pressed", String(inside));
    this.#star.title = target ? interpolate(gettext("in %s"), [target.name]) : gettext("in a new list");
    this.#star.setAttribute("aria-label", this.#star.title);
  }

  #tell(text) {
    this.#told.textContent = text;
  }
}
