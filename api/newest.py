"""Where series stand: the newest trade, quote, order book, candles and day of each. Most series are read many at once;
a share that had another code is read by itself, each code only for the dates on which it was the share's."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from analytics.series import latest, snapshots, timeframes, trading_days
from analytics.series.snapshots import State
from api.rest import paging
from api.rest.paging import Series
from marketdata.storage import storage
from marketdata.storage.base import Latest
from marketdata.types import minute_bars, units
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import ABSENT, Ticks
from marketdata.types.units import date_of
from terminals import wire


def trades(found: Sequence[Series]) -> dict[str, Latest]:
    """The newest trade of each series that has one, by symbol."""
    kept = latest.trades(_pairs(found))
    told = {symbol: one for (symbol, _), one in kept.items()}
    return told | {one.symbol: trade for one in found if one.held and (trade := _trade(one)) is not None}


def quotes(found: Sequence[Series]) -> dict[str, Ticks | OrderBook]:
    """The newest quote of each series that has one, by symbol; as `latest.quotes`."""
    pairs = _pairs(found)
    kept = latest.quotes(pairs, latest.trades(pairs))
    told = {symbol: one for (symbol, _), one in kept.items()}
    return told | {one.symbol: quote for one in found if one.held and (quote := _quote(_recent(one))) is not None}


def books(found: Sequence[Series]) -> dict[str, OrderBook]:
    """The newest order book of each series that has one, by symbol; as `latest.books`."""
    pairs = _pairs(found)
    kept = latest.books(pairs, latest.trades(pairs))
    told = {symbol: one for (symbol, _), one in kept.items()}
    return told | {one.symbol: book for one in found if one.held and (book := _book(_recent(one))) is not None}


def states(found: Sequence[Series], now: datetime.datetime) -> Iterator[tuple[list[Series], State]]:
    """What is known of each series; some of one feed at a time."""
    known = snapshots.dates(now)
    plain = sorted((one for one in found if not one.held), key=lambda one: (one.feed, one.symbol))
    for feed, of_feed in groupby(plain, key=lambda one: one.feed):
        some = list(of_feed)
        yield some, snapshots.read(feed, {one.symbol: one.market for one in some}, known)
    for one in found:
        if one.held:
            yield [one], _state(one)


def minutes(found: Sequence[Series]) -> Iterator[tuple[list[Series], Bars]]:
    """The newest minute candle of each series that has one; some of one feed at a time."""
    plain = sorted((one for one in found if not one.held), key=lambda one: (one.feed, one.symbol))
    for feed, of_feed in groupby(plain, key=lambda one: one.feed):
        some = list(of_feed)
        yield some, snapshots.newest_minutes(feed, [one.symbol for one in some])
    for one in found:
        if one.held:
            yield [one], _minute(one)


def days(found: Sequence[Series], now: datetime.datetime) -> Iterator[tuple[Series, DailyBars]]:
    """The newest daily candle of each series that has one."""
    known = snapshots.dates(now)
    plain = sorted((one for one in found if not one.held), key=lambda one: one.feed)
    for feed, of_feed in groupby(plain, key=lambda one: one.feed):
        some = {one.symbol: one for one in of_feed}
        made = trading_days.newest(feed, {symbol: one.market for symbol, one in some.items()}, known, 1)
        yield from ((some[symbol], mine) for symbol, mine in made.items())
    for one in found:
        if one.held and len(mine := paging.read_days(one, after=None, limit=1, ascending=False).found):
            yield one, mine


def _pairs(found: Sequence[Series]) -> list[tuple[str, str]]:
    """Symbol and feed of those that never had another code."""
    return [(one.symbol, one.feed) for one in found if not one.held]


def _recent(one: Series) -> Series:
    """A series from a day before its last trade on, or before now: where its newest quote is looked for."""
    trade = _trade(one)
    newest_us = time.time_ns() // 1000 if trade is None else trade.time_us
    return replace(one, first_us=max(one.first_us, newest_us - units.DAY_US))


def _trade(one: Series) -> Latest | None:
    page = paging.read_ticks([one], wire.Kind.TRADE, after=None, limit=1, ascending=False)
    for _, ticks in page.found:
        size = int(ticks.size[0])
        return Latest(
            symbol=one.symbol, feed=one.feed, time_us=int(ticks.time_us[0]), tick_id=int(ticks.tick_id[0]),
            price=int(ticks.price[0]), size=None if size == ABSENT else size,
        )  # fmt: skip
    return None


def _quote(one: Series) -> Ticks | OrderBook | None:
    page = paging.read_ticks([one], wire.Kind.QUOTE, after=None, limit=1, ascending=False)
    return page.found[0][1] if page.found else _book(one)


def _book(one: Series) -> OrderBook | None:
    page = paging.read_books(one, after=None, limit=1, ascending=False)
    return page.found[0] if page.found else None


def _minute(one: Series) -> Bars:
    """The newest minute candle, whatever code it is stored under."""
    page = paging.read_bars([one], timeframes.MINUTE, after=None, limit=1, ascending=False)
    if not page.found:
        return minute_bars.empty(one.feed)
    return replace(page.found[0][1], symbols=[one.symbol], symbol=np.zeros(1, np.int32))


def _state(one: Series) -> State:
    trade, quote = _trade(one), _quote(_recent(one))
    days = paging.read_days(one, after=None, limit=snapshots.MOST_DAYS, ascending=False).found
    figures = _figures(one)
    return State(
        {} if trade is None else {one.symbol: trade},
        {} if quote is None else {one.symbol: quote},
        _minute(one),
        {one.symbol: days} if len(days) else {},
        {} if figures is None else {one.symbol: figures},
    )


def _figures(one: Series) -> StockPrice | None:
    """What a polled snapshot last told under one of the codes while it was the share's."""
    told = {figures.symbol: figures for figures in storage().latest_prices([held.code for held in one.held], one.feed)}
    for held in reversed(one.held):
        figures = told.get(held.code)
        if figures and one.code_on(date_of(figures.trade_date)) == held.code:
            return figures
    return None
