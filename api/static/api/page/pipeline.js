// The pipeline's counters and the connected terminals, asked for every two seconds.
import { age, number, short } from "./format.js";
import * as rest from "./rest.js";

const EVERY_MS = 2000;
const POINTS = 60;
const ALARMS = 5; // codes that are named

export class Pipeline {
  #show; #before = null; #rates = [];

  // `changed` gets the feeds with their nature whenever they are known anew.
  constructor(element, changed) {
    this.#show = element;
    const look = async () => {
      try {
        const status = await rest.status();
        this.#counters(status);
        this.#clients(status);
        this.#upkeep(status);
        changed(status);
      } catch {
        this.#show("rate").textContent = "–";
      }
      setTimeout(look, EVERY_MS);
    };
    look();
  }

  #counters({ t, counters, queues, commit_ms: commit, ingest }) {
    const stored = counters.stored ?? 0;
    const at = Date.parse(t);
    if (this.#before && at > this.#before.at && stored >= this.#before.stored) {
      this.#rates = [...this.#rates, (stored - this.#before.stored) / ((at - this.#before.at) / 1000)].slice(-POINTS);
      this.#show("rate").textContent = number(this.#rates.at(-1));
      this.#draw();
    }
    if (!this.#before || at > this.#before.at) this.#before = { at, stored };
    this.#show("stored").textContent = short(stored);
    this.#show("commits").textContent = interpolate(gettext("commits %s · batches %s"), [number(counters.commits ?? 0), number(counters.batches ?? 0)]);
    const waiting = queues ? Object.values(queues).reduce((sum, depth) => sum + depth, 0) : null;
    this.#show("queues").textContent = waiting === null ? "–" : number(waiting);
    this.#show("queues").title = queues ? Object.entries(queues).map(([name, depth]) => `${name} ${depth}`).join("\n") : "";
    const flying = ingest.reduce((sum, server) => sum + (server.inflight_batches ?? 0), 0);
    const paused = ingest.some((server) => server.paused);
    this.#show("inflight").textContent = [interpolate(gettext("%s batches in flight"), [number(flying)]), ...(paused ? [gettext("intake paused")] : [])].join(" · ");
    this.#show("queues").closest("article").classList.toggle("alarm", paused || waiting > 100);
    this.#show("commit").textContent = commit ? `${number(commit.p50, 1)} ms` : "–";
    this.#show("commit95").textContent = commit ? `p95 ${number(commit.p95, 1)} ms` : "";
    this.#show("rejected").textContent = short(counters.rejected ?? 0);
    this.#show("rejected").closest("article").classList.toggle("alarm", Boolean(counters.dead || counters.refused));
    this.#show("dead").textContent = interpolate(gettext("batches refused %s · dead %s"), [number(counters.refused ?? 0), number(counters.dead ?? 0)]);
  }

  #clients({ t, ingest }) {
    const now = Date.parse(t) / 1000;
    const clients = ingest.flatMap((server) => server.clients ?? []).sort((a, b) => a.client.localeCompare(b.client));
    this.#show("terminals").textContent = number(clients.length);
    const heard = clients.length ? Math.max(...clients.map((one) => now - one.heard)) : 0;
    this.#show("heard").textContent = ingest.length ? (clients.length ? interpolate(gettext("last heard %s"), [age(heard)]) : gettext("none connected")) : gettext("no ingest server");
    this.#show("terminals").closest("article").classList.toggle("alarm", !ingest.length || heard > 10);
    this.#show("clients").replaceChildren(
      ...clients.map((one) => {
        const item = document.createElement("li");
        const parts = [["b", one.client], ["span", `${number(one.rate ?? 0)}/s`], ["small", one.source], ["small", age(now - one.heard)]];
        if (Math.abs(one.clock_offset_ms ?? 0) >= 1000) parts.push(["small", interpolate(gettext("clock %s s"), [(one.clock_offset_ms / 1000).toFixed(1)])]);
        item.append(...parts.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
        return item;
      }),
    );
  }

  #upkeep({ t, upkeep }) {
    const { rolled, behind, backup, alarms } = upkeep;
    this.#show("rolled").textContent = rolled ? rolled.slice(5) : "–";
    this.#show("upkeep").textContent = backup ? interpolate(gettext("backup %s"), [age((Date.parse(t) - Date.parse(backup)) / 1000)]) : gettext("no backup");
    const line = this.#show("alarms");
    line.hidden = !alarms.length;
    line.textContent = interpolate(gettext("alarms %s · %s"), [number(alarms.length), [...new Set(alarms.map(({ code }) => code))].slice(0, ALARMS).join(", ")]);
    line.title = alarms.map(({ code, subject, message, texts }) => `${code} ${subject} ${texts?.[document.documentElement.lang] ?? message}`.trim()).join("\n");
    this.#show("rolled").closest("article").classList.toggle("alarm", Boolean(behind));
  }

  #draw() {
    const most = Math.max(...this.#rates, 1);
    const points = this.#rates.map((rate, place) => `${(place / (POINTS - 1)) * 120},${23 - (rate / most) * 22}`);
    this.#show("spark").querySelector("polyline").setAttribute("points", points.join(" "));
  }
}
