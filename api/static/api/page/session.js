// How the venue of a feed trades now, and what comes next; and the time, by the server's clock.
import { dayAndTime, time } from "./format.js";
import * as rest from "./rest.js";

const PHASES = {
  pre_market: gettext("pre-market"), pre_closing_price: gettext("off-hours at the previous close"), opening_auction: gettext("opening auction"),
  continuous: gettext("regular session"), closing_auction: gettext("closing auction"), post_closing_price: gettext("off-hours at the close"),
  single_price: gettext("off-hours single price"), after_auction: gettext("after-market auction"), after_market: gettext("after-market"),
};
const EVERY_MS = 30_000;

export class Session {
  trading = true; // whether trades may be printed now, as far as that is known
  #place; #market = ""; #feed = ""; #timer = 0; #ahead = 0; #silence = null;

  constructor(place, clock) {
    this.#place = place;
    setInterval(() => (clock.textContent = dayAndTime(this.now)), 500);
  }

  // The time by the server's clock.
  get now() {
    return new Date(Date.now() + this.#ahead);
  }

  // Whether something newer than `at` (a Date) had to come by now, as alarms and metrics have it. Nothing had of a session
  // that has just begun, nor where nobody knows the hours.
  late(at) {
    return this.#silence !== null && this.now - at > this.#silence * 1000;
  }

  follow(market, feed) {
    if (market === this.#market && feed === this.#feed) return;
    [this.#market, this.#feed] = [market, feed];
    [this.trading, this.#silence] = [true, null];
    this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    const [market, feed] = [this.#market, this.#feed];
    const other = () => market !== this.#market || feed !== this.#feed;
    let wait = EVERY_MS;
    try {
      const asked = Date.now();
      const clock = await rest.clock(market, feed);
      if (other()) return;
      this.#ahead = Date.parse(clock.timestamp) - (asked + Date.now()) / 2;
      [this.trading, this.#silence] = [clock.trading, clock.silence_s];
      this.#place.hidden = clock.next_phase_at === null; // of most markets no phases are known
      if (!this.#place.hidden) {
        this.#show(clock);
        const left = Date.parse(clock.next_phase_at) - Date.parse(clock.timestamp);
        wait = Math.min(EVERY_MS, Math.max(left + 200, 1000));
      }
    } catch {
      if (other()) return;
      [this.trading, this.#silence] = [true, null];
      this.#place.hidden = true;
    }
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  #show({ venue, phase, next_phase, next_phase_at }) {
    const at = new Date(next_phase_at);
    const near = at - Date.now() - this.#ahead < 20 * 3600 * 1000;
    this.#place.dataset.open = String(phase !== null);
    this.#place.textContent = `${venue ?? gettext("all venues")} ${name(phase)} → ${(near ? time(at) : dayAndTime(at).replace(/ KST$/, "")).replace(/:00$/, "")} ${name(next_phase)}`;
  }
}

const name = (phase) => (phase === null ? gettext("closed") : (PHASES[phase] ?? phase));
