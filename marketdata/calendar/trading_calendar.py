"""Trading days and hours of a market: the checked-in calendar (`marketdata/calendar/data/`) with an administrator's
overrides laid over it. Knows no clock and no database; `marketdata.calendar.trading_dates.calendar` has the one that is
in force."""

from __future__ import annotations

import csv
import datetime
import zoneinfo
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from marketdata.types.units import EPOCH, MINUTE_US, moment_of

FOLDER = Path(__file__).parent / "data"
DAY = datetime.timedelta(days=1)
MICROSECOND = datetime.timedelta(microseconds=1)
NONE = datetime.timedelta()
LONGEST_CLOSURE = 366
REMEMBERED = 1024
ALWAYS_SILENCE_S = 120.0
"""How long a market that never closes may be silent: as long as one in its regular session."""


class Session(StrEnum):
    """The part of a trading day a phase belongs to."""

    PRE = "pre"
    REGULAR = "regular"
    AFTER = "after"


class Phase(StrEnum):
    """How a venue trades at a moment."""

    PRE_MARKET = "pre_market"
    PRE_CLOSING_PRICE = "pre_closing_price"  # 장전 시간외종가: at the close of the day before
    OPENING_AUCTION = "opening_auction"  # orders only; the opening prints belong to the continuous phase
    CONTINUOUS = "continuous"
    CLOSING_AUCTION = "closing_auction"
    POST_CLOSING_PRICE = "post_closing_price"  # 장후 시간외종가: at the close of the day
    SINGLE_PRICE = "single_price"  # 시간외단일가: an auction each ten minutes
    AFTER_AUCTION = "after_auction"  # orders only
    AFTER_MARKET = "after_market"


