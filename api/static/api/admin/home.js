// The home page of the administration: what needs a person, as the page of collection finds it, and numbers of the health,
// the lag and what lies aside, each of which leads to the list behind it.
import { Past } from "../collection/history.js";
import * as links from "../collection/links.js";
import { list, problems } from "../collection/problems.js";
import { ROLLOVER } from "../collection/words.js";
import { age, number, time } from "../page/format.js";
import * as rest from "../page/rest.js";

const EVERY_MS = 5000, UPKEEP_EVERY = 6; // turns
const DEEP = 100, SLOW_MS = 1000;
const past = new Past();
const show = (id) => document.getElementById(id);
const latency = (ms) => (ms === null || ms === undefined ? "–" : ms >= 10_000 ? `${number(ms / 1000, 1)} s` : `${number(ms, ms < 10 ? 1 : 0)} ms`);
const sum = (values) => values.reduce((all, one) => all + one, 0);
const since = (text, now) => (text ? age((now - Date.parse(text)) / 1000) : gettext("never"));
let status = null, upkeep = null, operations = null, unseen = null, turn = 0, timer = 0;

// `title`, `text`, a `small` word beside it, the address of what explains it, and how bad it is.
function tiles() {
  const now = Date.parse(status.t), clients = status.ingest.flatMap((server) => server.clients ?? []);
  const depth = status.queues ? sum(Object.values(status.queues)) : null;
  const alarms = status.upkeep.alarms.length, [lag, worse] = ["feed_ms_p50", "feed_ms_p95"].map((name) => past.column("figures", name).at(-1)), letters = operations?.dead_letter_count ?? null;
  const refused = upkeep?.rejects, gaps = upkeep?.gaps, [run] = upkeep?.rollovers ?? [];
  const verified = upkeep?.verified_backup, short = (upkeep?.disks ?? []).filter((disk) => disk.short);
  const disk = (upkeep?.disks ?? []).reduce((least, one) => (least && least.free / least.total <= one.free / one.total ? least : one), null);
  const topics = status.fanout;
  const rate = sum(clients.map((one) => one.rate ?? 0));
  return [
    { title: gettext("Terminals"), text: number(clients.length), small: `${number(rate)}/s`, href: links.client(), level: clients.length ? "" : "warn" },
    { title: gettext("Receipt to commit"), text: latency(status.commit_ms?.p50), small: status.commit_ms ? `p95 ${latency(status.commit_ms.p95)}` : "", href: links.batches(), level: status.commit_ms?.p95 > SLOW_MS ? "warn" : "" },
    { title: gettext("Event to feed"), text: latency(lag), small: worse === null || worse === undefined ? "" : `p95 ${latency(worse)}`, href: "/collection", level: "" },
    { title: gettext("Queue depth"), text: number(depth), small: gettext("messages"), href: "/collection#chart-queues", level: depth > DEEP ? "warn" : "" },
    { title: gettext("Alarms"), text: number(alarms), small: "", href: links.alarms(), level: alarms ? "bad" : "" },
    { title: gettext("Alerts not acknowledged"), text: unseen ? `${number(unseen.alerts.length)}${unseen.next_page_token ? "+" : ""}` : "–", small: "", href: "/admin/marketdata/alert/?acknowledged_at__isempty=1", level: "" },
    { title: gettext("Dead letters"), text: number(letters), small: gettext("whole batches"), href: links.letters(), level: letters ? "warn" : "" },
    { title: gettext("Refused within a day"), text: refused ? `${number(refused.rows)}${refused.cut ? "+" : ""}` : "–", small: gettext("rows"), href: links.refused({ since: "day" }), level: refused?.rows ? "warn" : "" },
    { title: gettext("Missing today"), text: number(gaps?.gaps), small: gettext("gaps"), href: gaps ? links.gaps(gaps.date) : links.gaps(), level: gaps?.gaps ? "warn" : "" },
    { title: gettext("Last rollover"), text: run?.date ?? "–", small: run ? ROLLOVER[run.state] ?? run.state : "", href: run ? links.rollover(run.date) : "/admin/marketdata/rolloverrun/", level: run && run.state !== "done" ? "warn" : "" },
    { title: gettext("Last proven backup"), text: upkeep ? since(verified?.verified_at, now) : "–", small: verified ? interpolate(gettext("%s rows compared"), [number(verified.rows)]) : "", href: verified ? links.backup(verified.id) : "/admin/marketdata/backuprun/", level: upkeep && !verified ? "warn" : "" },
    ...(topics ? [{ title: gettext("Kafka topics"), text: topics.behind_s === null ? "–" : `${number(topics.behind_s, 1)} s`, small: !topics.publishes ? gettext("nobody publishes") : topics.away_since ? gettext("the broker is away") : gettext("behind the feed"), href: "/collection#topics-title", level: !topics.publishes || topics.away_since || topics.feeds.some((one) => one.late) ? "warn" : "" }] : []),
    { title: gettext("Least free disk"), text: disk ? `${number((100 * disk.free) / disk.total)} %` : "–", small: disk ? `${number(disk.free / 2 ** 30, 1)} GiB` : "", href: "/collection#disks-title", level: short.length ? "bad" : "" },
  ];
}

function tell() {
  const told = tiles(), as = JSON.stringify(told), place = show("tiles");
  const found = problems({ status, upkeep, newest: past.newest });
  list(show("wrong"), found);
  show("wrong-count").textContent = found.length ? number(found.length) : "";
  show("state").dataset.state = found.length ? "delayed" : "live";
  show("state").textContent = found.length ? interpolate(gettext("%s to look at"), [number(found.length)]) : gettext("All well");
  show("asof").textContent = time(new Date(status.t));
  if (place.dataset.as === as) return;
  place.dataset.as = as;
  const focused = [...place.querySelectorAll("a")].indexOf(document.activeElement);
  place.replaceChildren(...told.map(({ title, text, small, href, level }) => {
    const tile = document.createElement("div");
    tile.dataset.level = level;
    const link = Object.assign(document.createElement("a"), { href, textContent: text });
    const value = document.createElement("dd");
    value.append(link, " ", Object.assign(document.createElement("small"), { textContent: small }));
    tile.append(Object.assign(document.createElement("dt"), { textContent: title }), value);
    return tile;
  }));
  if (focused >= 0) place.querySelectorAll("a")[focused]?.focus();
}

async function renew() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    status = await rest.status();
    if (turn % UPKEEP_EVERY === 0) [upkeep, operations, unseen] = await Promise.all([rest.statusUpkeep(), rest.operations(), rest.unseenAlerts()]);
    await past.renew().catch(() => false); // Redis is away, which the status says
    turn += 1;
    show("away").hidden = true;
    tell();
  } catch (error) {
    const words = error.status >= 500 ? gettext("The database is away") : gettext("The server does not answer");
    show("state").dataset.state = "lost";
    show("state").textContent = gettext("Disconnected");
    show("away").textContent = status ? interpolate(gettext("%s: what is shown is as of %s"), [words, time(new Date(status.t))]) : words;
    show("away").hidden = false;
  }
  timer = setTimeout(renew, EVERY_MS);
}

document.addEventListener("visibilitychange", renew);
renew();
