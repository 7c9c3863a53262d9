// Where the list behind a number is: in the administration for whoever may enter it, else what REST has of it.
const operates = document.querySelector("[data-operates]") !== null;
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));
const admin = (model, values = {}, other = "") => (operates ? `/admin/marketdata/${model}/?${query(values)}` : other);
const row = (model, key, other = "") => (operates ? `/admin/marketdata/${model}/${encodeURIComponent(key)}/change/` : other);

export const alarms = (code) => admin("alarm", { cleared_at__isempty: 1, code });
export const client = (name) => admin("client", { q: name }, "/v2/status");
export const batches = () => admin("ingestbatch", {}, "/v2/status");
// `chosen` are filters of the list: reason, since (day), date, feed, symbol.
export const refused = (chosen, other = "/v2/status/upkeep") => admin("ingestreject", chosen, other);
export const letters = (code, since) => admin("deadletter", { code, since }, "/v2/status/upkeep");
export const letter = (id) => row("deadletter", id);
export const alarm = (id) => row("alarm", id);
export const asked = (id) => row("auditentry", id);
export const turn = (name) => (operates ? `/admin/django_celery_beat/periodictask/?${query({ q: name })}` : "");
export const gaps = (date, feed, reason, symbol) => admin("gap", { trade_date: date, feed, reason, symbol }, `/v2/gaps?${query({ feed, symbols: symbol })}`);
export const voided = (date, feed, symbol) => admin("voidedtick", { trade_date: date, feed, symbol });
export const rollover = (date) => row("rolloverrun", date, "/v2/status/upkeep");
export const backup = (id) => row("backuprun", id, "/v2/status/upkeep");
export const topics = () => admin("fanoutposition", {}, "/v2/status");
const DROPPED = { market_data_tick: "ticks", market_data_minute: "minutes" };
export const dropped = (table) => (DROPPED[table] ? admin("droppedday", { kind__exact: DROPPED[table] }) : ""); // of others nothing is noted
export const status = () => "/v2/status";
export const prices = () => "/";
