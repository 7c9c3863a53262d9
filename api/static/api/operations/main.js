// The page of operations: what lies aside, how the upkeep ran, and buttons that ask a worker. Asks by REST while somebody
// looks, and sooner while something that was asked for is going on.
import * as links from "../collection/links.js";
import { ROLLOVER, span } from "../collection/words.js";
import { ACCEPT, reached, reason } from "../page/rest.js";
import { LOCALE, dayAndTime, inLanguage, number, time } from "../page/format.js";
import { meaning } from "../page/reasons.js";
import { alarmNamed } from "../page/titles.js";

const EVERY_MS = 5000, GOING_MS = 1000;
const show = (id) => document.getElementById(id);
const moment = (text) => (text ? dayAndTime(new Date(text)).replace(" KST", "") : "–");
const WORKS = {
  requeue: gettext("Judge again"), rollover: gettext("Do what is due"), backup: gettext("Back up now"), retention: gettext("Apply retention"), repair: gettext("Fetch the gaps from KIS"),
};
const EXPLAINED = {
  requeue: gettext("A worker judges it again by today's rules and stores what passes, once, under its own number."),
  rollover: gettext("A worker moves every trading day that is over and not done to history."),
  backup: gettext("A worker takes a backup, restores it beside the original and compares. It may take hours of disk and processor."),
  retention: gettext("A worker drops what is past its time. It cannot be undone."),
};
const ALARM = {
  acknowledge: [gettext("Acknowledge"), gettext("It says that you look after it. The alarm stands until it is found mended.")],
  clear: [gettext("Clear the alarm"), gettext("It says that the trouble is over. If it is not, whatever finds it raises the alarm anew.")],
};
const STATES = {
  running: gettext("being made"), stored: gettext("not yet restored"), verified: gettext("restored and compared"), failed: gettext("failed"), expired: gettext("expired"),
};
let wanted = null, timer = 0, turn = 0;

