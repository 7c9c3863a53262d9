// One terminal: its past hours, and the newest ticks that it sent. Which one it is stands in the address
// (#terminal/NAME), so numbers lead to it and it stays after a reload.
import { number, size, time } from "../page/format.js";
import * as rest from "../page/rest.js";
import { Figure } from "./chart.js";
import { Past } from "./history.js";
import { fill } from "./lists.js";

const MOST_TICKS = 20;
const show = (id) => document.getElementById(id);

export const address = (name) => `#terminal/${encodeURIComponent(name)}`;

function asked() {
  const [, name] = /^#terminal\/(.+)$/.exec(location.hash) ?? [];
  try {
    return name === undefined ? null : decodeURIComponent(name);
  } catch {
    return null; // no address of ours
  }
}

// The ticks, or in words why there are none: who may not see them is told so, and stays on the page.
async function recent(name) {
  try {
    const response = await rest.reached(`/v2/status/clients/${encodeURIComponent(name)}/recent?limit=${MOST_TICKS}`, { headers: rest.ACCEPT });
    const content = rest.parsed(await response.text());
    return response.ok ? { rows: content.rows.reverse() } : { rows: [], why: rest.reason(response.status, content.message) };
  } catch (error) {
    return { rows: [], why: error instanceof rest.RestError ? error.message : gettext("The server does not answer.") };
  }
}

export class Terminal {
  #name = null; #past = null; #charts;

  constructor() {
    const figure = (column, title, format) => [column, new Figure(show("terminal-charts"), { title, format })];
    this.#charts = [
      figure("rate", gettext("Rows a second"), (value) => number(value, value < 10 ? 1 : 0)),
      figure("waiting", gettext("Waiting batches"), (value) => number(value)),
      figure("clock_offset_ms", gettext("Clock offset"), (value) => (value === null || value === undefined ? "–" : `${number(value)} ms`)),
    ];
  }

  // Whether the address names another terminal than the one that is shown.
  turn(resolution) {
    const other = !["", "#terminals-title"].includes(location.hash); // a link to another part of the page closes nothing
    const name = asked() ?? (other ? this.#name : null), changed = name !== this.#name;
    if (changed) {
      this.#name = name;
      this.#past = name === null ? null : new Past(name);
      show("terminal").hidden = name === null;
      show("terminal-name").textContent = name ?? "";
      show("terminal-ticks").replaceChildren();
      if (name !== null) {
        show("terminal-title").focus();
        show("terminal").scrollIntoView({ block: "nearest" });
      }
    }
    if (this.#past && this.#past.resolution !== resolution) this.#past.choose(resolution);
    return changed;
  }

  // Asks what is new of the terminal that is shown; `at` writes the time under a chart.
  async ask(at) {
    const name = this.#name, past = this.#past;
    if (name === null) return;
    // An ingest server that does not answer is waited for by the ticks alone.
    await Promise.all([past.renew().then(() => this.#draw(past, at), () => false), recent(name).then((told) => this.#list(name, told))]);
  }

  #draw(past, at) {
    if (past !== this.#past) return;
    const last = Math.max(Date.now(), past.newest ?? 0);
    for (const [column, figure] of this.#charts) {
      const values = past.column("terminal", column);
      figure.draw({ times: past.times, columns: [values], stepMs: past.stepMs, first: last - past.spanMs, last, time: at });
      figure.say(figure.text(values.at(-1)));
    }
  }

  #list(name, { rows, why }) {
    if (name !== this.#name) return;
    const note = why ?? (rows.length ? "" : gettext("It sent nothing of late."));
    if (show("terminal-note").textContent !== note) show("terminal-note").textContent = note; // else it is read aloud again
    fill(show("terminal-ticks"), rows.map((row, place) => ({
      key: String(place), cells: [
        time(new Date(row.received)), row.time ? time(new Date(row.time)) : "–", row.feed, row.symbol ?? "–", row.kind ?? "–",
        { text: row.price === undefined ? "–" : size(row.price) }, { text: row.size === undefined ? "–" : size(row.size) },
      ],
    })));
  }
}
