"""The figures of single series (a symbol on a feed) of a trading date, read for many together, and their rows of
`quality_day`. What is good or bad, `grades` says; what is missing of a session, `session_minutes`."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Count

from analytics.quality import agreement, days, grades, session_minutes
from analytics.quality.grades import Facts, Reason
from analytics.quality.session_minutes import NONE, Int8, Minutes, State
from marketdata.calendar import feed_hours, trading_dates
from marketdata.models import (
    FeedOwner,
    Gap,
    IngestBatch,
    QualityDay,
    RolloverRun,
    Symbol,
    VoidedTick,
)
from marketdata.storage import storage
from marketdata.types.tick_arrays import TICK_BITS, Int64
from marketdata.types.units import MINUTE_US, day_of
from terminals import wire

Pair = tuple[str, str]
"""Symbol and feed."""
SETTLED_US = 2 * MINUTE_US
"""So old a minute must be before it can lack a tick: batches may be on their way."""
USUAL_DAYS, LOOKED_BACK = 20, datetime.timedelta(days=45)
USUAL_LOST = 0.05
"""Days on which a greater share of the session was lost are no usual ones."""
WIDEST = 3 * 1440
MOST_LATE = 200  # ranges of batches that came late; of more the figure would cost more than it is worth
MOST_GAPS, MOST_HALTS = 20_000, 2_000
_BATCHES = 500


@dataclass(slots=True, kw_only=True)
class SeriesDay:
    """One trading date of a series. Counts are rows, `missing_volume` 1e-6; `states` tell of `minutes`, `parts` and
    `usual` are those of `session_minutes`; `expected` is how many minutes would have a tick on a usual day, None where
    that is not known."""

    date: datetime.date
    symbol: str
    feed: str
    market: str = ""
    stored: int = 0
    rejected: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    late: int = 0
    voided: int = 0
    gaps: list[Gap] = field(default_factory=list)
    minutes: Minutes = field(default_factory=lambda: Minutes(0, np.zeros(0, np.int8)))
    states: Int8 = field(default_factory=lambda: np.zeros(0, np.int8))
    parts: dict[str, list[int]] = field(default_factory=dict)
    usual: dict[int, float] = field(default_factory=dict)
    compared: int = 0
    differing: int = 0
    other: str = ""
    clock_us: int | None = None
    halted: bool = False

    @property
    def received(self) -> int:
        return self.stored + self.voided + self.rejected

    @property
    def repeated(self) -> int:
        return self.refused.get(grades.REPEATED, 0)

    @property
    def missing(self) -> int:
        return sum(gap.rows for gap in self.gaps)

    @property
    def missing_volume(self) -> int:
        return sum(gap.missing or 0 for gap in self.gaps)

    @property
    def gap_s(self) -> float:
        """How long gaps last within these minutes, together."""
        total, upto = 0, self.minutes.start_us
        end = upto + len(self.minutes) * MINUTE_US
        for from_us, to_us in sorted((gap.from_us, gap.to_us) for gap in self.gaps):
            first, last = max(from_us, upto), min(to_us, end)
            if last > first:
                total, upto = total + last - first, last
        return total / 1e6

    @property
    def session(self) -> int:
        """Minutes of the session that could have had a tick."""
        return sum(judged for _, judged in self.parts.values())

    @property
    def present(self) -> int:
        return sum(ticked for ticked, _ in self.parts.values())

    @property
    def lost(self) -> int:
        return int(((self.states == State.GAP) | (self.states == State.MISSING)).sum())

    @property
    def coverage(self) -> float | None:
        """The share of the session's minutes that are not lost; None without a session."""
        return 1 - self.lost / self.session if self.session else None

    @property
    def expected(self) -> int | None:
        if not self.usual:
            return None
        shares = {session_minutes.PARTS[part].value: share for part, share in self.usual.items()}
        return round(sum(shares.get(part, 0.0) * judged for part, (_, judged) in self.parts.items()))

    def reasons(self, *, held_up: bool = False) -> list[Reason]:
        """Why it is no A, the worst first."""
        return grades.reasons(
            Facts(
                stored=self.stored,
                refused=self.rejected - self.repeated,
                late=self.late,
                voided=self.voided,
                gaps=len(self.gaps),
                missing=self.missing,
                held_up=held_up,
                silent=not self.lost and (bool(self.session) or self.halted),
                session=self.session,
                hours=bool(self.session) or self.halted or not self.stored,
                lost=self.lost,
                compared=self.compared,
                differing=self.differing,
                other=self.other,
                clock_us=self.clock_us or 0,
                clock_most_us=round(settings.CLOCK_OFFSET_ALARM_S * 1e6),
            )
        )


