// Numbers and times as people here read them, in the language of the page. Times are shown in Korea's, whatever the
// browser's zone. `gettext` and `interpolate` come with the texts of the page (texts.js).
export const LOCALE = document.documentElement.lang === "en" ? "en-US" : "ko-KR";
const KST_S = 9 * 3600;

export const seconds = (text) => Math.floor(Date.parse(text) / 1000);
export const chartTime = (text) => seconds(text) + KST_S; // the chart knows UTC only, so it is given Korea's clock
export const ofClock = (ms) => new Date(ms - KST_S * 1000).toISOString(); // of inputs, whose time is Korea's, too

// A text that the server kept in English, and in other languages beside it.
export const inLanguage = (one, english) => one.texts?.[LOCALE.slice(0, 2)] ?? english;

const clock = new Intl.DateTimeFormat(LOCALE, {
  timeZone: "Asia/Seoul", hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const day = new Intl.DateTimeFormat(LOCALE, {
  timeZone: "Asia/Seoul", month: "2-digit", day: "2-digit", weekday: "short",
});

export const time = (date) => clock.format(date);
export const dayAndTime = (date) => `${day.format(date)} ${clock.format(date)} KST`;

export function digitsOf(value) {
  const text = String(value);
  if (text.includes("e-")) return 8;
  const point = text.indexOf(".");
  return point < 0 ? 0 : Math.min(text.length - point - 1, 8);
}

const numbers = new Map();
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!numbers.has(digits)) {
    numbers.set(digits, new Intl.NumberFormat(LOCALE, {
      minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative", // what rounds to 0 has no sign
    }));
  }
  return numbers.get(digits).format(value);
}

export const size = (value) => number(value, Math.min(digitsOf(value), 4));

export function short(value) {
  if (value < 1e7) return number(value);
  return new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 4 }).format(value);
}

export function change(last, reference) {
  if (!reference || last === undefined) return { text: "–", way: "", arrow: "" };
  const difference = last - reference;
  const way = difference > 0 ? "up" : difference < 0 ? "down" : "";
  const arrow = difference > 0 ? "▲" : difference < 0 ? "▼" : "";
  return { way, arrow, difference, percent: `${number(Math.abs((difference / reference) * 100), 2)}%` };
}

export function age(sec) {
  if (sec < 2) return gettext("just now");
  if (sec < 90) return interpolate(gettext("%s s ago"), [Math.round(sec)]);
  if (sec < 5400) return interpolate(gettext("%s min ago"), [Math.round(sec / 60)]);
  return interpolate(gettext("%s h ago"), [Math.round(sec / 3600)]);
}

// What a symbol is called in the language of the page; empty when nobody named it.
export const called = (symbol) => (LOCALE === "en-US" && symbol.name_en) || symbol.name;

// How many decimals the prices of an instrument have: as many as the finest that was seen.
export class Digits {
  most = 0;

  // Whether there are more than before.
  see(...prices) {
    const most = Math.max(this.most, ...prices.map(digitsOf));
    const grown = most > this.most;
    this.most = most;
    return grown;
  }

  text(price) {
    return number(price, this.most);
  }
}
