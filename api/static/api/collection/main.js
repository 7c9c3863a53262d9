// The page of collection: how terminals, queues, commits and the upkeep do, and what needs a person. Asks by REST at a
// bounded rate, and not at all while nobody looks.
import { age, dayAndTime, inLanguage, number, short, time } from "../page/format.js";
import * as rest from "../page/rest.js";
import { inWords, meaning } from "../page/reasons.js";
import { queueTitle } from "../page/titles.js";
import { STEPS } from "./words.js";
import { Figure } from "./chart.js";
import { Past } from "./history.js";
import * as links from "./links.js";
import { define, fill, write } from "./lists.js";
import { list, problems } from "./problems.js";
import { Terminal, address } from "./terminal.js";

const STATUS_MS = 5000, PAST_MS = 10_000, UPKEEP_MS = 30_000;
const OLD_MS = 20_000; // since the last answer
const SLOW_MS = 1000, DEEP = 100, CLOCK_MS = 1000;
const GIB = 2 ** 30;
const MOST_QUEUES = 8, MOST_REASONS = 5; // lines of a chart
const DISKS = {
  VAR_DIR: gettext("working files"), LOG_DIR: gettext("log files"), BACKUP_DIR: gettext("backups"), ARCHIVE_DIR: gettext("archive of past days"), "database file": gettext("database"),
};
const BACKUPS = {
  running: gettext("being made"), stored: gettext("not yet restored"), verified: gettext("restored and compared"), failed: gettext("failed"), expired: gettext("expired"),
};

const show = (id) => document.getElementById(id);
const past = new Past(), terminals = new Terminal();
const latency = (value) => (value === null || value === undefined ? "–" : value >= 10_000 ? `${number(value / 1000, 1)} s` : `${number(value, value < 10 ? 1 : 0)} ms`);
const room = (bytes) => (bytes === null || bytes === undefined ? "–" : `${number(bytes / GIB, 1)} GiB`);
const hour = new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: "Asia/Seoul", hour12: false, hour: "2-digit", minute: "2-digit" });
const at = (ms) => hour.format(new Date(ms));
const moment = (text) => (text ? dayAndTime(new Date(text)).replace(" KST", "") : "–");

// What each chart has: `columns`, and the `names` of several.
const plain = (name) => () => ({ columns: [past.column("figures", name)] });
const SHARES = ["p50", "p95", "p99"];
const shares = (name) => () => ({ columns: SHARES.map((share) => past.column("figures", `${name}_${share}`)), names: SHARES });
// A line for each that ever had something, else one for all of them together.
const each = (part, most, title, together) => () => {
  const names = past.busiest(part, most);
  return names.length ? { columns: names.map((name) => past.column(part, name)), names: names.map(title) } : { columns: [together()] };
};
const charts = {
  rate: plain("ticks_per_s"), commit: shares("commit_ms"), feed: shares("feed_ms"),
  queues: each("queues", MOST_QUEUES, queueTitle, () => past.sum("queues")), flight: plain("inflight_batches"),
  rejected: each("rejected", MOST_REASONS, inWords, () => past.column("figures", "rejected_per_s")), terminals: plain("terminals"), disk: plain("disk_free_bytes"),
};
const figure = (name, title, href, format) => new Figure(show("charts"), { title, href, format, id: `chart-${name}` });
const figures = {
  rate: figure("rate", gettext("Ticks a second"), links.prices(), (value) => number(value)),
  commit: figure("commit", gettext("Receipt to commit"), links.batches(), latency),
  feed: figure("feed", gettext("Event to feed"), links.batches(), latency),
  queues: figure("queues", gettext("Queue depth"), "#queues-title", (value) => number(value)),
  flight: figure("flight", gettext("Batches in flight"), links.batches(), (value) => number(value)),
  rejected: figure("rejected", gettext("Refused rows a second"), "#rejects-title", (value) => number(value, value < 10 ? 1 : 0)),
  terminals: figure("terminals", gettext("Terminals"), "#terminals-title", (value) => number(value)),
  disk: figure("disk", gettext("Least free disk"), "#disks-title", room),
};

let status = null, upkeep = null, answered = 0, failed = "", before = null, counted = false;

function tell() {
  const found = status ? problems({ status, upkeep, newest: past.newest }) : [];
  const old = !status || Date.now() - answered > OLD_MS;
  const badge = show("state");
  const away = show("away");
  away.hidden = !status ? !failed : !(failed || old);
  if (!away.hidden) away.textContent = status ? interpolate(gettext("%s: what is shown is as of %s"), [failed || gettext("The server does not answer"), time(new Date(status.t))]) : failed;
  badge.dataset.state = failed || (status && old) ? "lost" : !status ? "connecting" : found.length ? "delayed" : "live";
  badge.textContent = failed || (status && old) ? gettext("Disconnected") : !status ? gettext("Connecting") : found.length ? interpolate(gettext("%s to look at"), [number(found.length)]) : gettext("All well");
  if (!status) return;
  show("asof").textContent = time(new Date(status.t));
  list(show("wrong"), found);
  show("wrong-count").textContent = found.length ? number(found.length) : "";
}

