"""Where series stand: the newest trade, quote and order book of many at once. A quote is a tick of that kind; of a
series that has none, the best level of its newest order book stands for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
import redis

from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.storage.base import Latest
from marketdata.storage.base import Series as Pair
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import DAY_US


def trades(series: Iterable[Pair]) -> dict[Pair, Latest]:
    """The last trade of each (symbol, feed) that has one: as Redis has it, and of the database where Redis is away or
    has none."""
    wanted = set(series)
    kept: dict[Pair, Latest] = {}
    try:
        for feed, symbols in _by_feed(wanted):
            for symbol, row in live_state.latest(feed, symbols).items():
                kept[symbol, feed] = Latest(
                    symbol=symbol, feed=feed, time_us=int(row["time_us"] or 0), tick_id=int(row["tick_id"] or 0),
                    price=int(row["price"] or 0), size=row["size"],
                )  # fmt: skip
    except redis.RedisError:
        kept = {}
    absent = wanted - kept.keys()
    for trade in storage().newest_trades(sorted({symbol for symbol, _ in absent})) if absent else ():
        if (trade.symbol, trade.feed) in absent:
            kept[trade.symbol, trade.feed] = trade
    return kept


def quotes(series: Iterable[Pair], traded: Mapping[Pair, Latest]) -> dict[Pair, Ticks | OrderBook]:
    """The newest quote of each (symbol, feed) that has one: ticks of one row, or an order book where the series has no
    quotes. Looked for from a day before the series' last trade on (`traded`), without one a day before now."""
    found: dict[Pair, Ticks | OrderBook] = {}
    for feed, since_us in _since(series, traded):
        for ticks in storage().newest_quotes(feed, since_us):
            for row, index in enumerate(ticks.symbol.tolist()):
                found[ticks.symbols[index], feed] = ticks.take(np.array([row]))
    found |= books([pair for pair in series if pair not in found], traded)
    return found


def books(series: Iterable[Pair], traded: Mapping[Pair, Latest]) -> dict[Pair, OrderBook]:
    """The newest order book of each (symbol, feed) that has one; looked for as `quotes` are."""
    return {
        (book.symbol, book.feed): book
        for feed, since_us in _since(series, traded)
        for book in storage().newest_books(feed, since_us)
    }


def _since(series: Iterable[Pair], traded: Mapping[Pair, Latest]) -> list[tuple[str, dict[str, int]]]:
    """By feed, from when on each symbol's newest is looked for."""
    now_us = time.time_ns() // 1000
    return [
        (feed, {code: (traded[code, feed].time_us if (code, feed) in traded else now_us) - DAY_US for code in symbols})
        for feed, symbols in _by_feed(series)
    ]


def _by_feed(series: Iterable[Pair]) -> list[tuple[str, list[str]]]:
    ordered: Sequence[Pair] = sorted(set(series), key=lambda pair: (pair[1], pair[0]))
    return [(feed, [symbol for symbol, _ in part]) for feed, part in groupby(ordered, key=lambda pair: pair[1])]
