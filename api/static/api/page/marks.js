// What has to be known of a stretch of the chart beside its candles: gaps, volatility interruptions, halts, trades that
// were taken back, and days from which on a share is another than before. Corrected candles say so themselves (`rev`).
import { time } from "./format.js";
import { inWords } from "./reasons.js";
import * as rest from "./rest.js";

const AT_ONCE = 1000, DAY_MS = 86_400_000;
// What they are called, whether their rates say something to a reader, and whether candles before them are adjusted.
const ACTIONS = {
  forward_splits: [gettext("split"), true, true], reverse_splits: [gettext("reverse split"), true, true], stock_dividends: [gettext("stock dividend"), true, true],
  rights_distributions: [gettext("ex-rights"), false, true], spin_offs: [gettext("spin-off"), false, false], cash_dividends: [gettext("ex-dividend"), false, false],
};

// Every mark from `start` on, up to `end` where one is given: {key, t, kind, label, text}.
export async function marks(code, feed, start, end) {
  const asked = { symbols: code, feed, start, end, limit: AT_ONCE, sort: "desc" };
  const [gaps, events, voids] = await Promise.all([
    rest.records("gaps", asked), rest.records("events", asked), rest.records("corrections", { ...asked, type: "void" }),
  ]);
  return [...gaps.map(gap), ...events.map(event).filter(Boolean), ...voids.map(taken)];
}

export const gap = (one) => ({
  key: `gap ${one.i}`, t: whole(one.from), kind: "gap", label: gettext("gap"),
  text: `${clock(one.from)}–${clock(one.to)} ${gettext("gap")}: ${inWords(one.reason)}`,
});

// A status of a symbol, as /v2/events and the stream tell it; null for what interrupts nothing.
export function event(one) {
  const { state, vi, halted } = one.body;
  const isVi = one.type === "vi" && (state === undefined ? ![undefined, null, "", "N", "0"].includes(vi) : state === "on");
  if (!isVi && one.type !== "halt") return null;
  const label = isVi ? gettext("VI") : halted ? gettext("halted") : gettext("resumed");
  return { key: `event ${one.i}`, t: whole(one.t), kind: "event", label, text: `${clock(one.t)} ${label}` };
}

// A trade that was taken back, as /v2/corrections tells it.
export const taken = (one) => ({
  key: `void ${one.i}`, t: whole(one.t), kind: "void", label: gettext("taken back"),
  text: `${clock(one.t)} ${gettext("taken back")} ${one.tick.price ?? ""} ${one.reason}`,
});

// Corporate actions of a share whose ex-date has come, the marks of whole days: `until` is when the day is over.
export async function actions(code) {
  const lists = Object.entries(await rest.actions(code)).filter(([kind]) => kind in ACTIONS);
  return lists.flatMap(([kind, all]) => all.map((one) => action(ACTIONS[kind], one))).filter(({ t }) => Date.parse(t) <= Date.now());
}

function action([label, rates, adjusts], { id, ex_date, old_rate, new_rate }) {
  const begin = Date.parse(`${ex_date}T00:00:00+09:00`);
  const [t, until] = [begin, begin + DAY_MS].map((ms) => whole(new Date(ms).toISOString()));
  const text = [ex_date, label, rates && `${Number(old_rate)} → ${Number(new_rate)}`].filter(Boolean).join(" ");
  return { key: `action ${id}`, t, until, day: ex_date, adjusts, kind: "action", label, text };
}

const whole = (t) => `${t.slice(0, 19)}Z`; // as candles write their times, so that texts compare as times do
const clock = (text) => time(new Date(text));