function statusTold() {
  const { t, counters, queues, commit_ms: commit, ingest, redis } = status;
  const now = Date.parse(t), stored = counters.stored ?? 0;
  if (before && now > before.now && stored >= before.stored) {
    counted = true;
    figures.rate.say(`${number((stored - before.stored) / ((now - before.now) / 1000))}/s`, interpolate(gettext("%s stored"), [short(stored)]));
  }
  if (!before || now > before.now) before = { now, stored };
  const servers = ingest.length;
  const clients = ingest.flatMap((server) => server.clients ?? []).sort((a, b) => a.client.localeCompare(b.client));
  figures.commit.say(commit ? latency(commit.p50) : "–", commit ? `p95 ${latency(commit.p95)}` : "", commit && commit.p95 > SLOW_MS ? "warn" : "");
  const depths = Object.entries(queues ?? {});
  const waiting = depths.reduce((sum, [, depth]) => sum + depth, 0);
  figures.queues.say(queues ? number(waiting) : "–", gettext("messages"), waiting > DEEP ? "warn" : "");
  const flying = ingest.reduce((sum, server) => sum + (server.inflight_batches ?? 0), 0);
  const paused = ingest.some((server) => server.paused);
  figures.flight.say(servers ? number(flying) : "–", paused ? gettext("intake paused") : "", paused ? "bad" : "");
  figures.rejected.say(redis ? short(counters.rejected ?? 0) : "–", interpolate(gettext("in all · batches refused %s · dead %s"), [number(counters.refused ?? 0), number(counters.dead ?? 0)]), counters.dead ? "warn" : "");
  figures.terminals.say(number(clients.length), servers ? "" : gettext("no ingest server"), servers && clients.length ? "" : "warn");
  show("terminals-count").textContent = number(clients.length);
  show("noterminals").hidden = clients.length > 0;
  const sources = new Map(status.sources.map((one) => [one.client, one]));
  fill(show("terminals"), clients.map((one) => ({ key: one.client, cells: terminal(one, now, sources.get(one.client)) })));
  show("queues-note").textContent = queues ? "" : redis ? gettext("the broker does not answer") : gettext("Redis is away");
  topics(status.fanout, now);
  fill(show("queues"), depths.map(([name, depth]) => ({
    key: name, cells: [{ text: queueTitle(name), small: name }, { text: number(depth), href: "#chart-queues", level: depth > DEEP ? "warn" : "" }],
  })));
}

// How far another broker's topics are, where there is one.
function topics(fanout, now) {
  show("fanout").hidden = !fanout;
  if (!fanout) return;
  const ago = (text) => (text ? age((now - Date.parse(text)) / 1000) : "–");
  const note = show("topics-note"), away = !fanout.publishes
    ? gettext("nobody publishes")
    : fanout.away_since ? interpolate(gettext("the broker is away since %s"), [moment(fanout.away_since)]) : "";
  if (note.textContent !== away) note.textContent = away;
  note.classList.toggle("warn", Boolean(away));
  show("notopics").hidden = fanout.feeds.length > 0;
  fill(show("topics"), fanout.feeds.map((one) => ({
    key: one.feed, cells: [
      { text: one.feed, small: one.o === null ? gettext("read from the database") : interpolate(gettext("up to %s"), [number(one.o)]), href: links.topics(), whole: true },
      { text: `${number(one.behind_s, 1)} s`, href: links.topics(), level: one.late ? "warn" : "" },
      { text: ago(one.delivered), href: links.topics() },
    ],
  })));
}

function terminal(one, now, source) {
  const silent = now / 1000 - one.heard, offset = one.clock_offset_ms;
  const covered = upkeep?.coverage;
  const sent = covered?.terminals[one.client] ?? 0;
  return [
    { text: one.client, href: links.client(one.client) },
    { text: one.source },
    { text: moment(new Date(one.since * 1000).toISOString()), href: address(one.client) },
    { text: age(silent), href: address(one.client), level: silent > 10 ? "warn" : "" },
    { text: `${number(one.rate ?? 0)}/s`, href: address(one.client) },
    { text: number(one.waiting ?? null), href: address(one.client), level: one.waiting > 1000 ? "warn" : "" },
    { text: offset === null || offset === undefined ? "–" : `${number(offset)} ms`, href: address(one.client), level: Math.abs(offset ?? 0) >= CLOCK_MS ? "warn" : "" },
    covered?.measured
      ? { text: interpolate(gettext("%s of %s min"), [number(sent), number(covered.measured)]), href: address(one.client), level: sent < covered.measured - 2 ? "warn" : "" }
      : { text: gettext("outside the session") },
    { text: source ? said(source) : "–", href: source ? address(one.client) : "", long: true },
  ];
}

