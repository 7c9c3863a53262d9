"""Of candles: minutes merged from parts in any order, days made of minutes, and what tells readers that finished ones
change."""

from __future__ import annotations

import abc
import datetime
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from marketdata.storage.keys import Series, Span, TickKey
from marketdata.storage.promises.database import Database
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.units import DAY_US

ALL_FEEDS = "*"
FINISHED_US = DAY_US
"""Candles whose minute began longer ago, by the wall clock, are finished: who changes them says so. Readers keep only
what is twice as old, so no clock that is wrong by less than that does harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The regular session of a market on one trading date: start_us <= time < end_us."""

    market: str
    start_us: int
    end_us: int


class CandleStore(Database):
    """Minute and daily candles."""

    @abc.abstractmethod
    def merge_minutes(self, bars: Bars) -> Bars:
        """Merge partial candles into the stored ones and return the merged state of each, as it will be committed.
        `marketdata.types.minute_bars.SumTooLargeError`, after which the transaction must not commit, if a sum reaches
        its bound."""

    @abc.abstractmethod
    def read_minutes(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
        ends: bool = True,
    ) -> Bars:
        """Minute candles of a symbol and feed with start_us <= minute < end_us, ordered by (minute, trading date), at
        most `limit`. Two trading dates that share a minute have a candle each, and those of the last minute come
        together: the limit is then exceeded by them, so that a page may go on after a minute. Without `ends`, by which
        ticks each opened and closed is left out (`open_time` to `close_id` are 0), unless two candles share a minute,
        whose order that decides."""

    @abc.abstractmethod
    def read_minutes_of(self, symbols: Sequence[str], feed: str, start_us: int, end_us: int) -> Bars:
        """Minute candles of several symbols of a feed with start_us <= minute < end_us, ordered by (minute, trading
        date) within each symbol."""

    @abc.abstractmethod
    def read_minute_spans(self, feed: str, spans: Iterable[Span]) -> Bars:
        """All minute candles of these stretches, which do not overlap, in no order."""

    @abc.abstractmethod
    def newest_minutes(self, series: Sequence[Series]) -> dict[str, Bars]:
        """By feed: the newest minute candle of each of these (symbol, feed) that has one, with every trading date that
        shares its minute (and maybe the candle before it)."""

    @abc.abstractmethod
    def read_day_minutes(self, date: datetime.date, feed: str, symbol: str | None = None) -> Bars:
        """All minute candles of a trading date and feed (of one symbol), ordered by (symbol, minute)."""

    @abc.abstractmethod
    def minutes_of_dates(self, symbol: str, feed: str, dates: Sequence[datetime.date]) -> Bars:
        """All minute candles of these trading dates of a symbol and feed, ordered by (trading date, minute)."""

    @abc.abstractmethod
    def minute_dates(self, symbol: str, feed: str, dates: Sequence[datetime.date]) -> list[datetime.date]:
        """On which of these trading dates a symbol and feed has minute candles, oldest first."""

    @abc.abstractmethod
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> AbstractContextManager[None]:
        """A transaction in which nobody else changes the minute candles of these symbols on that date, nor commits
        ticks that would: what is read inside is all there is."""

    @abc.abstractmethod
    def replace_minutes(self, date: datetime.date, bars: Bars) -> int:
        """Put these candles in place of the stored ones of the trading date, feed and symbols in `bars.symbols`;
        returns how many rows changed. Inside `own_minutes`. `rev` of a candle that changes is one more than before.
        Each symbol's minutes that changed are noted in `feed_change`."""

    @abc.abstractmethod
    def note_finished(self, feed: str, oldest_us: int | None = None) -> None:
        """Tell readers, with the transaction that goes on, that finished candles of a feed (of ALL_FEEDS: of any)
        change: all that changes candles of a minute more than FINISHED_US ago does so, last of all it does. Nothing if
        `oldest_us`, the earliest of the minutes, is younger."""

    @abc.abstractmethod
    def revisions(self, feeds: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """What changes with every `note_finished` of these feeds or of all; () when there never was one. To be read
        before the candles."""

    @abc.abstractmethod
    def build_daily(
        self, date: datetime.date, windows: Sequence[Window], *, proven: Collection[Series] | None = ()
    ) -> int:
        """Make the daily candles of a trading date from its minute candles, in place of those that are there; returns
        how many. A symbol whose market has no window closes with its last trade. Commits as one transaction, in which
        the symbols of each feed whose candle became another are noted in `feed_change`.

        NotWholeError, and nothing is changed, if a candle that is there would be gone or have fewer trades: its minute
        candles are a remainder. `proven` names the (symbol, feed) of which the minute candles are known to be whole,
        None says so of all."""

    @abc.abstractmethod
    def days_of_minutes(
        self, date: datetime.date, windows: Sequence[Window], feed: str, symbols: Sequence[str]
    ) -> dict[str, DailyBars]:
        """The daily candle of a trading date, as `build_daily` would make it, of each of these symbols of a feed that
        has minute candles of that date; nothing is stored."""

    @abc.abstractmethod
    def read_daily(
        self,
        symbol: str,
        feed: str,
        start: datetime.date,
        end: datetime.date,
        *,
        limit: int | None = None,
        ascending: bool = True,
    ) -> DailyBars:
        """Daily candles with start <= trade_date < end, ordered by date, at most `limit`."""

    @abc.abstractmethod
    def daily_of(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> dict[str, DailyBars]:
        """The daily candle of a trading date of each of these symbols that has one on a feed."""

    @abc.abstractmethod
    def newest_daily(self, feed: str, symbols: Sequence[str], most: int) -> dict[str, DailyBars]:
        """The newest daily candles, at most `most`, newest first, of each of these symbols that has one on a feed."""

    @abc.abstractmethod
    def series(self) -> list[tuple[str, str]]:
        """Every (symbol, feed) that has a candle."""

    @abc.abstractmethod
    def day_series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) pairs of a trading date that have ticks or minute candles, sorted."""
