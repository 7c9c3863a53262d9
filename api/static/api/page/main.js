// The first page: brings chart, watch list, order book, trades and counters together with one stream.
import * as address from "./address.js";
import { Afar } from "./afar.js";
import { Chart } from "./chart.js";
import { Comparison, MOST } from "./comparison.js";
import { ComparisonForm } from "./comparison_form.js";
import { Drawings } from "./drawings.js";
import { Fired } from "./fired.js";
import { parsed, written } from "./catalogue.js";
import { called, change, digitsOf, number } from "./format.js";
import { History } from "./history.js";
import { Indices } from "./indices.js";
import { ToldCourse } from "./told_course.js";
import { Keys } from "./keys.js";
import { Ladder } from "./ladder.js";
import { Link } from "./link.js";
import { Lists } from "./lists.js";
import { actions, event, marks, taken } from "./marks.js";
import { Pipeline } from "./pipeline.js";
import { painter } from "./paint.js";
import { Picker } from "./picker.js";
import * as rest from "./rest.js";
import { Session } from "./session.js";
import { Statistics } from "./statistics.js";
import { Stream } from "./stream.js";
import { Studies } from "./studies.js";
import { Tape } from "./tape.js";
import { Watchlist } from "./watchlist.js";

const show = (id) => document.getElementById(id);
const NATURES = { simulated: gettext("Simulated"), replay: gettext("Replay") };
const RENEW_MS = 2000, AGAIN_MS = 3000, SETTLED_MS = 300, MARKS_MS = 60_000, MARKS_BACK = 120;

let seen = { ...address.read(), feed: "" }; // the feed once it is known that there is such a one
const ignored = { studies: "", vs: "" };
let catalogue = null, shown = []; // the indicators there are, and those on the chart
let stream = null, history = null, early = [], loading = 0, renewing = 0, reading = false, split = "", newest = "", corrected = "", rereading = "";
const price = painter(tell);
const chart = new Chart(show("chart"), show("legend"), { reload: () => load(false), renew, older });
const studies = new Studies(chart, show("chart"), { edit: (one) => picker.show(one), remove: (one) => choose(shown.filter((other) => other !== one)), resized });
const picker = new Picker(show("indicators"), { chosen: choose });
const comparison = new Comparison(chart, show("compared"), { remove: (key) => compare(comparison.all.filter((one) => address.key(one) !== key)), changed: percent });
const comparisons = new ComparisonForm(show("comparison"), { chosen: compare, question: () => seen, name: (key) => comparison.name(key) });
const drawings = new Drawings(chart, show("chart"), show);
const ladder = new Ladder({ body: show("ladder"), sum: show("sums"), expected: show("expected"), nothing: show("nobook") });
const statistics = new Statistics(show("statistics"), { listed: want, trades: (least) => tape.from(least) });
const tape = new Tape(show("tape"), show("tapeframe"), show("least"));
const course = new ToldCourse(show("told"));
const indices = new Indices(show("indices"), { choose: (feed, code) => go({ feed, code }), course: (row) => course.open(row), listed: want });
const fired = show("fired") && new Fired(show("fired"), { choose: (feed, code) => go({ feed, code }) }); // of people alone
const session = new Session(show("session"), show("clock"));
const link = new Link(show("link"), show("away"), session);
const lists = new Lists(show, { show: (list, quiet) => go({ list }, quiet), changed: fill });
const watchlist = new Watchlist(show("watch"), show("nothing"), show("search"), show("others"), {
  choose: (code, feed) => go({ code, feed }),
  listed() {
    want();
    if (seen.feed && !seen.code) first(); // a search that was under way overtook the list of the feed
  },
  changed: price,
  codes: () => lists.codes(),
  arranged: (codes) => lists.arrange(codes),
  removed: (code) => lists.remove(code),
});
new Afar([watchlist, comparison, indices]);
new Pipeline(show, ({ feeds }) => {
  const known = feeds.filter((one) => one.nature !== "silent" && one.nature !== "unknown");
  const names = (known.length ? known : feeds).map((one) => one.feed);
  const wished = seen.feed || address.read().feed;
  if (wished && !names.includes(wished) && feeds.some((one) => one.feed === wished)) names.push(wished);
  const busiest = known.sort((a, b) => b.committed.localeCompare(a.committed))[0]?.feed ?? names[0];
  if (!names.includes(seen.feed) && names.length) go({ feed: names.includes(wished) ? wished : busiest }, true);
  if ([...show("feed").options].map((option) => option.value).join() !== names.join()) {
    show("feed").replaceChildren(...names.map((name) => new Option(name, name, false, name === seen.feed)));
    show("feed").hidden = names.length < 2;
  }
  const nature = feeds.find((one) => one.feed === seen.feed)?.nature;
  show("nature").hidden = !(nature in NATURES);
  if (nature in NATURES) show("nature").textContent = NATURES[nature];
  link.learn(feeds);
  if (seen.feed && !watchlist.loading && watchlist.empty && !show("search").value) fill();
});

