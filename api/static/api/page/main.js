// The first page: brings chart, watch list, trades and counters together with one stream.
import { Chart } from "./chart.js";
import { called, change, dayAndTime, digitsOf, number, size, time } from "./format.js";
import { Pipeline } from "./pipeline.js";
import * as rest from "./rest.js";
import { Stream } from "./stream.js";
import { Watchlist } from "./watchlist.js";

const show = (id) => document.getElementById(id);
const STATES = { live: gettext("Live"), delayed: gettext("Delayed"), lost: gettext("Disconnected"), connecting: gettext("Connecting") };
const NATURES = { simulated: gettext("Simulated"), replay: gettext("Replay") };
const BARS = 1000, TAPE = 40, RENEW_MS = 2000;

let feed = "", code = "", frame = "1Min", stream = null, early = [], loading = 0, tapePrice = null, printed = new Set(), renewing = 0;
const chart = new Chart(show("chart"), show("legend"), () => load(false), renew);
const watchlist = new Watchlist(show("watch"), show("nothing"), show("search"), (chosen) => {
  if (chosen) choose(chosen);
  else want();
}, price);
new Pipeline(show, ({ feeds }) => {
  const known = feeds.filter((one) => one.nature !== "silent" && one.nature !== "unknown");
  const names = (known.length ? known : feeds).map((one) => one.feed);
  if (!names.includes(feed) && names.length) follow(known.sort((a, b) => b.committed.localeCompare(a.committed))[0]?.feed ?? names[0]);
  if ([...show("feed").options].map((option) => option.value).join() !== names.join()) {
    show("feed").replaceChildren(...names.map((name) => new Option(name, name, false, name === feed)));
    show("feed").hidden = names.length < 2;
  }
  const nature = feeds.find((one) => one.feed === feed)?.nature;
  show("nature").hidden = !(nature in NATURES);
  if (nature in NATURES) show("nature").textContent = NATURES[nature];
  if (feed && !watchlist.loading && !watchlist.codes.length && !show("search").value) fill();
});

function follow(name) {
  feed = name;
  code = "";
  stream?.close();
  stream = new Stream(feed, {
    state(state) {
      show("link").dataset.state = state;
      show("link").textContent = STATES[state];
    },
    ready() {
      if (!code) return;
      load(false);
      fill();
    },
    message: take,
  });
  fill();
}

function fill() {
  watchlist.load(feed, show("search").value.trim()).then(first).catch(() => {});
}

function first() {
  if (!code && watchlist.codes.length) choose(watchlist.codes[0]);
}

function choose(next) {
  if (next === code) return;
  code = next;
  watchlist.mark(code);
  const { symbol } = watchlist.symbol(code);
  show("name").textContent = called(symbol) || symbol.symbol;
  show("code").textContent = `${called(symbol) ? `${symbol.symbol} · ` : ""}${symbol.market} · ${feed}`;
  price();
  show("tape").replaceChildren();
  tapePrice = null;
  printed = new Set();
  want();
  load(true);
}

function want() {
  stream?.want(code ? [code] : [], watchlist.codes);
}

// A picture by REST first, then what came meanwhile, then live.
async function load(fit) {
  const turn = ++loading;
  early = [];
  const [asked, width] = [code, frame];
  try {
    const bars = (await rest.bars(asked, { feed, timeframe: width, limit: BARS, sort: "desc" })).reverse();
    const begin = bars.at(-1)?.t;
    const minutes = width === "1Min" || width === "1Day" || !begin ? [] : await rest.bars(asked, { feed, timeframe: "1Min", start: begin, limit: 2000 });
    const trades = show("tape").children.length ? [] : await rest.trades(asked, { feed, limit: TAPE, sort: "desc" });
    if (turn !== loading) return;
    chart.set(width, bars, minutes, fit);
    for (const trade of trades.reverse()) print(trade);
  } catch {
    if (turn === loading) setTimeout(() => turn === loading && load(fit), 3000);
    return;
  }
  const waiting = early;
  early = null;
  for (const message of waiting) take(message);
}

// The newest day is asked for again, at most every other second while it trades.
function renew() {
  if (renewing) return;
  renewing = setTimeout(async () => {
    renewing = 0;
    const [asked, width, turn] = [code, frame, loading];
    const [bar] = await rest.bars(asked, { feed, timeframe: width, limit: 1, sort: "desc" }).catch(() => []);
    if (bar && turn === loading && asked === code && width === frame) chart.newest(bar);
  }, RENEW_MS);
}

function take(message) {
  if (message.T === "b" || message.T === "u") {
    watchlist.minute(message.S, message);
    if (message.S !== code) return;
    if (early) early.push(message);
    else chart.minute(message);
    price();
  } else if (message.T === "t" && message.S === code) {
    if (early) early.push(message);
    else print(message);
  } else if (message.T === "gap" || message.code === 461) {
    mark(gettext("some were skipped"));
    load(false);
  }
}

function price() {
  const row = watchlist.symbol(code);
  if (!row || row.last === undefined) return;
  const digits = digitsOf(row.last);
  const { way, arrow, difference, percent } = change(row.last, row.reference);
  show("last").textContent = number(row.last, digits);
  show("change").textContent = percent ? `${arrow} ${number(Math.abs(difference), Math.max(digits, digitsOf(row.reference)))} (${percent})`.trim() : "";
  show("change").title = row.against;
  show("last").className = show("change").className = way;
  document.title = `${number(row.last, digits)} ${show("name").textContent} · ${gettext("Naru")}`;
}

function print(trade) {
  if (printed.has(trade.i)) return;
  printed.add(trade.i);
  const line = document.createElement("tr");
  const way = trade.tks === "B" ? "up" : trade.tks === "S" ? "down" : tapePrice === null || trade.p === tapePrice ? "" : trade.p > tapePrice ? "up" : "down";
  tapePrice = trade.p;
  for (const text of [time(new Date(trade.t)), number(trade.p, digitsOf(trade.p)), size(trade.s)]) line.insertCell().textContent = text;
  line.cells[1].className = line.cells[2].className = way;
  show("tape").prepend(line);
  while (show("tape").children.length > TAPE) show("tape").lastChild.remove();
}

function mark(text) {
  const line = document.createElement("tr");
  const cell = line.insertCell();
  cell.colSpan = 3;
  cell.className = "gap";
  cell.textContent = text;
  show("tape").prepend(line);
}

show("feed").addEventListener("change", (event) => follow(event.target.value));
show("frames").addEventListener("click", (event) => {
  const chosen = event.target.dataset.frame;
  if (!chosen || chosen === frame) return;
  frame = chosen;
  for (const button of show("frames").children) button.setAttribute("aria-pressed", String(button.dataset.frame === frame));
  if (code) load(true);
});
setInterval(() => (show("clock").textContent = dayAndTime(new Date())), 500);