function cookie(name) {
  return document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

async function call(path, options = {}) {
  const response = await reached(path, { ...options, headers: { ...ACCEPT, ...options.headers } });
  if (response.status === 401 || response.status === 403) location.reload(); // the login is over, or the right is gone
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(reason(response.status, content.message));
  return content;
}

function say(words, level = "") {
  show("said").textContent = words;
  show("said").dataset.level = level;
  show("said").hidden = false;
}

// --- lists ------------------------------------------------------------------------------------------------------------

function linked(holder, text, href) {
  if (href) holder.append(Object.assign(document.createElement("a"), { href, textContent: text }));
  else holder.textContent = text;
}

// A number beside a title; its link stays the same one, so that it keeps the focus.
function count(id, text, href) {
  const link = show(id).querySelector("a") ?? show(id).appendChild(document.createElement("a"));
  link.href = href;
  link.textContent = text;
}

function cell(row, text, { name = "", small = "", href = "" } = {}) {
  const made = row.insertCell();
  linked(made, text, href);
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

// What is going on, or ended without a word of its worker, in the reader's language; else how it ended.
function outcome(one) {
  if (one.lost) return gettext("not finished: its worker ended, or none took it. It may be asked for again");
  if (one.going) return one.outcome === "asked" ? gettext("waits for a worker") : gettext("in progress");
  return inLanguage(one, one.outcome);
}

function alarmHead(one, ...small) {
  const item = document.createElement("li");
  const head = document.createElement("b");
  linked(head, alarmNamed(one.code, one.subject), links.alarm(one.id));
  item.append(head, ...small.filter(Boolean).map((words) => Object.assign(document.createElement("small"), { textContent: ` ${words}` })));
  return item;
}

const shownMessage = (one) => Object.assign(document.createElement("p"), { textContent: inLanguage(one, one.message) });

function alarmButton(one, what) {
  const named = alarmNamed(one.code, one.subject);
  const made = Object.assign(document.createElement("button"), { textContent: ALARM[what][0] });
  made.setAttribute("aria-label", `${ALARM[what][0]}: ${named}`);
  made.dataset.key = `${what}-${one.id}`;
  made.onclick = () => look(`${ALARM[what][0]}: ${named}`, ALARM[what][1], { path: `alarms/${one.id}`, body: { do: what }, told: () => `${ALARM[what][0]}: ${named}` });
  return made;
}

const row = (line) => (body, item) => line(body.insertRow(), item);

const LINES = {
  asked: row((line, one) => {
    cell(line, moment(one.at), { href: links.asked(one.id) });
    cell(line, one.by);
    cell(line, WORKS[one.work] ?? one.work, { small: one.text });
    cell(line, outcome(one), { name: one.going || one.lost ? "long warn" : "long" });
  }),
  letters: row((line, one) => {
    cell(line, one.batch, { href: links.letter(one.id) });
    cell(line, one.code, { name: "long text", small: [meaning(one.code), one.error].filter(Boolean).join(" · ") });
    cell(line, one.client ?? "–");
    cell(line, one.feed || "–");
    cell(line, number(one.bytes), { href: links.letter(one.id) });
    cell(line, moment(one.at), { href: links.letter(one.id) });
    if (one.again) button(line, gettext("Retry"), one.batch, { batch: one.batch, code: one.code });
    else line.insertCell();
  }),
  rejects: row((line, [reason, rows]) => {
    cell(line, reason, { small: meaning(reason) });
    cell(line, number(rows), { href: links.refused({ reason }) });
    if (reason === "repeated_record") line.insertCell(); // is stored already
    else button(line, gettext("Judge again"), reason, { reason });
  }),
  rollovers: row((line, one) => {
    cell(line, one.date, { small: inLanguage(one, one.error), href: links.rollover(one.date) });
    cell(line, ROLLOVER[one.state] ?? one.state, { name: one.error ? "warn" : one.state === "done" ? "good" : "" });
    cell(line, number(one.ticks), { href: links.rollover(one.date) });
    cell(line, number(one.tries), { href: links.rollover(one.date) });
  }),
  backups: row((line, one) => {
    cell(line, one.name, { small: inLanguage(one, one.error), href: links.backup(one.id) });
    cell(line, STATES[one.state] ?? one.state, { name: one.state === "failed" ? "warn" : one.state === "verified" ? "good" : "" });
    cell(line, moment(one.started_at), { href: links.backup(one.id) });
    cell(line, moment(one.verified_at), { href: one.verified_at ? links.backup(one.id) : "" });
    cell(line, one.verified_at ? number(one.rows) : "–", { href: links.backup(one.id) });
    cell(line, number(one.bytes), { href: links.backup(one.id) });
    const there = one.copy_proven_at ? gettext("proven") : one.copied_at ? gettext("copied") : "–";
    cell(line, there, { name: one.copy_proven_at ? "good" : "", small: one.copied_at ? moment(one.copy_proven_at ?? one.copied_at) : "", href: one.copied_at ? links.backup(one.id) : "" });
  }),
  timetable: row((line, one) => {
    cell(line, show("names").content.querySelector(`[data-name="${CSS.escape(one.name)}"]`)?.textContent ?? one.name, { name: "long text" });
    cell(line, one.every_s ? span(one.every_s) : one.every_texts[LOCALE.slice(0, 2)] ?? one.every);
    cell(line, moment(one.last), { href: one.last ? links.turn(one.name) : "" });
    cell(line, one.overdue ? interpolate(gettext("was due %s: does beat run?"), [moment(one.next)]) : moment(one.next), { name: one.overdue ? "warn" : "" });
    cell(line, number(one.runs), { href: links.turn(one.name) });
    cell(line, one.enabled ? gettext("on") : gettext("off"), { name: one.enabled ? "" : "warn" });
  }),
  alarms: (list, one) => {
    const seen = one.acknowledged && interpolate(gettext("acknowledged by %s, %s"), [one.acknowledged_by, moment(one.acknowledged)]);
    const item = alarmHead(one, moment(one.since), seen);
    item.append(shownMessage(one));
    const cure = show("remedies").content.querySelector(`[data-code="${CSS.escape(one.code)}"]`)?.textContent;
    if (cure) item.append(Object.assign(document.createElement("p"), { className: "do", textContent: cure }));
    const acts = Object.assign(document.createElement("p"), { className: "acts" });
    if (!one.acknowledged) acts.append(alarmButton(one, "acknowledge"));
    acts.append(alarmButton(one, "clear"));
    item.append(acts);
    list.append(item);
  },
  cleared: (list, one) => {
    const how = one.cleared_by ? interpolate(gettext("cleared by %s"), [one.cleared_by]) : gettext("cleared by itself");
    const item = alarmHead(one, `${moment(one.since)} – ${moment(one.cleared)}`, how);
    item.append(shownMessage(one));
    list.append(item);
  },
};

function copies(told) {
  const line = show("copies");
  line.hidden = !told;
  if (!told) return;
  const said = [
    interpolate(gettext("Other place: %s"), [told.place]),
    told.copied ? interpolate(gettext("last copy %s"), [moment(told.copied_at)]) : gettext("nothing was copied yet"),
    told.proven_at ? interpolate(told.restored ? gettext("last restored from there and compared %s") : gettext("last fetched from there and compared %s"), [moment(told.proven_at)]) : gettext("never proven from there"),
    interpolate(gettext("opens with the private key of %s"), [told.recipients.join(", ")]),
  ];
  if (!told.signed) said.push(gettext("signatures are not asked for"));
  else if (told.unsigned) said.push(interpolate(gettext("%s copies wait for a signature"), [number(told.unsigned)]));
  else if (told.signer) said.push(interpolate(gettext("signed by %s"), [told.signer]));
  if (told.waiting) said.push(interpolate(gettext("%s backups wait to be copied"), [number(told.waiting)]));
  line.replaceChildren();
  linked(line, said.join(" · "), links.backups());
  line.classList.toggle("warn", !told.proven_at || told.waiting > 1 || (told.signed && told.unsigned > 0));
}

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
    for (const name of ["rollovers", "backups", "timetable", "alarms", "cleared"]) fill(name, told[name], LINES[name]);
    copies(told.copies);
    show("cleared-count").textContent = number(told.cleared.length);
    count("letters-count", number(told.dead_letter_count), links.letters());
    count("rejects-count", told.rejects.cut ? interpolate(gettext("the newest %s"), [number(told.rejects.rows)]) : number(told.rejects.rows), links.refused());
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

function look(title, explained, what) {
  wanted = what;
  show("sure-title").textContent = title;
  show("sure-what").textContent = explained;
  show("sure").showModal();
}

function ask(work, body = undefined, what = "") {
  const told = (answer) => (answer.new ? interpolate(gettext("Asked a worker: %s"), [answer.asked.text]) : interpolate(gettext("Not asked again: %s, asked by %s, is not over yet"), [answer.asked.text, answer.asked.by]));
  look([WORKS[work], what].filter(Boolean).join(": "), EXPLAINED[work], { path: work, body, told });
}

async function go() {
  show("sure").close();
  const { path, body, told } = wanted;
  try {
    const headers = { "X-CSRFToken": cookie("csrftoken"), "Content-Type": "application/json" };
    say(told(await call(`/v2/operations/${path}`, { method: "POST", headers, body: JSON.stringify(body ?? {}) })));
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