def as_row(one: SeriesDay, *, proof: str, now: datetime.datetime) -> QualityDay:
    """Unsaved."""
    found = one.reasons()
    return QualityDay(
        trade_date=one.date, symbol=one.symbol, feed=one.feed, market=one.market, grade=grades.grade(found),
        stored=one.stored, received=one.received, repeated=one.repeated, rejected=one.rejected, late=one.late,
        voided=one.voided, gaps=len(one.gaps), missing=one.missing, session=one.session, present=one.present,
        lost=one.lost, compared=one.compared, differing=one.differing, clock_us=one.clock_us,
        figures={
            "reasons": [reason.as_json() for reason in found], "refused": one.refused, "parts": one.parts,
            "expected": one.expected, "gap_s": one.gap_s, "missing_volume": one.missing_volume, "other": one.other,
            "halted": one.halted,
        },
        proof=proof, computed_at=now,
    )  # fmt: skip


_KEY = ("trade_date", "feed", "symbol")
_VALUES = [one.name for one in QualityDay._meta.concrete_fields if one.name not in ("id", *_KEY)]


def store(rows: Sequence[QualityDay]) -> None:
    """Put rows in place of those that are there."""
    named = connection.features.supports_update_conflicts_with_target
    ordered = sorted(
        rows, key=lambda row: (row.trade_date, row.feed, row.symbol)
    )  # two workers do not block each other
    QualityDay.objects.bulk_create(
        ordered, batch_size=200, update_conflicts=True, update_fields=_VALUES, unique_fields=_KEY if named else None
    )


def of_symbol(date: datetime.date, symbol: str, now_us: int) -> tuple[list[SeriesDay], set[str]]:
    """(each feed of a symbol of which anything is known on that date, as it is now; the feeds whose row is final)."""
    reader = Reader(date, now_us, symbol=symbol)
    rows = dict(QualityDay.objects.filter(trade_date=date, symbol=symbol).values_list("feed", "proof"))
    feeds = {*rows, *storage().symbol_rows(date, symbol), *(feed for _, feed in reader.named)}
    return reader.read((symbol, feed) for feed in feeds), {feed for feed, proof in rows.items() if proof}