// What a source told of itself: how its symbols are covered, what it holds back.
function said({ coverage = {}, buffers, batches_waiting: waiting, gaps, t }) {
  const held = typeof buffers === "object" && buffers !== null ? Object.values(buffers).reduce((sum, one) => sum + Number(one || 0), 0) : buffers;
  const parts = Object.entries(coverage).map(([name, symbols]) => `${name} ${symbols}`);
  if (held !== undefined) parts.push(interpolate(gettext("buffers %s"), [number(held)]));
  if (waiting !== undefined) parts.push(interpolate(gettext("uncommitted %s"), [number(waiting)]));
  if (gaps !== undefined) parts.push(interpolate(gettext("gaps %s"), [number(gaps)]));
  return [...parts, at(Date.parse(t))].join(" · ");
}

function upkeepTold() {
  const { rejects, gaps, rollovers, backup, verified_backup: verified, disks, retention, dead_letters: letters, t } = upkeep;
  const now = Date.parse(t);
  const reasons = Object.entries(rejects.reasons);
  const dead = Object.entries(letters);
  write(show("rejects-count"), rejects.rows ? { text: `${number(rejects.rows)}${rejects.cut ? "+" : ""}`, href: links.refused({ since: "day" }) } : "");
  show("norejects").hidden = reasons.length + dead.length > 0;
  fill(show("rejects"), [
    ...dead.map(([code, count]) => ({ key: `letter ${code}`, cells: [{ text: code, small: [meaning(code), gettext("whole batches")].filter(Boolean).join(" · "), level: "warn" }, { text: number(count), href: links.letters(code, "day") }] })),
    ...reasons.map(([reason, rows]) => ({ key: reason, cells: [{ text: reason, small: meaning(reason) }, { text: number(rows), href: links.refused({ reason, since: "day" }) }] })),
  ]);
  write(show("gaps-count"), gaps.gaps ? { text: number(gaps.gaps), href: links.gaps(gaps.date) } : "");
  show("nogaps").hidden = gaps.of.length > 0;
  fill(show("gaps"), gaps.of.map((one) => {
    const href = links.gaps(gaps.date, one.feed, one.reason);
    return {
      key: `${one.feed} ${one.reason}`,
      cells: [one.feed, { text: one.reason, small: meaning(one.reason), wraps: true }, { text: number(one.gaps), href }, { text: number(one.rows), href }],
    };
  }));
  rollover(rollovers[0]);
  const shown = backup && backup.state !== "verified" ? backup : verified;
  show("backup-name").textContent = shown?.name ?? "";
  define(show("backup"), backups(shown, verified, now));
  fill(show("disks"), disks.map((one) => ({
    key: one.name, cells: [{ text: DISKS[one.name] ?? one.name, small: one.name.endsWith("_DIR") ? one.name : "" }, { text: room(one.free), href: "#chart-disk", level: one.short ? "warn" : "" }, { text: `${number((100 * one.free) / one.total)} %`, href: "#chart-disk" }],
  })));
  fill(show("retention"), retention.map((one) => ({ key: one.table, cells: [one.table, { text: interpolate(gettext("%s days"), [number(one.days)]), href: links.dropped(one.table) }] })));
}

function backups(shown, verified, now) {
  if (!shown) return [[gettext("State"), { text: gettext("no backup was made yet"), level: "warn" }]];
  const pairs = [
    [gettext("State"), { text: BACKUPS[shown.state] ?? shown.state, href: links.backup(shown.id), level: shown.state === "failed" ? "warn" : "" }],
    [gettext("Begun"), { text: moment(shown.started_at), href: links.backup(shown.id) }],
    [gettext("Size"), shown.bytes === null ? "–" : { text: `${number(shown.bytes / 1e6, 1)} MB`, href: links.backup(shown.id) }],
  ];
  if (shown.error) pairs.push([gettext("Error"), { text: inLanguage(shown, shown.error), level: "warn" }]);
  if (verified) {
    pairs.push([gettext("Last proof"), { text: `${moment(verified.verified_at)} (${age((now - Date.parse(verified.verified_at)) / 1000)})`, href: links.backup(verified.id) }]);
    pairs.push([gettext("Restored beside the original"), { text: interpolate(gettext("%s tables, %s rows compared"), [number(verified.tables), number(verified.rows)]), href: links.backup(verified.id) }]);
  } else pairs.push([gettext("Last proof"), { text: gettext("none was restored yet"), level: "warn" }]);
  return pairs;
}

