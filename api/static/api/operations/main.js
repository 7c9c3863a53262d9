// The page of operations: what lies aside, how the upkeep ran, and buttons that ask a worker. Asks by REST while somebody
// looks, and sooner while something that was asked for is going on.
import { LOCALE, dayAndTime, number, time } from "../page/format.js";

const EVERY_MS = 5000, GOING_MS = 1000;
const show = (id) => document.getElementById(id);
const moment = (text) => (text ? dayAndTime(new Date(text)).replace(" KST", "") : "–");
const WORKS = {
  requeue: gettext("Judge again"), rollover: gettext("Do what is due"), backup: gettext("Back up now"), retention: gettext("Apply retention"),
};
const EXPLAINED = {
  requeue: gettext("A worker judges it again by today's rules and stores what passes, once, under its own number."),
  rollover: gettext("A worker moves every trading day that is over and not done to history."),
  backup: gettext("A worker takes a backup, restores it beside the original and compares. It may take hours of disk and processor."),
  retention: gettext("A worker drops what is past its time. It cannot be undone."),
};
const STATES = {
  running: gettext("being made"), stored: gettext("not yet restored"), verified: gettext("restored and compared"), failed: gettext("failed"), expired: gettext("expired"),
};
let wanted = null, timer = 0, turn = 0;

function cookie(name) {
  return document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

async function call(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options, headers: { Accept: "application/json", ...options.headers } });
  if (response.status === 401 || response.status === 403) location.reload(); // the login is over, or the right is gone
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(content.message ?? response.statusText);
  return content;
}

function say(words, level = "") {
  show("said").textContent = words;
  show("said").dataset.level = level;
  show("said").hidden = false;
}

// --- lists ------------------------------------------------------------------------------------------------------------

function cell(row, text, { name = "", small = "" } = {}) {
  const made = row.insertCell();
  made.textContent = text;
  if (name) made.className = name;
  if (small) made.append(Object.assign(document.createElement("small"), { textContent: small }));
}

function button(row, label, what, body) {
  const made = Object.assign(document.createElement("button"), { textContent: label });
  made.setAttribute("aria-label", `${label}: ${what}`);
  made.dataset.key = what;
  made.onclick = () => ask("requeue", body, what);
  row.insertCell().append(made);
}

// Filled anew only when something is different; what is focused stays so.
function fill(id, items, line) {
  const body = show(id), as = JSON.stringify(items);
  show(`${id}-none`).hidden = items.length > 0;
  if (body.dataset.as === as) return;
  body.dataset.as = as;
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  body.replaceChildren();
  for (const item of items) line(body, item);
  if (focused !== undefined) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const row = (line) => (body, item) => line(body.insertRow(), item);

const LINES = {
  asked: row((line, one) => {
    cell(line, moment(one.at));
    cell(line, one.by);
    cell(line, WORKS[one.work] ?? one.work, { small: one.text });
    cell(line, one.outcome, { name: one.going ? "long warn" : "long" });
  }),
  letters: row((line, one) => {
    cell(line, one.batch);
    cell(line, one.code, { name: "long text", small: one.error });
    cell(line, one.client ?? "–");
    cell(line, one.feed || "–");
    cell(line, number(one.bytes));
    cell(line, moment(one.at));
    if (one.again) button(line, gettext("Retry"), one.batch, { batch: one.batch, code: one.code });
    else line.insertCell();
  }),
  rejects: row((line, [reason, rows]) => {
    cell(line, reason);
    cell(line, number(rows));
    if (reason === "repeated_record") line.insertCell(); // is stored already
    else button(line, gettext("Judge again"), reason, { reason });
  }),
  rollovers: row((line, one) => {
    cell(line, one.date, { small: one.error });
    cell(line, one.state, { name: one.error ? "warn" : one.state === "done" ? "good" : "" });
    cell(line, number(one.ticks));
    cell(line, number(one.tries));
  }),
  backups: row((line, one) => {
    cell(line, one.name, { small: one.error });
    cell(line, STATES[one.state] ?? one.state, { name: one.state === "failed" ? "warn" : one.state === "verified" ? "good" : "" });
    cell(line, moment(one.started_at));
    cell(line, moment(one.verified_at));
    cell(line, one.verified_at ? number(one.rows) : "–");
    cell(line, number(one.bytes));
  }),
  timetable: row((line, one) => {
    cell(line, one.name, { name: "long text" });
    cell(line, one.every);
    cell(line, moment(one.last));
    cell(line, number(one.runs));
    cell(line, one.enabled ? gettext("on") : gettext("off"), { name: one.enabled ? "" : "warn" });
  }),
  alarms: (list, one) => {
    const item = document.createElement("li");
    const head = Object.assign(document.createElement("b"), { textContent: [one.code, one.subject].filter(Boolean).join(" · ") });
    const since = Object.assign(document.createElement("small"), { textContent: ` ${moment(one.since)}` });
    const words = Object.assign(document.createElement("p"), { textContent: one.texts[LOCALE.slice(0, 2)] ?? one.message });
    item.append(head, since, words);
    const cure = show("remedies").content.querySelector(`[data-code="${CSS.escape(one.code)}"]`)?.textContent;
    if (cure) item.append(Object.assign(document.createElement("p"), { className: "do", textContent: cure }));
    list.append(item);
  },
};

async function renew() {
  const mine = ++turn;
  clearTimeout(timer);
  let wait = EVERY_MS;
  try {
    const told = await call("/v2/operations");
    if (mine !== turn) return;
    fill("asked", told.asked, LINES.asked);
    fill("letters", told.dead_letters, LINES.letters);
    fill("rejects", Object.entries(told.rejects.reasons), LINES.rejects);
    for (const name of ["rollovers", "backups", "timetable", "alarms"]) fill(name, told[name], LINES[name]);
    show("letters-count").textContent = number(told.dead_letter_count);
    show("rejects-count").textContent = told.rejects.cut ? interpolate(gettext("the newest %s"), [number(told.rejects.rows)]) : number(told.rejects.rows);
    show("asof").textContent = time(new Date(told.t));
    show("away").hidden = true;
    if (told.asked.some((one) => one.going)) wait = GOING_MS;
  } catch (error) {
    if (mine !== turn) return;
    show("away").textContent = interpolate(gettext("What is shown is old: %s"), [error.message]);
    show("away").hidden = false;
  }
  if (!document.hidden) timer = setTimeout(renew, wait);
}

// --- buttons ----------------------------------------------------------------------------------------------------------

function ask(work, body = undefined, what = "") {
  wanted = { work, body };
  show("sure-title").textContent = [WORKS[work], what].filter(Boolean).join(": ");
  show("sure-what").textContent = EXPLAINED[work];
  show("sure").showModal();
}

async function go() {
  show("sure").close();
  const { work, body } = wanted;
  try {
    const headers = { "X-CSRFToken": cookie("csrftoken"), "Content-Type": "application/json" };
    const told = await call(`/v2/operations/${work}`, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
    say(told.new ? interpolate(gettext("Asked a worker: %s"), [told.asked.text]) : interpolate(gettext("Not asked again: %s, asked by %s, is not over yet"), [told.asked.text, told.asked.by]));
  } catch (error) {
    say(error.message, "bad");
  }
  await renew();
}

for (const one of document.querySelectorAll("button[data-work]")) one.onclick = () => ask(one.dataset.work);
show("yes").onclick = go;
show("no").onclick = () => show("sure").close();
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else renew();
});
renew();