// Something else is looked at. `quiet` when nobody chose it: then it is no step to come back from.
function go(next, quiet = false) {
  const before = seen;
  seen = { ...before, ...next };
  // What is compared stays what it is beside another feed.
  if (before.feed && seen.feed !== before.feed && next.vs === undefined) seen.vs = address.named(address.compared(before.vs, before.feed).found, seen.feed);
  if (seen.feed && seen.code) address.write(seen, quiet);
  for (const button of show("frames").children) button.setAttribute("aria-pressed", String(button.dataset.frame === seen.frame));
  show("feed").value = seen.feed;
  lists.show(seen.list);
  lists.follow(seen.code);
  if (seen.studies !== before.studies) study();
  beside();
  if (seen.feed !== before.feed) follow();
  else if (seen.code !== before.code) open();
  else if (seen.frame !== before.frame && seen.code) load(true);
  if (seen.list !== before.list && seen.feed === before.feed) fill();
}

function follow() {
  stream?.close();
  history = null;
  link.follow(seen.feed);
  stream = new Stream(seen.feed, {
    state: (name) => link.turn(name),
    ready() {
      if (!history) return; // the first picture is still to come
      fired?.look();
      load(false);
      fill();
      indices.load(seen.feed);
    },
    message: take,
  });
  fill();
  indices.load(seen.feed);
  open();
}

function fill() {
  watchlist.load(seen.feed, show("search").value.trim()).then(first).catch(() => {});
}

function first() {
  const [code] = watchlist.codes;
  const next = code ? { code } : watchlist.top;
  if (!seen.code && next) go(next, ["", seen.feed].includes(address.read().feed));
}

// The chosen symbol, which may be in no list.
async function open() {
  const { code, feed } = seen;
  if (!code) return first();
  loading += 1; // what was under way is of another
  if (!watchlist.row(code)) {
    try {
      await watchlist.learn(code, feed);
    } catch (error) {
      if (code !== seen.code || feed !== seen.feed) return undefined;
      if (error.status === 403) return denied();
      if (error.status !== 404) return void setTimeout(() => code === seen.code && feed === seen.feed && open(), AGAIN_MS);
      lists.follow((seen.code = ""));
      return first();
    }
    if (code !== seen.code || feed !== seen.feed) return undefined;
  }
  address.write(seen, true);
  watchlist.mark(code);
  const { symbol } = watchlist.row(code);
  show("name").textContent = called(symbol) || symbol.symbol;
  show("code").textContent = `${called(symbol) ? `${symbol.symbol} · ` : ""}${symbol.market} · ${feed}`;
  session.follow(symbol.market, feed);
  return load(true);
}

// Of a feed that one may not read nothing is shown, and why.
function denied() {
  show("name").textContent = seen.code;
  show("code").textContent = `${seen.feed} · ${gettext("no right to read")}`;
}

function want() {
  const one = seen.code ? [seen.code] : [];
  const listed = [...new Set([...watchlist.codes, ...one])];
  const compared = comparison.all.filter(({ feed }) => feed === seen.feed).map(({ code }) => code);
  const moving = [...new Set([...listed, ...compared, ...indices.codes])];
  stream?.want({ trades: one, orderbooks: one, statuses: one, stats: statistics.open ? one : [], bars: moving, updatedBars: moving, alerts: fired ? ["*"] : [] });
}

