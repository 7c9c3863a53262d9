// The page of the market: asks for what changed every few seconds while somebody looks, and shows it as a picture, as
// lists and as a table.
import { called, dayAndTime, number, short, time } from "../page/format.js";
import { Roving } from "../page/roving.js";
import { finder } from "../page/initials.js";
import * as rest from "../page/rest.js";
import { Session } from "../page/session.js";
import { HeatMap, signed } from "./heatmap.js";
import { addressOf, Ranking } from "./ranking.js";

const show = (id) => document.getElementById(id);
const EVERY_MS = 5000, LONGEST_MS = 30_000, FEEDS_MS = 60_000, STILL_MS = 60_000;
const TOP = 10, PART = 100;
const STATES = { live: gettext("Live"), delayed: gettext("Delayed"), lost: gettext("Disconnected"), connecting: gettext("Connecting"), paused: gettext("Closed") };
const NATURES = { simulated: gettext("Simulated"), replay: gettext("Replay") };
const CATEGORIES = {
  kospi: gettext("KOSPI"), kosdaq: gettext("KOSDAQ"), konex: gettext("KONEX"), etf: gettext("ETF"), etn: gettext("ETN"), elw: gettext("ELW"),
  index: gettext("Indices"), fx: gettext("Exchange rates"), futures: gettext("Futures"), options: gettext("Options"), overseas: gettext("Overseas"),
};
const LISTS = {
  gainers: { columns: ["last", "change"], order: (a, b) => b.changeRate - a.changeRate, of: (row) => row.changeRate > 0 },
  losers: { columns: ["last", "change"], order: (a, b) => a.changeRate - b.changeRate, of: (row) => row.changeRate < 0 },
  byvalue: { columns: ["change", "turnover"], order: (a, b) => b.turnover - a.turnover, of: (row) => row.turnover > 0 },
  byvolume: { columns: ["change", "volume"], order: (a, b) => b.volume - a.volume, of: (row) => row.volume > 0 },
};

const ORDERS = {
  name: (row) => called(row) || row.symbol, group: (row) => row.title, last: (row) => row.last, change: (row) => row.changeRate ?? -Infinity,
  turnover: (row) => row.turnover, volume: (row) => row.volume, trades: (row) => row.trades,
};
const WAYS = { rose: 1, fell: -1, still: 0 };

const values = new URLSearchParams(location.search);
let feed = values.get("feed") ?? "", group = values.get("group") ?? "", mark, rows = new Map(), sums = null, asked = 0, failures = 0, timer = 0;
let sort = order(values), shown = PART, way = wayOf(values), natures = {}, anew = true, fromOpen = false;

const session = new Session(show("session"), show("clock"));
const map = new HeatMap(show("map"), show("hint"), show("tile"), { open, narrow: (one) => choose(one.key === group ? "" : one.key) });
const lists = Object.entries(LISTS).map(([id, one]) => ({ ...one, ranking: new Ranking(show(id), one.columns) }));
const table = new Ranking(show("all"), ["group", "last", "change", "turnover", "volume", "trades"]);

const divisionLinks = new Roving(show("groups"), "button, a");

// The table's order and which way its symbols moved, as an address has them.
function order(told) {
  const by = told.get("by") ?? "";
  return { by: by in ORDERS ? by : "turnover", down: told.get("way") !== "fell" && by !== "name" && by !== "group" };
}

function wayOf(told) {
  return told.get("way") in WAYS ? told.get("way") : "";
}

const keyOf = (one) => `${one.market}.${one.category}`;
const titleOf = ({ market, category }) => {
  const name = CATEGORIES[category] ?? (category === "unknown" ? "" : category);
  return [market === "KRX" && name ? "" : market, name].filter(Boolean).join(" ");
};

function open(row, apart) {
  const address = addressOf(feed, row.symbol);
  if (apart) window.open(address, "_blank", "noopener");
  else location.assign(address);
}

function choose(next) {
  [group, way, shown, anew] = [next, "", PART, true];
  remember(false);
  draw();
}

// An address of what is looked at.
function looked({ group: of, way: moved, by }) {
  return new URLSearchParams({ feed, ...(of && { group: of }), ...(moved && { way: moved }), ...(by !== "turnover" && { by }) });
}

