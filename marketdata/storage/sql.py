"""SQL that databases share: what each is asked in the same words. A backend brings its words for columns, times and
dates; what only servers have in common is `marketdata.storage.server_sql`'s."""

from __future__ import annotations

import abc
import datetime
import os
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from marketdata.storage import portable, span_reads
from marketdata.storage.base import (
    ALL_FEEDS,
    DAILY,
    FINISHED_US,
    MINUTES,
    TEMP,
    Latest,
    Series,
    Span,
    Window,
)
from marketdata.storage.changes import ChangedCandles
from marketdata.storage.rows import TICK_NAMES, ticks_from_rows
from marketdata.types import checksums, daily_bars, feed_changes, minute_bars
from marketdata.types.checksums import Figure
from marketdata.types.daily_bars import DailyBars
from marketdata.types.feed_changes import What
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Int64, Ticks
from marketdata.types.units import day_of

_SYMBOLS = 100  # of one question
_DATES_AT_ONCE = 500
_SLOTS = 8  # of a feed's revision: workers that commit at the same time write different ones


class SharedSQL(ChangedCandles):
    """What every backend inherits once it has the words."""

    TICK_COLUMNS: ClassVar[tuple[str, ...]]
    """What `rows.TICK_NAMES` are called here; none is NULL."""
    HASH: ClassVar[str]
    """A tick's hash as `marketdata.types.checksums` has it; percent signs are doubled."""
    VALUE: ClassVar[str] = "value"
    """The columns of a traded value."""
    SUM_VALUE: ClassVar[str] = "SUM(r.value) AS value"
    """The sum of a traded value, by the names of VALUE."""
    SUM: ClassVar[str] = "SUM({0})"
    """The sum of a volume."""
    REVISE: ClassVar[str] = (
        "INSERT INTO candle_revision (place, revision) VALUES (%s, %s)"
        " ON CONFLICT (place) DO UPDATE SET revision = excluded.revision"
    )
    """Writes a revision, whether there was one or not."""

    DATE: ClassVar[str] = "CAST(%s AS DATE)"
    """A trading date of the ledger as a parameter where no column says that it is one."""

    def ledger_dates(
        self, start: datetime.date, end: datetime.date, *, besides: Collection[datetime.date] = ()
    ) -> list[datetime.date]:
        # MariaDB looks up an equal date in the index, but for the next one it reads all that are greater (11.8, 10.11).
        known, found = frozenset(besides), list[datetime.date]()
        while start < end:
            first, last = self._ledger_bounds(start, end)
            if first is None or last is None:
                break
            days = (first + datetime.timedelta(days=day) for day in range((last - first).days + 1))
            asked = list(islice((day for day in days if day not in known), _DATES_AT_ONCE))
            found += self._in_ledger(asked)
            if len(asked) < _DATES_AT_ONCE:
                break
            start = asked[-1] + datetime.timedelta(days=1)
        return found

    def _ledger_bounds(
        self, start: datetime.date, end: datetime.date
    ) -> tuple[datetime.date | None, datetime.date | None]:
        """The first and the last trading date of the ledger with start <= date < end."""
        edge = "(SELECT {}(trade_date) FROM ingest_batch_day WHERE trade_date >= %s AND trade_date < %s)"
        bounds = [start.isoformat(), end.isoformat()]
        ((first, last),) = self._query(f"SELECT {edge.format('MIN')}, {edge.format('MAX')}", bounds * 2)
        return _date(first), _date(last)

    def _in_ledger(self, dates: Sequence[datetime.date]) -> list[datetime.date]:
        """Those of these trading dates of which the ledger has rows, each looked up in its index."""
        if not dates:
            return []
        rows = self._query(
            "SELECT day, (SELECT 1 FROM ingest_batch_day b WHERE b.trade_date = known.day LIMIT 1)"
            f" FROM ({' UNION ALL '.join([f'SELECT {self.DATE} AS day'] * len(dates))}) AS known",
            [date.isoformat() for date in dates],
        )
        return sorted(datetime.date.fromisoformat(str(day)) for day, there in rows if there)

    @abc.abstractmethod
    def _write_minutes(self, bars: Bars) -> int:
        """Write minute candles of one feed in place of those that are there; how many."""

    def _query_with_retry(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """A question about days that may be moved meanwhile; where that ends a question, it is asked again."""
        return self._query(sql, params)

    def series(self) -> list[tuple[str, str]]:
        rows = self._query(f"SELECT DISTINCT symbol, feed FROM {MINUTES} ORDER BY 1, 2")
        return [(symbol, feed) for symbol, feed in rows]

    def count(self, table: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {self.connection.ops.quote_name(table)}")[0][0])

    # --- ticks ------------------------------------------------------------------------------------------------------

    @property
    def TICK(self) -> str:  # noqa: N802 - beside BAR
        """What `rows.ticks_from_rows` reads of a tick."""
        return ", ".join(self.TICK_COLUMNS)

    def _chosen(self, columns: Sequence[str]) -> tuple[list[str], str]:
        """The columns that `rows.chosen_ticks` reads when these are wanted, and how they are asked for."""
        names = [name for name in TICK_NAMES[:-1] if name in ("time_us", "tick_id", *columns)]
        known = dict(zip(TICK_NAMES, self.TICK_COLUMNS, strict=True))
        return names, ", ".join(f"{known[name]} AS {name}" for name in names)

    def _dialect(self) -> span_reads.Dialect:
        return span_reads.Dialect(
            places=self.tick_tables, tick=self.TICK, bar=self.BAR, time=self._moment, date=self._day, kind=self._kind
        )

    def _kind(self, kind: int) -> Any:
        """A kind of tick as a parameter."""
        return int(kind)  # an enumeration might be quoted as text

    def read_spans(self, feed: str, spans: Iterable[Span], *, batches: Collection[int] | None = None) -> list[Ticks]:
        return span_reads.read_ticks(self._query_with_retry, self._dialect(), feed, spans, batches)

    def read_minute_spans(self, feed: str, spans: Iterable[Span]) -> Bars:
        return span_reads.read_minutes(self._query_with_retry, self._dialect(), feed, spans)

    def newest_trades(self, symbols: Sequence[str]) -> list[Latest]:
        return span_reads.newest_trades(self._query_with_retry, self._dialect(), symbols)

    def newest_quotes(self, feed: str, since_us: Mapping[str, int]) -> list[Ticks]:
        return span_reads.newest_quotes(self._query_with_retry, self._dialect(), feed, since_us)

    def newest_minutes(self, series: Sequence[Series]) -> dict[str, Bars]:
        return span_reads.newest_minutes(self._query_with_retry, self._dialect(), series)

    def read_day_ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        parts = [
            f"SELECT {self.TICK}, event_time AS at FROM {place} WHERE symbol = %s AND feed = %s AND trade_date = %s"
            for place in self.tick_tables
        ]
        params = [symbol, feed, self._day_of(date)] * len(parts)
        rows = self._query_with_retry(f"{' UNION ALL '.join(parts)} ORDER BY at, tick_id", params)
        return ticks_from_rows(feed, symbol, [row[:-1] for row in rows])

    # --- days -------------------------------------------------------------------------------------------------------

    def _day_of(self, date: datetime.date) -> Any:
        """A trading date as a parameter."""
        return self._day(day_of(date))

    def tick_figures(
        self, date: datetime.date, *, tables: Sequence[str] | None = None, threads: int = 1
    ) -> dict[tuple[str, str], Figure]:
        """`threads` is for a database that does not share such work among threads by itself."""
        return self._figures(date, sorted(tables or self.tick_tables, key=lambda table: table != TEMP))

    def _figures(
        self, date: datetime.date, tables: Sequence[str], also: str = "", params: Sequence[Any] = ()
    ) -> dict[tuple[str, str], Figure]:
        """The figures of a trading date in these tables, each named once; `also` narrows them with its `params`."""
        parts = [
            f"SELECT symbol, feed, count(*), sum({self.HASH}) FROM {self.connection.ops.quote_name(table)}"
            f" WHERE trade_date = %s{also} GROUP BY symbol, feed"
            for table in tables
        ]
        rows = self._query_with_retry(" UNION ALL ".join(parts), [self._day_of(date), *params] * len(parts))
        found: dict[tuple[str, str], Figure] = {}
        for symbol, feed, count, hashes in rows:
            figure = checksums.of_series(symbol, feed, int(count), int(hashes))
            found[symbol, feed] = found.get((symbol, feed), Figure()) + figure
        return found

    def day_rows(self, date: datetime.date) -> int:
        parts = [f"SELECT count(*) FROM {table} WHERE trade_date = %s" for table in self.tick_tables]
        rows = self._query_with_retry(" UNION ALL ".join(parts), [self._day_of(date)] * len(parts))
        return sum(int(count) for (count,) in rows)

    def symbol_rows(self, date: datetime.date, symbol: str) -> dict[str, int]:
        day = day_of(date)
        parts = [
            f"SELECT feed, count(*) FROM {table} WHERE symbol = %s AND event_time >= %s AND event_time < %s"
            " AND trade_date = %s GROUP BY feed"
            for table in self.tick_tables
        ]
        params = [symbol, *self._around(day, day), self._day(day)]
        found: dict[str, int] = {}
        for feed, count in self._query_with_retry(" UNION ALL ".join(parts), params * len(parts)):
            found[feed] = found.get(feed, 0) + int(count)
        return found

    def tick_minutes(
        self, date: datetime.date, symbols: Sequence[str], *, late: Sequence[tuple[int, int]] = ()
    ) -> dict[tuple[str, str], Int64]:
        if not symbols:
            return {}
        day = day_of(date)
        among = " OR ".join(["(tick_id >= %s AND tick_id < %s)"] * len(late)) or "1 = 0"
        parts = [
            f"SELECT symbol, feed, {self.TIME_US} - {self.TIME_US} %% 60000000 AS minute, count(*) AS ticks,"
            f" sum(CASE WHEN {among} THEN 1 ELSE 0 END) AS late FROM {table}"
            f" WHERE symbol IN ({', '.join(['%s'] * len(symbols))}) AND event_time >= %s AND event_time < %s"
            " AND trade_date = %s GROUP BY 1, 2, 3"
            for table in self.tick_tables
        ]
        params = [*(bound for pair in late for bound in pair), *symbols, *self._around(day, day), self._day(day)]
        rows = self._query_with_retry(" UNION ALL ".join(parts), params * len(parts))
        sums: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        for symbol, feed, minute, ticks, late_ticks in rows:  # a day that is being moved lies in two places
            mine = sums.setdefault((symbol, feed), {})
            before = mine.get(int(minute), (0, 0))
            mine[int(minute)] = before[0] + int(ticks), before[1] + int(late_ticks)
        return {
            series: np.array([(minute, *mine[minute]) for minute in sorted(mine)], np.int64)
            for series, mine in sums.items()
        }

    def day_series(self, date: datetime.date) -> list[tuple[str, str]]:
        parts = [
            f"SELECT DISTINCT symbol, feed FROM {table} WHERE trade_date = %s" for table in (*self.tick_tables, MINUTES)
        ]
        rows = self._query_with_retry(f"{' UNION '.join(parts)} ORDER BY 1, 2", [self._day_of(date)] * len(parts))
        return [(symbol, feed) for symbol, feed in rows]

    # --- candles ----------------------------------------------------------------------------------------------------

    def note_finished(self, feed: str, oldest_us: int | None = None) -> None:
        if oldest_us is None or oldest_us < time.time_ns() // 1000 - FINISHED_US:
            self._changed(self.REVISE, [f"{feed}/{os.getpid() % _SLOTS}", secrets.randbits(63)])

    def revisions(self, feeds: Iterable[str]) -> tuple[tuple[str, int], ...]:
        places = [f"{feed}/{slot}" for feed in (*sorted(set(feeds)), ALL_FEEDS) for slot in range(_SLOTS)]
        rows = self._query(
            f"SELECT place, revision FROM candle_revision WHERE place IN ({', '.join(['%s'] * len(places))})"
            " ORDER BY place",
            places,
        )
        return tuple((str(place), int(revision)) for place, revision in rows)

    def build_daily(
        self, date: datetime.date, windows: Sequence[Window], *, proven: Collection[Series] | None = ()
    ) -> int:
        self.ensure_partitions([date], (DAILY,))
        question, params = self._days_of_minutes(date, windows)
        changed = self._replace_daily(date, portable.build_daily(question, self.VALUE), params, proven)
        self.note_finished(ALL_FEEDS)  # whoever ends before this builds the day again
        return changed

    def days_of_minutes(
        self, date: datetime.date, windows: Sequence[Window], feed: str, symbols: Sequence[str]
    ) -> dict[str, DailyBars]:
        day = day_of(date)
        found: dict[str, DailyBars] = {}
        for at in range(0, len(symbols), _SYMBOLS):
            part = symbols[at : at + _SYMBOLS]
            chosen = (
                f" AND m.symbol IN ({', '.join(['%s'] * len(part))}) AND m.feed = %s AND m.minute_time >= %s"
                " AND m.minute_time < %s"
            )
            question, params = self._days_of_minutes(date, windows, chosen, [*part, feed, *self._around(day, day)])
            rows = self._query(f"SELECT symbol, {self.DAILY_BAR} FROM ({question}) AS days", params)
            found |= {symbol: daily_bars.from_rows(symbol, feed, [tuple(row)]) for symbol, *row in rows}
        return found

    def _days_of_minutes(
        self, date: datetime.date, windows: Sequence[Window], chosen: str = "", values: Sequence[Any] = ()
    ) -> tuple[str, list[Any]]:
        """The question for the daily candles that the minutes of a date make, with its parameters."""
        question = portable.days_of_minutes(
            windows=windows, columns=self.VALUE, sums=self.SUM_VALUE, total=self.SUM.format, chosen=chosen
        )
        params: list[Any] = [
            part
            for window in windows
            for part in (window.market, self._moment(window.start_us), self._moment(window.end_us))
        ]
        day = self._day_of(date)
        return question, [*params, day, *values, *[day] * 4]

    def replace_minutes(self, date: datetime.date, bars: Bars) -> int:
        changed = 0
        of_date = "symbol = %s AND feed = %s AND trade_date = %s"
        for index, symbol in enumerate(bars.symbols):
            chosen = [symbol, bars.feed, self._day_of(date)]
            rows = self._query(f"SELECT {self.BAR} FROM {MINUTES} WHERE {of_date}", chosen)
            stored = minute_bars.from_rows(bars.feed, rows)
            gone, new = minute_bars.changes(stored, bars.take(bars.symbol == index))
            for minute in gone:
                changed += self._changed(
                    f"DELETE FROM {MINUTES} WHERE {of_date} AND minute_time = %s", [*chosen, self._moment(minute)]
                )
            if len(new):
                changed += self._write_minutes(new)
            if minutes := {*gone, *new.time_us.tolist()}:
                self._note_change(What.MINUTES, bars.feed, symbol, feed_changes.minutes(minutes))
        if changed:
            self.note_finished(bars.feed)
        return changed


def _date(told: Any) -> datetime.date | None:
    """A date as a database tells it: SQLite as text."""
    return None if told is None else datetime.date.fromisoformat(str(told))