// A picture by REST first, then what came meanwhile, then live. `anew` for another symbol, feed or timeframe.
async function load(anew) {
  const turn = ++loading;
  const { code, feed, frame } = seen;
  early = [];
  if (anew) {
    history = new History(code, feed, frame);
    studies.ask(seen);
    comparison.ask(seen);
    [reading, split, newest, corrected, rereading] = [false, "", "", "", ""];
    chart.clear(frame);
    act();
    drawings.follow(code);
    tape.clear(code, feed, chart.digits);
    ladder.clear(seen, chart.digits);
    statistics.follow(code, feed);
    price();
  } else comparison.renew();
  want();
  const of = history;
  const settled = stream.settled().then(() => true);
  const whole = await Promise.race([settled, new Promise((done) => setTimeout(done, SETTLED_MS))]);
  if (turn !== loading) return;
  if (!whole) settled.then(() => of === history && load(false)); // what came between is in no part of it
  correct(rereading); // of a picture that this one overtakes
  const since = (rereading = corrected);
  corrected = "";
  try {
    const kept = anew ? [] : chart.bars;
    const [fresh, book] = await Promise.all([history.renewed(kept, since), rest.book(code, feed), tape.renew()]);
    const begin = fresh.at(-1)?.t;
    const minutes = frame === "1Min" || !begin || !/Min|Hour/.test(frame) ? [] : await rest.bars(code, { feed, timeframe: "1Min", start: begin, limit: 2000 });
    if (turn !== loading) return;
    chart.renew(fresh, minutes, history.from);
    newest ||= fresh.at(-1)?.td ?? "";
    ladder.set(book);
    rereading = "";
  } catch {
    if (turn !== loading) return;
    setTimeout(() => turn === loading && load(anew), AGAIN_MS);
    return;
  }
  const waiting = early;
  early = null;
  for (const message of waiting) take(message);
  if (since) watchlist.again(code);
  price();
  mark(chart.bars[0]?.t);
  chart.reach();
}

// What lies before the first candle, as the chart is moved there.
async function older() {
  if (reading || !history?.more || early) return;
  reading = true;
  const of = history;
  try {
    const [end] = chart.bars;
    const bars = await of.older();
    if (of !== history) return;
    chart.before(bars);
    if (bars.length) mark(bars[0].t, end.t);
    reading = false;
  } catch {
    setTimeout(() => {
      if (of !== history) return;
      reading = false;
      chart.reach();
    }, AGAIN_MS);
  }
}

async function mark(start, end) {
  const of = history;
  if (!start || !of) return;
  const found = await marks(seen.code, seen.feed, start, end).catch(() => []);
  if (of === history) chart.mark(found);
}

// The days from which on the share is another than before. Candles of before are adjusted by the server alone.
async function act() {
  const of = history;
  const found = await actions(seen.code).catch(() => []);
  if (of !== history) return;
  chart.mark(found);
  split = found.reduce((latest, { day, adjusts }) => (adjusts && day > latest ? day : latest), "");
}

// From which time on candles are to be read again.
const correct = (t) => (corrected = t && (!corrected || t < corrected) ? t : corrected);

// A new trading date: if candles before it are adjusted from now on, all are read again.
async function dated(day) {
  const [first, of] = [!newest, history];
  newest = day;
  if (first) return;
  await act();
  if (of === history && split === day) load(true);
}

// The newest days, or all candles from a time on, are asked for again, at most every other second while they change.
function renew(since = "") {
  correct(since);
  if (renewing) return;
  renewing = setTimeout(async () => {
    renewing = 0;
    if (early) return renew(); // a picture is under way: overtaken again and again, none would ever be there
    if (corrected) return void load(false);
    const [of, turn, { code, feed, frame }] = [history, loading, seen];
    const bars = await rest.bars(code, { feed, timeframe: frame, limit: 2, sort: "desc" }).catch(() => []);
    if (turn === loading && of === history) chart.newest(bars.reverse());
  }, RENEW_MS);
}

function take(message) {
  if (message.T === "alert") return fired?.take(message);
  const mine = message.S === seen.code;
  if (message.T === "stats") return void (mine && statistics.take(message));
  if (message.T === "b" || message.T === "u") {
    watchlist.minute(message.S, message);
    comparison.minute(message.S, message);
    indices.minute(message.S, message);
  }
  if (message.T === "gap" || message.code === 461) {
    tape.gap(gettext("some were skipped"));
    load(false);
  } else if (!mine) return;
  else if (early) early.push(message);
  else if (message.T === "b" || message.T === "u") {
    if (message.td > newest) dated(message.td);
    if (message.td < split) return renew(message.t);
    chart.minute(message);
    price();
  } else if (message.T === "t") tape.add(message);
  else if (message.T === "o") ladder.set(message);
  else if (message.T === "x") {
    tape.remove(message.i);
    const mark = taken({ ...message, tick: { price: message.p }, reason: "" });
    chart.mark([mark]);
    renew(mark.t);
  } else if (message.T === "s") chart.mark([event(message)].filter(Boolean));
}

