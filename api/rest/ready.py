"""Pages of finished candles, kept as the bytes that were sent. A page is finished when all candles of the time it
covers are over for twice FINISHED_US.

What is kept is sent again only while everything it rests on is as it was when it was made, which is asked anew for each
request: the feeds' revisions (`Storage.revisions`, which change in the transaction that changes a finished candle), the
gaps in the time of its candles, the calendars in force, and, for days and wider, which trading dates there are and are
settled. All of it was read before the candles, so a page is never older than it claims. Which symbols, feeds, codes and
factors were meant is part of the question and so of the key.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from analytics.series.timeframes import DateFrame, Timeframe
from analytics.series.trading_days import Dates
from api.rest import conditional, paging
from api.rest.paging import BarPage, Series
from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Calendar, Session
from marketdata.storage import TickKey, storage
from marketdata.storage.base import FINISHED_US

KEEP_S = 3600.0  # after which a page is made anew whatever its revision: MariaDB drops partitions outside transactions
# Bytes of an entry beside its body, of each of what it holds; measured with tracemalloc.
_ENTRY, _SERIES, _CODE, _FACTOR, _STRETCH, _GAP, _DATE = 2_000, 350, 260, 350, 120, 140, 65


@dataclass(frozen=True, slots=True)
class Question:
    """What decides a page of candles."""

    series: tuple[Series, ...]
    timeframe: Timeframe | DateFrame
    after: TickKey | None
    limit: int
    ascending: bool
    fill: bool
    session: Session | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time of the candles shown of a series, and the gaps in it."""

    one: Series
    start_us: int
    end_us: int
    gaps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a page rests on besides its candles and their gaps."""

    revisions: tuple[tuple[str, int], ...]
    calendars: tuple[Calendar, ...]
    dates: Dates | None


@dataclass(frozen=True, slots=True)
class Kept:
    body: bytes
    etag: str
    basis: Basis
    stretches: tuple[Stretch, ...]
    made_at: float
    size: int


def basis(asked: Question) -> Basis:
    """What a page of this question rests on now. To be read before its candles."""
    revisions = storage().revisions(one.feed for one in asked.series)
    frame = asked.timeframe if isinstance(asked.timeframe, DateFrame) else None
    markets = sorted({one.market for one in asked.series}) if frame is not None or asked.session is not None else []
    calendars = tuple(trading_dates.calendar(market) for market in markets)
    return Basis(revisions, calendars, paging.dates(asked.series, frame) if frame and asked.series else None)


def is_finished(asked: Question, page: BarPage, stretches: tuple[Stretch, ...], now_us: int) -> bool:
    """Whether no candle of the time that a page covers can be other than late."""
    horizon = now_us - 2 * FINISHED_US
    shown = {stretch.one.symbol: stretch.end_us for stretch in stretches}
    for one in asked.series:
        if _is_beyond(asked.after, one, not asked.ascending) or _is_beyond(page.next, one, asked.ascending):
            continue  # of earlier or later pages
        end_us = paging.ends_us(one, asked.timeframe, one.last_us)
        if page.next is not None and one.symbol == page.next.symbol and asked.ascending:
            end_us = shown.get(one.symbol, end_us)
        if end_us > horizon:
            return False
    return bool(asked.series)


def _is_beyond(key: TickKey | None, one: Series, ascending: bool) -> bool:
    """Whether a series comes after the symbol of a place in this order."""
    return key is not None and one.symbol != key.symbol and (one.symbol > key.symbol) == ascending


class Pages:
    """The pages that were asked for last, so many bytes of them. Safe to use from several threads."""

    def __init__(self, most_bytes: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most_bytes, clock
        self._kept: OrderedDict[tuple[str, Question], Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(
        self,
        form: str,
        asked: Question,
        now: Basis,
        gaps: Callable[[Series, int, int], list[tuple[int, int]]],
    ) -> Kept | None:
        """The page of this form and question if it still holds; `gaps` asks for those of a series now."""
        with self._lock:
            kept = self._kept.get((form, asked))
            if kept is not None:
                self._kept.move_to_end((form, asked))
        if kept is None or kept.basis != now or self._clock() - kept.made_at > KEEP_S:
            return None
        for stretch in kept.stretches:
            if tuple(gaps(stretch.one, stretch.start_us, stretch.end_us)) != stretch.gaps:
                return None
        return kept

    def keep(
        self, form: str, asked: Question, body: bytes, on: Basis, stretches: tuple[Stretch, ...]
    ) -> Kept | None:  # fmt: skip
        """Keep a finished page; None where there is no revision yet by which a change would be noticed."""
        if not on.revisions:
            return None
        size = _size(asked, body, on, stretches)
        kept = Kept(body, conditional.tag_of(body), on, stretches, self._clock(), size)
        most = settings.API_READY_BYTES if self._most is None else self._most
        with self._lock:
            before = self._kept.pop((form, asked), None)
            self._bytes += size - (before.size if before else 0)
            self._kept[form, asked] = kept
            while self._bytes > most and self._kept:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size
        return kept


def _size(asked: Question, body: bytes, on: Basis, stretches: tuple[Stretch, ...]) -> int:
    """About how many bytes a page takes that is kept: one of many symbols without a candle is small, its question is
    not."""
    return (
        len(body) + _ENTRY
        + sum(_SERIES + _CODE * len(one.held) + _FACTOR * len(one.factors) for one in asked.series)
        + sum(_STRETCH + _GAP * len(one.gaps) for one in stretches)
        + (_DATE * (len(on.dates.known) + len(on.dates.unsettled)) if on.dates else 0)
    )  # fmt: skip


pages = Pages()