function remember(quiet) {
  const told = looked({ group, way, by: sort.by });
  if (`?${told}` !== location.search) history[quiet ? "replaceState" : "pushState"](null, "", `${location.pathname}?${told}`);
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return; // asked for again when it is looked at
  const turn = ++asked;
  try {
    const told = await rest.market({ feed: feed || undefined, since: mark });
    if (turn !== asked) return;
    failures = 0;
    take(told);
  } catch (error) {
    if (turn !== asked) return;
    if (error.status === 404) nothing();
    else failures += 1;
    state();
  }
  timer = setTimeout(look, Math.min(EVERY_MS * 2 ** failures, LONGEST_MS));
}

function take(told) {
  if (told.whole) {
    rows.clear();
    anew = true;
  }
  for (const row of told.symbols) rows.set(row.symbol, Object.assign(row, { told: row.changeRate, toldChange: row.change, key: keyOf(row), title: titleOf(row) }));
  for (const code of told.gone) rows.delete(code);
  anew ||= told.gone.length > 0;
  ({ feed } = told);
  mark = told.mark ?? undefined;
  sums = told;
  show("nothing").hidden = true;
  remember(true);
  const [largest] = [...told.groups].sort((a, b) => b.turnover - a.turnover);
  session.follow(largest.market, feed);
  state();
  draw();
}

function nothing() {
  rows.clear();
  [mark, sums, failures, anew] = [undefined, null, 0, true];
  show("nothing").hidden = false;
  draw();
}

// Whether what is shown is of now: asked for in vain, or not moved while its market trades.
function state() {
  const at = sums && new Date(sums.t);
  const still = at && session.now - at > STILL_MS;
  const known = at && session.late(at) ? "delayed" : still && !session.trading ? "paused" : "live";
  const name = failures ? "lost" : sums ? known : "connecting";
  show("link").dataset.state = document.body.dataset.link = name;
  show("link").textContent = STATES[name];
  show("away").hidden = !at || (name !== "lost" && name !== "delayed");
  if (!show("away").hidden) show("away").textContent = interpolate(gettext("%s: figures as of %s"), [STATES[name], dayAndTime(at)]);
  const today = at && dayAndTime(at).slice(0, 6) === dayAndTime(session.now).slice(0, 6);
  show("asof").textContent = at ? interpolate(gettext("Trading day %s, as of %s"), [sums.td, today ? time(at) : dayAndTime(at)]) : "";
  const nature = natures[feed];
  show("nature").hidden = !(nature in NATURES);
  if (nature in NATURES) show("nature").textContent = NATURES[nature];
}

function draw() {
  const groups = (sums?.groups ?? []).map((one) => ({ ...one, key: keyOf(one), title: titleOf(one), rows: [] }));
  const chosen = groups.find((one) => one.key === group);
  fromOpen = rows.size > 0 && [...rows.values()].every((row) => row.told === null);
  for (const row of rows.values()) [row.change, row.changeRate] = fromOpen ? sinceOpen(row) : [row.toldChange, row.told];
  show("against").textContent = fromOpen ? gettext("colour: change from the open, for no day before is known") : gettext("colour: change from the day before");
  const within = chosen ? [...rows.values()].filter((row) => row.key === group) : [...rows.values()];
  const places = new Map(groups.map((one) => [one.key, one]));
  for (const row of within) places.get(row.key)?.rows.push(row);
  // Of the whole market the shares are counted; what is chosen is counted whatever it is.
  for (const row of rows.values()) row.counts = !sums?.all.shares || places.get(row.key)?.shares > 0;
  map.show(groups.filter((one) => one.rows.length), anew);
  anew = false;
  for (const { ranking, order, of } of lists) ranking.show(feed, within.filter(of).sort((a, b) => order(a, b) || a.symbol.localeCompare(b.symbol)).slice(0, TOP));
  figures(fromOpen ? { ...(chosen ?? sums.all), ...counted(chosen ? within : within.filter((row) => row.counts)) } : (chosen ?? sums?.all));
  divisions(fromOpen ? groups.map((one) => ({ ...one, ...counted(one.rows) })) : groups, chosen);
  whole(within, chosen);
}

