"""Which minutes of a trading date gaps touch, by symbol and feed: how many shares are missing there, what our candles
have, and what the vendor's bars say. Only reads."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from marketdata.calendar import trading_dates
from marketdata.calendar.feed_hours import MARKET, VENUES
from marketdata.models import FeedOwner, Gap, IngestStream, Symbol
from marketdata.storage import storage
from marketdata.types.tick_arrays import SEQ_BITS, decimal_text
from marketdata.types.units import MINUTE_US
from marketdata.vendors import minutes
from terminals import wire

EVERY = "*"
_OTHERS = reduce(or_, [Q(reason__startswith=kind) for kind in wire.OTHER_KINDS])
MOST_DATES = 31
_PAGE = 10_000
_SYMBOLS = 500


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a stretch: the volume (1e-6) of our candle, 0 without one, and of the vendor's bar, None while it
    has not been asked for."""

    minute_us: int
    ours: int
    vendors: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Minutes of one symbol that gaps join: what is missing in one of them cannot be told apart from the others.
    `missing` in 1e-6, None if a gap does not say how much it lost."""

    symbol: str
    feed: str
    missing: int | None
    reasons: tuple[str, ...]
    minutes: tuple[Minute, ...]

    @property
    def uncovered(self) -> list[int]:
        """The minutes the vendor was not asked for yet."""
        return [one.minute_us for one in self.minutes if one.vendors is None]

    @property
    def difference(self) -> int | None:
        """What the vendor has more than our candles and the missing shares together (1e-6): 0 if both agree. None
        where that cannot be said."""
        if self.missing is None or self.uncovered:
            return None
        return sum((one.vendors or 0) - one.ours for one in self.minutes) - self.missing

    def with_vendor(self, volumes: Mapping[int, int]) -> Stretch:
        """The same with the vendor's volumes by minute."""
        return replace(
            self, minutes=tuple(Minute(one.minute_us, one.ours, volumes.get(one.minute_us)) for one in self.minutes)
        )

    def as_json(self) -> dict[str, Any]:
        """For machines: numbers of shares as text of decimals."""
        return {
            "symbol": self.symbol,
            "feed": self.feed,
            "missing": _shares(self.missing),
            "difference": _shares(self.difference),
            "reasons": list(self.reasons),
            "minutes": [
                {"t": iso(one.minute_us), "ours": _shares(one.ours), "vendor": _shares(one.vendors)}
                for one in self.minutes
            ],
        }


def _shares(size: int | None) -> str | None:
    return None if size is None else decimal_text(size, wire.SIZE_SCALE)


