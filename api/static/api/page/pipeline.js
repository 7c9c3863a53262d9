// How the pipeline does, in one line that leads to the page of collection; asked for every two seconds.
import { number } from "./format.js";
import * as rest from "./rest.js";
import { alarmNamed } from "./titles.js";

const EVERY_MS = 2000;
const SILENT_S = 10; // a terminal says something every few seconds
const DEEP = 100; // messages in all queues

export class Pipeline {
  #show; #before = null;

  // `changed` gets the feeds with their nature whenever they are known anew.
  constructor(element, changed) {
    this.#show = element;
    const look = async () => {
      try {
        const status = await rest.status();
        this.#tell(status);
        changed(status);
      } catch {
        this.#show("rate").textContent = "–";
      }
      setTimeout(look, EVERY_MS);
    };
    look();
  }

  #tell({ t, counters, queues, commit_ms: commit, ingest, upkeep: { alarms, behind } }) {
    const stored = counters.stored ?? 0, at = Date.parse(t);
    if (this.#before && at > this.#before.at && stored >= this.#before.stored) {
      this.#show("rate").textContent = interpolate(gettext("%s ticks/s"), [number((stored - this.#before.stored) / ((at - this.#before.at) / 1000))]);
    }
    if (!this.#before || at > this.#before.at) this.#before = { at, stored };
    const clients = ingest.flatMap((server) => server.clients ?? []);
    const silent = clients.some((one) => at / 1000 - one.heard > SILENT_S);
    const waiting = Object.values(queues ?? {}).reduce((sum, depth) => sum + depth, 0);
    this.#show("terminals").textContent = ingest.length ? interpolate(gettext("terminals %s"), [number(clients.length)]) : gettext("no ingest server");
    this.#show("commit").textContent = commit ? interpolate(gettext("commit p95 %s ms"), [number(commit.p95, 0)]) : "";
    this.#show("alarms").hidden = !alarms.length;
    this.#show("alarms").textContent = interpolate(gettext("alarms %s · %s"), [number(alarms.length), alarms[0] ? alarmNamed(alarms[0].code) : ""]);
    const wrong = alarms.length || behind || silent || !ingest.length || waiting > DEEP || ingest.some((server) => server.paused);
    this.#show("health").classList.toggle("alarm", Boolean(wrong));
  }
}
