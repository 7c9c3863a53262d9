// Questions by REST, with the page's cookie or the session.
function cookie(name) {
  return document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}

const FEED_FORBIDDEN = 40310002;
export const UNKNOWN_FEED = 40410002;

// `fields` has what is wrong with which part of what was sent, `code` tells cases of a status apart.
export class RestError extends Error {
  constructor(status, message, fields = {}, code = 0) {
    super(message);
    Object.assign(this, { status, fields, code });
  }
}

// Errors are told in the page's language, which the browser's own may not be.
export const ACCEPT = { Accept: "application/json", "Accept-Language": document.documentElement.lang };

// Why there is no answer, in the page's language: what the server told in it; in our words what is told before a request
// was read whole, which is English always, and what something between us and the server said.
const OURS = { 408: gettext("The request took too long to arrive."), 413: gettext("More was sent than the server takes.") };
export const reason = (status, message) => OURS[status] ?? message ?? interpolate(gettext("The server answered with %s."), [status]);

// As `fetch`; where nobody answers a RestError without a status.
export const reached = (path, options) => fetch(path, { credentials: "same-origin", ...options }).catch(() => {
  throw new RestError(0, gettext("The server does not answer."));
});

// JSON in which ids that a double would not hold stay text.
export const parsed = (text) => JSON.parse(text.replace(/"i":(\d{16,})/g, '"i":"$1"'));

async function ask(path, options) {
  const response = await reached(path, { headers: ACCEPT, ...options });
  if (!response.ok) {
    const { code, message, errors } = await response.json().catch(() => ({}));
    // The cookie is over: the page gives a new one, or leads to the login. A feed that is not theirs is another matter.
    if (response.status === 401 || (response.status === 403 && code !== FEED_FORBIDDEN)) location.reload();
    throw new RestError(response.status, reason(response.status, message), errors, code);
  }
  return response.status === 204 ? null : parsed(await response.text());
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));

// Prices of before a split are told as if it had been in force then, as the page of the market, movers and alerts compare.
const ADJUSTED = { adjustment: "split" };

// `code` stands in a path as one part of it.
const part = (code) => encodeURIComponent(code);

export const status = () => ask("/v2/status");
export const market = (values) => ask(`/v2/stats/market/symbols?${query(values)}`);
export const statusHistory = (values) => ask(`/v2/status/history?${query(values)}`);
export const statusUpkeep = () => ask("/v2/status/upkeep");
export const operations = () => ask("/v2/operations");
export const unseenAlerts = (limit = 100) => ask(`/v2/alerts?${query({ acknowledged: "false", limit })}`);
export const qualityMap = (values) => ask(`/v2/quality/map?${query(values)}`);
export const qualityOf = (date, code, values) => ask(`/v2/quality/${part(date)}/${part(code)}?${query(values)}`);
export const clock = (market, feed) => ask(`/v2/clock?${query({ market, feed })}`);
export const symbols = (values) => ask(`/v2/symbols?${query(values)}`);
export const symbol = (code) => ask(`/v2/symbols/${part(code)}`);
export const snapshots = (codes, feed) => ask(`/v2/stocks/snapshots?${query({ symbols: codes.join(","), feed, ...ADJUSTED })}`);
export const bars = (code, values) => barPage(code, values).then((page) => page.bars);
export const barsOf = (codes, values) => ask(`/v2/stocks/bars?${query({ symbols: codes.join(","), ...values })}`).then((page) => page.bars);
export const barPage = (code, values) => pageOf("stocks/bars", "bars", code, { ...ADJUSTED, ...values });
export const tradePage = (code, values) => pageOf("stocks/trades", "trades", code, values);
export const indicators = () => ask("/v2/indicators").then((content) => content.indicators);
export const indicatorPage = (code, values) => ask(`/v2/indicators/${part(code)}?${query({ ...ADJUSTED, ...values })}`);
export const eventsPage = (values) => ask(`/v2/events?${query(values)}`);
export const newestEvents = (values) => eventsPage({ ...values, sort: "desc" }).then((page) => page.events);
export const actions = (code) => ask(`/v1/corporate-actions?${query({ symbols: code, limit: 1000, sort: "desc" })}`).then((page) => page.corporate_actions);
export const drawings = (symbol) => ask(`/v2/drawings?${query({ symbol })}`).then((content) => content.drawings);
export const newestStats = (code, feed) => ask(`/v2/stats?${query({ symbols: code, feed })}`).then(({ stats }) => stats[code] ?? null);
export const book = (code, feed) => ask(`/v2/orderbooks/latest?${query({ symbols: code, feed })}`).then((page) => page.orderbooks[code] ?? null);
// Events, gaps or corrections, all pages up to a number of them.
export async function records(what, values, most = 5) {
  const found = [];
  for (let token, page = 0; page === 0 || (token && page < most); page += 1) {
    const content = await ask(`/v2/${what}?${query({ ...values, page_token: token })}`);
    found.push(...content[what]);
    token = content.next_page_token ?? undefined;
  }
  return found;
}

async function pageOf(path, what, code, values) {
  const page = await ask(`/v2/${path}?${query({ symbols: code, ...values })}`);
  return { [what]: page[what][code] ?? [], next_page_token: page.next_page_token };
}

// What a person changes, below /v2/.
export const changed = (path, method, body) =>
  ask(`/v2/${path}`, {
    method,
    headers: { ...ACCEPT, "X-CSRFToken": cookie("csrftoken"), ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });
export const ticket = () => changed("stream/ticket", "POST");
export const watchlists = () => ask("/v2/watchlists");
