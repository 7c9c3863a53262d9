"""Where many series stand at once: what a snapshot shows of each, read with as many questions as there are feeds, not
series."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.series import latest, timeframes, trading_days
from marketdata.storage import storage
from marketdata.storage.base import Latest
from marketdata.types import minute_bars
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import EPOCH_DATE

MOST_DAYS = 2


@dataclass(frozen=True, slots=True)
class State:
    """What is known of series of one feed, by symbol; what there is nothing of is left out. `days` are at most two,
    newest first; `minutes` has one candle of a symbol."""

    trades: Mapping[str, Latest]
    quotes: Mapping[str, Ticks | OrderBook]
    minutes: Bars
    days: Mapping[str, DailyBars]
    prices: Mapping[str, StockPrice]


def dates(now: datetime.datetime) -> trading_days.Dates:
    """The trading dates that a state may have days of."""
    return trading_days.dates(EPOCH_DATE, now.date() + datetime.timedelta(days=8), now)


def read(feed: str, symbols: Mapping[str, str], known: trading_days.Dates) -> State:
    """The state of these symbols of a feed; `symbols` names the market of each."""
    pairs = [(symbol, feed) for symbol in symbols]
    trades = latest.trades(pairs)
    return State(
        {symbol: one for (symbol, _), one in trades.items()},
        {symbol: one for (symbol, _), one in latest.quotes(pairs, trades).items()},
        newest_minutes(feed, list(symbols)),
        trading_days.newest(feed, symbols, known, MOST_DAYS),
        {one.symbol: one for one in storage().latest_prices(sorted(symbols), feed)},
    )


def newest_minutes(feed: str, symbols: Sequence[str]) -> Bars:
    """The newest minute candle of each of these symbols of a feed that has one, ordered by symbol."""
    found = storage().newest_minutes([(symbol, feed) for symbol in symbols]).get(feed)
    return minute_bars.empty(feed) if found is None else _newest(timeframes.by_minute(found))


def _newest(bars: Bars) -> Bars:
    """The last candle of each symbol, of candles that are ordered by symbol and minute."""
    return bars.take(np.append(bars.symbol[1:] != bars.symbol[:-1], True)) if len(bars) else bars
