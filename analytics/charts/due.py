"""Keeps cache_chart_data up to date, for readers in SQL: of each series the candles of its newest trading date that was
not rolled over, of the widths that `CHART_CACHE_TIMEFRAMES` names. Candles and days are those of `analytics.series`, as
REST has them, by the code that traded and not adjusted.

Whoever takes a series for its statistics marks it (`changed`); it is due when the narrowest of these candles that goes
on now is over, once for all that changes until then, so a late trade is in the row after that candle at the latest. A
row holds candles that are over, but for the day's, which goes on. A date without candles any more has an empty array:
it was rolled over, all was voided, or the symbol was removed. Rows have revisions as statistics have, and none goes
back. All of it can be made again: an emptied Redis has every series marked by its statistics.

They lie in a table and not in Redis as well because only these readers, who ask by SQL, take them: whoever follows the
stream is given each candle that a commit touched by the feed (`marketdata.realtime.feed`), which is Redis, and REST
makes them of what is stored, for any range and adjustment.

What it costs, of 40 series with a day of 390 minutes, in one run each on SQLite, MariaDB and PostgreSQL: to mark a
series 0.003 ms of CPU beside the 2.2 to 2.9 of its statistics (0.1 %), to write 5Min and 1Day 1.2 to 1.9 ms once every
five minutes (0.5 to 0.7 of one computation of the statistics, of which there is one a second at most). At the end of
that day 5Min has 11 kB, 1Day 0.1 and 1Min 54, each written again when the narrowest is over: of 2,700 series that all
traded 0.1 MB a second with 5Min, 2.5 MB and more with 1Min, which is why that is not among the defaults. Weeks and
months are not kept: folding 1,250 days into them takes a reader 0.4 and 0.7 ms, and to have them here each writing
would read a month of days of each series.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from analytics.charts import bodies
from analytics.series import snapshots, timeframes, trading_days
from analytics.series.timeframes import DateFrame, Timeframe
from analytics.series.trading_days import Dates
from marketdata.models import Symbol
from marketdata.realtime import live_state, stats
from marketdata.realtime.due_times import DueTimes, Pair
from marketdata.storage import StorageError, storage
from marketdata.storage.base import CachedChart
from marketdata.types import minute_bars
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.units import DAY_US, MINUTE_US, date_of

log = logging.getLogger(__name__)

DUE = DueTimes("naru:charts-due", "naru:charts-taken")
GRACE_US = 2_000_000
"""From the end of a candle to when it is looked for: its last trades are committed by then."""
SELDOM_US = 15 * MINUTE_US
"""However wide candles are, a series that changed is written so often; hours of some time zones begin at a quarter."""
LONGEST_S = 3.0
"""The same workers have other things to do."""
TOGETHER = 20
"""Series of one question: rows of a day's minutes take several times the memory of what is made of them."""


