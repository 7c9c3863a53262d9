// The page of quality: a part of the map at a time, and the minutes of the day that was chosen. What is looked at stands
// in the address; it is asked for again every minute while somebody looks.
import { called, number } from "../page/format.js";
import * as rest from "../page/rest.js";
import { Grid, keyOf } from "./grid.js";
import { tell, title } from "./minutes.js";

const show = (id) => document.getElementById(id);
const EVERY_MS = 60_000, AGAIN_MS = 5_000, TYPING_MS = 300, PART = 100;
const FILTERS = ["search", "market", "feed", "grade", "start", "end"], CHOSEN = { date: "date", symbol: "symbol", feed: "of" };
const NOT_TOLD = { 404: gettext("Nothing is known of this symbol on this day."), 403: gettext("Minutes of this symbol may be read with access to all feeds only.") };
const form = show("filters");
let tokens = [undefined], timer = 0, typing = 0, asked = 0, detail = 0, chosen = null, answer = "", fresh = true;

const grid = new Grid(show("grid"), (one) => choose(one));
const filters = () => Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value));

function recall() {
  const values = new URLSearchParams(location.search);
  for (const name of FILTERS) form.elements[name].value = values.get(name) ?? "";
  const given = Object.fromEntries(Object.entries(CHOSEN).map(([name, short]) => [name, values.get(short) ?? ""]));
  chosen = Object.values(given).every(Boolean) ? given : null;
}

// `quiet` for what is still being typed: "back" does not go through its letters.
function remember(quiet = false) {
  const told = new URLSearchParams(filters());
  if (chosen) for (const [name, short] of Object.entries(CHOSEN)) told.set(short, chosen[name]);
  const path = `${location.pathname}${told.size ? `?${told}` : ""}`;
  if (path !== location.pathname + location.search) history[quiet ? "replaceState" : "pushState"](null, "", path);
}

function state(name, words, away = "") {
  [show("state").dataset.state, show("state").textContent] = [name, words];
  [show("away").textContent, show("away").hidden] = [away, !away];
}

function failed(error) {
  const words = error.status >= 500 ? gettext("The database is away") : error.status ? error.message : gettext("The server does not answer");
  if (error.status && error.status < 500) state("delayed", gettext("Not answered"), words);
  else state("lost", gettext("Disconnected"), words);
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return; // asked for again when it is looked at
  const turn = ++asked;
  let wait = EVERY_MS;
  try {
    const told = await rest.qualityMap({ ...filters(), limit: PART, page_token: tokens.at(-1) });
    if (turn !== asked) return;
    state("live", gettext("Live"));
    draw(told);
  } catch (error) {
    if (turn !== asked) return;
    if (tokens.length > 1 && error.status === 400) {
      tokens = [undefined];
      return look();
    }
    failed(error);
    if (!error.status || error.status >= 500) wait = AGAIN_MS;
  }
  timer = setTimeout(look, wait);
}

function draw(told) {
  const before = (tokens.length - 1) * PART, same = JSON.stringify(told);
  show("nothing").hidden = told.series.length > 0;
  show("place").textContent = told.series.length ? interpolate(gettext("%s–%s of %s series"), [number(before + 1), number(before + told.series.length), number(told.total)]) : "";
  show("before").hidden = tokens.length === 1;
  show("next").hidden = !told.next_page_token;
  show("next").dataset.token = told.next_page_token ?? "";
  if (same === answer) return;
  answer = same;
  for (const one of told.series) one.name = called(one);
  grid.show(told);
  named(told.series);
  if (fresh) grid.newest();
  fresh = false;
}

// What the address names has no name of its own; the map may know it.
function named(series) {
  const known = chosen && !chosen.name && series.find(({ symbol, name }) => symbol === chosen.symbol && name);
  if (!known) return;
  chosen.name = known.name;
  title(chosen);
}

async function minutes() {
  const turn = ++detail, one = chosen;
  grid.choose(one ? keyOf(one) : "");
  show("one").hidden = !one;
  if (!one) return;
  try {
    const told = await rest.qualityOf(one.date, one.symbol, { lang: document.documentElement.lang });
    if (turn === detail) tell(one, told);
  } catch (error) {
    if (turn === detail) tell(one, null, NOT_TOLD[error.status] ?? error.message);
  }
}

function choose(one) {
  chosen = one;
  remember();
  minutes().then(() => show("one").scrollIntoView({ block: "nearest" }));
}

function filtered(quiet = false) {
  clearTimeout(typing);
  [tokens, fresh] = [[undefined], true];
  remember(quiet);
  look();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  filtered();
});
form.addEventListener("change", ({ target }) => {
  if (target.name === "end") form.elements.start.value = ""; // 60 days again
  if (target.name !== "search") filtered();
});
form.elements.search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => filtered(true), TYPING_MS);
});
show("next").addEventListener("click", () => {
  tokens.push(show("next").dataset.token);
  look();
});
show("before").addEventListener("click", () => {
  tokens.pop();
  look();
});
addEventListener("popstate", () => {
  recall();
  tokens = [undefined];
  look();
  minutes();
});
document.addEventListener("visibilitychange", look);

recall();
look();
minutes();
