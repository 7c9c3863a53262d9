"""Of ticks: stored in bulk and left alone when they are there, read in the order of their time and number, counted."""

from __future__ import annotations

import abc
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

from marketdata.storage.keys import Span, TickKey
from marketdata.storage.promises.caches import Latest
from marketdata.storage.promises.database import Database
from marketdata.storage.tables import HISTORY, TEMP
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import Int64, Ticks
from marketdata.types.units import day_of


class TickStore(Database):
    """Ticks. One lies in exactly one place at any moment: temp_market_data, market_data_tick, or (where a backend needs
    it for the way between) a table of its own. `read_ticks` asks all of them in one statement, so a day that is being
    moved is whole for every reader."""

    tick_tables: ClassVar[tuple[str, ...]] = (TEMP, HISTORY)
    """Every table a tick may lie in."""

    @abc.abstractmethod
    def load(self, table: str, ticks: Ticks) -> int:
        """Store ticks in bulk; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_ticks(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        kind: int | None = None,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
        table: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Ticks:
        """Ticks of a symbol and feed with start_us <= time < end_us, ordered by (time, tick_id), at most `limit`.
        From wherever they lie, in one statement; `table` looks into that one alone. With `columns` only these, the time
        and the id are read; in the others nothing is given, and the source is 0."""

    @abc.abstractmethod
    def read_spans(self, feed: str, spans: Iterable[Span], *, batches: Collection[int] | None = None) -> list[Ticks]:
        """All ticks of these stretches, which do not overlap, by source and in no order; each from wherever it lies, in
        one statement. Reads no more of the tables than the stretches, and of `batches`, at least one, gives no other
        than theirs."""

    @abc.abstractmethod
    def newest_trades(self, symbols: Sequence[str]) -> list[Latest]:
        """The newest trade, by (time, tick_id), of each of these symbols on each of its feeds. `size` is None where
        only the candle is left of it. A few steps down an index each, however much is stored."""

    @abc.abstractmethod
    def newest_quotes(self, feed: str, since_us: Mapping[str, int]) -> list[Ticks]:
        """The newest quote of each of these symbols on a feed, by source, no older than the symbol's time and among the
        newest `spans.NEWEST_OF` ticks of its series since then: a bounded number of steps each, also where a source
        sends no quotes."""

    @abc.abstractmethod
    def read_day_ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        """All ticks of a trading date, symbol and feed, ordered by (time, tick_id), from wherever they lie."""

    def tick_places(self, date: datetime.date, symbol: str, feed: str) -> dict[str, dict[int, int]]:
        """Where the ticks of a trading date, symbol and feed lie: table -> tick_id -> source."""
        found: dict[str, dict[int, int]] = {}
        for place in self.tick_tables:
            rows = self._query(
                f"SELECT tick_id, source FROM {place} WHERE symbol = %s AND feed = %s AND trade_date = %s",
                [symbol, feed, self._day(day_of(date))],
            )
            if rows:
                found[place] = {int(tick_id): int(source) for tick_id, source in rows}
        return found

    def delete_ticks(self, place: str, ticks: Ticks) -> int:
        """Remove these ticks from a table of `tick_tables`, each by its whole key, so that nobody else is held up;
        returns how many were there."""
        symbols = [ticks.symbols[index] for index in ticks.symbol.tolist()]
        times, dates = map(self._moment, ticks.time_us.tolist()), map(self._day, ticks.trade_date.tolist())
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"DELETE FROM {place} WHERE symbol = %s AND event_time = %s AND tick_id = %s AND trade_date = %s",
                list(zip(symbols, times, ticks.tick_id.tolist(), dates, strict=True)),
            )
            return int(cursor.rowcount)

    @abc.abstractmethod
    def tick_figures(
        self, date: datetime.date, *, tables: Sequence[str] | None = None, threads: int = 1
    ) -> dict[tuple[str, str], Figure]:
        """Count and checksum of a trading date's ticks by (symbol, feed), as `marketdata.types.checksums.of_ticks` has
        them; from wherever they lie, or from `tables` alone (TEMP has also what is on its way). `threads` connections
        share the work (outside a snapshot)."""

    @abc.abstractmethod
    def day_rows(self, date: datetime.date) -> int:
        """How many ticks of a trading date there are, from wherever they lie: a fifth of the work of `tick_figures`."""

    @abc.abstractmethod
    def symbol_rows(self, date: datetime.date, symbol: str) -> dict[str, int]:
        """How many ticks a symbol has of a trading date, by feed, from wherever they lie."""

    @abc.abstractmethod
    def tick_minutes(
        self, date: datetime.date, symbols: Sequence[str], *, late: Sequence[tuple[int, int]] = ()
    ) -> dict[tuple[str, str], Int64]:
        """In which minutes these symbols have ticks of a trading date, from wherever they lie: by (symbol, feed) rows
        of (minute in microseconds, ticks, ticks with first <= tick_id < end of any of `late`), ordered by minute."""