def changed(connection: redis.Redis, pairs: Iterable[Pair]) -> None:
    """Note that these (feed, symbol) changed."""
    frames = _frames()
    if not frames:
        return
    widths = [frame.width_us for frame in frames if isinstance(frame, Timeframe)]
    step_us = min([*widths, SELDOM_US]) if widths else MINUTE_US
    DUE.mark(connection, pairs, (time.time_ns() // 1000 // step_us + 1) * step_us + GRACE_US)


def compute(*, longest_s: float = LONGEST_S) -> int:
    """Write the rows of series that are due, for at most so many seconds; returns how many rows were made."""
    connection, began, put = live_state.connection(), time.monotonic(), 0
    while time.monotonic() - began < longest_s:
        taken = DUE.take(connection, time.time_ns() // 1000, most=TOGETHER)
        if not taken:
            break
        put += write(connection, taken)
        DUE.settle(connection, taken)
    return put


def write(connection: redis.Redis, pairs: Iterable[Pair]) -> int:
    """Write the rows of these (feed, symbol) now; returns how many were made."""
    frames, put = _frames(), 0
    for feed, some in groupby(sorted(set(pairs)) if frames else (), key=lambda pair: pair[0]):
        symbols = [symbol for _, symbol in some]
        for start in range(0, len(symbols), TOGETHER):
            put += _write(connection, feed, symbols[start : start + TOGETHER], frames)
    return put


def _frames() -> list[Timeframe | DateFrame]:
    return [timeframes.parse(name) for name in settings.CHART_CACHE_TIMEFRAMES]


def _write(connection: redis.Redis, feed: str, symbols: Sequence[str], frames: Sequence[Timeframe | DateFrame]) -> int:
    revision = stats.revision(connection)
    try:
        rows = _rows(feed, symbols, frames, revision)
    except (StorageError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        if storage().is_transient(error):
            raise
        if len(symbols) > 1:  # by halves, so that one that cannot be computed stops no other and costs little
            half = len(symbols) // 2
            return sum(_write(connection, feed, part, frames) for part in (symbols[:half], symbols[half:]))
        log.exception("candles cannot be cached feed=%s symbol=%s", feed, symbols[0])
        return 0
    storage().put_charts(rows)
    return len(rows)


def _rows(
    feed: str, symbols: Sequence[str], frames: Sequence[Timeframe | DateFrame], revision: int
) -> list[CachedChart]:
    now = datetime.datetime.now(datetime.UTC)
    now_us = int(now.timestamp() * 1e6)
    shares = {
        code: (market, timezone, shift_s)
        for code, market, timezone, shift_s in Symbol.objects.filter(code__in=symbols).values_list(
            "code", "market_id", "market__timezone", "market__trade_date_shift_s"
        )
    }
    days = _days(feed, {code: market for code, (market, *_) in shares.items()}, snapshots.dates(now))
    narrow = any(isinstance(frame, Timeframe) for frame in frames)
    minutes = _minutes(feed, days, {code: one[1] for code, one in shares.items()}) if narrow else {}

    def body(code: str, frame: Timeframe | DateFrame) -> str:
        if code not in days:
            return bodies.NONE
        _, timezone, shift_s = shares[code]
        if isinstance(frame, DateFrame):
            return bodies.of_day(days[code], timezone, shift_s, now_us)
        found = minutes.get(code, minute_bars.empty(feed))
        return bodies.of_minutes(found, int(days[code].trade_date[0]), frame, timezone, now_us)

    return [
        CachedChart(symbol=code, feed=feed, timeframe=frame.name, body=body(code, frame), at_us=revision)
        for code in symbols
        for frame in frames
    ]


def _days(feed: str, markets: Mapping[str, str], known: Dates) -> dict[str, DailyBars]:
    """The newest daily candle of each of these symbols, if its date was not rolled over."""
    going_on = Dates(sorted(known.unsettled), known.unsettled)
    found = trading_days.newest(feed, markets, going_on, 1)
    return {code: days for code, days in found.items() if date_of(int(days.trade_date[0])) in known.unsettled}


def _minutes(feed: str, days: Mapping[str, DailyBars], timezones: Mapping[str, str]) -> dict[str, Bars]:
    """The minute candles of each of these series around its day."""
    together: dict[tuple[int, str], list[str]] = {}
    for code, one in days.items():
        together.setdefault((int(one.trade_date[0]), timezones[code]), []).append(code)
    found: dict[str, Bars] = {}
    for (day, timezone), codes in together.items():
        midnight = timeframes.midnight_us(day, timezone)
        read = storage().read_minutes_of(sorted(codes), feed, midnight - DAY_US, midnight + 2 * DAY_US)
        order = np.argsort(read.symbol, kind="stable")
        ends = np.searchsorted(read.symbol[order], np.arange(1, len(read.symbols)))
        for code, places in zip(read.symbols, np.split(order, ends), strict=True) if read.symbols else ():
            found[code] = read.take(places)
    return found