class Follows(StrEnum):
    """What moves a boundary of a phase on a day with unusual hours."""

    OPENING = "opening"
    CLOSING = "closing"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An administrator's word on one date, in place of the checked-in one. A given `regular_open` or `regular_close`
    comes before `shift_minutes`."""

    is_open: bool
    shift_minutes: int = 0
    regular_open: datetime.time | None = None
    regular_close: datetime.time | None = None
    note: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date: whether the market opens, and how far its regular opening and closing are moved. Not `certain` when
    the calendar has not got that far, or when only custom says so and the exchange has not told yet."""

    is_open: bool
    open_shift: datetime.timedelta = NONE
    close_shift: datetime.timedelta = NONE
    certain: bool = True
    reason: str = ""
    source: str = ""

    @property
    def is_shifted(self) -> bool:
        return self.is_open and (self.open_shift != NONE or self.close_shift != NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When a phase of a venue is held on an ordinary day, from `first_date` to `last_date`, both included. `last_print`
    is how late its last trade may be printed, `silence_s` from how many seconds without a trade on whoever collects
    them should be looked at; None where silence is as it should be, as in an auction."""

    venue: str
    phase: Phase
    session: Session
    trading: bool
    silence_s: float | None
    start: datetime.timedelta
    start_follows: Follows
    end: datetime.timedelta
    end_follows: Follows
    last_print: datetime.timedelta
    held_when_late: bool
    first_date: datetime.date
    last_date: datetime.date

    def on(self, date: datetime.date, day: Day) -> tuple[datetime.timedelta, datetime.timedelta] | None:
        """Local start and end on that date; None if the phase is not held. The end is that of the minute in which the
        last trade may print, so a tick and its minute candle are in the same phase."""
        if not self.first_date <= date <= self.last_date or (day.open_shift > NONE and not self.held_when_late):
            return None
        moved = {Follows.OPENING: day.open_shift, Follows.CLOSING: day.close_shift, Follows.CLOCK: NONE}
        start, end = self.start + moved[self.start_follows], self.end + moved[self.end_follows]
        if start >= end:
            return None
        minute = datetime.timedelta(minutes=1)
        return start, -(-(self.last_print + moved[self.end_follows]) // minute) * minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A phase on one date, start_us <= time < end_us. `trading` says whether trades are printed in it or only orders
    taken, `silence_s` what it does in `Hours`."""

    venue: str
    phase: Phase
    session: Session
    trading: bool
    silence_s: float | None
    start_us: int
    end_us: int

    @property
    def continuous(self) -> bool:
        """Whether trades may come at any moment of it: in an auction, or at a closing price, silence says nothing."""
        return self.silence_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The checked-in part of a market's calendar: the dates that are not ordinary, and the hours."""

    market: str
    days: Mapping[datetime.date, Day]
    hours: Sequence[Hours]

    @property
    def first_date(self) -> datetime.date:
        """The first date it knows: whole years are in it or nothing."""
        return datetime.date(min(self.days).year, 1, 1) if self.days else datetime.date.max

    @property
    def last_date(self) -> datetime.date:
        return datetime.date(max(self.days).year, 12, 31) if self.days else datetime.date.min


class Calendar:
    """What is asked of a market's calendar. Instants are UTC microseconds, dates are trading dates.

    A market without hours is open on weekdays all day and has no phases. Beyond the checked-in years weekdays are
    ordinary trading days, and `covers` says that this is a guess. A market that is open on weekends never closes: each
    date is a trading day, which is known, and trades may come at any moment of it.
    """

    def __init__(
        self,
        base: Base,
        overrides: Mapping[datetime.date, Override],
        *,
        timezone: str = "Asia/Seoul",
        trade_date_shift_s: int = 0,
        open_on_weekends: bool = False,
    ) -> None:
        self.base, self.overrides = base, dict(overrides)
        self.market = base.market
        self._zone = zoneinfo.ZoneInfo(timezone)
        self._shift = datetime.timedelta(seconds=trade_date_shift_s)
        self._open_on_weekends = open_on_weekends
        self._spans: dict[datetime.date, tuple[Span, ...]] = {}

    # --- dates --------------------------------------------------------------------------------------------------------

    def covers(self, date: datetime.date) -> bool:
        """Whether this date is known, and not guessed by its weekday."""
        known = self.base.first_date <= date <= self.base.last_date
        return known or date in self.overrides or self._open_on_weekends

    def day(self, date: datetime.date) -> Day:
        override = self.overrides.get(date)
        if override is not None:
            return self._overridden(date, override)
        known = self.base.days.get(date)
        return known or Day(is_open=date.weekday() < 5 or self._open_on_weekends, certain=self.covers(date))

    def is_session(self, date: datetime.date) -> bool:
        """Whether this date is a trading day."""
        return self.day(date).is_open

    def next_session(self, date: datetime.date) -> datetime.date:
        """The first trading day after `date`."""
        return self._nearest(date, DAY)

    def previous_session(self, date: datetime.date) -> datetime.date:
        """The last trading day before `date`."""
        return self._nearest(date, -DAY)

    def sessions(self, first: datetime.date, last: datetime.date) -> list[datetime.date]:
        """The trading days from `first` to `last`, both included."""
        dates = (datetime.date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))
        return [date for date in dates if self.is_session(date)]

    def _nearest(self, date: datetime.date, step: datetime.timedelta) -> datetime.date:
        for _ in range(LONGEST_CLOSURE):
            date += step
            if self.is_session(date):
                return date
        raise LookupError(f"{self.market} has no trading day within {LONGEST_CLOSURE} days of {date}")

    def _overridden(self, date: datetime.date, override: Override) -> Day:
        shift = datetime.timedelta(minutes=override.shift_minutes)
        opening, closing = shift, shift
        usual = self._usual_hours(date)
        if usual is not None and override.regular_open is not None:
            opening = _of_day(override.regular_open) - usual[0]
        if usual is not None and override.regular_close is not None:
            closing = _of_day(override.regular_close) - usual[1]
        return Day(
            is_open=override.is_open,
            open_shift=opening if override.is_open else NONE,
            close_shift=closing if override.is_open else NONE,
            reason=override.note,
            source=override.source or "calendar_override",
        )

    def regular_hours(self, date: datetime.date) -> tuple[datetime.timedelta, datetime.timedelta] | None:
        """Local opening and closing of the regular session, as an exchange tells them (`regular_window` is for data).
        None: closed, or no regular session is defined."""
        day, usual = self.day(date), self._usual_hours(date)
        if usual is None or not day.is_open:
            return None
        return usual[0] + day.open_shift, usual[1] + day.close_shift

    def _usual_hours(self, date: datetime.date) -> tuple[datetime.timedelta, datetime.timedelta] | None:
        regular = [
            hours
            for hours in self.base.hours
            if hours.venue == self.market
            and hours.session is Session.REGULAR
            and hours.first_date <= date <= hours.last_date
        ]
        return (min(h.start for h in regular), max(h.end for h in regular)) if regular else None

    # --- moments ------------------------------------------------------------------------------------------------------

    def local(self, time_us: int) -> datetime.datetime:
        """The time on the market's wall, without a zone."""
        return (moment_of(time_us)).astimezone(self._zone).replace(tzinfo=None)

    def trade_date(self, time_us: int) -> datetime.date:
        """The trading date of an event, as `trading_dates.trade_dates` has it for arrays."""
        return (self.local(time_us) + self._shift).date()

    def ends_us(self, date: datetime.date) -> int:
        """From when on no event of this market belongs to that trading date any more: its local date, moved on by the
        market's shift, is over. Whether trading goes on until then is another question."""
        return self._instant(date, DAY - self._shift)

    def phases(self, date: datetime.date, venue: str | None = None) -> tuple[Span, ...]:
        """What is held on that date, at one venue or at all, by start; () on a closed day."""
        found = self._spans.get(date)
        if found is None:
            if len(self._spans) >= REMEMBERED:
                self._spans.clear()
            found = self._spans[date] = tuple(self._make_spans(date))
        return found if venue is None else tuple(span for span in found if span.venue == venue)

    def phases_at(self, time_us: int, venue: str | None = None) -> tuple[Span, ...]:
        """All that is held at that moment, at one venue or at any; continuous trading before other trading, that
        before the taking of orders, then the one that began last."""
        held = [span for span in self.phases(self.trade_date(time_us), venue) if span.start_us <= time_us < span.end_us]
        return tuple(sorted(held, key=lambda span: (not span.continuous, not span.trading, -span.start_us)))

    def phase_at(self, time_us: int, venue: str | None) -> Span | None:
        """What a trade printed at that moment belongs to, at one venue or, the first of `phases_at`, at any."""
        return next(iter(self.phases_at(time_us, venue)), None)

    def next_phase(self, time_us: int, venue: str | None) -> tuple[int, Span | None] | None:
        """When the phase of that moment ends, in microseconds, and what is held then (None: closed), at one venue or at
        any. None: of this market no phases are known, or nothing changes for LONGEST_CLOSURE days."""
        now, date = self.phase_at(time_us, venue), self.trade_date(time_us)
        for _ in range(LONGEST_CLOSURE if self.base.hours else 0):
            spans = self.phases(date, venue)
            for moment in sorted({edge for span in spans for edge in (span.start_us, span.end_us) if edge > time_us}):
                held = self.phase_at(moment, venue)
                if (held and held.phase) != (now and now.phase):
                    return moment, held
            date += DAY
        return None

    def is_open(self, time_us: int, venue: str | None = None) -> bool:
        """Whether trades may be printed at that moment, at one venue or at any."""
        return any(start <= time_us < end for start, end in self.trading_hours(self.trade_date(time_us), venue))

    def longest_silence_s(
        self, time_us: int, venue: str | None = None, *, sessions: Container[Session] = tuple(Session)
    ) -> float | None:
        """From how many seconds without a trade on something is wrong with whoever collects them at that moment, at one
        venue or at any; None while no trades are to be expected: the market is closed, orders are collected for an
        auction, or a phase began a shorter while ago than it may be silent. Of a market without hours nothing is known,
        unless it never closes."""
        if not self.base.hours:
            known = Session.REGULAR in sessions and all(
                self.is_continuous(moment) for moment in (time_us - int(ALWAYS_SILENCE_S * 1_000_000), time_us)
            )
            return ALWAYS_SILENCE_S if known else None
        limits = [
            span.silence_s
            for span in self.phases(self.trade_date(time_us), venue)
            if span.silence_s is not None
            and span.session in sessions
            and span.start_us + span.silence_s * 1_000_000 <= time_us < span.end_us
        ]
        return min(limits, default=None)

    @property
    def hours_known(self) -> bool:
        """Whether anybody knows when trades may come: hours are in its file, or it never closes."""
        return bool(self.base.hours) or self._open_on_weekends

    def is_continuous(self, time_us: int, venue: str | None = None) -> bool:
        """Whether trades may come at any moment then, at one venue or at any, as far as that is known."""
        return any(start <= time_us < end for start, end in self.continuous_hours(self.trade_date(time_us), venue))

    def next_open(self, time_us: int, venue: str | None = None) -> int:
        """The first moment after this one at which trading begins, at one venue or at any. LookupError if there is none
        for LONGEST_CLOSURE days."""
        date = self.trade_date(time_us)
        for _ in range(LONGEST_CLOSURE):
            for start, _end in self.trading_hours(date, venue):
                if start > time_us:
                    return start
            date += DAY
        raise LookupError(f"{venue or self.market} does not open within {LONGEST_CLOSURE} days of {time_us}")

    def regular_window(self, date: datetime.date, venue: str | None = None) -> tuple[int, int] | None:
        """The regular session in whole minutes, start <= time < end, with the minutes in which the closing auction may
        print; at the market's own venue unless another is named. None: closed, or no regular session is defined."""
        regular = [s for s in self.phases(date, venue or self.market) if s.session is Session.REGULAR]
        if not regular:
            return None
        return min(s.start_us for s in regular) // MINUTE_US * MINUTE_US, max(s.end_us for s in regular)

    def regular_times(self, date: datetime.date) -> tuple[int, int] | None:
        """When the regular session of a date opens and closes, as the exchange tells it; the whole trading date where
        a market has no hours. None: closed, or no regular session is defined."""
        hours = self.regular_hours(date)
        if hours is not None:
            return self._instant(date, hours[0]), self._instant(date, hours[1])
        return None if self.base.hours else next(iter(self.trading_hours(date, None)), None)

    def trading_times(self, date: datetime.date) -> tuple[int, int] | None:
        """From the first to the last moment of a date at which trades may be printed, at any venue. None: closed."""
        stretches = self.trading_hours(date, None)
        return (stretches[0][0], stretches[-1][1]) if stretches else None

    def next_regular(self, time_us: int) -> tuple[int, int]:
        """Opening and closing of the regular session that is held at that moment, or of the next one. LookupError if
        there is none for LONGEST_CLOSURE days."""
        date = self.trade_date(time_us)
        for _ in range(LONGEST_CLOSURE):
            times = self.regular_times(date)
            if times is not None and times[1] > time_us:
                return times
            date += DAY
        raise LookupError(f"{self.market} has no regular session within {LONGEST_CLOSURE} days of {time_us}")

    def _make_spans(self, date: datetime.date) -> Iterable[Span]:
        day = self.day(date)
        if not day.is_open:
            return []
        spans = []
        for hours in self.base.hours:
            bounds = hours.on(date, day)
            if bounds is not None:
                spans.append(
                    Span(
                        venue=hours.venue,
                        phase=hours.phase,
                        session=hours.session,
                        trading=hours.trading,
                        silence_s=hours.silence_s,
                        start_us=self._instant(date, bounds[0]),
                        end_us=self._instant(date, bounds[1]),
                    )
                )
        return sorted(spans, key=lambda span: (span.start_us, span.end_us))

    def trading_hours(self, date: datetime.date, venue: str | None) -> list[tuple[int, int]]:
        """The stretches [start_us, end_us) of a date in which trades are printed, at one venue or at any: phases that
        touch or overlap are one. The whole date where a market has no hours."""
        return self._stretches(date, [span for span in self.phases(date, venue) if span.trading])

    def continuous_hours(self, date: datetime.date, venue: str | None) -> list[tuple[int, int]]:
        """As `trading_hours`, without auctions and closing prices: when trades may come at any moment. None is known of
        a market without hours, unless it never closes."""
        if not self.hours_known:
            return []
        return self._stretches(date, [span for span in self.phases(date, venue) if span.continuous])

    def _stretches(self, date: datetime.date, spans: Iterable[Span]) -> list[tuple[int, int]]:
        if not self.base.hours:
            whole = self._instant(date, -self._shift), self._instant(date + DAY, -self._shift)
            return [whole] if self.is_session(date) else []
        merged: list[tuple[int, int]] = []
        for span in spans:
            if merged and span.start_us <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], span.end_us)
            else:
                merged.append((span.start_us, span.end_us))
        return merged

    def _instant(self, date: datetime.date, of_day: datetime.timedelta) -> int:
        local = datetime.datetime.combine(date, datetime.time(), self._zone) + of_day  # on the wall, not elapsed
        return (local - EPOCH) // MICROSECOND


