"""The older alpaca-trade-api for Python: every market-data method, and its stream. Runs without our environment's own
websockets and urllib3 (`tests.clients.need`)."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.clients.reporting import END, HTTP, KEY, LAST, ONE, SECRET, START, STREAM, TWO, Report, listening

os.environ["APCA_API_DATA_URL"] = HTTP

from alpaca_trade_api import REST, Stream, TimeFrame

BOTH = [ONE, TWO]


def historical_data(report: Report) -> None:
    """Whatever reads what is stored."""
    api = REST(KEY, SECRET, HTTP)
    span = {"start": START, "end": END}
    report.call("get_bars", lambda: [bar.c for bar in api.get_bars(ONE, TimeFrame.Minute, **span)])
    report.call("get_bars 1Day", lambda: [bar.c for bar in api.get_bars(ONE, TimeFrame.Day, adjustment="all")])
    report.call("get_bars of two", lambda: [(bar.S, bar.c) for bar in api.get_bars(BOTH, TimeFrame.Hour, **span)])
    report.call("get_trades", lambda: [trade.p for trade in api.get_trades(ONE, **span)])
    report.call("get_quotes", lambda: [quote.bp for quote in api.get_quotes(ONE, **span)])
    report.call("get_latest_bar", lambda: api.get_latest_bar(ONE).c)
    report.call("get_latest_bars", lambda: {s: bar.c for s, bar in api.get_latest_bars(BOTH, feed="iex").items()})
    report.call("get_latest_trade", lambda: api.get_latest_trade(ONE).p)
    report.call("get_latest_trades", lambda: {s: trade.p for s, trade in api.get_latest_trades(BOTH).items()})
    report.call("get_latest_quote", lambda: api.get_latest_quote(ONE).ap)
    report.call("get_latest_quotes", lambda: {s: quote.ap for s, quote in api.get_latest_quotes(BOTH).items()})
    report.call("get_snapshot", lambda: api.get_snapshot(ONE).daily_bar.c)
    report.call("get_snapshots", lambda: {s: one.latest_trade.p for s, one in api.get_snapshots(BOTH).items()})
    report.call("get_clock", lambda: api.get_clock().is_open in (True, False))
    report.call("get_calendar", lambda: [str(day.date)[:10] for day in api.get_calendar("2026-03-13", "2026-03-16")])
    report.call("list_assets", lambda: sorted(asset.symbol for asset in api.list_assets(status="active")))
    report.call("get_asset", lambda: api.get_asset(ONE).symbol)
    report.call("get_news", lambda: api.get_news(ONE))
    report.call("get_latest_crypto_trades", lambda: api.get_latest_crypto_trades(["BTC/USD"], "us"))


async def stream(report: Report) -> None:
    """Trades and quotes of whatever comes, and the candle that closes meanwhile."""
    client = Stream(KEY, SECRET, base_url=HTTP, data_stream_url=STREAM, data_feed="iex")
    heard: dict[str, Any] = {}
    enough = asyncio.Event()

    def kept(kind: str, field: str) -> Any:
        async def keep(message: Any) -> None:
            if kind != "bars" or message.close == LAST:
                heard.setdefault(kind, getattr(message, field))
            if len(heard) == 3:
                enough.set()

        return keep

    client.subscribe_trades(kept("trades", "price"), "*")
    client.subscribe_quotes(kept("quotes", "bid_price"), ONE)
    client.subscribe_bars(kept("bars", "close"), ONE)
    data = client._data_ws
    await data._start_ws()
    await data._subscribe_all()
    await data._ws.recv()  # the listing of the subscriptions, which has a frame of its own: from now on it is told
    data._running = True
    listening()
    consuming = asyncio.create_task(data._consume())
    await enough.wait()
    consuming.cancel()
    await data.close()
    report.methods["stream"] = {"got": heard}


if __name__ == "__main__":
    found = Report()
    historical_data(found)
    asyncio.run(stream(found))
    found.tell()