class Reader:
    """What is the same for all series of a trading date (of the feeds of `symbol`, if one is named), read once."""

    def __init__(self, date: datetime.date, now_us: int, *, symbol: str = "") -> None:
        self.date, self._until_us = date, now_us - SETTLED_US
        run = RolloverRun.objects.filter(trade_date=date).first()
        self._is_going_on = run is None or run.state == RolloverRun.State.OPEN
        self._late = _late_ranges(date)
        self._refused = _refused(date, symbol)
        self._gaps: dict[Pair, list[Gap]] = {}
        gaps = (
            Gap.objects.filter(days.of_day(date), symbol__in=[symbol, ""])
            if symbol
            else Gap.objects.filter(days.of_day(date))
        )
        for gap in gaps.order_by("from_us", "id")[:MOST_GAPS]:
            self._gaps.setdefault((gap.symbol, gap.feed), []).append(gap)
        voided = VoidedTick.objects.filter(trade_date=date).values_list("symbol", "feed").annotate(Count("pk"))
        self._voided = {(symbol, feed): count for symbol, feed, count in voided.order_by()}

    @property
    def named(self) -> set[Pair]:
        """The series of which rows were refused, taken back or are missing."""
        return {*self._refused, *self._voided, *((symbol, feed) for symbol, feed in self._gaps if symbol)}

    def read(self, pairs: Iterable[Pair]) -> list[SeriesDay]:
        """The figures of these series; of one without anything, too."""
        wanted = sorted(set(pairs))
        symbols = sorted({symbol for symbol, _ in wanted})
        known = {one.code: one for one in Symbol.objects.select_related("market").filter(code__in=symbols)}
        ticks = storage().tick_minutes(self.date, symbols, late=self._late)
        usual = self._usual(symbols)
        before = {
            (one.symbol, one.feed): one for one in QualityDay.objects.filter(trade_date=self.date, symbol__in=symbols)
        }
        clocks = self._clocks(symbols) if self._is_going_on else {}
        halts = self._halts(symbols)
        found = []
        for pair in wanted:
            symbol, feed = pair
            made = SeriesDay(date=self.date, symbol=symbol, feed=feed)
            rows = ticks.get(pair, np.zeros((0, 3), np.int64))
            made.stored, made.late = int(rows[:, 1].sum()), int(rows[:, 2].sum())
            made.rejected, made.refused = self._refused.get(pair, (0, {}))
            made.voided = self._voided.get(pair, 0)
            made.gaps = sorted(
                self._gaps.get(pair, []) + self._gaps.get(("", feed), []), key=lambda gap: (gap.from_us, gap.pk)
            )
            old, share = before.get(pair), known.get(symbol)
            made.clock_us = max((None if old is None else old.clock_us, clocks.get(pair)), key=lambda us: abs(us or 0))
            made.halted = bool(old and old.figures.get("halted")) or (
                self._is_going_on and share is not None and share.is_halted
            )
            if share is not None:
                made.market = share.market_id
                self._judge(made, share, rows[:, 0], usual.get(pair, []), halts.get(pair, []))
            found.append(made)
        self._compare(found, known, ticks)
        return found

    def _judge(
        self, made: SeriesDay, share: Symbol, times: Int64, usual: Sequence[Mapping[str, Any]],
        halts: Sequence[tuple[int, int]],
    ) -> None:  # fmt: skip
        calendar = trading_dates.calendar(share.market_id)
        venue = feed_hours.venue_of(made.feed, share.market_id)
        minutes = session_minutes.of_session(calendar, made.date, venue, always=share.market.open_on_weekends)
        made.minutes = minutes = _widened(minutes, times)
        present = np.zeros(len(minutes), np.bool_)
        present[minutes.places(times)] = True
        made.usual = session_minutes.usual_shares(usual)
        halted = np.full(len(minutes), made.halted) | minutes.covered(halts)
        of_trades = [gap for gap in made.gaps if not gap.reason.startswith(wire.OTHER_KINDS)]
        made.states = session_minutes.judge(
            minutes, present, gap=minutes.covered([(gap.from_us, gap.to_us) for gap in of_trades]), halted=halted,
            until_us=self._until_us, usual=made.usual,
        )  # fmt: skip
        made.parts = session_minutes.counts(minutes, made.states)

    def _usual(self, symbols: Sequence[str]) -> dict[Pair, list[dict[str, list[int]]]]:
        """By series: minutes with a tick by part of the usual days before, the newest first."""
        rows = QualityDay.objects.filter(
            symbol__in=symbols, trade_date__gte=self.date - LOOKED_BACK, trade_date__lt=self.date
        ).order_by("-trade_date")
        found: dict[Pair, list[dict[str, list[int]]]] = {}
        for symbol, feed, session, lost, figures in rows.values_list("symbol", "feed", "session", "lost", "figures"):
            mine = found.setdefault((symbol, feed), [])
            if len(mine) < USUAL_DAYS and session and lost <= session * USUAL_LOST and not figures.get("halted"):
                mine.append(figures["parts"])
        return found

    @staticmethod
    def _clocks(symbols: Sequence[str]) -> dict[Pair, int | None]:
        """How far the clock of whoever sends a series is off now."""
        owners = FeedOwner.objects.filter(symbol__in=symbols)
        rows = owners.values_list("symbol", "feed", "client__clock_offset_us")
        return {(symbol, feed): offset_us for symbol, feed, offset_us in rows}

    def _halts(self, symbols: Sequence[str]) -> dict[Pair, list[tuple[int, int]]]:
        """When trading of a series was halted, as its source told: (from, to)."""
        start, end = days.window(self.date)
        events = storage().read_events(
            start, end, kinds=["halt"], codes=[(symbol, start, end) for symbol in symbols], limit=MOST_HALTS
        )
        found: dict[Pair, list[tuple[int, int]]] = {}
        for pair, told in groupby(
            sorted(events, key=lambda one: (one.symbol, one.feed, one.time_us)), key=lambda one: (one.symbol, one.feed)
        ):
            since: int | None = start
            stretches = found.setdefault(pair, [])
            for place, one in enumerate(told):
                is_on = bool(one.is_on)
                if is_on and (since is None or place == 0):
                    since = one.time_us
                elif not is_on and since is not None:
                    stretches.append((since, one.time_us))
                    since = None
            if since is not None:
                stretches.append((since, end))
        return found

    def _compare(self, found: Sequence[SeriesDay], known: Mapping[str, Symbol], ticks: Mapping[Pair, Int64]) -> None:
        """Closes of each series beside those of another feed of the same venue: the symbol's primary one, for that
        one the first by name."""
        others: dict[Pair, str] = {}
        for one in found:
            share = known.get(one.symbol)
            if share is None or (one.symbol, one.feed) not in ticks:
                continue
            venue = feed_hours.venue_of(one.feed, share.market_id)
            same = [
                feed
                for symbol, feed in ticks
                if symbol == one.symbol and feed != one.feed and feed_hours.venue_of(feed, share.market_id) == venue
            ]
            if same:
                others[one.symbol, one.feed] = share.primary_feed if share.primary_feed in same else min(same)
        closes = self._closes(ticks, others)
        for one in found:
            other = others.get((one.symbol, one.feed))
            if other is None:
                continue
            mine, theirs = closes.get((one.symbol, one.feed)), closes.get((one.symbol, other))
            if mine is not None and theirs is not None:
                share = known[one.symbol]
                one.other = other
                one.compared, one.differing = agreement.compare(
                    *mine, *theirs, market=one.market, category=share.category
                )

    def _closes(self, ticks: Mapping[Pair, Int64], others: Mapping[Pair, str]) -> dict[Pair, tuple[Int64, Int64]]:
        """By series: the minutes of its candles and their closes."""
        needed = {*others, *((symbol, other) for (symbol, _), other in others.items())}
        by_feed: dict[str, list[str]] = {}
        for symbol, feed in sorted(needed):
            by_feed.setdefault(feed, []).append(symbol)
        found: dict[Pair, tuple[Int64, Int64]] = {}
        day = day_of(self.date)
        for feed, symbols in by_feed.items():
            times = np.concatenate([ticks[symbol, feed][:, 0] for symbol in symbols])
            bars = storage().read_minutes_of(symbols, feed, int(times.min()), int(times.max()) + MINUTE_US)
            for place, symbol in enumerate(bars.symbols):
                chosen = (bars.symbol == place) & (bars.trade_date == day)
                found[symbol, feed] = bars.time_us[chosen], bars.close[chosen]
        return found


