"""Many short stretches of ticks or candles in few statements, and the newest trades: the same text on every database,
given its own way to write columns and times."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np

from marketdata.storage.base import MINUTES, Latest, Span
from marketdata.storage.keys import NEAR_DAYS
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT, NO_DATE, TICK_BITS, Ticks
from marketdata.types.units import DAY_US
from terminals import wire

_TOGETHER = 100  # stretches a statement
_RECENT_DAYS = 30  # in which the newest candle of nearly every symbol lies
# Symbols a statement: for each of the two subqueries that a symbol has in each place MariaDB takes 0.8 MB for the
# moment, however few rows there are (10.11); 100 symbols at once took 474 MB.
_QUOTES_TOGETHER = 8
NEWEST_OF = 256  # of the newest ticks of a series one must be a quote, or its newest quote is not found
T = TypeVar("T")
Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a database writes what is asked for here.

    `tick` selects what `ticks_from_rows` reads, `bar` what `bars.from_rows` does; `places` are the tables that may
    have a tick. `time` takes microseconds, `date` days since 1970, `kind` a kind of tick.
    """

    places: tuple[str, ...]
    tick: str
    bar: str
    time: Callable[[int], object]
    date: Callable[[int], object]
    kind: Callable[[int], object]


def read_ticks(
    ask: Ask, dialect: Dialect, feed: str, spans: Iterable[Span], batches: Collection[int] | None = None
) -> list[Ticks]:
    """The ticks of these stretches (and batches alone, if they are given), by source; from wherever they lie, in one
    statement a stretch."""
    rows: list[tuple[Any, ...]] = []
    for day, part in _by_day(spans):
        where, params = _where(dialect, "event_time", feed, day, part)
        if batches is not None:
            where += f" AND tick_id >> {TICK_BITS} IN ({', '.join(['%s'] * len(batches))})"
            params += batches
        # The first place is what a moving day is taken out of, so whoever holds it sees the day in one place.
        parts = [f"SELECT symbol, {dialect.tick} FROM {place} WHERE {where}" for place in dialect.places]
        rows += ask(" UNION ALL ".join(parts), params * len(parts))
    rows.sort(key=_source)
    return [_ticks(feed, source, list(part)) for source, part in groupby(rows, key=_source)]


def read_minutes(ask: Ask, dialect: Dialect, feed: str, spans: Iterable[Span]) -> Bars:
    """The minute candles of these stretches."""
    rows: list[tuple[Any, ...]] = []
    for day, part in _by_day(spans):
        where, params = _where(dialect, "minute_time", feed, day, part)
        rows += ask(f"SELECT {dialect.bar} FROM {MINUTES} WHERE {where}", params)
    return minute_bars.from_rows(feed, rows)


def newest_trades(ask: Ask, dialect: Dialect, symbols: Sequence[str]) -> list[Latest]:
    """The newest trade of each of these symbols on each of its feeds: what its newest candle closed with."""
    found: list[Latest] = []
    for part in _chunks(symbols, _TOGETHER):
        bars = _newest_minutes(ask, dialect, _series(ask, part))
        for feed, rows in bars.items():
            found += _latest(ask, dialect, feed, rows)
    return found


