"""Pages of trades and candles: where one ended, and reading the next. A token is opaque to the caller and checked
when it comes back."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext

from analytics.series import adjustment, sessions, timeframes, trading_days
from analytics.series.adjustment import Factor
from analytics.series.timeframes import DateFrame, Timeframe
from analytics.series.trading_days import Dates
from api.rest.timestamps import EARLIEST_US, LATEST_US
from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Session
from marketdata.reference.corporate_actions import Held
from marketdata.storage import TickKey, storage
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import date_of, day_of
from marketdata.vendors import minutes as vendor_minutes
from terminals import wire

CHUNK = 12_000
MOST_MINUTES = 240_000  # read for one page of wide candles; a page may then be shorter than its limit, with a token
MOST_DAYS = 20_000  # the same for candles of days and wider
TRADES, QUOTES, BOOKS, EVENTS, STATS = "trades", "quotes", "orderbooks", "events", "stats"
SHOWN = {
    wire.Kind.TRADE: ("side", "price", "size"),
    wire.Kind.QUOTE: ("bid", "bid_size", "ask", "ask_size"),
}
"""What is read of the ticks of a kind beside time and id."""
_WHOLE = re.compile(r"-?[0-9]{1,19}")


class BadTokenError(ValueError):
    """The page token is none of ours, or belongs to another question."""


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol in one feed, between two times (the last one included), in a market's time zone. A trading date of
    the market begins `shift_s` seconds before its local midnight."""

    symbol: str
    feed: str
    market: str
    timezone: str
    shift_s: int
    first_us: int
    last_us: int
    held: tuple[Held, ...] = ()
    """The codes under which it is stored, oldest first; its own when there are none."""
    factors: tuple[Factor, ...] = ()
    """What its candles are adjusted for."""

    def codes(self, start_us: int, end_us: int, *, ascending: bool = True) -> list[tuple[str, int, int]]:
        """(code, start, end) of the stretches of [start_us, end_us) in the order asked for."""
        if not self.held:
            return [(self.symbol, start_us, end_us)]
        found = []
        for one in self.held:
            start = start_us if one.start is None else max(start_us, self.begins_us(one.start))
            end = end_us if one.end is None else min(end_us, self.begins_us(one.end))
            if start < end:
                found.append((one.code, start, end))
        return found if ascending else found[::-1]

    def code_on(self, date: datetime.date) -> str | None:
        """The code under which a trading date of it is stored; None where the share had none yet."""
        if not self.held:
            return self.symbol
        for one in self.held:
            if (one.start is None or one.start <= date) and (one.end is None or date < one.end):
                return one.code
        return None

    def begins_us(self, date: datetime.date) -> int:
        """When a trading date begins."""
        return timeframes.midnight_us(day_of(date), self.timezone) - self.shift_s * 1_000_000


@dataclass(frozen=True, slots=True)
class TickPage:
    found: list[tuple[Series, Ticks]]
    next: TickKey | None


@dataclass(frozen=True, slots=True)
class BookPage:
    found: list[OrderBook]
    next: TickKey | None


@dataclass(frozen=True, slots=True)
class DayPage:
    found: DailyBars
    next: TickKey | None


@dataclass(frozen=True, slots=True)
class BarPage:
    found: list[tuple[Series, Bars]]
    next: TickKey | None


