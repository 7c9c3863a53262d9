// How many alerts nobody has acknowledged, at the page of alerts in the bar of every page: asked for when a page is opened,
// when somebody comes back to it, when another part of the page says that it may be another number (`alerts-changed`), and on
// pages of the desk all the while: not in the administration, where a form that lies open is to keep no login alive.
// It needs no texts of the scripts, which the administration has not got.
const MOST = 99, WAIT_MS = 300, EVERY_MS = 15_000;
const place = document.getElementById("unseen"); // only for who may have alerts
let timer = 0, asked = 0;

async function count() {
  timer = 0;
  const turn = ++asked;
  const answer = await fetch("/v2/alerts/count?acknowledged=false", { credentials: "same-origin", headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || turn !== asked) return; // the page itself says what is wrong
  const told = await answer.json();
  place.hidden = told.count === 0;
  place.replaceChildren(told.count > MOST ? `${MOST}+` : String(told.count), Object.assign(document.createElement("span"), { className: "hidden", textContent: ` ${place.dataset.told}` }));
}

if (place) {
  count();
  document.addEventListener("visibilitychange", () => !document.hidden && count());
  if (document.querySelector(".pages a[aria-current]")) setInterval(() => !document.hidden && count(), EVERY_MS);
  addEventListener("alerts-changed", () => (timer ||= setTimeout(count, WAIT_MS)));
}