def newest_quotes(ask: Ask, dialect: Dialect, feed: str, since_us: Mapping[str, int]) -> list[Ticks]:
    """The newest quote of each of these symbols, by source, if it is among the newest `NEWEST_OF` ticks and no older
    than its time."""
    rows: dict[str, tuple[Any, ...]] = {}
    some = f"SELECT * FROM {{}} WHERE symbol = %s AND feed = %s AND event_time >= %s AND trade_date >= %s {_DOWN}"
    each = f"SELECT symbol, {dialect.tick} FROM ({some} LIMIT {NEWEST_OF}) AS newest WHERE kind = %s {_DOWN} LIMIT 1"
    for part in _chunks(sorted(since_us.items()), _QUOTES_TOGETHER):
        places = [place for _ in part for place in dialect.places]
        asked = [f"SELECT * FROM ({each.format(place)}) AS q{number}" for number, place in enumerate(places)]
        params: list[Any] = []
        for symbol, at in part:
            # A trading date is the event's own within a week (ingest.validation); partitions are chosen by it.
            of_one = [
                symbol,
                feed,
                dialect.time(at),
                dialect.date(at // DAY_US - NEAR_DAYS),
                dialect.kind(wire.Kind.QUOTE),
            ]
            params += of_one * len(dialect.places)
        for row in ask(" UNION ALL ".join(asked), params):
            kept = rows.get(row[0])
            if kept is None or (row[1], row[-2]) > (kept[1], kept[-2]):  # time, tick_id
                rows[row[0]] = row
    found = sorted(rows.values(), key=_source)
    return [_ticks(feed, source, list(part)) for source, part in groupby(found, key=_source)]


_DOWN = "ORDER BY event_time DESC, tick_id DESC"


def newest_minutes(ask: Ask, dialect: Dialect, series: Sequence[tuple[str, str]]) -> dict[str, Bars]:
    """The newest minute candle, by feed, of each (symbol, feed) that has one: all of its trading dates."""
    return _newest_minutes(ask, dialect, series)


def _series(ask: Ask, symbols: Sequence[str]) -> list[tuple[str, str]]:
    """The (symbol, feed) pairs that have candles: from one to the next in the table's key, for a count of all would
    read years."""
    found: list[tuple[str, str]] = []
    after = [(symbol, "") for symbol in symbols]
    while after:
        each = f"SELECT symbol, feed FROM {MINUTES} WHERE symbol = %s AND feed > %s ORDER BY feed LIMIT 1"
        after = [(symbol, feed) for symbol, feed in ask(_all(each, len(after)), [x for pair in after for x in pair])]
        found += after
    return found


def _newest_minutes(ask: Ask, dialect: Dialect, series: Sequence[tuple[str, str]]) -> dict[str, Bars]:
    recent = time.time_ns() // 1000 // DAY_US - _RECENT_DAYS
    # Of a minute as late as this no trading date lies before `recent`.
    found = _newest_minutes_since(ask, dialect, series, (recent + NEAR_DAYS) * DAY_US, recent)
    there = {(symbol, feed) for feed, rows in found.items() for symbol, *_ in rows}
    absent = [pair for pair in series if pair not in there]
    for feed, rows in _newest_minutes_since(ask, dialect, absent, None, None).items():
        found.setdefault(feed, []).extend(rows)
    return {feed: minute_bars.from_rows(feed, rows) for feed, rows in found.items()}


def _newest_minutes_since(
    ask: Ask, dialect: Dialect, series: Sequence[tuple[str, str]], since_us: int | None, since_day: int | None
) -> dict[str, list[tuple[Any, ...]]]:
    """By feed: the newest two of each, for two trading dates may share a minute; with bounds of time and trading date,
    so that few partitions are opened, only of those that have a candle since then."""
    bounds: list[object] = []
    where = "symbol = %s AND feed = %s"
    if since_us is not None and since_day is not None:
        where += " AND minute_time >= %s AND trade_date >= %s"
        bounds = [dialect.time(since_us), dialect.date(since_day)]
    each = f"SELECT {dialect.bar}, feed FROM {MINUTES} WHERE {where} ORDER BY minute_time DESC LIMIT 2"
    found: dict[str, list[tuple[Any, ...]]] = {}
    for part in _chunks(series, _TOGETHER):
        for row in ask(_all(each, len(part)), [x for pair in part for x in (*pair, *bounds)]):
            found.setdefault(row[-1], []).append(row[:-1])
    return found


def _latest(ask: Ask, dialect: Dialect, feed: str, bars: Bars) -> list[Latest]:
    order = np.lexsort((bars.close_id, bars.close_time, bars.symbol))
    bars = bars.take(order[np.append(bars.symbol[order][1:] != bars.symbol[order][:-1], True)])
    names = [bars.symbols[index] for index in bars.symbol.tolist()]
    dates, times = bars.trade_date.tolist(), bars.close_time.tolist()
    spans = [Span(name, day, at, at) for name, day, at in zip(names, dates, times, strict=True)]
    sizes = {
        tick_id: size
        for ticks in read_ticks(ask, dialect, feed, spans)
        for tick_id, size in zip(ticks.tick_id.tolist(), ticks.size.tolist(), strict=True)
        if size != ABSENT
    }
    rows = zip(names, times, bars.close_id.tolist(), bars.close.tolist(), strict=True)
    return [
        Latest(symbol=name, feed=feed, time_us=at, tick_id=tick_id, price=price, size=sizes.get(tick_id))
        for name, at, tick_id, price in rows
    ]


def _by_day(spans: Iterable[Span]) -> Iterator[tuple[int, list[Span]]]:
    """Stretches of one trading date, so that the database looks into one partition, and not too many at a time."""
    for day, part in groupby(sorted(spans, key=lambda one: one.day), key=lambda one: one.day):
        for some in _chunks(part, _TOGETHER):
            yield day, some


def _where(dialect: Dialect, column: str, feed: str, day: int, spans: Sequence[Span]) -> tuple[str, list[Any]]:
    each = " OR ".join([f"(symbol = %s AND {column} >= %s AND {column} <= %s)"] * len(spans))
    values = [x for one in spans for x in (one.symbol, dialect.time(one.first_us), dialect.time(one.last_us))]
    return f"feed = %s AND trade_date = %s AND ({each})", [feed, dialect.date(day), *values]


def _all(each: str, count: int) -> str:
    return " UNION ALL ".join(f"SELECT * FROM ({each}) AS q{number}" for number in range(count))


def _chunks(items: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, most)):
        yield part


def _source(row: tuple[Any, ...]) -> int:
    return int(row[-1])


def _ticks(feed: str, source: int, rows: Sequence[tuple[Any, ...]]) -> Ticks:
    """Ticks from rows (symbol, then as `ticks_from_rows` has them)."""
    symbols, places = tick_arrays.numbered([row[0] for row in rows])
    ticks = tick_arrays.empty(feed, source, len(rows), symbols)
    ticks.symbol[:] = places
    names = (
        "time_us", "kind", "side", "price", "size", "seq", "bid", "ask", "bid_size", "ask_size", "cum_volume",
        "trade_date", "tick_id",
    )  # fmt: skip
    for name, values in zip(names, zip(*(row[1:-1] for row in rows), strict=True), strict=True):
        getattr(ticks, name)[:] = [NO_DATE if value is None else value for value in values]
    return ticks
