// Where the list behind a number is: in the administration for whoever may enter it, else the page of the list
// (api/lists), which has what anybody may read of it.
const operates = document.querySelector("[data-operates]") !== null;
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));
const address = (path, values) => (query(values).size ? `${path}?${query(values)}` : path);
const listed = (name, values = {}) => address(`/lists/${name}`, values);
const admin = (model, values, other = "") => (operates ? address(`/admin/marketdata/${model}/`, values) : other);
const row = (model, key, other = "") => (operates ? `/admin/marketdata/${model}/${encodeURIComponent(key)}/change/` : other);

export const alarms = (code) => admin("alarm", { cleared_at__isempty: 1, code });
export const client = (name) => admin("client", { q: name }, name === undefined ? "" : terminal(name));
export const terminal = (name) => `/collection#terminal/${encodeURIComponent(name)}`;
export const terminals = () => "/collection#terminals-title";
// `chosen` are filters of the list: date, late (1 or 0), feed.
export const batches = (chosen = {}) => admin("ingestbatch", chosen, listed("batches", chosen));
// Of these: reason, since (day), date, feed, symbol.
export const refused = (chosen = {}) => admin("ingestreject", chosen, listed("refused", chosen));
export const letters = (code, since) => admin("deadletter", { code, since }, listed("letters", { code, since }));
export const letter = (id) => row("deadletter", id);
export const alarm = (id) => row("alarm", id);
export const asked = (id) => row("auditentry", id);
export const turn = (name) => (operates ? address("/admin/django_celery_beat/periodictask/", { q: name }) : "");
export const gaps = (date, feed, reason, symbol) => admin("gap", { trade_date: date, feed, reason, symbol }, listed("gaps", { date, feed, reason, symbol }));
export const voided = (date, feed, symbol) => admin("voidedtick", { trade_date: date, feed, symbol }, listed("voided", { date, feed, symbol }));
export const rollover = (date) => row("rolloverrun", date, listed("rollovers", { date }));
export const backups = () => admin("backuprun", {}, listed("backups"));
export const backup = (id) => row("backuprun", id, listed("backups"));
export const topics = () => admin("fanoutposition", {}, "/collection#topics-title");
const DROPPED = { market_data_tick: "ticks", market_data_minute: "minutes" };
export const dropped = (table) => (DROPPED[table] ? admin("droppedday", { kind__exact: DROPPED[table] }, listed("dropped", { kind: DROPPED[table] })) : ""); // of others nothing is noted
export const overview = () => (operates ? "/admin/" : "");
export const prices = () => "/";
// Of one symbol: its trading dates, and its order books, also with what lay at one price.
export const days = (feed, symbol) => listed("days", { feed, symbol });
export const books = (feed, symbol, price) => listed("books", { feed, symbol, price });
