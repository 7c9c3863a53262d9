// The page of alerts: what rules found, and the rules themselves. All of it by REST, as anybody may.
import { addressOf } from "../market/ranking.js";
import { inLanguage } from "../page/format.js";
import { ACCEPT, RestError, reached, reason } from "../page/rest.js";

const LOCALE = document.documentElement.lang === "en" ? "en-US" : "ko-KR";
const EVERY_MS = 3000;
const OTHERS_EVERY_MS = 30_000; // rules, which may be changed elsewhere or switched off for being too loud, and targets
const at = (id) => document.getElementById(id);
const moment = new Intl.DateTimeFormat(LOCALE, {
  timeZone: "Asia/Seoul", hour12: false, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const DIRECTIONS = { above: gettext("at or above"), below: gettext("at or below"), crossing: gettext("crosses") };
// Of each kind: the directions there are, what its level is called, whether it has a band, and whether
// it counts trading hours alone.
const KINDS = {
  price: { directions: ["above", "below", "crossing"], level: gettext("Price"), band: true },
  change: { directions: ["above", "below"], level: gettext("Change, %"), band: true },
  limit: { directions: ["above", "below"], names: { above: gettext("upper limit"), below: gettext("lower limit") }, band: true },
  volume: { directions: [], own: ["minutes"], level: gettext("Times the usual volume"), band: true },
  status: { directions: [], own: ["status"] },
  stale: { directions: [], own: ["seconds"], hours: true },
  gap: { directions: [], own: ["seconds"], seconds: gettext("At least so long, s") },
  terminal: { directions: [], own: ["client", "seconds"], ofSystem: true },
  alarm: { directions: [], own: ["code"], ofSystem: true },
  queue: { directions: [], own: ["queue", "seconds"], level: gettext("Messages that wait"), band: true, ofSystem: true },
};
const FIELDS = () => ({
  name: gettext("Name"), kind: gettext("Kind"), level: KINDS[at("kind").value]?.level, band: gettext("Band"), direction: gettext("When"), symbols: gettext("Symbols"),
  watchlist: gettext("Watch list"), market: gettext("Market"), feed: gettext("Feed"), cooldown_s: gettext("Pause"), quiet_from: gettext("Quiet hours"), owner: gettext("Quota"),
  client: gettext("Terminal"), code: gettext("Alarm"), seconds: KINDS[at("kind").value]?.seconds ?? gettext("For so long, s"), status: gettext("Status"), queue: gettext("Queue"), minutes: gettext("Of the newest minutes"),
});
const ME = document.querySelector("main").dataset.user;
let targets = [];
let lists = [];
let edited = null;
let oldest = null;
let shownAs = "";
let targetsShownAs = "";
let rulesShownAs = "";
let rulesAsked = 0;

function cookie(name) {
  return document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

async function call(path, method = "GET", body = undefined) {
  const headers = { ...ACCEPT };
  if (method !== "GET") headers["X-CSRFToken"] = cookie("csrftoken");
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await reached(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 401) location.reload();
  if (response.status === 204) return null;
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new RestError(response.status, reason(response.status, content.message), content.errors);
  return content;
}

function made(tag, text = "", name = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (name) element.className = name;
  return element;
}

// --- alerts ---------------------------------------------------------------------------------------------------------

function asked(token) {
  const query = new URLSearchParams(at("state").value);
  if (at("kind-filter").value) query.set("kind", at("kind-filter").value);
  const symbol = at("symbol-filter").value.trim();
  if (symbol) query.set("symbols", symbol);
  query.set("limit", "100");
  if (token) query.set("page_token", token);
  return `/v2/alerts?${query}`;
}

function line(alert) {
  const row = made("tr", "", alert.acknowledged_at ? "" : "unseen");
  const time = made("td");
  const stamp = made("time", moment.format(new Date(alert.fired_at)));
  stamp.dateTime = alert.fired_at;
  time.append(stamp);
  const message = made("td", "", "message");
  const words = alert.texts[LOCALE.slice(0, 2)] ?? alert.message;
  if (alert.symbol && alert.feed) message.append(Object.assign(made("a", words), { href: addressOf(alert.feed, alert.symbol) })); // to its chart
  else if (!alert.symbol) message.append(Object.assign(made("a", words), { href: "/collection" })); // of the system
  else message.textContent = words;
  const rule = made("td", alert.name, "rule");
  if (alert.feed) rule.append(made("small", alert.feed));
  const state = made("td");
  const badge = made("span", alert.cleared_at ? gettext("over") : gettext("still so"), "state");
  badge.dataset.open = String(!alert.cleared_at);
  state.append(badge);
  if (alert.quiet) state.append(made("small", gettext("quiet hours")));
  const last = made("td");
  if (alert.acknowledged_at) {
    last.append(made("small", interpolate(gettext("seen by %s"), [alert.acknowledged_by])));
  } else {
    const button = made("button", gettext("Acknowledge"));
    button.onclick = () => run(async () => {
      await call(`/v2/alerts/${alert.id}/acknowledge`, "POST");
      await showAlerts();
    });
    last.append(button);
  }
  row.append(time, message, rule, state, last);
  return row;
}

async function showAlerts() {
  const page = await call(asked());
  const text = JSON.stringify(page.alerts);
  if (text === shownAs) return; // what is being read or focused stays
  shownAs = text;
  dispatchEvent(new Event("alerts-changed")); // the number in the bar
  const focused = [...at("fired").querySelectorAll("a, button")].indexOf(document.activeElement);
  at("fired").replaceChildren(...page.alerts.map(line));
  if (focused >= 0) at("fired").querySelectorAll("a, button")[focused]?.focus();
  at("none").hidden = page.alerts.length > 0;
  oldest = page.next_page_token;
  at("more").hidden = !oldest;
}

async function showOlder() {
  const page = await call(asked(oldest));
  at("fired").append(...page.alerts.map(line));
  oldest = page.next_page_token;
  at("more").hidden = !oldest;
}

// --- targets --------------------------------------------------------------------------------------------------------

const day = (text) => moment.format(new Date(text));

// What arrived last and what failed last; the newer of both says whether it works.
function fate(target) {
  const isFailing = target.failed_at && !(target.delivered_at > target.failed_at);
  const parts = [];
  if (target.failed_at) parts.push(interpolate(gettext("failed %(time)s: %(error)s"), { time: day(target.failed_at), error: inLanguage(target, target.error) }, true));
  if (target.delivered_at) parts.push(interpolate(gettext("delivered %s"), [day(target.delivered_at)]));
  if (!isFailing) parts.reverse();
  return made("small", parts.join(" · ") || gettext("nothing was sent yet"), isFailing ? "fate failing" : "fate");
}

async function showTargets() {
  targets = (await call("/v2/alerts/targets")).targets.filter((one) => one.owner === ME);
  const text = JSON.stringify(targets);
  if (text === targetsShownAs) return; // what is being read or focused stays
  targetsShownAs = text;
  const focused = [...at("targets").querySelectorAll("button")].indexOf(document.activeElement);
  at("targets").replaceChildren(...targets.map((target) => {
    const item = made("li");
    item.append(made("b", target.name), made("small", target.shown), fate(target));
    const acts = made("span", "", "acts");
    const test = made("button", gettext("Test"));
    const remove = made("button", gettext("Delete"));
    for (const button of [test, remove]) button.setAttribute("aria-label", `${button.textContent}: ${target.name}`);
    test.onclick = () => run(async () => {
      test.disabled = true;
      try {
        const answer = await call(`/v2/alerts/targets/${target.id}/test`, "POST");
        at("told").textContent = answer.delivered
          ? interpolate(gettext("%s: a message was delivered."), [target.name])
          : interpolate(gettext("%(name)s: not delivered (%(error)s)."), { name: target.name, error: answer.error }, true);
      } finally { test.disabled = false; }
      await showTargets();
    });
    remove.onclick = () => run(async () => {
      await call(`/v2/alerts/targets/${target.id}`, "DELETE");
      at("told").textContent = "";
      await showTargets();
    });
    acts.append(test, remove);
    item.append(acts);
    return item;
  }));
  if (focused >= 0) at("targets").querySelectorAll("button")[focused]?.focus();
}

async function addTarget(event) {
  event.preventDefault();
  const given = { name: at("target-name").value.trim(), kind: at("target-kind").value, address: at("target-address").value.trim() };
  try {
    const target = await call("/v2/alerts/targets", "POST", given);
    at("told").textContent = target.secret
      ? interpolate(gettext("Its messages are signed with %s: note it now, it is not shown again."), [target.secret]) : "";
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    at("told").textContent = complaint(error, "target-");
    return;
  }
  at("target").reset();
  await showTargets();
}

function complaint(error, prefix = "") {
  const names = { ...FIELDS(), address: gettext("Address"), targets: gettext("Delivered to") };
  for (const name of Object.keys(error.fields)) at(prefix + name)?.setAttribute("aria-invalid", "true");
  const lines = Object.entries(error.fields).map(([name, texts]) => `${names[name] ?? name}: ${[texts].flat().join(" ")}`);
  return lines.join("\n") || error.message;
}

// --- rules ----------------------------------------------------------------------------------------------------------

function told(rule) {
  const { direction, level, band, client, code, seconds, status, queue, minutes } = rule.parameters;
  const kind = KINDS[rule.kind];
  const parts = [at("kind").querySelector(`[value="${rule.kind}"]`)?.textContent ?? rule.kind];
  if (direction && rule.kind !== "volume") parts.push(kind?.names?.[direction] ?? DIRECTIONS[direction] ?? direction);
  if (level !== undefined) parts.push(rule.kind === "change" ? `${level}%` : rule.kind === "volume" ? `×${level}` : level);
  if (minutes) parts.push(interpolate(gettext("in %s min"), [minutes]));
  if (client) parts.push(client);
  for (const [name, value] of [["code", code], ["queue", queue]]) if (value) parts.push(at(name).querySelector(`[value="${CSS.escape(value)}"]`)?.textContent ?? value);
  if (status) parts.push(at("status").querySelector(`[value="${status}"]`)?.textContent ?? status);
  if (seconds) parts.push(interpolate(rule.kind === "gap" ? gettext("of %s s or more") : gettext("for %s s"), [seconds]));
  if (kind?.ofSystem) return parts.join(" ");
  if (band) parts.push(interpolate(gettext("band %s"), [band]));
  const list = lists.find((one) => one.id === rule.watchlist)?.name ?? (rule.watchlist ? gettext("a watch list") : null);
  const scope = rule.symbols.length ? rule.symbols.join(", ") : rule.market ?? list ?? gettext("its list is gone: choose what it looks at");
  return `${parts.join(" ")} · ${scope}${rule.feed ? ` · ${rule.feed}` : ""}`;
}

async function showRules() {
  const turn = (rulesAsked += 1);
  const [{ rules }, known] = await Promise.all([call("/v2/alerts/rules"), call("/v2/watchlists")]);
  if (turn !== rulesAsked) return; // what was asked for later is newer
  lists = known;
  const text = JSON.stringify([rules, known]);
  if (text === rulesShownAs) return; // what is being read or focused stays
  rulesShownAs = text;
  const focused = [...at("rules").querySelectorAll("button")].indexOf(document.activeElement);
  at("rules").replaceChildren(...rules.map((rule) => {
    const item = made("li", "", rule.enabled ? "" : "off");
    item.append(made("b", rule.name), made("small", told(rule)));
    const acts = made("span", "", "acts");
    if (rule.owner !== ME) { // who operates sees it, and its owner changes it
      item.append(made("small", rule.owner, "whose"));
      return item;
    }
    const toggle = made("button", rule.enabled ? gettext("Switch off") : gettext("Switch on"));
    toggle.onclick = () => run(async () => {
      await call(`/v2/alerts/rules/${rule.id}`, "PATCH", { enabled: !rule.enabled });
      await showRules();
    });
    const edit = made("button", gettext("Edit"));
    for (const button of [toggle, edit]) button.setAttribute("aria-label", `${button.textContent}: ${rule.name}`);
    edit.onclick = () => open(rule);
    acts.append(toggle, edit);
    item.append(acts);
    return item;
  }));
  if (focused >= 0) at("rules").querySelectorAll("button")[focused]?.focus();
  at("no-rules").hidden = rules.length > 0;
}

function fit() {
  const kind = KINDS[at("kind").value];
  const chosen = at("direction").value;
  at("direction").replaceChildren(...kind.directions.map((name) => new Option(kind.names?.[name] ?? DIRECTIONS[name], name)));
  if (kind.directions.includes(chosen)) at("direction").value = chosen;
  for (const element of document.querySelectorAll("[data-for]")) {
    const name = element.dataset.for;
    const has = { direction: kind.directions.length > 0, level: kind.level !== undefined, band: kind.band, scope: !kind.ofSystem, hours: kind.hours }[name];
    element.hidden = !(has ?? kind.own?.includes(name));
  }
  document.querySelector("label[for=level]").textContent = kind.level ?? "";
  document.querySelector("label[for=seconds]").textContent = kind.seconds ?? gettext("For so long, s");
}

function open(rule) {
  edited = rule;
  const form = at("form");
  form.reset();
  at("wrong").hidden = true;
  at("editor-title").textContent = rule ? gettext("Change the rule") : gettext("New rule");
  at("delete").hidden = !rule;
  if (rule) {
    for (const name of ["name", "kind", "feed", "cooldown_s"]) at(name).value = rule[name];
    for (const name of ["quiet_from", "quiet_until", "market"]) at(name).value = rule[name] ?? "";
    at("symbols").value = rule.symbols.join(", ");
    at("enabled").checked = rule.enabled;
  }
  at("watchlist").replaceChildren(new Option("–", ""), ...lists.map((one) => new Option(one.name, one.id)));
  at("watchlist").value = rule?.watchlist ?? "";
  at("goes-to").replaceChildren(...targets.map((target) => {
    const label = made("label", "", "check");
    const box = made("input");
    Object.assign(box, { type: "checkbox", name: "targets", value: target.id, checked: rule?.targets.includes(target.id) ?? false });
    label.append(box, ` ${target.name}`);
    return label;
  }));
  at("goes").hidden = targets.length === 0;
  fit();
  for (const [name, value] of Object.entries(rule?.parameters ?? {})) if (at(name)) at(name).value = value;
  at("editor").showModal();
  at("name").focus();
}

function body() {
  const kind = KINDS[at("kind").value];
  const parameters = {};
  if (kind.directions.length) parameters.direction = at("direction").value;
  if (kind.level) parameters.level = at("level").value.replaceAll(",", "").trim();
  if (kind.band && at("band").value.trim()) parameters.band = at("band").value.replaceAll(",", "").trim();
  for (const name of kind.own ?? []) if (at(name).value.trim() || name !== "minutes") parameters[name] = at(name).value.trim();
  const scoped = !kind.ofSystem;
  return {
    name: at("name").value.trim(), kind: at("kind").value, parameters, feed: scoped ? at("feed").value.trim() : "",
    symbols: scoped ? at("symbols").value.split(/[\s,]+/).filter(Boolean) : [], market: (scoped && at("market").value) || null,
    watchlist: (scoped && at("watchlist").value) || null,
    cooldown_s: Number(at("cooldown_s").value), quiet_from: at("quiet_from").value || null,
    quiet_until: at("quiet_until").value || null, enabled: at("enabled").checked,
    targets: [...at("goes-to").querySelectorAll("input:checked")].map((box) => Number(box.value)),
  };
}

async function save(event) {
  event.preventDefault();
  for (const field of at("form").elements) field.removeAttribute("aria-invalid");
  try {
    if (edited) await call(`/v2/alerts/rules/${edited.id}`, "PATCH", body());
    else await call("/v2/alerts/rules", "POST", body());
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    at("wrong").textContent = complaint(error);
    at("wrong").hidden = false;
    return;
  }
  at("editor").close();
  await showRules();
}

async function remove() {
  await call(`/v2/alerts/rules/${edited.id}`, "DELETE");
  at("editor").close();
  await showRules();
}

// --- the page -------------------------------------------------------------------------------------------------------

async function run(work) {
  try {
    await work();
    at("away").hidden = true;
  } catch (error) {
    at("away").textContent = error instanceof RestError ? error.message : gettext("The server does not answer.");
    at("away").hidden = false;
  }
}

at("new").onclick = () => open(null);
at("cancel").onclick = () => at("editor").close();
at("kind").onchange = fit;
at("form").onsubmit = (event) => { event.preventDefault(); run(() => save(event)); };
at("delete").onclick = () => run(remove);
at("target").onsubmit = (event) => { event.preventDefault(); run(() => addTarget(event)); };
at("more").onclick = () => run(showOlder);
for (const id of ["state", "kind-filter", "symbol-filter"]) at(id).onchange = () => { shownAs = ""; run(showAlerts); };

await run(async () => { await Promise.all([showAlerts(), showRules(), showTargets()]); });
// What is further down stays while somebody reads it.
setInterval(() => { if (!document.hidden && at("fired").children.length <= 100) run(showAlerts); }, EVERY_MS);
setInterval(() => { if (!document.hidden) run(() => Promise.all([showRules(), showTargets()])); }, OTHERS_EVERY_MS);
