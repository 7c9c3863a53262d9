"""What the stream reads from the database: minute candles, days, order books, statuses. What was committed to a feed is
read by `marketdata.ledger.commits`."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Max, Min

from analytics.series import timeframes, trading_days
from api import newest, statistics
from api.rest import series
from api.rest.paging import Series
from api.stream.candles import Reading, Row, rows_of
from api.stream.encoding import DayLimits
from api.views import snapshots as snapshots_view
from api.views.snapshots import Snapshot
from marketdata.calendar import trading_dates
from marketdata.ledger import commits
from marketdata.models import IngestBatch, Symbol
from marketdata.realtime import records_feed
from marketdata.storage import storage
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.tick_arrays import TICK_BITS
from marketdata.types.units import date_of

PAGE_STATUSES = 500


def candles(feed: str, reading: Reading) -> Bars:
    """The minute candles of a feed, those of different trading dates apart."""
    return storage().read_minutes_of(commits.codes_of(reading.symbols), feed, reading.start_us, reading.end_us)


def newest_days(feed: str, symbols: Sequence[str]) -> dict[str, tuple[Row, bool]]:
    """The `dailyBar` of each of these symbols that has one, and whether its day is over."""
    now = datetime.datetime.now(datetime.UTC)
    made = {}
    for one, days in newest.days(_series(feed, symbols), now):
        bars = replace(trading_days.as_bars(days, one.timezone), symbols=[one.symbol])
        _, ends = timeframes.date_spans(bars, timeframes.DAY, one.timezone, one.shift_s)
        made[one.symbol] = (rows_of(bars)[0], int(ends[0]) <= int(now.timestamp() * 1e6))
    return made


def newest_books(feed: str, symbols: Sequence[str]) -> dict[str, OrderBook]:
    """The newest order book of each of these symbols that has one."""
    books = newest.books(_series(feed, symbols))
    return {symbol: replace(book, symbol=symbol) for symbol, book in books.items()}


def date_now(market: str) -> datetime.date:
    """The trading date that a market has now."""
    return trading_dates.calendar(market).trade_date(time.time_ns() // 1000)


def newest_limits(feed: str, symbols: Sequence[str]) -> dict[str, DayLimits]:
    """The price limits of each of these symbols on the trading date that its market has now, where they are known: as a
    snapshot of the feed told them last, else as the vendor that is asked in the morning did."""
    known = {one.symbol: one for one in _series(feed, symbols)}
    today = {market: date_now(market) for market in {one.market for one in known.values()}}
    rows = Symbol.objects.filter(code__in=list(known), lower_limit__isnull=False, upper_limit__isnull=False)
    told = [
        *rows.values_list("code", "limits_on", "lower_limit", "upper_limit"),
        *(
            (one.symbol, date_of(one.trade_date), one.lower_limit, one.upper_limit)
            for one in storage().latest_prices(sorted(known), feed)
        ),
    ]
    return {
        code: DayLimits(code, feed, date, known[code].begins_us(date), lower, upper)
        for code, date, lower, upper in told
        if date == today[known[code].market] and lower is not None and upper is not None
    }


def snapshots(feed: str, symbols: Sequence[str]) -> dict[str, Snapshot]:
    """The snapshot of each of these symbols that is registered; that of one that never traded is empty."""
    return snapshots_view.read(_series(feed, symbols))


def _series(feed: str, symbols: Sequence[str]) -> list[Series]:
    """The series of these symbols in a feed, under whichever codes they are stored."""
    return [replace(one, feed=feed) for one in series.known(list(symbols), {}).found]


NEWEST: dict[str, Callable[[str, Sequence[str]], Mapping[str, Any]]] = {
    "dailyBars": newest_days,
    "orderbooks": newest_books,
    "stats": statistics.newest,
    "lulds": newest_limits,
}
"""What is read for the channels that tell the newest state of a symbol."""

EventKey = tuple[int, int]  # time and id of an event


def statuses(
    feed: str, symbols: frozenset[str] | None, since_us: int, until_us: int, after: EventKey | None
) -> tuple[list[MarketEvent], EventKey | None]:
    """(of the next statuses behind `after`, in the order of time, those that were committed to a feed between two
    moments, both included; where to go on, None when there are no more). Of these symbols, or of all and of none."""
    committed = IngestBatch.objects.filter(
        feed=feed, committed_us__gte=since_us, committed_us__lte=until_us, stored__gt=0
    )  # fmt: skip
    times: dict[str, int | None] = committed.aggregate(first=Min("first_us"), last=Max("last_us"))
    if times["first"] is None or times["last"] is None:
        return [], None
    codes = None if symbols is None else [(code, times["first"], times["last"] + 1) for code in sorted(symbols)]
    found = storage().read_events(
        times["first"], times["last"] + 1, limit=PAGE_STATUSES, kinds=sorted(records_feed.STATUSES), codes=codes,
        feeds=[feed], after=after,
    )  # fmt: skip
    batches = {one.event_id >> TICK_BITS for one in found}
    known = set(committed.filter(batch__in=batches).values_list("batch", flat=True))
    mine = [one for one in found if one.event_id >> TICK_BITS in known]
    return mine, (found[-1].time_us, found[-1].event_id) if len(found) == PAGE_STATUSES else None


def latest_event_us(feed: str, first_us: int, last_us: int) -> int | None:
    """The latest event time of what was committed to a feed between two moments, both included."""
    found = IngestBatch.objects.filter(feed=feed, committed_us__gte=first_us, committed_us__lte=last_us, stored__gt=0)
    latest: int | None = found.aggregate(latest=Max("last_us"))["latest"]
    return latest