// On the first day of all there is no close before it: then changes are from the open, as on the page of prices.
function sinceOpen({ last, open }) {
  const rate = open > 0 ? Math.trunc(((last - open) / open) * 1e6) / 1e4 : null;
  return [rate === null ? null : last - open, rate];
}

// The sums of a group whose symbols' changes are from the open.
function counted(of) {
  const known = of.filter((row) => row.changeRate !== null);
  const value = known.reduce((sum, row) => sum + row.turnover, 0);
  return {
    advancing: known.filter((row) => row.changeRate > 0).length,
    declining: known.filter((row) => row.changeRate < 0).length,
    unchanged: known.filter((row) => row.changeRate === 0).length,
    meanChange: known.length ? known.reduce((sum, row) => sum + row.changeRate, 0) / known.length : null,
    weightedChange: value ? known.reduce((sum, row) => sum + row.changeRate * row.turnover, 0) / value : null,
  };
}

function figures(one) {
  const told = {
    rose: one && number(one.advancing), fell: one && number(one.declining), still: one && number(one.unchanged),
    value: one && short(Math.round(one.turnover)), mean: one && signed(one.meanChange), weighted: one && signed(one.weightedChange),
    count: one && (one.shares && one.shares < one.symbols ? interpolate(gettext("%s (%s shares)"), [number(one.symbols), number(one.shares)]) : number(one.symbols)),
  };
  for (const [id, text] of Object.entries(told)) show(id).textContent = text ?? "–";
  for (const [id, value] of [["mean", one?.meanChange], ["weighted", one?.weightedChange]]) show(id).className = value > 0 ? "up" : value < 0 ? "down" : "";
  const known = one ? one.advancing + one.declining + one.unchanged : 0;
  show("breadth").querySelectorAll("rect").forEach((bar, at) => {
    const parts = known ? [one.advancing / known, one.unchanged / known, one.declining / known] : [0, 1, 0];
    bar.setAttribute("x", String(100 * parts.slice(0, at).reduce((sum, part) => sum + part, 0)));
    bar.setAttribute("width", String(100 * parts[at]));
  });
}

// The groups with their sums; a press on one shows it alone, on a sum the symbols of which it is. Rows stay the same
// elements, and where they are while one of them has the focus: it may be pressed.
function divisions(groups, chosen) {
  const body = show("groups");
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const all = sums && { ...sums.all, ...(fromOpen && counted([...rows.values()].filter((row) => row.counts))), key: "", title: gettext("Whole market") };
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const told = [...(all ? [all] : []), ...groups.sort((a, b) => b.turnover - a.turnover)].map((one) => division(known.get(one.key) ?? divisionRow(one), one, chosen));
  const same = told.length === body.rows.length && told.every((row, place) => (focused === undefined ? row === body.rows[place] : body.contains(row)));
  if (!same) body.replaceChildren(...told);
  divisionLinks.renew();
  if (!same && focused !== undefined) [...body.querySelectorAll("button, a")].find((one) => one.dataset.key === focused)?.focus();
}

function divisionRow({ key, title }) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row" });
  const button = Object.assign(document.createElement("button"), { className: "plain", textContent: title });
  row.dataset.key = button.dataset.key = key;
  button.addEventListener("click", () => choose(key));
  head.append(button);
  row.append(head);
  for (let cells = 0; cells < 5; cells += 1) row.insertCell().append(document.createElement("a"));
  return row;
}

function division(row, one, chosen) {
  row.querySelector("button").setAttribute("aria-pressed", String(one.key === (chosen?.key ?? "")));
  [
    [number(one.symbols), "", "name", ""], [number(one.advancing), "up", "change", "rose"], [number(one.declining), "down", "change", "fell"],
    [signed(one.meanChange), one.meanChange > 0 ? "up" : one.meanChange < 0 ? "down" : "", "change", ""], [short(Math.round(one.turnover)), "", "turnover", ""],
  ].forEach(([text, kind, by, moved], place) => {
    const cell = row.cells[place + 1], link = cell.firstChild;
    cell.className = kind;
    if (link.textContent !== text) link.textContent = text;
    link.href = `?${looked({ group: one.key, way: moved, by })}`;
    Object.assign(link.dataset, { key: [one.key, by, moved].join(" "), group: one.key, by, way: moved });
  });
  return row;
}