def encode_token(key: TickKey, kind: str) -> str:
    """Where a page ended, as one word."""
    text = f"{key.symbol}|{kind}|{key.time_us}|{key.tick_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, kind: str, symbols: Sequence[str] | None) -> TickKey:
    """The inverse of `encode_token`; BadTokenError unless it is a token of the same question."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        symbol, of_kind, *numbers = text.rsplit("|", 3)
        if len(numbers) != 2 or not all(_WHOLE.fullmatch(number) for number in numbers):
            raise ValueError(text)
        key = TickKey(symbol, *map(int, numbers))
    except (binascii.Error, ValueError) as error:
        raise BadTokenError(gettext("page_token is not one that this API gave")) from error
    if "\0" in symbol:
        raise BadTokenError(gettext("page_token is not one that this API gave"))
    foreign = of_kind != kind or (symbols is not None and symbol not in symbols)
    if foreign or not EARLIEST_US <= key.time_us <= LATEST_US or not 0 <= key.tick_id < 1 << 63:
        raise BadTokenError(gettext("page_token belongs to another request: repeat the first one's parameters"))
    return key


def _remaining(
    series: Sequence[Series], after: TickKey | None, ascending: bool
) -> Iterator[tuple[Series, TickKey | None]]:
    ordered = sorted(series, key=lambda one: one.symbol, reverse=not ascending)
    for one in ordered:
        if after is None or one.symbol == after.symbol:
            yield one, after
        elif (one.symbol > after.symbol) == ascending:
            yield one, None


def read_ticks(
    series: Sequence[Series], kind: wire.Kind, *, after: TickKey | None, limit: int, ascending: bool
) -> TickPage:
    """At most `limit` ticks of a kind, symbol after symbol in the order asked for, each in the order of time."""
    found: list[tuple[Series, Ticks]] = []
    left = limit
    for one, key in _remaining(series, after, ascending):
        ticks = _ticks(one, kind, key, left + 1, ascending)
        more = len(ticks) > left
        if more:
            ticks = ticks.take(np.arange(left))
        if len(ticks):
            found.append((one, ticks))
            left -= len(ticks)
        if more:
            last, rows = found[-1]
            return TickPage(found, TickKey(last.symbol, int(rows.time_us[-1]), int(rows.tick_id[-1])))
    return TickPage(found, None)


def read_books(one: Series, *, after: TickKey | None, limit: int, ascending: bool) -> BookPage:
    """At most `limit` order books of a series, in the order of time, under whichever codes they are stored."""
    found: list[OrderBook] = []
    for code, start_us, end_us in one.codes(one.first_us, one.last_us + 1, ascending=ascending):
        if len(found) <= limit:
            found += storage().read_books(
                code, one.feed, start_us, end_us, limit=limit + 1 - len(found), after=after, ascending=ascending
            )
    if len(found) <= limit:
        return BookPage(found, None)
    last = found[limit - 1]
    return BookPage(found[:limit], TickKey(one.symbol, last.time_us, last.tick_id))


def _ticks(one: Series, kind: wire.Kind, after: TickKey | None, limit: int, ascending: bool) -> Ticks:
    """At most `limit` ticks of a series in the order asked for, under whichever codes they are stored."""
    parts: list[Ticks] = []
    for code, start_us, end_us in one.codes(one.first_us, one.last_us + 1, ascending=ascending):
        if limit > 0:
            found = storage().read_ticks(
                code, one.feed, start_us, end_us,
                kind=int(kind), after=after, limit=limit, ascending=ascending, columns=SHOWN[kind],
            )  # fmt: skip
            parts.append(found)
            limit -= len(found)
    return tick_arrays.concatenate(parts) if parts else tick_arrays.empty(one.feed)


def read_bars(
    series: Sequence[Series],
    timeframe: Timeframe | DateFrame,
    *,
    after: TickKey | None,
    limit: int,
    ascending: bool,
    fill: bool = False,
    session: Session | None = None,
    known: Dates | None = None,
) -> BarPage:
    """At most `limit` whole candles, symbol after symbol in the order asked for, each in the order of time. With `fill`
    minutes of which there is a vendor's bar are the vendor's; with `session` candles are made of the minutes of that
    part of each trading day. `known` is what `dates` just told of these series, where it was asked."""
    if not series:
        return BarPage([], None)
    reader: _Minutes | _Days = (
        _Days(timeframe, series, ascending, fill=fill, session=session, known=known)
        if isinstance(timeframe, DateFrame)
        else _Minutes(timeframe, ascending, fill=fill, session=session)
    )
    found: list[tuple[Series, Bars]] = []
    last: TickKey | None = after
    left = limit
    for one, key in _remaining(series, after, ascending):
        if left <= 0 or (reader.spent and found):  # a page without candles would say nothing of where it ended
            if reader.any_left(one):
                return BarPage(found, last)
            continue
        bars, more = reader.read(one, key, left)
        if len(bars):
            found.append((one, bars))
            left -= len(bars)
            last = TickKey(one.symbol, int(bars.time_us[-1]))
        if more:
            return BarPage(found, last)
    return BarPage(found, None)


class _Minutes:
    """Candles of minutes and hours, from minute candles."""

    def __init__(self, timeframe: Timeframe, ascending: bool, *, fill: bool, session: Session | None) -> None:
        self._timeframe, self._ascending, self._fill, self._session = timeframe, ascending, fill, session
        self._left = MOST_MINUTES

    @property
    def spent(self) -> bool:
        """Whether no more is read for this page."""
        return self._left <= 0

    def any_left(self, one: Series) -> bool:
        """Whether a series has any candle that was asked for."""
        if self._session is not None:
            return len(self.read(one, None, 1)[0]) > 0
        start, end = self._bounds(one, None)
        return start < end and any(
            (self._fill and len(vendor_minutes.read(code, one.feed, first, last, limit=1)))
            or len(storage().read_minutes(code, one.feed, first, last, limit=1, ends=False))
            for code, first, last in one.codes(start, end)
        )

    def _bounds(self, one: Series, after: TickKey | None) -> tuple[int, int]:
        """The minutes [start, end) of the candles that open within the series' times and lie beyond `after`."""
        frame = self._timeframe
        start = frame.start(one.first_us, one.timezone)
        if start < one.first_us:
            start = frame.end(one.first_us, one.timezone)
        end = frame.end(one.last_us, one.timezone)
        if after is not None and self._ascending:
            start = max(start, frame.end(after.time_us, one.timezone))
        elif after is not None:
            end = min(end, frame.start(after.time_us, one.timezone))
        return start, end

    def read(self, one: Series, after: TickKey | None, limit: int) -> tuple[Bars, bool]:
        """(candles in the order asked for, whether there are more)."""
        frame, ascending = self._timeframe, self._ascending
        start, end = self._bounds(one, after)
        # One candle more than wanted: the last one read may not be whole, and tells that there is more.
        wanted = (limit + 1) * frame.most_minutes
        most = max(self._left, 2 * frame.most_minutes)
        parts: list[Bars] = []
        used, kept, exhausted = 0, 0, start >= end
        while not exhausted and kept < wanted and (used < most or self._is_one(parts, one)):
            size = min(CHUNK, most, wanted - kept) if self._session is None else CHUNK
            chunk, exhausted = self._chunk(one, start, end, size)
            used += len(chunk)
            if len(chunk):  # a minute comes with the candles of all its trading dates
                minute = int(chunk.time_us[-1])
                start, end = (minute + 1, end) if ascending else (start, minute)
                if self._session is not None:
                    chunk = chunk.take(sessions.within(chunk, one.market, self._session))
            if len(chunk):
                parts.append(chunk)
                kept += len(chunk)
        self._left -= used
        if not parts:
            return minute_bars.empty(one.feed), False
        minutes = adjustment.adjusted(minute_bars.joined(parts), one.factors)
        bars = timeframes.widen(minutes if ascending else _reversed(minutes), frame, one.timezone)
        if not ascending:
            bars = _reversed(bars)
        if not exhausted and len(bars) > 1:
            bars = bars.take(np.arange(len(bars) - 1))
        more = not exhausted or len(bars) > limit
        return bars.take(np.arange(min(limit, len(bars)))), more

    def _is_one(self, parts: list[Bars], one: Series) -> bool:
        """Whether these minutes are of one candle at most, which is then not known to be whole."""
        starts = [self._timeframe.start(int(part.time_us[end]), one.timezone) for part in parts for end in (0, -1)]
        return len(set(starts)) < 2

    def _chunk(self, one: Series, start: int, end: int, size: int) -> tuple[Bars, bool]:
        """(about `size` minutes from one end of [start, end) on, whether these are all)."""
        codes = one.codes(start, end, ascending=self._ascending)
        for place, (code, first, last) in enumerate(codes, 1):
            found, exhausted = self._chunk_of(code, one.feed, first, last, size)
            if len(found) or not exhausted:
                return found, exhausted and place == len(codes)
        return minute_bars.empty(one.feed), True

    def _chunk_of(self, code: str, feed: str, start: int, end: int, size: int) -> tuple[Bars, bool]:
        """As `_chunk`, of what is stored under one code."""
        ours = storage().read_minutes(code, feed, start, end, limit=size, ascending=self._ascending, ends=False)
        exhausted = len(ours) < size
        if not self._fill:
            return ours, exhausted
        if not exhausted:  # the vendor's, too, as far as ours were read
            minute = int(ours.time_us[-1])
            start, end = (start, minute + 1) if self._ascending else (minute, end)
        theirs = vendor_minutes.read(code, feed, start, end, limit=size, ascending=self._ascending)
        if len(theirs) == size:
            minute = int(theirs.time_us[-1])
            ours = ours.take(ours.time_us <= minute if self._ascending else ours.time_us >= minute)
            exhausted = False
        both = vendor_minutes.in_place_of(ours, theirs)
        return both if self._ascending else _reversed(both), exhausted


