// Numbers and times as people here read them. Times are shown in Korea's, whatever the browser's zone.
const KST_S = 9 * 3600;

export const seconds = (text) => Math.floor(Date.parse(text) / 1000);
export const chartTime = (text) => seconds(text) + KST_S; // the chart knows UTC only, so it is given Korea's clock

const clock = new Intl.DateTimeFormat("ko-KR", {
  timeZone: "Asia/Seoul", hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const day = new Intl.DateTimeFormat("ko-KR", {
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
    numbers.set(digits, new Intl.NumberFormat("ko-KR", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return numbers.get(digits).format(value);
}

export const size = (value) => number(value, Math.min(digitsOf(value), 4));

export function short(value) {
  if (value < 1e7) return number(value);
  return value < 1e8 ? `${number(value / 1e4)}만` : `${number(value / 1e8, 2)}억`;
}

export function change(last, reference) {
  if (!reference || last === undefined) return { text: "–", way: "", arrow: "" };
  const difference = last - reference;
  const way = difference > 0 ? "up" : difference < 0 ? "down" : "";
  const arrow = difference > 0 ? "▲" : difference < 0 ? "▼" : "–";
  return { way, arrow, difference, percent: `${number(Math.abs((difference / reference) * 100), 2)}%` };
}

export function age(sec) {
  if (sec < 2) return "방금 now";
  if (sec < 90) return `${Math.round(sec)}초 전`;
  return sec < 5400 ? `${Math.round(sec / 60)}분 전` : `${Math.round(sec / 3600)}시간 전`;
}