def _widened(minutes: Minutes, times: Int64) -> Minutes:
    """The same with the minutes around that have ticks outside of the session, as far as is sensible."""
    if not len(times):
        return minutes
    first = minutes.start_us if len(minutes) else int(times[0])
    end = first + len(minutes) * MINUTE_US
    start, last = min(first, int(times[0])), max(end, int(times[-1]) + MINUTE_US)
    start, last = max(start, first - WIDEST * MINUTE_US), min(last, end + WIDEST * MINUTE_US)
    part = np.full((last - start) // MINUTE_US, NONE, np.int8)
    place = (first - start) // MINUTE_US
    part[place : place + len(minutes)] = minutes.part
    return Minutes(start, part)


def _refused(date: datetime.date, symbol: str) -> dict[Pair, tuple[int, dict[str, int]]]:
    """By series: how many rows were refused, and how often for which reason. Rows whose symbol cannot be read are of
    none."""
    chosen = days.rejects(date)
    if symbol:
        chosen = chosen.filter(record__contains=symbol)
    rows = list(chosen.values_list("batch", "reasons", "record")[: days.MOST_REJECTS])
    batches = sorted({batch for batch, _, _ in rows})
    feeds: dict[int, str] = {}
    for at in range(0, len(batches), _BATCHES):
        some = IngestBatch.objects.filter(batch__in=batches[at : at + _BATCHES])
        feeds |= dict(some.values_list("batch", "feed"))
    sums: dict[Pair, tuple[int, Counter[str]]] = {}
    for batch, reasons, record in rows:
        code = days.symbol_of(record)
        if code is not None and batch in feeds and (not symbol or code == symbol) and 0 < len(code) <= 24:
            count, words = sums.get((code, feeds[batch]), (0, Counter()))
            words.update(days.words(reasons))
            sums[code, feeds[batch]] = count + 1, words
    return {pair: (count, dict(sorted(words.items()))) for pair, (count, words) in sums.items()}


def _late_ranges(date: datetime.date) -> list[tuple[int, int]]:
    """The ticks (first, end of tick_id) of batches that were committed after the day was sealed; [] if there are too
    many of them to tell whose they are."""
    late = days.storing(date, IngestBatch.objects.all(), late=True, most=MOST_LATE * 100).order_by("batch")
    ranges: list[tuple[int, int]] = []
    for batch in late.values_list("batch", flat=True):
        if ranges and ranges[-1][1] == batch << TICK_BITS:
            ranges[-1] = ranges[-1][0], (batch + 1) << TICK_BITS
        else:
            ranges.append((batch << TICK_BITS, (batch + 1) << TICK_BITS))
    return ranges if len(ranges) <= MOST_LATE else []
