// Questions by REST, with the page's cookie or the session.
function cookie(name) {
  return document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

export class RestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  const response = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" }, ...options });
  if (response.status === 401 || response.status === 403) {
    location.reload(); // the cookie is over: the page gives a new one, or leads to the login
    throw new RestError(response.status, "not allowed");
  }
  if (!response.ok) throw new RestError(response.status, (await response.json().catch(() => ({}))).message ?? response.statusText);
  return response.json();
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));

export const status = () => ask("/v2/status");
export const symbols = (values) => ask(`/v2/symbols?${query(values)}`);
export const snapshots = (codes, feed) => ask(`/v2/stocks/snapshots?${query({ symbols: codes.join(","), feed })}`);
export const bars = (code, values) => ask(`/v2/stocks/bars?${query({ symbols: code, ...values })}`).then((page) => page.bars[code] ?? []);
export const trades = (code, values) => ask(`/v2/stocks/trades?${query({ symbols: code, ...values })}`).then((page) => page.trades[code] ?? []);
export const ticket = () =>
  ask("/v2/stream/ticket", { method: "POST", headers: { Accept: "application/json", "X-CSRFToken": cookie("csrftoken") } });
