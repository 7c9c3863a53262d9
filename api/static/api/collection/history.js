// The past hours of the pipeline, as the server has them: read whole once, then only what is new.
import * as rest from "../page/rest.js";

const SPANS_MS = { "10Sec": 7_200_000, "1Min": 86_400_000 };

export class Past {
  times = []; #terminal; #parts; #resolution = "10Sec"; #stepMs = 10_000; #turn = 0;

  // Of all, or with the part `terminal` of one that is named.
  constructor(terminal = undefined) {
    this.#terminal = terminal;
    this.choose(this.#resolution);
  }

  get resolution() { return this.#resolution; }
  get spanMs() { return SPANS_MS[this.#resolution]; }
  get stepMs() { return this.#stepMs; }
  get newest() { return this.times.at(-1) ?? null; }

  choose(resolution) {
    this.#resolution = resolution;
    this.#turn += 1;
    this.times = [];
    this.#parts = this.#terminal === undefined ? { figures: {}, queues: {}, rejected: {} } : { terminal: {} };
  }

  // Reads what came since; whether it still is what was asked for.
  async renew() {
    const turn = this.#turn;
    const told = await rest.statusHistory({
      resolution: this.#resolution, terminal: this.#terminal, start: this.newest === null ? undefined : new Date(this.newest + 1).toISOString(),
    });
    if (turn !== this.#turn) return false;
    this.#stepMs = told.step_s * 1000;
    const times = told.times.map(Date.parse);
    if (times.length && this.newest !== null && times[0] <= this.newest) this.choose(this.#resolution); // Redis began anew
    const had = this.times.length;
    this.times.push(...times);
    for (const [part, columns] of Object.entries(this.#parts)) {
      for (const name of new Set([...Object.keys(columns), ...Object.keys(told[part])])) {
        const column = (columns[name] ??= Array(had).fill(null));
        column.push(...(told[part][name] ?? Array(times.length).fill(null)));
      }
    }
    const gone = this.times.findIndex((at) => at >= Date.parse(told.t) - this.spanMs);
    if (gone > 0) {
      this.times.splice(0, gone);
      for (const columns of Object.values(this.#parts)) for (const column of Object.values(columns)) column.splice(0, gone);
    }
    return true;
  }

  column(part, name) {
    return this.#parts[part][name] ?? Array(this.times.length).fill(null);
  }

  // The names of at most so many columns of a part that were ever more than nothing, of those that had the most; in the
  // order of their names, so that a line keeps its colour.
  busiest(part, most) {
    const sums = Object.entries(this.#parts[part]).map(([name, column]) => [name, column.reduce((sum, value) => sum + (value ?? 0), 0)]);
    return sums.filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]).slice(0, most).map(([name]) => name).sort();
  }

  // The sum of all columns of a part at each moment; a moment of which nothing is known stays null.
  sum(part) {
    const columns = Object.values(this.#parts[part]);
    return this.times.map((_, at) => {
      const known = columns.map((column) => column[at]).filter((value) => value !== null && value !== undefined);
      return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
    });
  }
}
