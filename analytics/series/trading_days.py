"""The days of a series: the one definition of a daily candle that REST, snapshots and the page share with SQL.

A day is a trading date. A finished one is its row in market_data. One that is not rolled over yet, or again has ticks
to be moved, is made from its minute candles by the same definition (`daily_candles`); where it has a row as well, the
one with more trades counts, so a day is never taken from what retention left of its minutes.

Read in this order: which dates there are, then the rows, then the minutes. A day that is rolled over meanwhile is then
found in one of the two, and never in both.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analytics.series import daily_candles, sessions, timeframes
from analytics.series.timeframes import DateFrame
from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Session
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import RolloverRun
from marketdata.reference.corporate_actions import Held
from marketdata.storage import storage
from marketdata.storage.base import Window
from marketdata.types import daily_bars, minute_bars
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT
from marketdata.types.units import date_of, day_of
from marketdata.vendors import minutes as vendor_minutes

MOST_DATES = 4_000  # of one reading
SESSION_DATES = 20  # of which the minutes are read at once, for days of a part of the session
MOST_MADE = 500  # made from minute candles in one reading
_SETTLED = (RolloverRun.State.AGGREGATED, RolloverRun.State.CLEANED, RolloverRun.State.DONE)


@dataclass(frozen=True, slots=True)
class Dates:
    """Trading dates on which anything was stored, oldest first, and those of them that are not settled in
    market_data."""

    known: list[datetime.date]
    unsettled: frozenset[datetime.date]


def dates(start: datetime.date, end: datetime.date, now: datetime.datetime) -> Dates:
    """The trading dates with start <= date < end, as the ledger and the rollover have them; asked once for all series
    of a request. `now` decides which trading day is still going on."""
    states = dict(
        RolloverRun.objects.filter(trade_date__gte=start, trade_date__lt=end).values_list("trade_date", "state")
    )
    known = sorted([*states, *batch_ledger.trading_dates(start, end, besides=states.keys())])
    current = rollover.current_date(now)
    return Dates(known, frozenset(date for date in known if date >= current or states.get(date) not in _SETTLED))


def read(
    symbol: str,
    feed: str,
    market: str,
    known: Dates,
    start: datetime.date,
    end: datetime.date,
    *,
    limit: int,
    ascending: bool = True,
    fill: bool = False,
    session: Session | None = None,
) -> tuple[DailyBars, bool]:
    """(daily candles with start <= trade_date < end in the order asked for, at most `limit`; whether there are no
    more). Fewer than `limit` with more to come where too many days would have to be made from minute candles. With
    `fill` a day with minute bars of a vendor is made from these and the rest of ours. With `session` days are made of
    that part of their minute candles, as long as these are kept."""
    limit = min(limit, MOST_DATES)
    if session is not None:
        return _read_session(
            symbol, feed, market, [date for date in known.known if start <= date < end], session,
            limit=limit, ascending=ascending, fill=fill,
        )  # fmt: skip
    stored = storage().read_daily(symbol, feed, start, end, limit=limit, ascending=ascending)
    rows = {row[0]: row for row in daily_bars.rows(stored)}
    complete = len(stored) < limit
    if not complete:  # nothing beyond the last row is asked for
        edge = date_of(int(stored.trade_date[-1]))
        start, end = (start, edge + datetime.timedelta(days=1)) if ascending else (edge, end)
    asked = [
        date for date in known.known if start <= date < end and (date in known.unsettled or day_of(date) not in rows)
    ]
    found = storage().minute_dates(symbol, feed, asked) if asked else []
    filled = vendor_minutes.dates(symbol, feed, start, end) if fill else set()
    found = sorted({*found, *filled}, reverse=not ascending)
    for date in found[:MOST_MADE]:
        ours = storage().read_day_minutes(date, feed, symbol)
        for made in daily_bars.rows(_from_minutes(ours, market, date)):
            if made[0] not in rows or rows[made[0]][_N] < made[_N]:
                rows[made[0]] = made
        day = day_of(date)
        if date in filled and (day not in rows or sum(ours.n.tolist()) >= rows[day][_N]):  # ours are all there
            theirs = vendor_minutes.read_date(symbol, feed, date)
            for made in daily_bars.rows(_from_minutes(vendor_minutes.in_place_of(ours, theirs), market, date)):
                rows[day] = made
    ordered = [rows[day] for day in sorted(rows, reverse=not ascending)]
    if len(found) > MOST_MADE:
        beyond = day_of(found[MOST_MADE])
        ordered, complete = [row for row in ordered if (row[0] < beyond) == ascending and row[0] != beyond], False
    return daily_bars.from_rows(symbol, feed, ordered[:limit]), complete and len(ordered) <= limit


def read_held(
    held: Sequence[Held],
    feed: str,
    market: str,
    known: Dates,
    start: datetime.date,
    end: datetime.date,
    *,
    limit: int,
    ascending: bool = True,
    fill: bool = False,
    session: Session | None = None,
) -> tuple[DailyBars, bool]:
    """As `read`, of a share that had these codes, oldest first: each is read for the dates on which it was the
    share's."""
    parts: list[DailyBars] = []
    for one in held if ascending else reversed(held):
        first = start if one.start is None else max(start, one.start)
        last = end if one.end is None else min(end, one.end)
        if first >= last:
            continue
        left = limit - sum(map(len, parts))
        if left <= 0:  # the stretches before had as many as were wanted, to the day
            return daily_bars.joined(parts), False
        found, complete = read(
            one.code, feed, market, known, first, last, limit=left, ascending=ascending, fill=fill, session=session
        )
        parts.append(found)
        if not complete:
            return daily_bars.joined(parts), False
    return daily_bars.joined(parts) if parts else daily_bars.from_rows(held[-1].code, feed, []), True


