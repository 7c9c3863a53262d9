// How the venue of a feed trades now, and what comes next; and the time, by the server's clock.
import { dayAndTime, time } from "./format.js";
import * as rest from "./rest.js";

const PHASES = {
  pre_market: gettext("pre-market"), pre_closing_price: gettext("off-hours at the previous close"), opening_auction: gettext("opening auction"),
  continuous: gettext("regular session"), closing_auction: gettext("closing auction"), post_closing_price: gettext("off-hours at the close"),
  single_price: gettext("off-hours single price"), after_auction: gettext("after-market auction"), after_market: gettext("after-market"),
};
const EVERY_MS = 30_000;
export const LATE_MS = 60_000; // what is older is not of now

export class Session {
  continuous = false; // whether trades of the feed may come at any moment now
  #place; #market = ""; #feed = ""; #timer = 0; #ahead = 0; #known = false; #since = 0;

  constructor(place, clock) {
    this.#place = place;
    setInterval(() => (clock.textContent = dayAndTime(this.now)), 500);
  }

  // The time by the server's clock.
  get now() {
    return new Date(Date.now() + this.#ahead);
  }

  // Whether something newer than `at` (a Date) had to come by now. Of a session that has just begun nothing had.
  late(at) {
    return this.continuous && this.now - Math.max(at, this.#since) > LATE_MS;
  }

  follow(market, feed) {
    if (market === this.#market && feed === this.#feed) return;
    [this.#market, this.#feed] = [market, feed];
    [this.continuous, this.#known] = [false, false];
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
      if (!this.continuous) this.#since = this.#known ? Date.parse(clock.timestamp) : 0;
      [this.continuous, this.#known] = [clock.continuous, true];
      if (clock.next_phase_at === null) return void (this.#place.hidden = true); // of most markets no phases are known
      this.#show(clock);
      const left = Date.parse(clock.next_phase_at) - Date.parse(clock.timestamp);
      wait = Math.min(EVERY_MS, Math.max(left + 200, 1000));
    } catch {
      if (other()) return;
      this.#place.hidden = true;
    }
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  #show({ venue, phase, next_phase, next_phase_at }) {
    const at = new Date(next_phase_at);
    const near = at - Date.now() - this.#ahead < 20 * 3600 * 1000;
    this.#place.hidden = false;
    this.#place.dataset.open = String(phase !== null);
    this.#place.textContent = `${venue ?? gettext("all venues")} ${name(phase)} → ${near ? time(at).slice(0, 5) : dayAndTime(at).replace(/:\d\d KST$/, "")} ${name(next_phase)}`;
  }
}

const name = (phase) => (phase === null ? gettext("closed") : (PHASES[phase] ?? phase));