class _Days:
    """Candles of days, weeks and months, by trading date."""

    def __init__(
        self,
        frame: DateFrame,
        series: Sequence[Series],
        ascending: bool,
        *,
        fill: bool = False,
        session: Session | None = None,
        known: Dates | None = None,
    ) -> None:
        self._frame, self._ascending, self._fill, self._session = frame, ascending, fill, session
        self._left = MOST_DAYS
        self._known = known or self._asked_now(series)

    def _asked_now(self, series: Sequence[Series]) -> Dates:
        bounds = [self._bounds(one, None) for one in series]
        start, end = min(start for start, _ in bounds), max(end for _, end in bounds)
        return trading_days.dates(_date(start), _date(max(start, end)), datetime.datetime.now(datetime.UTC))

    @property
    def known(self) -> Dates:
        """Which trading dates there are, and which of them are settled."""
        return self._known

    @property
    def spent(self) -> bool:
        """Whether no more is read for this page."""
        return self._left <= 0

    def any_left(self, one: Series) -> bool:
        """Whether a series has any candle that was asked for."""
        start, end = self._bounds(one, None)
        return start < end and len(self._days(one, start, end, 1)[0]) > 0

    def _bounds(self, one: Series, after: TickKey | None) -> tuple[int, int]:
        """The trading dates [start, end) of the candles whose stamp lies within the series' times and beyond
        `after`."""
        frame, day = self._frame, _local_day(one.first_us, one.timezone)
        if timeframes.midnight_us(day, one.timezone) < one.first_us:
            day += 1
        start = frame.first(day)
        if start < day:
            start = frame.following(day)
        end = frame.following(_local_day(one.last_us, one.timezone))
        if after is not None and self._ascending:
            start = max(start, frame.following(_local_day(after.time_us, one.timezone)))
        elif after is not None:
            end = min(end, frame.first(_local_day(after.time_us, one.timezone)))
        return start, end

    def read_raw(self, one: Series, after: TickKey | None, limit: int) -> tuple[DailyBars, bool]:
        """(daily candles in the order asked for, not adjusted; whether there are more)."""
        start, end = self._bounds(one, after)
        days, exhausted = self._days(one, start, end, limit + 1)
        return days.take(slice(0, limit)), not exhausted or len(days) > limit

    def read(self, one: Series, after: TickKey | None, limit: int) -> tuple[Bars, bool]:
        """(candles in the order asked for, whether there are more)."""
        start, end = self._bounds(one, after)
        if start >= end:
            return minute_bars.empty(one.feed), False
        most = self._frame.most_dates
        # One candle more than wanted: the last one read may not be whole, and tells that there is more.
        days, exhausted = self._days(one, start, end, min((limit + 1) * most, max(self._left, 2 * most)))
        self._left -= len(days)
        days = adjustment.adjusted(days, one.factors)
        if not self._ascending:
            days = days.take(slice(None, None, -1))
        bars = trading_days.widen(days, self._frame, one.timezone)
        if not self._ascending:
            bars = _reversed(bars)
        if not exhausted and len(bars) > 1:
            bars = bars.take(np.arange(len(bars) - 1))
        more = not exhausted or len(bars) > limit
        return bars.take(np.arange(min(limit, len(bars)))), more

    def _days(self, one: Series, start: int, end: int, limit: int) -> tuple[DailyBars, bool]:
        """(daily candles of the trading dates [start, end) in the order asked for, whether these are all)."""
        return trading_days.read_held(
            one.held or (Held(one.symbol, None, None),), one.feed, one.market, self._known, _date(start), _date(end),
            limit=limit, ascending=self._ascending, fill=self._fill, session=self._session,
        )  # fmt: skip


