"""Reading minute and daily candles: the same questions to every database, which brings its own words for columns."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from marketdata.storage.base import TickKey
from marketdata.storage.keys import NEAR_DAYS
from marketdata.storage.pricereads import PriceReads
from marketdata.types import daily_bars, minute_bars
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.units import DAY_US, date_of, day_of

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # the years 1 to 9999
_SYMBOLS = 500  # of one statement
_DATES = 1_000
_TOGETHER = 100  # symbols of a question that has one of each
_MORE_DAYS = 30  # beside two for each trading date that is wanted
_NUMBERS = len(minute_bars.COLUMNS) - 1


class CandleReads(PriceReads):
    """What a backend inherits once it has the words."""

    BAR: ClassVar[str]
    """The symbol and the other columns of `marketdata.types.minute_bars.COLUMNS`."""
    NUMBERS: ClassVar[str]
    """The same columns without the symbol: as they are, or all as one text with a space between, where that is quicker
    to fetch."""
    SHOWN: ClassVar[str]
    """As NUMBERS, without the last four, which say by which ticks a candle opened and closed."""
    DAILY_BAR: ClassVar[str]
    """The columns of `marketdata.types.daily_bars.COLUMNS`."""

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
        if after is not None and ascending:
            start_us = max(start_us, after.time_us + 1)
        elif after is not None:
            end_us = min(end_us, after.time_us)
        found = self._page(symbol, feed, start_us, end_us, limit=limit, ascending=ascending, ends=ends)
        if not ends and (found.time_us[1:] == found.time_us[:-1]).any():  # their order needs what was left out
            return self._page(symbol, feed, start_us, end_us, limit=limit, ascending=ascending, ends=True)
        return found

    def _page(
        self, symbol: str, feed: str, start_us: int, end_us: int, *, limit: int | None, ascending: bool, ends: bool
    ) -> Bars:
        """At most `limit` candles, and those that share the last one's minute."""
        if limit is None:
            return self._minutes_of_one(symbol, feed, start_us, end_us, ascending=ascending, ends=ends)
        found = self._minutes_of_one(symbol, feed, start_us, end_us, limit=limit + 1, ascending=ascending, ends=ends)
        if len(found) <= limit:
            return found
        times = found.time_us
        if limit and times[limit] == times[limit - 1]:  # the limit falls between two trading dates of one minute
            minute = int(times[limit])
            whole = self._minutes_of_one(symbol, feed, minute, minute + 1, ascending=ascending, ends=ends)
            return minute_bars.joined([found.take(times != minute), whole])
        return found.take(slice(limit))

    def read_minutes_of(self, symbols: Sequence[str], feed: str, start_us: int, end_us: int) -> Bars:
        parts = [
            minute_bars.from_rows(
                feed, self._minutes(self.BAR, symbols[at : at + _SYMBOLS], feed, start_us, end_us, by_symbol=True)
            )
            for at in range(0, len(symbols), _SYMBOLS)
        ]
        return minute_bars.concatenate(parts) if parts else minute_bars.empty(feed)

    def _minutes_of_one(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        ends: bool,
        limit: int | None = None,
        ascending: bool = True,
    ) -> Bars:
        columns = self.NUMBERS if ends else self.SHOWN
        rows = self._minutes(columns, [symbol], feed, start_us, end_us, limit=limit, ascending=ascending)
        if not rows:
            return minute_bars.empty(feed)
        if len(rows[0]) > 1:
            return minute_bars.from_numbers(feed, symbol, np.array(rows, np.int64))
        numbers = np.fromstring(" ".join([line for (line,) in rows]), np.int64, sep=" ")
        return minute_bars.from_numbers(feed, symbol, numbers.reshape(len(rows), _NUMBERS if ends else _NUMBERS - 4))

    def _minutes(
        self,
        columns: str,
        symbols: Sequence[str],
        feed: str,
        start_us: int,
        end_us: int,
        *,
        limit: int | None = None,
        ascending: bool = True,
        by_symbol: bool = False,
    ) -> list[tuple[Any, ...]]:
        way = "ASC" if ascending else "DESC"
        order = f"minute_time {way}, trade_date {way}"
        return self._query(
            f"SELECT {columns} FROM market_data_minute"
            f" WHERE symbol IN ({', '.join(['%s'] * len(symbols))}) AND feed = %s"
            " AND minute_time >= %s AND minute_time < %s AND trade_date >= %s AND trade_date <= %s"
            f" ORDER BY {'symbol, ' if by_symbol else ''}{order}" + ("" if limit is None else f" LIMIT {limit:d}"),
            [
                *symbols, feed, self._moment(start_us), self._moment(end_us),
                self._near(start_us, -NEAR_DAYS), self._near(end_us, NEAR_DAYS),
            ],
        )  # fmt: skip

    def _near(self, time_us: int, days: int) -> Any:
        """The UTC date of a time moved by so many days, the nearest there is, as a parameter."""
        return self._day(min(max(time_us // DAY_US + days, _FIRST_DAY), _LAST_DAY))

    def read_day_minutes(self, date: datetime.date, feed: str, symbol: str | None = None) -> Bars:
        day = day_of(date)
        where, params = ["trade_date = %s", "feed = %s"], [self._day(day), feed]
        if symbol is not None:
            where += ["symbol = %s", "minute_time >= %s", "minute_time < %s"]
            params += [symbol, *self._around(day, day)]
        rows = self._query(
            f"SELECT {self.BAR} FROM market_data_minute WHERE {' AND '.join(where)} ORDER BY symbol, minute_time",
            params,
        )
        return minute_bars.from_rows(feed, rows)

    def minutes_of_dates(self, symbol: str, feed: str, dates: Sequence[datetime.date]) -> Bars:
        rows = [
            row
            for where, params in self._of_dates(symbol, feed, dates)
            for row in self._query(
                f"SELECT {self.BAR} FROM market_data_minute {where} ORDER BY trade_date, minute_time", params
            )
        ]
        return minute_bars.from_rows(feed, rows)

    def minute_dates(self, symbol: str, feed: str, dates: Sequence[datetime.date]) -> list[datetime.date]:
        found: set[int] = set()
        for where, params in self._of_dates(symbol, feed, dates):
            rows = self._query(f"SELECT DISTINCT {self.DAYS} FROM market_data_minute {where}", params)
            found |= {int(day) for (day,) in rows}
        return [date_of(day) for day in sorted(found)]

    def _of_dates(
        self, symbol: str, feed: str, dates: Sequence[datetime.date]
    ) -> Iterator[tuple[str, list[Any]]]:  # fmt: skip
        """What chooses the minutes of a series on these trading dates, some dates at a time, with its parameters."""
        days = sorted(day_of(date) for date in dates)
        for at in range(0, len(days), _DATES):
            asked = days[at : at + _DATES]
            where = (
                "WHERE symbol = %s AND feed = %s AND minute_time >= %s AND minute_time < %s"
                f" AND trade_date IN ({', '.join(['%s'] * len(asked))})"
            )
            yield where, [symbol, feed, *self._around(asked[0], asked[-1]), *map(self._day, asked)]

    def _around(self, first: int, last: int) -> tuple[Any, Any]:
        """Between which times the minutes of trading dates first..last (days since 1970) lie, as parameters."""
        start, end = max(first - NEAR_DAYS, _FIRST_DAY), min(last + NEAR_DAYS + 1, _LAST_DAY)
        return self._moment(start * DAY_US), self._moment(end * DAY_US)

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
        first, last = (day_of(date) for date in (start, end))
        rows = self._query(
            f"SELECT {self.DAILY_BAR} FROM market_data"
            " WHERE symbol = %s AND feed = %s AND trade_date >= %s AND trade_date < %s"
            f" ORDER BY trade_date {'ASC' if ascending else 'DESC'}" + ("" if limit is None else f" LIMIT {limit:d}"),
            [symbol, feed, self._day(first), self._day(last)],
        )
        return daily_bars.from_rows(symbol, feed, rows)

    def daily_of(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> dict[str, DailyBars]:
        found: dict[str, DailyBars] = {}
        for at in range(0, len(symbols), _TOGETHER):
            part = symbols[at : at + _TOGETHER]
            rows = self._query(
                f"SELECT symbol, {self.DAILY_BAR} FROM market_data WHERE trade_date = %s AND feed = %s"
                f" AND symbol IN ({', '.join(['%s'] * len(part))})",
                [self._day(day_of(date)), feed, *part],
            )
            found |= {symbol: daily_bars.from_rows(symbol, feed, [tuple(row)]) for symbol, *row in rows}
        return found

    def newest_daily(self, feed: str, symbols: Sequence[str], most: int) -> dict[str, DailyBars]:
        # Nearly every symbol has as many in the newest partitions.
        recent = time.time_ns() // 1000 // DAY_US - 2 * most - _MORE_DAYS
        rows = self._newest_daily(feed, symbols, most, recent)
        few = [symbol for symbol in symbols if len(rows.get(symbol, ())) < most]
        rows |= self._newest_daily(feed, few, most, None)
        return {symbol: daily_bars.from_rows(symbol, feed, some) for symbol, some in rows.items()}

    def _newest_daily(
        self, feed: str, symbols: Sequence[str], most: int, since: int | None
    ) -> dict[str, list[tuple[Any, ...]]]:
        """The newest rows of each symbol that has some, of trading dates from `since` (days since 1970) on."""
        bounds = [] if since is None else [self._day(since)]
        each = (
            f"SELECT symbol, {self.DAILY_BAR} FROM market_data WHERE symbol = %s AND feed = %s"
            f"{' AND trade_date >= %s' if bounds else ''} ORDER BY trade_date DESC LIMIT {most:d}"
        )
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for at in range(0, len(symbols), _TOGETHER):
            part = symbols[at : at + _TOGETHER]
            statement = " UNION ALL ".join(f"SELECT * FROM ({each}) AS q{number}" for number in range(len(part)))
            for symbol, *row in self._query(statement, [word for code in part for word in (code, feed, *bounds)]):
                rows.setdefault(symbol, []).append(tuple(row))
        return rows
