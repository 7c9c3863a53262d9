// The client for Node, major 4: its market-data classes by REST, pages by its own walker, and its stream.
"use strict";
const { marketData, streaming } = require("@alpacahq/alpaca-trade-api");
const { NARU_HTTP, NARU_STREAM, NARU_KEY, NARU_SECRET, NARU_LAST } = process.env;
const ONE = "005930", TWO = "000660", SYMBOLS = `${ONE},${TWO}`;
const SPAN = { start: new Date("2026-03-16T00:00:00Z"), end: new Date("2026-03-17T00:00:00Z") };
const options = { basePath: NARU_HTTP, keyId: NARU_KEY, secret: NARU_SECRET };
const data = new marketData.Configuration(options);
const stocks = new marketData.StockApi(data);
const methods = {};

async function call(name, job) {
  try {
    methods[name] = { got: await job() };
  } catch (error) {
    const status = error && error.response && error.response.status;
    methods[name] = { error: `${status || ""} ${error && error.message || error}`.slice(0, 300) };
  }
}

const listed = (map, field) => Object.fromEntries(Object.entries(map).map(([symbol, rows]) => [symbol, rows.map((row) => row[field])]));
const single = (map, field) => Object.fromEntries(Object.entries(map).map(([symbol, row]) => [symbol, row[field]]));

async function historical() {
  await call("stockBars", async () => listed((await stocks.stockBars({ symbols: SYMBOLS, timeframe: "1Min", ...SPAN })).bars, "c"));
  await call("stockBars 1Day", async () => listed((await stocks.stockBars({ symbols: SYMBOLS, timeframe: "1Day", adjustment: "all" })).bars, "c"));
  await call("stockBarSingle", async () => (await stocks.stockBarSingle({ symbol: ONE, timeframe: "1Hour", ...SPAN })).bars.map((bar) => bar.c));
  await call("stockTrades", async () => listed((await stocks.stockTrades({ symbols: SYMBOLS, ...SPAN })).trades, "p"));
  await call("stockTradeSingle", async () => (await stocks.stockTradeSingle({ symbol: ONE, ...SPAN })).trades.map((trade) => trade.p));
  await call("stockQuotes", async () => listed((await stocks.stockQuotes({ symbols: SYMBOLS, ...SPAN })).quotes, "bp"));
  await call("stockQuoteSingle", async () => (await stocks.stockQuoteSingle({ symbol: ONE, ...SPAN })).quotes.map((quote) => quote.bp));
  await call("stockLatestBars", async () => single((await stocks.stockLatestBars({ symbols: SYMBOLS })).bars, "c"));
  await call("stockLatestBarSingle", async () => (await stocks.stockLatestBarSingle({ symbol: ONE, feed: "iex" })).bar.c);
  await call("stockLatestTrades", async () => single((await stocks.stockLatestTrades({ symbols: SYMBOLS })).trades, "p"));
  await call("stockLatestTradeSingle", async () => (await stocks.stockLatestTradeSingle({ symbol: ONE })).trade.p);
  await call("stockLatestQuotes", async () => single((await stocks.stockLatestQuotes({ symbols: SYMBOLS })).quotes, "ap"));
  await call("stockLatestQuoteSingle", async () => (await stocks.stockLatestQuoteSingle({ symbol: ONE })).quote.ap);
  await call("stockSnapshots", async () => single(single(await stocks.stockSnapshots({ symbols: SYMBOLS }), "dailyBar"), "c"));
  await call("stockSnapshotSingle", async () => (await stocks.stockSnapshotSingle({ symbol: ONE })).latestTrade.p);
  await call("stockMetaConditions", async () => Object.keys(await stocks.stockMetaConditions({ ticktype: "trade", tape: "A" })).length > 0);
  await call("stockMetaExchanges", async () => Object.keys(await stocks.stockMetaExchanges()).includes("krx"));
  await call("stockAuctionSingle", async () => (await stocks.stockAuctionSingle({ symbol: ONE })).auctions.length);
  const screener = new marketData.ScreenerApi(data);
  await call("mostActives", async () => (await screener.mostActives({ top: 2 })).mostActives.map((one) => one.symbol).sort());
  await call("movers", async () => (await screener.movers({ marketType: "stocks", top: 2 })).gainers.length);
  await call("corporateActions", async () => {
    const asked = { symbols: SYMBOLS, start: new Date("2026-01-01"), end: new Date("2026-03-01") };
    const found = (await new marketData.CorporateActionsApi(data).corporateActions(asked)).corporateActions;
    return { splits: found.forwardSplits.map((one) => one.newRate), dividends: found.cashDividends.map((one) => one.rate) };
  });
  await call("news", async () => (await new marketData.NewsApi(data).news({ symbols: ONE })).news.length);
  await call("optionLatestTrades", async () => (await new marketData.OptionApi(data).optionLatestTrades({ symbols: "X" })).trades);
}

function stream() {
  return new Promise((resolve) => {
    const heard = {};
    const socket = new streaming.StockDataStream({ url: `${NARU_STREAM}/v2/iex`, credentials: { keyId: NARU_KEY, secret: NARU_SECRET } });
    const keep = (kind, value) => {
      if (kind === "bars" && value !== Number(NARU_LAST)) return; // candles that were open before close meanwhile
      heard[kind] ??= value;
      if (Object.keys(heard).length === 3) {
        socket.disconnect();
        methods.stream = { got: heard };
        resolve();
      }
    };
    socket.subscribeForTrades(["*"]);
    socket.subscribeForQuotes([ONE]);
    socket.subscribeForBars([ONE]);
    socket.onTrade((trade) => keep("trades", trade.p ?? trade.price));
    socket.onQuote((quote) => keep("quotes", quote.bp ?? quote.bidPrice));
    socket.onBar((bar) => keep("bars", bar.c ?? bar.close));
    socket.on("subscription", () => console.log("listening"));
    socket.on("client_error", (error) => process.stderr.write(String(error) + "\n"));
    socket.connect();
  });
}

historical().then(stream).then(() => {
  console.log(JSON.stringify(methods));
  process.exit(0);
});
