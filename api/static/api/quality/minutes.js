// One symbol on one day and feed: its minutes as a strip, why it has its grade, its figures, and where the lists are.
import { define, fill } from "../collection/lists.js";
import * as links from "../collection/links.js";
import { addressOf } from "../market/ranking.js";
import { number, size, time } from "../page/format.js";
import { inWords } from "../page/reasons.js";

const show = (id) => document.getElementById(id);
const MINUTE_MS = 60_000, MOST = 50, SVG = "http://www.w3.org/2000/svg";
const STATES = {
  p: gettext("with a tick"), g: gettext("lost: a gap is known"), m: gettext("lost: silent for longer than usual"), h: gettext("trading halted"),
  q: gettext("silent, as usual"), a: gettext("not over yet"), "-": gettext("outside of continuous trading"),
};
const WORDS = { gap: STATES.g, missing: STATES.m, halted: STATES.h };
const STRIP = "#strip", STRETCHES = "#stretches"; // on this page, above and beside the figures
const hour = (ms) => time(new Date(ms)).slice(0, 5);
const at = (text) => time(new Date(text));

// Neighbouring minutes of the same letter, as [letter, first, end].
function runs(letters) {
  const found = [];
  for (let first = 0, end = 1; first < letters.length; first = end, end += 1) {
    while (letters[end] === letters[first]) end += 1;
    found.push([letters[first], first, end]);
  }
  return found;
}