# --- the checked-in files ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def base(market: str) -> Base:
    """What is checked in for a market; of most markets nothing."""
    days = {
        datetime.date.fromisoformat(row["date"]): Day(
            is_open=_one_of(row["kind"], "shifted", "closed"),
            open_shift=datetime.timedelta(minutes=int(row["open_shift"] or 0)),
            close_shift=datetime.timedelta(minutes=int(row["close_shift"] or 0)),
            certain=_one_of(row["certainty"], "confirmed", "expected"),
            reason=row["reason"],
            source=row["source"],
        )
        for row in rows("days", market)
    }
    return Base(market=market, days=days, hours=[_hours(row) for row in rows("hours", market)])


def rows(name: str, market: str) -> list[dict[str, str]]:
    """The lines of one of the files that are about this market."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["market"] == market]


def _hours(row: Mapping[str, str]) -> Hours:
    end = _of_day(datetime.time.fromisoformat(row["end"]))
    last_print = row["last_print"]
    return Hours(
        venue=row["venue"],
        phase=Phase(row["phase"]),
        session=Session(row["session"]),
        trading=_one_of(row["trading"], "yes", "no"),
        silence_s=float(row["silence_s"]) if row["silence_s"] else None,
        start=_of_day(datetime.time.fromisoformat(row["start"])),
        start_follows=Follows(row["start_follows"]),
        end=end,
        end_follows=Follows(row["end_follows"]),
        last_print=_of_day(datetime.time.fromisoformat(last_print)) if last_print else end,
        held_when_late=_one_of(row["when_late"], "held", "not held"),
        first_date=datetime.date.fromisoformat(row["first_date"]),
        last_date=datetime.date.fromisoformat(row["last_date"]) if row["last_date"] else datetime.date.max,
    )


def _one_of(word: str, true: str, false: str) -> bool:
    if word not in (true, false):
        raise ValueError(f"{word!r} is neither {true!r} nor {false!r}")
    return word == true


def _of_day(time: datetime.time) -> datetime.timedelta:
    return datetime.timedelta(hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond)