def iso(time_us: int) -> str:
    """A minute as RFC-3339."""
    return datetime.datetime.fromtimestamp(time_us // 1_000_000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lost:
    """What one gap says of one symbol: minutes [first_us, end_us)."""

    first_us: int
    end_us: int
    missing: int | None
    reason: str


def find(
    date: datetime.date,
    *,
    symbol: str | None = None,
    feeds: Iterable[str] = tuple(VENUES),
    ours: bool = True,
    others: bool = False,
) -> Iterator[Stretch]:
    """The stretches of a trading date by feed, symbol and time. In the feeds of which the vendor has bars a gap of the
    whole feed is one of every symbol that its terminal sends there, and minutes in which nothing can be traded are left
    out; in others it is one of EVERY. Without `ours` our candles are not read and their volumes are 0, for who only
    wants to know what is covered. Trades were lost in these gaps, or with `others` only other rows than trades."""
    for feed in feeds:
        open_spans = _open(date, feed)
        lost = _by_symbol(date, feed, symbol, others=others)
        codes = sorted(lost)
        for at in range(0, len(codes), _SYMBOLS):
            yield from _stretches(
                date, feed, {code: lost[code] for code in codes[at : at + _SYMBOLS]}, open_spans, ours=ours
            )


def fetchable(gaps: QuerySet[Gap]) -> QuerySet[Gap]:
    """Those of gaps in whose minutes the vendor can be asked for bars."""
    return gaps.exclude(_OTHERS).filter(feed__in=VENUES)


def dates(gap: Gap) -> list[datetime.date]:
    """The trading days of which a gap lost something, at most the newest MOST_DATES."""
    if gap.trade_date is not None:
        return [gap.trade_date]
    calendar = trading_dates.calendar(MARKET)
    first, last = calendar.trade_date(gap.from_us), calendar.trade_date(gap.to_us)
    days = (last - datetime.timedelta(days=back) for back in range(min((last - first).days, MOST_DATES - 1) + 1))
    return [day for day in days if calendar.is_session(day)]


def feeds_with_gaps(date: datetime.date) -> list[str]:
    """The feeds in which something of a trading date was lost."""
    return list(_gaps(date).order_by("feed").values_list("feed", flat=True).distinct())


def _gaps(date: datetime.date) -> QuerySet[Gap]:
    start_us, end_us = _bounds(date)
    return Gap.objects.filter(Q(trade_date=date) | Q(trade_date=None, from_us__lt=end_us, to_us__gte=start_us))


def _by_symbol(date: datetime.date, feed: str, symbol: str | None, *, others: bool) -> dict[str, list[_Lost]]:
    start_us, end_us = _bounds(date)
    gaps = _gaps(date).filter(_OTHERS if others else ~_OTHERS, feed=feed)
    if symbol is not None:
        gaps = gaps.filter(Q(symbol=symbol) | Q(symbol=""))
    found: dict[str, list[_Lost]] = {}
    of_terminal: dict[int, list[str]] = {}
    rows = gaps.order_by("pk").values_list("batch", "symbol", "from_us", "to_us", "missing", "reason")
    for batch, code, from_us, to_us, missing, reason in rows.iterator(chunk_size=_PAGE):
        first_us = max(from_us, start_us) // MINUTE_US * MINUTE_US
        last_us = min(to_us, end_us - 1) // MINUTE_US * MINUTE_US
        lost = _Lost(first_us=first_us, end_us=last_us + MINUTE_US, missing=missing, reason=reason)
        if code:
            found.setdefault(code, []).append(lost)
            continue
        if feed not in VENUES:
            found.setdefault(symbol or EVERY, []).append(lost)
            continue
        stream = batch >> SEQ_BITS
        if stream not in of_terminal:
            of_terminal[stream] = _sent_by(stream, date, feed)
        for one in of_terminal[stream]:
            if symbol in (None, one):
                found.setdefault(one, []).append(lost)
    return found


def _sent_by(stream: int, date: datetime.date, feed: str) -> list[str]:
    """The symbols that a terminal sends in a feed: those it owns there, else those that have candles of that date."""
    client = IngestStream.objects.filter(pk=stream).values_list("client_id", flat=True).first()
    owned: set[str] = set()
    if client is not None:
        owned = set(FeedOwner.objects.filter(feed=feed, client_id=client).values_list("symbol", flat=True))
    codes = owned or {code for code, of_feed in storage().day_series(date) if of_feed == feed}
    known: set[str] = set()
    for at in range(0, len(codes), _SYMBOLS):
        some = sorted(codes)[at : at + _SYMBOLS]
        known |= set(
            Symbol.objects.filter(code__in=some, is_active=True, market_id=MARKET).values_list("code", flat=True)
        )
    return sorted(known)


def _stretches(
    date: datetime.date, feed: str, lost: dict[str, list[_Lost]], open_spans: list[tuple[int, int]], *, ours: bool
) -> Iterator[Stretch]:
    codes = sorted(lost)
    theirs = minutes.volumes(date, feed, codes)
    for code in codes:
        joined = list(_joined(lost[code]))
        bounds = [(part[0].first_us, max(one.end_us for one in part)) for part in joined]
        volumes = _volumes(code, feed, bounds[0][0], bounds[-1][1]) if ours and code != EVERY else {}
        for part, (first_us, end_us) in zip(joined, bounds, strict=True):
            chosen = [at for at in range(first_us, end_us, MINUTE_US) if _within(at, open_spans)]
            if chosen:
                yield Stretch(
                    symbol=code,
                    feed=feed,
                    missing=_total(one.missing for one in part),
                    reasons=tuple(sorted({one.reason for one in part})),
                    minutes=tuple(Minute(at, volumes.get(at, 0), theirs.get(code, {}).get(at)) for at in chosen),
                )


def _volumes(symbol: str, feed: str, start_us: int, end_us: int) -> dict[int, int]:
    """The volume of our candles by minute."""
    bars = storage().read_minutes(symbol, feed, start_us, end_us, ends=False)
    found: dict[int, int] = {}
    for minute_us, volume in zip(bars.time_us.tolist(), bars.volume.tolist(), strict=True):
        found[minute_us] = found.get(minute_us, 0) + volume
    return found


def _joined(lost: Iterable[_Lost]) -> Iterator[list[_Lost]]:
    """Gaps that share a minute, together; in the order of time."""
    part: list[_Lost] = []
    end_us = 0
    for one in sorted(lost, key=lambda one: (one.first_us, one.end_us)):
        if part and one.first_us >= end_us:
            yield part
            part = []
        end_us = max(end_us, one.end_us) if part else one.end_us
        part.append(one)
    if part:
        yield part


def _total(missing: Iterable[int | None]) -> int | None:
    total = 0
    for one in missing:
        if one is None:
            return None
        total += one
    return total


def _bounds(date: datetime.date) -> tuple[int, int]:
    """When a trading date begins and ends."""
    calendar = trading_dates.calendar(MARKET)
    return calendar.ends_us(date - datetime.timedelta(days=1)), calendar.ends_us(date)


def _open(date: datetime.date, feed: str) -> list[tuple[int, int]]:
    """When trades of a feed may be printed on that date; all day where the calendar does not say."""
    if feed not in VENUES:
        return [_bounds(date)]
    spans = trading_dates.calendar(MARKET).phases(date, VENUES[feed])
    return [(span.start_us, span.end_us) for span in spans if span.trading]


def closed_by(date: datetime.date) -> int | None:
    """From when on nothing is traded any more on that date in any of the feeds; None on a closed day."""
    spans = trading_dates.calendar(MARKET).phases(date)
    return max((span.end_us for span in spans if span.trading), default=None)


def _within(minute_us: int, spans: list[tuple[int, int]]) -> bool:
    """Whether trades may be printed in any part of a minute."""
    return any(start < minute_us + MINUTE_US and minute_us < end for start, end in spans)