function tell() {
  const row = watchlist.row(seen.code);
  ladder.compare(row?.reference ?? null);
  if (!row || row.last === undefined) return void (show("last").textContent = "–");
  const digits = Math.max(row.digits.most, chart.digits.most);
  const { way, arrow, difference, percent } = change(row.last, row.reference);
  show("last").textContent = number(row.last, digits);
  show("change").textContent = percent ? `${arrow} ${number(Math.abs(difference), Math.max(digits, digitsOf(row.reference)))} (${percent})`.trim() : "";
  show("change").title = row.against;
  show("last").className = show("change").className = way;
  document.title = `${number(row.last, digits)} ${show("name").textContent} · ${gettext("Naru")}`;
}

// The indicators of the address, as far as there are such ones; of others a word is said.
function study() {
  if (!catalogue) return;
  const { found, wrong } = parsed(seen.studies, catalogue);
  shown = found;
  ignore("studies", wrong.length ? interpolate(gettext("not shown: %s"), [wrong.join("; ")]) : "");
  seen.studies = written(found);
  if (seen.feed && seen.code) address.write(seen, true);
  studies.show(found);
  picker.set(catalogue, found);
}

// What the address names and cannot be, by the part of it.
function ignore(part, words) {
  ignored[part] = words;
  const all = Object.values(ignored).filter(Boolean).join(" · ");
  show("ignored").hidden = !all;
  if (show("ignored").textContent !== all) show("ignored").textContent = all;
}

function choose(all) {
  go({ studies: written(all) });
}

// The symbols beside the candles, as the address names them.
function beside() {
  if (!seen.feed) return; // of which bare codes are
  const { found, wrong } = address.compared(seen.vs, seen.feed);
  const others = found.filter(({ feed, code }) => feed !== seen.feed || code !== seen.code);
  const [all, over] = [others.slice(0, MOST), others.slice(MOST)];
  const words = [...wrong, ...(over.length ? [`${address.named(over, seen.feed)} (${interpolate(gettext("at most %s at a time"), [MOST])})`] : [])];
  ignore("vs", words.length ? interpolate(gettext("not compared: %s"), [words.join("; ")]) : "");
  comparisons.set(all);
  if (all.map(address.key).join() === comparison.all.map(address.key).join()) return;
  comparison.show(all);
  want();
}

function compare(all) {
  go({ vs: address.named(all, seen.feed) });
}

function percent(on) {
  show("log").disabled = on;
  studies.overlaid(!on);
}

function resized(panes) {
  show("chart").style.setProperty("--panes", panes);
}

async function learn() {
  try {
    catalogue = await rest.indicators();
    show("pick").disabled = false;
    study();
  } catch {
    setTimeout(learn, AGAIN_MS);
  }
}

function logarithmic() {
  const on = show("log").getAttribute("aria-pressed") !== "true";
  show("log").setAttribute("aria-pressed", String(on));
  chart.logarithmic(on);
}

show("feed").addEventListener("change", (event) => go({ feed: event.target.value, code: "", list: "" }));
show("frames").addEventListener("click", ({ target }) => target.dataset.frame && go({ frame: target.dataset.frame }));
show("log").addEventListener("click", logarithmic);
show("pick").addEventListener("click", () => picker.show());
show("compare").addEventListener("click", () => comparisons.show());
addEventListener("popstate", () => {
  const { feed, code, ...others } = address.read();
  go({ feed: feed || seen.feed, code: code || seen.code, ...others }, true);
});
// The switch of languages comes back to what is looked at by then.
document.querySelector("form.language").addEventListener("submit", (event) => (event.target.elements.next.value = location.pathname + location.search));
new Keys(show("keys"), show("help"), {
  "/": () => show("search").focus(),
  w: () => watchlist.focus(),
  s: () => lists.toggle(),
  i: () => catalogue && picker.show(),
  c: () => comparisons.show(),
  l: logarithmic,
  d: () => drawings.toggle(),
  t: () => show("least").focus(),
  ...Object.fromEntries(address.FRAMES.map((frame, place) => [String(place + 1), () => go({ frame })])),
});
setInterval(() => early || mark(chart.bars.at(-MARKS_BACK)?.t ?? chart.bars[0]?.t), MARKS_MS);
learn();
