// The client for Node, major 3: every market-data method by REST, and its stream (which knows TLS alone).
"use strict";
const Alpaca = require("@alpacahq/alpaca-trade-api");
const { NARU_HTTP, NARU_TLS, NARU_KEY, NARU_SECRET, NARU_LAST } = process.env;
const ONE = "005930", TWO = "000660", BOTH = [ONE, TWO];
const SPAN = { start: "2026-03-16T00:00:00Z", end: "2026-03-17T00:00:00Z" };
const api = new Alpaca({
  keyId: NARU_KEY, secretKey: NARU_SECRET, baseUrl: NARU_HTTP, dataBaseUrl: NARU_HTTP, dataStreamUrl: NARU_TLS,
  feed: "iex",
});
const methods = {};

async function call(name, job) {
  try {
    methods[name] = { got: await job() };
  } catch (error) {
    methods[name] = { error: String(error && error.message || error).slice(0, 300) };
  }
}

async function all(pages, field) {
  const found = [];
  for await (const one of pages) found.push(one[field]);
  return found;
}

const listed = (map, field) => Object.fromEntries([...map].map(([symbol, rows]) => [symbol, rows.map((row) => row[field])]));
const single = (map, field) => Object.fromEntries([...map].map(([symbol, row]) => [symbol, row[field]]));

async function historical() {
  await call("getBarsV2", () => all(api.getBarsV2(ONE, { ...SPAN, timeframe: "1Min" }), "ClosePrice"));
  await call("getBarsV2 1Day", () => all(api.getBarsV2(ONE, { timeframe: "1Day", adjustment: "all" }), "ClosePrice"));
  await call("getMultiBarsV2", async () => listed(await api.getMultiBarsV2(BOTH, { ...SPAN, timeframe: "1Hour" }), "ClosePrice"));
  await call("getMultiBarsAsyncV2", () => all(api.getMultiBarsAsyncV2(BOTH, { ...SPAN, timeframe: "1Hour" }), "ClosePrice"));
  await call("getTradesV2", () => all(api.getTradesV2(ONE, SPAN), "Price"));
  await call("getMultiTradesV2", async () => listed(await api.getMultiTradesV2(BOTH, SPAN), "Price"));
  await call("getMultiTradesAsyncV2", () => all(api.getMultiTradesAsyncV2(BOTH, SPAN), "Price"));
  await call("getQuotesV2", () => all(api.getQuotesV2(ONE, SPAN), "BidPrice"));
  await call("getMultiQuotesV2", async () => listed(await api.getMultiQuotesV2(BOTH, SPAN), "BidPrice"));
  await call("getMultiQuotesAsyncV2", () => all(api.getMultiQuotesAsyncV2(BOTH, SPAN), "BidPrice"));
  await call("getLatestTrade", async () => (await api.getLatestTrade(ONE)).Price);
  await call("getLatestTrades", async () => single(await api.getLatestTrades(BOTH), "Price"));
  await call("getLatestQuote", async () => (await api.getLatestQuote(ONE)).AskPrice);
  await call("getLatestQuotes", async () => single(await api.getLatestQuotes(BOTH), "AskPrice"));
  await call("getLatestBar", async () => (await api.getLatestBar(ONE)).ClosePrice);
  await call("getLatestBars", async () => single(await api.getLatestBars(BOTH), "ClosePrice"));
  await call("getSnapshot", async () => (await api.getSnapshot(ONE)).DailyBar.ClosePrice);
  await call("getSnapshots", async () => (await api.getSnapshots(BOTH)).map((one) => one.LatestTrade.Price).sort());
  await call("getClock", async () => typeof (await api.getClock()).is_open);
  await call("getCalendar", async () => (await api.getCalendar({ start: "2026-03-13", end: "2026-03-16" })).map((day) => day.date));
  await call("getAssets", async () => (await api.getAssets({ status: "active" })).map((one) => one.symbol).sort());
  await call("getAsset", async () => (await api.getAsset(ONE)).symbol);
  await call("getCorporateActions", async () => {
    const found = await api.getCorporateActions(BOTH, { start: "2026-01-01", end: "2026-03-01", types: ["forward_split", "cash_dividend"] });
    return { splits: found.ForwardSplits.map((one) => one.ExDate), dividends: found.CashDividends.map((one) => one.Rate) };
  });
  await call("getNews", async () => (await api.getNews({ symbols: [ONE] })).length);
  await call("getLatestCryptoTrades", async () => (await api.getLatestCryptoTrades(["BTC/USD"])).size);
  await call("getLatestOptionTrades", async () => (await api.getLatestOptionTrades(["X"])).size);
}

function stream() {
  return new Promise((resolve) => {
    const heard = {}, socket = api.data_stream_v2;
    const keep = (kind, value) => {
      if (kind === "bars" && value !== Number(NARU_LAST)) return; // candles that were open before close meanwhile
      heard[kind] ??= value;
      if (Object.keys(heard).length === 3) {
        socket.disconnect();
        methods.stream = { got: heard };
        resolve();
      }
    };
    socket.onStateChange((state) => {
      if (state !== "authenticated") return;
      socket.subscribeForTrades(["*"]);
      socket.subscribeForQuotes([ONE]);
      socket.subscribeForBars([ONE]);
    });
    let confirmed = 0;
    socket.onError((error) => process.stderr.write(String(error) + "\n"));
    socket.onStockTrade((trade) => keep("trades", trade.Price));
    socket.onStockQuote((quote) => keep("quotes", quote.BidPrice));
    socket.onStockBar((bar) => keep("bars", bar.ClosePrice));
    socket.connect();
    const update = socket.updateSubscriptions.bind(socket);
    socket.updateSubscriptions = (message) => {
      update(message);
      if (++confirmed === 3) console.log("listening");
    };
  });
}

historical().then(stream).then(() => {
  console.log(JSON.stringify(methods));
  process.exit(0);
});