def _read_session(
    symbol: str,
    feed: str,
    market: str,
    dates: list[datetime.date],
    session: Session,
    *,
    limit: int,
    ascending: bool,
    fill: bool,
) -> tuple[DailyBars, bool]:
    """As `read`, of a part of each day: its open, high, low and close are those of the part."""
    filled = set[datetime.date]()
    if fill and dates:
        filled = vendor_minutes.dates(symbol, feed, dates[0], dates[-1] + datetime.timedelta(days=1))
    found = {*(storage().minute_dates(symbol, feed, dates) if dates else ()), *filled}
    rows: list[tuple[int, ...]] = []
    left = sorted(found, reverse=not ascending)
    while left and len(rows) < limit:
        asked = left[: min(SESSION_DATES, limit - len(rows))]
        ours = storage().minutes_of_dates(symbol, feed, asked)
        for date in asked:
            minutes = ours.take(ours.trade_date == day_of(date))
            if date in filled:
                minutes = vendor_minutes.in_place_of(minutes, vendor_minutes.read_date(symbol, feed, date))
            made = daily_candles.build(minutes.take(sessions.within(minutes, market, session)), date, None)
            rows += daily_bars.rows(made)
        left = left[len(asked) :]
    return daily_bars.from_rows(symbol, feed, rows), not left


_N = daily_bars.COLUMNS.index("n")


def newest(feed: str, symbols: Mapping[str, str], known: Dates, most: int) -> dict[str, DailyBars]:
    """The newest daily candles, at most `most`, newest first, of each of these symbols of a feed that has one: as
    `read` would give them, for many at once. `symbols` names the market of each."""
    stored = storage().newest_daily(feed, sorted(symbols), most)
    rows: dict[str, dict[int, tuple[int, ...]]] = {symbol: {} for symbol in symbols}
    for symbol, of_one in stored.items():
        rows[symbol] = {row[0]: row for row in daily_bars.rows(of_one)}
    asked: dict[datetime.date, list[str]] = {date: list(symbols) for date in known.unsettled}
    for symbol, mine in rows.items():
        edge = min(mine) if len(mine) >= most else _NO_DAY
        settled = [date for date in known.known if date not in known.unsettled]
        missing = [date for date in settled if edge < day_of(date) not in mine]
        for date in storage().minute_dates(symbol, feed, missing) if missing else ():
            asked.setdefault(date, []).append(symbol)
    for date in sorted(asked, reverse=True):
        day = day_of(date)
        wanted = {code: symbols[code] for code in asked[date] if sum(one > day for one in rows[code]) < most}
        for symbol, made in _made_of_minutes(date, feed, wanted).items():
            (row,) = daily_bars.rows(made)
            if day not in rows[symbol] or rows[symbol][day][_N] < row[_N]:
                rows[symbol][day] = row
    return {
        symbol: daily_bars.from_rows(symbol, feed, [mine[day] for day in sorted(mine, reverse=True)[:most]])
        for symbol, mine in rows.items()
        if mine
    }


_NO_DAY = -(2**31)


def _made_of_minutes(date: datetime.date, feed: str, symbols: Mapping[str, str]) -> dict[str, DailyBars]:
    """What the minutes of a date make, of each of these symbols; `symbols` names the market of each."""
    if not symbols:
        return {}
    windows = []
    for market in sorted(set(symbols.values())):
        bounds = trading_dates.calendar(market).regular_window(date)
        if bounds is not None:
            windows.append(Window(market=market, start_us=bounds[0], end_us=bounds[1]))
    return storage().days_of_minutes(date, windows, feed, sorted(symbols))


def _from_minutes(minutes: Bars, market: str, date: datetime.date) -> DailyBars:
    bounds = trading_dates.calendar(market).regular_window(date)
    window = None if bounds is None else Window(market=market, start_us=bounds[0], end_us=bounds[1])
    return daily_candles.build(minutes, date, window)


def as_bars(found: DailyBars, timezone: str) -> Bars:
    """Daily candles as the API shows them: open, high and low of the regular session (of all trades on a day without
    one), the regular close, and volume, value and number of all trades; stamped with the date's local midnight."""
    regular = found.regular_open != ABSENT
    nothing = np.zeros(len(found), np.int64)
    times = [timeframes.midnight_us(day, timezone) for day in found.trade_date.tolist()]
    return replace(
        minute_bars.empty(found.feed),
        symbols=[found.symbol],
        symbol=np.zeros(len(found), np.int32),
        time_us=np.array(times, np.int64),
        trade_date=found.trade_date,
        open=np.where(regular, found.regular_open, found.open),
        high=np.where(regular, found.regular_high, found.high),
        low=np.where(regular, found.regular_low, found.low),
        close=found.close,
        volume=found.volume,
        value=found.value,
        value_frac=found.value_frac,
        n=found.n,
        rev=nothing,
        open_time=nothing,
        open_id=nothing,
        close_time=nothing,
        close_id=nothing,
    )


def widen(found: DailyBars, frame: DateFrame, timezone: str) -> Bars:
    """Candles of a width in trading dates from daily candles, which are oldest first."""
    made = as_bars(found, timezone)
    if not len(made):
        return made
    firsts = frame.firsts(made.trade_date)
    made.time_us = np.array([timeframes.midnight_us(day, timezone) for day in firsts.tolist()], np.int64)
    return timeframes.fold(made, firsts[1:] != firsts[:-1])