function rollover(run) {
  show("rollover-date").textContent = run?.date ?? "";
  const steps = (run?.steps ?? []).filter(({ step, at: when }) => when || (step !== "counted" && step !== "archived"));
  const as = JSON.stringify(steps);
  if (show("rollover").dataset.as !== as) {
    show("rollover").dataset.as = as;
    show("rollover").replaceChildren(...steps.map(({ step, at: when }) => {
      const item = document.createElement("li");
      item.toggleAttribute("data-done", Boolean(when));
      item.append(Object.assign(document.createElement("span"), { textContent: STEPS[step] }), Object.assign(document.createElement("a"), { className: "quiet", href: links.rollover(run.date), textContent: moment(when) }));
      return item;
    }));
  }
  const words = run
    ? [interpolate(gettext("%s ticks · late %s · daily candles %s"), [number(run.ticks), number(run.late), number(run.daily)]), inLanguage(run, run.error), run.retry_at && interpolate(gettext("next try %s"), [moment(run.retry_at)])].filter(Boolean).join(" · ")
    : "";
  const next = interpolate(gettext("next due %s"), [moment(upkeep.next_rollover)]);
  const note = show("rollover-note");
  if (note.dataset.as === words + next) return;
  note.dataset.as = words + next;
  note.replaceChildren(...(run ? [Object.assign(document.createElement("a"), { href: links.rollover(run.date), textContent: words }), document.createElement("br")] : [gettext("No day was rolled over yet."), document.createElement("br")]), next);
}

function pastTold() {
  const last = Math.max(Date.now(), past.newest ?? 0), first = last - past.spanMs;
  for (const [name, lines] of Object.entries(charts)) {
    figures[name].draw({ times: past.times, ...lines(), stepMs: past.stepMs, first, last, time: at });
  }
  const rate = past.column("figures", "ticks_per_s").at(-1);
  if (!counted && (rate ?? null) !== null) figures.rate.say(`${number(rate)}/s`); // two statuses are needed to count it here
  const [took, worse] = ["feed_ms_p50", "feed_ms_p95"].map((name) => past.column("figures", name).at(-1));
  figures.feed.say(latency(took), (worse ?? null) === null ? "" : `p95 ${latency(worse)}`);
  figures.disk.say(room(past.column("figures", "disk_free_bytes").at(-1)));
}

// Each question by itself, again when its time has come; none while the page is hidden.
class Turn {
  #ask; #everyMs; #timer = 0; #running = false; #again = false;

  constructor(everyMs, ask) {
    this.#everyMs = everyMs;
    this.#ask = ask;
  }

  async now() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    if (this.#running) return void (this.#again = true);
    this.#running = true;
    try {
      await this.#ask();
    } finally {
      this.#running = false;
      this.#timer = setTimeout(() => this.now(), this.#again ? 0 : this.#everyMs);
      this.#again = false;
    }
  }
}

const turns = {
  status: new Turn(STATUS_MS, async () => {
    try {
      status = await rest.status();
      answered = Date.now();
      failed = "";
      statusTold();
    } catch (error) {
      failed = error.status >= 500 ? gettext("The database is away") : gettext("The server does not answer");
    }
    tell();
  }),
  past: new Turn(PAST_MS, async () => {
    try {
      if (await past.renew()) pastTold();
      show("past").hidden = true;
    } catch {
      show("past").hidden = false;
      show("past").textContent = gettext("The past hours are in Redis, which does not answer.");
    }
    tell();
  }),
  terminal: new Turn(PAST_MS, () => terminals.ask(at)),
  upkeep: new Turn(UPKEEP_MS, async () => {
    try {
      upkeep = await rest.statusUpkeep();
      upkeepTold();
      if (status) statusTold();
    } catch {
      return; // the status says what is away
    }
    tell();
  }),
};

const all = () => Object.values(turns).forEach((turn) => turn.now());
show("range").addEventListener("click", ({ target }) => {
  if (!target.dataset.resolution) return;
  for (const button of show("range").children) button.setAttribute("aria-pressed", String(button === target));
  past.choose(target.dataset.resolution);
  turns.past.now();
  toTerminal();
});
function toTerminal() {
  terminals.turn(past.resolution);
  turns.terminal.now();
}
addEventListener("hashchange", toTerminal);
document.addEventListener("visibilitychange", all);
setInterval(() => !document.hidden && tell(), STATUS_MS);
terminals.turn(past.resolution);
all();
