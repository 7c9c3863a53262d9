"""alpaca-py, every market-data method, and its stream."""

from __future__ import annotations

import asyncio
import datetime
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from alpaca.data import enums, historical, live, requests
from alpaca.data.historical import corporate_actions, news, screener
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from tests.clients.reporting import END, HTTP, KEY, LAST, ONE, SECRET, START, STREAM, TWO, Report, listening

BOTH = [ONE, TWO]
ACTIONS_START, ACTIONS_END = datetime.date(2026, 1, 1), datetime.date(2026, 3, 1)
SPAN: dict[str, Any] = {"start": datetime.datetime.fromisoformat(START), "end": datetime.datetime.fromisoformat(END)}


def historical_data(report: Report) -> None:
    """Whatever reads what is stored."""
    stocks: Any = historical.StockHistoricalDataClient(KEY, SECRET, url_override=HTTP)
    both: dict[str, Any] = {"symbol_or_symbols": BOTH}

    def bars(frame: TimeFrame) -> dict[str, list[float]]:
        asked = requests.StockBarsRequest(**both, **SPAN, timeframe=frame)
        return {symbol: [bar.close for bar in found] for symbol, found in stocks.get_stock_bars(asked).data.items()}

    def days(frame: TimeFrame) -> list[float]:
        asked = requests.StockBarsRequest(symbol_or_symbols=ONE, timeframe=frame, adjustment=enums.Adjustment.ALL)
        return [bar.close for bar in stocks.get_stock_bars(asked).data[ONE]]

    def trades() -> dict[str, list[float]]:
        found = stocks.get_stock_trades(requests.StockTradesRequest(**both, **SPAN)).data
        return {symbol: [trade.price for trade in rows] for symbol, rows in found.items()}

    def quotes() -> dict[str, list[float]]:
        found = stocks.get_stock_quotes(requests.StockQuotesRequest(**both, **SPAN)).data
        return {symbol: [quote.bid_price for quote in rows] for symbol, rows in found.items()}

    def latest_trades() -> dict[str, float]:
        found = stocks.get_stock_latest_trade(requests.StockLatestTradeRequest(**both, feed=enums.DataFeed.SIP))
        return {symbol: trade.price for symbol, trade in found.items()}

    def latest_quotes() -> dict[str, float]:
        found = stocks.get_stock_latest_quote(requests.StockLatestQuoteRequest(**both))
        return {symbol: quote.ask_price for symbol, quote in found.items()}

    def latest_bars() -> dict[str, float]:
        found = stocks.get_stock_latest_bar(requests.StockLatestBarRequest(**both, feed=enums.DataFeed.IEX))
        return {symbol: bar.close for symbol, bar in found.items()}

    def snapshots() -> dict[str, list[float]]:
        found = stocks.get_stock_snapshot(requests.StockSnapshotRequest(**both))
        return {symbol: [one.latest_trade.price, one.daily_bar.close] for symbol, one in found.items()}

    for frame in (TimeFrame.Minute, TimeFrame(5, TimeFrameUnit.Minute), TimeFrame.Hour):
        report.call(f"get_stock_bars {frame}", functools.partial(bars, frame))
    for frame in (TimeFrame.Day, TimeFrame.Week, TimeFrame.Month):
        report.call(f"get_stock_bars {frame}", functools.partial(days, frame))
    report.call("get_stock_trades", trades)
    report.call("get_stock_quotes", quotes)
    report.call("get_stock_latest_trade", latest_trades)
    report.call("get_stock_latest_quote", latest_quotes)
    report.call("get_stock_latest_bar", latest_bars)
    report.call("get_stock_snapshot", snapshots)


def other_data(report: Report) -> None:
    """Screener, and what Naru has no data of: the documented error."""
    seen: Any = screener.ScreenerClient(KEY, SECRET, url_override=HTTP)
    told: Any = news.NewsClient(KEY, SECRET, url_override=HTTP)
    options: Any = historical.OptionHistoricalDataClient(KEY, SECRET, url_override=HTTP)
    crypto: Any = historical.CryptoHistoricalDataClient(KEY, SECRET, url_override=HTTP)
    actions: Any = corporate_actions.CorporateActionsClient(KEY, SECRET, url_override=HTTP)

    def most_actives() -> list[str]:
        found = seen.get_most_actives(requests.MostActivesRequest(top=2)).most_actives
        return sorted(one.symbol for one in found)

    def of_companies() -> dict[str, list[str]]:
        asked = requests.CorporateActionsRequest(symbols=BOTH, start=ACTIONS_START, end=ACTIONS_END)
        found = actions.get_corporate_actions(asked).data
        return {name: [f"{one.symbol} {one.ex_date}" for one in rows] for name, rows in found.items()}

    report.call("get_corporate_actions", of_companies)
    report.call("get_most_actives", most_actives)
    report.call("get_market_movers", lambda: len(seen.get_market_movers(requests.MarketMoversRequest(top=2)).gainers))
    report.call("get_news", lambda: told.get_news(requests.NewsRequest(symbols=ONE)))
    report.call(
        "get_option_chain", lambda: options.get_option_chain(requests.OptionChainRequest(underlying_symbol=ONE))
    )
    one = requests.CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD")
    report.call("get_crypto_latest_trade", lambda: crypto.get_crypto_latest_trade(one))


class Subscribed(logging.Handler):
    """Sets an event when the client logs that it is subscribed; it offers nothing else to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "subscribed to" in record.getMessage():
            self.event.set()


async def stream(report: Report) -> None:
    """Trades and quotes of whatever comes, and the candle that closes meanwhile."""
    client = live.StockDataStream(KEY, SECRET, feed=enums.DataFeed.IEX, url_override=f"{STREAM}/v2/iex")
    heard: dict[str, Any] = {}

    def kept(kind: str, field: str) -> Callable[[Any], Awaitable[None]]:
        async def keep(message: Any) -> None:
            if kind != "bars" or message.close == LAST:
                heard.setdefault(kind, getattr(message, field))
            if len(heard) == 3:
                await client.stop_ws()

        return keep

    client.subscribe_trades(kept("trades", "price"), "*")
    client.subscribe_quotes(kept("quotes", "bid_price"), ONE)
    client.subscribe_bars(kept("bars", "close"), ONE)
    subscribed = Subscribed()
    logging.getLogger("alpaca").addHandler(subscribed)
    logging.getLogger("alpaca").setLevel(logging.INFO)
    running = asyncio.create_task(client._run_forever())
    await subscribed.event.wait()
    listening()
    await running
    report.methods["stream"] = {"got": heard}


if __name__ == "__main__":
    found = Report()
    historical_data(found)
    other_data(found)
    asyncio.run(stream(found))
    found.tell()