def read_days(one: Series, *, after: TickKey | None, limit: int, ascending: bool) -> DayPage:
    """At most `limit` daily candles of a series in the order asked for, raw, under whichever codes they are stored."""
    days, more = _Days(timeframes.DAY, [one], ascending).read_raw(one, after, limit)
    if not more:
        return DayPage(days, None)
    last_us = timeframes.midnight_us(int(days.trade_date[-1]), one.timezone) if len(days) else None
    return DayPage(days, after if last_us is None else TickKey(one.symbol, last_us))


def dates(series: Sequence[Series], frame: DateFrame) -> Dates:
    """The trading dates that candles of a width in dates are made of, as `read_bars` would ask now."""
    return _Days(frame, series, ascending=True).known


def ends_us(one: Series, timeframe: Timeframe | DateFrame, time_us: int) -> int:
    """When the candle ends in which this time lies."""
    if isinstance(timeframe, Timeframe):
        return timeframe.end(time_us, one.timezone)
    following = timeframe.following(_local_day(time_us, one.timezone))
    return timeframes.midnight_us(following, one.timezone) - one.shift_s * 1_000_000


def _local_day(time_us: int, timezone: str) -> int:
    """The local date of a time, in days since 1970-01-01."""
    return int(trading_dates.trade_dates(np.array([time_us], np.int64), timezone=timezone, shift_s=0)[0])


def _date(day: int) -> datetime.date:
    return date_of(day)


def _reversed(bars: Bars) -> Bars:
    return bars.take(slice(None, None, -1))
