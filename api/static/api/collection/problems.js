// What is wrong, the worst first, each with what to do. An alarm says itself what was found; what to do about it comes with
// the page (`remedies`).
import { age, inLanguage, number } from "../page/format.js";
import { alarmNamed, queueNamed } from "../page/titles.js";
import * as links from "./links.js";

const DEEP = 100; // messages in a queue
const SILENT_S = 10; // a terminal says something every few seconds
const STILL_S = 90; // the history has a point every ten seconds
const WORST = new Set([
  "storage_failing", "redis_away", "redis_full", "broker_failing", "ledger_lost", "rollover_failed", "backup_failed", "backup_unverified",
  "spool_differs", "checksum_mismatch",
]);

const remedy = (code) => document.getElementById("remedies").content.querySelector(`[data-code="${CSS.escape(code)}"]`)?.textContent ?? "";
const bad = (title, words, cure, href = "") => ({ level: "bad", title, words, cure, href });
const warn = (title, words, cure, href = "") => ({ level: "warn", title, words, cure, href });

// `status` and `upkeep` as REST has them, `newest` the last moment of the history (ms) or null.
export function problems({ status, upkeep, newest }) {
  const found = [];
  const now = Date.parse(status.t), clients = status.ingest.flatMap((server) => server.clients ?? []);
  if (!status.redis) found.push(bad(gettext("Redis does not answer"), gettext("Queues, live prices and this page's history are in it. Batches wait in the terminals; nothing is lost."), gettext("Start Redis, or look why it cannot be reached: manage.py doctor"), links.overview()));
  else if (!status.ingest.length) found.push(bad(gettext("No ingest server runs"), gettext("Terminals cannot connect; they keep what they see in their spools."), gettext("Start runingest (systemctl start naru-ingest) and read its log")));
  else if (!clients.length) found.push(warn(gettext("No terminal is connected"), "", gettext("Are the PCs of the dealing room on, and may they reach the ingest server's port?"), links.client()));
  if (status.ingest.some((server) => server.paused)) found.push(bad(gettext("Intake is paused"), gettext("More is in flight than may be: the workers or the database cannot keep up."), gettext("Look whether the workers run and what the database waits for"), links.batches()));
  for (const [name, depth] of Object.entries(status.queues ?? {})) {
    if (depth > DEEP) found.push(warn(interpolate(gettext("%s messages wait in %s"), [number(depth), queueNamed(name)]), "", gettext("Does the worker of this queue run? See its log"), "/collection#chart-queues"));
  }
  for (const one of clients) {
    const silent = now / 1000 - one.heard;
    if (silent > SILENT_S) found.push(warn(interpolate(gettext("%s is silent"), [one.client]), interpolate(gettext("last heard %s"), [age(silent)]), gettext("Is the PC asleep, or its network cut? It comes back by itself"), links.client(one.client)));
  }
  for (const alarm of status.upkeep.alarms) {
    const words = inLanguage(alarm, alarm.message);
    const title = alarmNamed(alarm.code, alarm.subject);
    const since = interpolate(gettext("since %s"), [age((now - Date.parse(alarm.since)) / 1000)]);
    found.push({ level: WORST.has(alarm.code) ? "bad" : "warn", title, since, words, cure: remedy(alarm.code), href: links.alarms(alarm.code) });
  }
  if (status.redis && newest !== null && now - newest > STILL_S * 1000) found.push(warn(gettext("The past hours are not measured any more"), interpolate(gettext("last measured %s"), [age((now - newest) / 1000)]), gettext("Do beat and worker-slow run?"), links.overview()));
  const [last] = upkeep?.rollovers ?? [];
  if (status.upkeep.behind && last && last.state !== "done" && !status.upkeep.alarms.some(({ code }) => code.startsWith("rollover"))) {
    found.push(warn(interpolate(gettext("The rollover of %s is not done"), [last.date]), inLanguage(last, last.error), gettext("It goes on by itself every minute; if it does not, read the log of worker-upkeep"), links.rollover(last.date)));
  }
  return found.sort((a, b) => (a.level === b.level ? 0 : a.level === "bad" ? -1 : 1));
}

// Where it only became older, it stays the same elements: one may be pressed, or have the focus.
export function list(place, found) {
  const as = JSON.stringify(found, (name, value) => (name === "since" ? "" : value));
  if (place.dataset.as === as) {
    for (const [nth, { since }] of found.entries()) if (since) place.children[nth].querySelector("small").textContent = since;
    return;
  }
  place.dataset.as = as;
  if (!found.length) {
    place.replaceChildren(Object.assign(document.createElement("li"), { className: "well", textContent: gettext("Nothing. Everything that is watched is as it should be.") }));
    return;
  }
  place.replaceChildren(...found.map(({ level, title, since, words, cure, href }) => {
    const item = document.createElement("li");
    item.dataset.level = level;
    const head = document.createElement("b");
    const named = href ? Object.assign(document.createElement("a"), { href }) : head;
    named.textContent = title;
    if (named !== head) head.append(named);
    item.append(head);
    if (since) item.append(" ", Object.assign(document.createElement("small"), { textContent: since }));
    if (words) item.append(Object.assign(document.createElement("p"), { textContent: words }));
    if (cure) item.append(Object.assign(document.createElement("p"), { className: "do", textContent: cure }));
    return item;
  }));
}
