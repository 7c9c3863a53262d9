// What rules of whoever looks found just now: a line for each, the newest first, which leads to its chart, to all alerts,
// and may be acknowledged or put away. The stream tells those of its feed and of the system at once; of other feeds, and
// what fired while the stream was away, the list of alerts is asked.
import { addressOf } from "../market/ranking.js";
import { LOCALE, time } from "./format.js";
import * as rest from "./rest.js";

const MOST = 3, EVERY_MS = 30_000, LOOKED_AT = 20;

export class Fired {
  #place; #on; #lines = new Map(); #newest = -1; #more = 0;

  // `on` has choose(feed, code).
  constructor(place, on) {
    [this.#place, this.#on] = [place, on];
    this.look();
    setInterval(() => document.hidden || this.look(), EVERY_MS);
  }

  // As the stream tells one, perhaps not for the first time.
  take({ i, S, x, fired, name, texts, msg, quiet, owner }) {
    if (String(owner) !== this.#place.dataset.person) return; // who operates is told everybody's
    this.#put({ id: i, symbol: S, feed: x, at: fired, name, text: texts[LOCALE.slice(0, 2)] ?? msg, quiet });
  }

  // What fired since the last look. What was there before the page was opened is counted in the bar.
  async look() {
    const { alerts } = await rest.unseenAlerts(LOOKED_AT).catch(() => ({ alerts: null }));
    if (!alerts) return;
    const before = this.#newest;
    this.#newest = Math.max(before, 0, ...alerts.map((one) => one.id));
    if (before < 0) return;
    for (const one of alerts.filter(({ id, owner }) => id > before && owner === this.#place.dataset.owner).reverse())
      this.#put({ id: one.id, symbol: one.symbol, feed: one.feed, at: one.fired_at, name: one.name, text: one.texts[LOCALE.slice(0, 2)] ?? one.message, quiet: one.quiet });
  }

  #put(alert) {
    if (this.#lines.has(alert.id)) return;
    dispatchEvent(new Event("alerts-changed"));
    this.#lines.set(alert.id, alert.quiet ? null : this.#line(alert));
    if (!alert.quiet) this.#place.prepend(this.#lines.get(alert.id));
    const shown = [...this.#place.querySelectorAll("p[data-alert]")];
    for (const line of shown.slice(MOST)) {
      if (line.contains(document.activeElement)) continue;
      line.remove();
      this.#more += 1;
    }
    for (const id of [...this.#lines.keys()].slice(0, -10 * LOOKED_AT)) this.#lines.delete(id); // none that comes again
    this.#rest();
  }

  #line(alert) {
    const line = document.createElement("p");
    line.dataset.alert = alert.id;
    const stamp = Object.assign(document.createElement("time"), { textContent: time(new Date(alert.at)), dateTime: alert.at });
    const link = Object.assign(document.createElement("a"), { textContent: alert.text, href: alert.symbol && alert.feed ? addressOf(alert.feed, alert.symbol) : "/alerts" });
    if (alert.symbol && alert.feed)
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into a window of its own
        event.preventDefault();
        this.#on.choose(alert.feed, alert.symbol);
      });
    const rule = Object.assign(document.createElement("small"), { textContent: [alert.name, alert.feed].filter(Boolean).join(" · ") });
    const seen = Object.assign(document.createElement("button"), { type: "button", textContent: gettext("Acknowledge") });
    const away = Object.assign(document.createElement("button"), { type: "button", className: "away-with", textContent: "×" });
    seen.setAttribute("aria-label", `${seen.textContent}: ${alert.text}`);
    away.setAttribute("aria-label", interpolate(gettext("put away: %s"), [alert.text]));
    seen.addEventListener("click", async () => {
      seen.disabled = true;
      try {
        await rest.changed(`alerts/${alert.id}/acknowledge`, "POST");
      } catch (error) {
        [seen.disabled, rule.textContent] = [false, error.message];
        return;
      }
      dispatchEvent(new Event("alerts-changed"));
      this.#away(line);
    });
    away.addEventListener("click", () => this.#away(line));
    line.append(stamp, link, rule, seen, away);
    return line;
  }

  #away(line) {
    const held = line.contains(document.activeElement) || document.activeElement === document.body;
    const next = line.nextElementSibling ?? line.previousElementSibling;
    line.remove();
    if (held) next?.querySelector("a, button")?.focus();
    this.#rest();
  }

  // How many were overtaken by newer ones, with the way to all of them; until nothing is left to show.
  #rest() {
    const [link] = this.#place.getElementsByClassName("others");
    if (!this.#place.querySelector("p[data-alert]")) this.#more = 0;
    if (!this.#more) return void link?.remove();
    const others = link ?? Object.assign(document.createElement("a"), { className: "others", href: "/alerts" });
    const text = interpolate(gettext("%s more: all alerts"), [this.#more]);
    if (others.textContent !== text) others.textContent = text; // what is put anew is read aloud again
    if (this.#place.lastElementChild !== others) this.#place.append(others);
  }
}
