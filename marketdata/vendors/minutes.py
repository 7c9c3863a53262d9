"""A vendor's own minute bars, kept beside our candles to show what a gap hides. Nothing here is ever merged into a
candle of ours. Only minutes that a gap touches are kept."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import QuerySet

from marketdata.models import VendorMinute
from marketdata.storage import storage
from marketdata.types import minute_bars
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.tick_arrays import Int64
from marketdata.types.units import MINUTE_US, day_of

KIS = "kis"
_SAID = ("open", "high", "low", "close", "volume", "value")
_CHUNK = 500
_TOTAL_UNIT = 10**2  # `value` is in hundredths of the currency


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorBar:
    """What a vendor says of one minute, which begins at `minute_us`. Prices in 1e-8, volume in 1e-6, value in 1e-2 of
    the currency. Without a trade the volume is 0 and the rest None."""

    minute_us: int
    open: int | None = None
    high: int | None = None
    low: int | None = None
    close: int | None = None
    volume: int = 0
    value: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How many bars were new, how many replaced one of which the vendor said something else before."""

    new: int
    replaced: int


def store(
    symbol: str, feed: str, date: datetime.date, bars: Iterable[VendorBar], now: datetime.datetime, vendor: str = KIS
) -> Stored:
    """Keep these bars of one symbol and trading date, in one transaction. A bar that says what is known already
    changes nothing; another one replaces it and raises its `rev`."""
    given = {bar.minute_us: bar for bar in bars}
    fields = {"symbol": symbol, "feed": feed, "vendor": vendor}
    new = replaced = 0
    with storage().transaction():
        known = {row.minute_us: row for row in VendorMinute.objects.filter(**fields, minute_us__in=list(given))}
        for minute_us, bar in given.items():
            said = {name: getattr(bar, name) for name in _SAID}
            row = known.get(minute_us)
            if row is None:
                new += 1
            elif {name: getattr(row, name) for name in _SAID} != said:
                VendorMinute.objects.filter(pk=row.pk).update(**said, rev=row.rev + 1, fetched_at=now)
                replaced += 1
        VendorMinute.objects.bulk_create(
            [
                VendorMinute(
                    **fields, trade_date=date, minute_us=bar.minute_us, fetched_at=now,
                    **{name: getattr(bar, name) for name in _SAID},
                )
                for bar in given.values()
                if bar.minute_us not in known
            ],
            batch_size=_CHUNK,
        )  # fmt: skip
        if new or replaced:
            storage().note_finished(feed, min(given))
    return Stored(new=new, replaced=replaced)


def volumes(
    date: datetime.date, feed: str, symbols: Sequence[str] | None = None, vendor: str = KIS
) -> dict[str, dict[int, int]]:
    """The volume (1e-6) of each minute that is kept of a trading date and feed, by symbol and minute."""
    rows = VendorMinute.objects.filter(vendor=vendor, trade_date=date, feed=feed)
    if symbols is not None:
        rows = rows.filter(symbol__in=symbols)
    found: dict[str, dict[int, int]] = {}
    for symbol, minute_us, volume in rows.values_list("symbol", "minute_us", "volume"):
        found.setdefault(symbol, {})[minute_us] = volume
    return found


def read(
    symbol: str, feed: str, start_us: int, end_us: int, *, limit: int | None = None, ascending: bool = True,
    vendor: str = KIS,
) -> Bars:  # fmt: skip
    """The bars with trades of start_us <= minute < end_us as candles of ours look, in the order asked for, at most
    `limit`. `n` is 0, which the vendor does not tell."""
    rows = _traded(symbol, feed, vendor).filter(minute_us__gte=start_us, minute_us__lt=end_us)
    return _bars(symbol, feed, rows.order_by("minute_us" if ascending else "-minute_us")[:limit])


def read_date(symbol: str, feed: str, date: datetime.date, vendor: str = KIS) -> Bars:
    """As `read`, of one trading date."""
    return _bars(symbol, feed, _traded(symbol, feed, vendor).filter(trade_date=date).order_by("minute_us"))


def dates(symbol: str, feed: str, start: datetime.date, end: datetime.date, vendor: str = KIS) -> set[datetime.date]:
    """The trading dates start <= date < end of which there are bars with trades."""
    rows = _traded(symbol, feed, vendor).filter(trade_date__gte=start, trade_date__lt=end)
    return set(rows.order_by().values_list("trade_date", flat=True).distinct())


def _traded(symbol: str, feed: str, vendor: str) -> QuerySet[VendorMinute]:
    return VendorMinute.objects.filter(symbol=symbol, feed=feed, vendor=vendor, close__isnull=False)


def _bars(symbol: str, feed: str, rows: QuerySet[VendorMinute]) -> Bars:
    found = [
        (
            symbol, minute_us, day_of(date), *prices, volume,
            value // _TOTAL_UNIT, value % _TOTAL_UNIT * (VALUE_UNIT // _TOTAL_UNIT), 0, 0,
            minute_us, 0, minute_us + MINUTE_US - 1, 0,
        )
        for minute_us, date, *prices, volume, value in rows.values_list("minute_us", "trade_date", *_SAID)
    ]  # fmt: skip
    return minute_bars.from_rows(feed, found)


def times(symbol: str, feed: str, start_us: int, end_us: int, vendor: str = KIS) -> Int64:
    """The minutes start_us <= minute < end_us of which there are bars with trades, in the order of time."""
    rows = _traded(symbol, feed, vendor).filter(minute_us__gte=start_us, minute_us__lt=end_us)
    return np.array(list(rows.order_by("minute_us").values_list("minute_us", flat=True)), np.int64)


def in_place_of(ours: Bars, theirs: Bars) -> Bars:
    """One symbol's candles with the vendor's where it has one, in the order of time."""
    kept = ours.take(~np.isin(ours.time_us, theirs.time_us))
    both = minute_bars.joined([kept, theirs])
    return both.take(np.argsort(both.time_us, kind="stable"))