function strip({ minutes, minutes_from: from }) {
  const first = Math.max(minutes.search(/[^-]/), 0), letters = minutes.slice(first).replace(/-+$/, "");
  const start = Date.parse(from) + first * MINUTE_MS;
  const picture = show("strip");
  picture.parentElement.hidden = show("states").hidden = !letters;
  picture.setAttribute("viewBox", `0 0 ${letters.length || 1} 1`);
  picture.replaceChildren(...runs(letters).map(([state, x, end]) => {
    const rect = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x, width: end - x, height: 1, "data-state": state })) rect.setAttribute(name, value);
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${hour(start + x * MINUTE_MS)}–${hour(start + end * MINUTE_MS)} ${STATES[state]}`;
    rect.append(title);
    return rect;
  }));
  const counts = Object.keys(STATES).map((state) => [state, letters.split(state).length - 1]).filter(([, count]) => count);
  picture.setAttribute("aria-label", counts.map(([state, count]) => `${STATES[state]} ${number(count)}`).join(", "));
  show("states").replaceChildren(...counts.map(([state, count]) => {
    const item = Object.assign(document.createElement("li"), { textContent: `${STATES[state]} ${number(count)}` });
    item.dataset.state = state;
    item.prepend(document.createElement("i"));
    return item;
  }));
  hours(start, letters.length);
}

function hours(start, count) {
  const every = count > 900 ? 240 : count > 480 ? 120 : 60, marks = [];
  for (let place = 0; place < count - every / 2; place += every) {
    const mark = Object.assign(document.createElement("span"), { textContent: hour(start + place * MINUTE_MS) });
    mark.style.left = `${(place / count) * 100}%`;
    marks.push(mark);
  }
  show("hours").replaceChildren(...marks);
}

// The rows behind a number of refused ones; all of the symbol on that day and feed where no reason is said.
function refused({ date, symbol, feed }, reason) {
  return links.refused({ reason, date, feed, symbol });
}

// The gaps of the symbol on that day: of the whole feed where one is, for a list of the symbol alone would leave it out.
const gapsOf = ({ date, symbol, feed, gap_list: told = [] }) => links.gaps(date, feed, undefined, told.some(({ S }) => !S) ? undefined : symbol);
// The same symbol and day, of the other feed.
const ofFeed = ({ date, symbol }, other) => `/quality?${new URLSearchParams({ end: date, date, symbol, of: other })}`;

function figures(one) {
  const whole = one.coverage === null ? "–" : `${number(one.coverage * 100, 1)}%`, { date, feed } = one;
  const lost = gapsOf(one);
  define(show("figures"), [
    [gettext("Coverage"), { text: whole, href: STRIP }],
    [gettext("Minutes with a tick"), { text: one.expected === null ? number(one.present) : interpolate(gettext("%s, usually %s"), [number(one.present), number(one.expected)]), href: STRIP }],
    [gettext("Minutes lost"), { text: number(one.lost), level: one.lost ? "warn" : "", href: STRETCHES }],
    [gettext("Time in gaps"), { text: interpolate(gettext("%s s"), [size(one.gap_s)]), level: one.gap_s ? "warn" : "", href: lost }],
    [gettext("Missing volume"), one.missing_volume ? { text: size(one.missing_volume), level: "warn", href: lost } : one.gaps ? "–" : "0"], // not every gap tells it
    [gettext("Received"), { text: number(one.received), href: links.batches({ date, feed }) }],
    [gettext("Stored"), { text: number(one.stored), href: links.batches({ date, feed }) }],
    [gettext("Refused"), one.rejected ? { text: number(one.rejected), level: "warn", href: refused(one) } : "0"],
    ...Object.entries(one.reasons).map(([reason, rows]) => [interpolate(gettext("of them: %s"), [inWords(reason)]), { text: number(rows), href: refused(one, reason) }]),
    [gettext("Late"), one.late ? { text: number(one.late), href: links.batches({ date, feed, late: 1 }) } : "0"],
    [gettext("Taken back"), one.voided ? { text: number(one.voided), href: links.voided(one.date, one.feed, one.symbol) } : "0"],
    ...(one.compared_with ? [[interpolate(gettext("Differing from %s"), [one.compared_with]), { text: interpolate(gettext("%s of %s minutes"), [number(one.differing), number(one.compared)]), href: ofFeed(one, one.compared_with) }]] : []),
    ...(one.clock_offset_ms === null ? [] : [[gettext("Clock offset"), { text: `${number(one.clock_offset_ms, 1)} ms`, href: links.terminals() }]]),
    [gettext("Computed"), one.final ? gettext("for good") : gettext("while the day goes on")],
  ]);
}

function leads({ date, symbol, feed }, one) {
  const own = `/v2/quality/${date}/${encodeURIComponent(symbol)}?lang=${document.documentElement.lang}`;
  const offered = [
    [gettext("Chart"), addressOf(feed, symbol)], [gettext("Gaps"), gapsOf(one ?? { date, symbol, feed })],
    ...(one?.rejected ? [[gettext("Refused rows"), refused(one)]] : []), ["JSON", own],
  ];
  show("links").replaceChildren(...offered.map(([textContent, href]) => Object.assign(document.createElement("a"), { textContent, href })));
}

// Once something was told.
export function title({ name, symbol, feed, date }) {
  const place = show("one-title").querySelector("span");
  if (place) place.textContent = [name, symbol, feed, date].filter(Boolean).join(" · ");
}

// `told` is the answer of the symbol, null where there is none, and then `words` say why.
export function tell(chosen, told, words) {
  const one = told?.feeds.find(({ feed }) => feed === chosen.feed);
  show("one").hidden = false;
  const grade = Object.assign(document.createElement("i"), { hidden: !one, textContent: one?.grade ?? "" });
  grade.dataset.grade = grade.textContent;
  show("one-title").replaceChildren(document.createElement("span"), grade);
  title(chosen);
  show("told").hidden = !one;
  show("one-none").hidden = Boolean(one);
  show("one-none").textContent = words ?? gettext("Nothing is known of this symbol on this day.");
  leads(chosen, one);
  if (!one) return;
  const because = one.because.length ? one.because : [gettext("Nothing is wrong with it.")];
  show("because").replaceChildren(...because.map((textContent) => Object.assign(document.createElement("li"), { textContent })));
  strip(one);
  figures(one);
  const lost = one.stretches.filter(({ state }) => WORDS[state]).slice(0, MOST);
  fill(show("stretches"), lost.map(({ state, from, to, minutes }) => ({ key: from, cells: [WORDS[state], hour(Date.parse(from)), hour(Date.parse(to)), number(minutes)] })));
  show("nostretches").hidden = lost.length > 0;
  const gaps = one.gap_list.slice(0, MOST);
  fill(show("gaps"), gaps.map(({ i, from, to, rows, missing, reason }) => ({ key: String(i), cells: [{ text: inWords(reason), wraps: true, small: missing ? interpolate(gettext("volume %s"), [size(missing)]) : "" }, at(from), at(to), number(rows)] })));
  show("nogaps").hidden = gaps.length > 0;
}