// A sum at the top leads to the symbols that it is of: those that moved that way, or all, by what it sums up.

function lead({ way: next, by }) {
  way = next !== undefined && next !== way ? next : "";
  sort = { by, down: next !== "fell" && by !== "name" };
  shown = PART;
  remember(false);
  draw();
  show("all").closest("section").scrollIntoView({ block: "start" });
}

function whole(within, chosen) {
  const word = show("filter").value.trim(), named = finder(word);
  const moved = way ? within.filter((row) => (row.counts || chosen) && row.changeRate !== null && Math.sign(row.changeRate) === WAYS[way]) : within;
  const found = word ? moved.filter((row) => named(`${row.symbol} ${row.name} ${row.name_en}`)) : [...moved];
  for (const button of document.querySelectorAll("button[data-way]")) button.setAttribute("aria-pressed", String(button.dataset.way === way));
  const of = ORDERS[sort.by], turned = sort.down ? -1 : 1;
  const compared = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a < b ? -1 : a > b ? 1 : 0);
  found.sort((a, b) => turned * compared(of(a), of(b)) || a.symbol.localeCompare(b.symbol));
  table.show(feed, found.slice(0, shown));
  show("more").hidden = found.length <= shown;
  show("found").textContent = interpolate(gettext("%s of %s symbols"), [number(Math.min(shown, found.length)), number(found.length)]);
  for (const button of document.querySelectorAll("#columns button")) {
    const mine = button.dataset.by === sort.by;
    button.closest("th").setAttribute("aria-sort", mine ? (sort.down ? "descending" : "ascending") : "none");
  }
}

async function feeds() {
  try {
    const told = (await rest.status()).feeds;
    natures = Object.fromEntries(told.map((one) => [one.feed, one.nature]));
    const names = told.map((one) => one.feed);
    if (feed && !names.includes(feed)) names.push(feed);
    if ([...show("feed").options].map((one) => one.value).join() !== names.join()) show("feed").replaceChildren(...names.map((name) => new Option(name, name)));
    show("feed").hidden = names.length < 2;
    show("feed").value = feed;
    state();
  } catch {
    // the next time
  }
  setTimeout(feeds, FEEDS_MS);
}

function follow(next, nextGroup, quiet) {
  [feed, group, mark, sums, anew, shown] = [next, nextGroup, undefined, null, true, PART];
  rows.clear();
  if (!quiet) remember(false);
  show("feed").value = feed;
  state();
  draw();
  look();
}

show("feed").addEventListener("change", (event) => follow(event.target.value, "", false));
show("filter").addEventListener("input", () => {
  shown = PART;
  draw();
});
show("sums").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-lead]");
  if (button) lead({ way: button.dataset.way, by: button.dataset.lead });
});
show("groups").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  [group, way, anew] = [link.dataset.group, "", true];
  lead({ way: link.dataset.way || undefined, by: link.dataset.by });
});
show("more").addEventListener("click", () => {
  shown += PART;
  draw();
});
show("columns").addEventListener("click", ({ target }) => {
  const by = target.closest("button")?.dataset.by;
  if (!by) return;
  sort = { by, down: sort.by === by ? !sort.down : by !== "name" && by !== "group" };
  remember(true);
  draw();
});
document.addEventListener("visibilitychange", () => !document.hidden && look());
addEventListener("popstate", () => {
  const told = new URLSearchParams(location.search);
  const next = told.get("feed") ?? "", nextGroup = told.get("group") ?? "";
  [sort, way] = [order(told), wayOf(told)];
  if (next && next !== feed) follow(next, nextGroup, true);
  else {
    group = nextGroup;
    anew = true;
    draw();
  }
});
// The switch of languages comes back to what is looked at by then.
document.querySelector("form.language").addEventListener("submit", (event) => (event.target.elements.next.value = location.pathname + location.search));
setInterval(state, 1000);
state();
look().then(feeds);
