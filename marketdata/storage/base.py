"""What every database promises. The contract suite (tests/contract) tells each promise once and runs it on each
backend.

Tables made here (all others are Django's), each partitioned by range of trading date where the database can:

temp_market_data      today's ticks, one a row, key (symbol, event_time, tick_id, trade_date); a partition per trading
                      date. Every tick enters here, late ones too
market_data_tick      the ticks of finished days, the same columns; a day arrives as a whole partition
market_data_minute    one minute candle a row, key (symbol, feed, minute_time, trade_date), by month
market_data           one daily candle a row, key (symbol, feed, trade_date), by month. `close` is the close of the
                      regular session (of the day, where the market has none); `last` the last price; open, high,
                      low, volume, value and n are of all trades; regular_* of the regular session, NULL without it
order_books           ten levels as JSON arrays of decimals as text, best first, and what a source tells beside them
                      (BOOK_FIGURES), key (symbol, event_time, tick_id, trade_date), by day
stock_prices          the day of a symbol so far as a polled snapshot told it, a row for each snapshot that told more
                      than its price: current_price, open_price, high_price, low_price, prev_close, change_rate (per
                      cent), volume and value of the day, upper_limit, lower_limit, bid, ask; what is not given is NULL.
                      `category` is the symbol's (kospi, kosdaq, ...) when it came. Key (symbol, feed, timestamp,
                      tick_id, trade_date), by month; the snapshot itself is a tick of the same tick_id (docs/adr/0018)
market_events         status, VI, index and other events, key (event_time, event_id, trade_date), body in JSON, by day
cache_realtime_data, cache_chart_data, cache_stats_data   what a reader in SQL gets of the caches; not partitioned

Prices and per cents are DECIMAL(18,8), sizes DECIMAL(18,6) and the value of a day DECIMAL(18,2) where the database has
exact decimals; SQLite has none and keeps the integers of `marketdata.types.ticks` (1e-8, 1e-6 and 1e-2), and times as
microseconds.

A tick lies in exactly one place at any moment: temp_market_data, market_data_tick, or (where a backend needs it for the
way between) a table of its own. `read_ticks` asks all of them in one statement, so a day that is being moved is whole
for every reader.
"""

from __future__ import annotations

import abc
import datetime
import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.storage.periods import DAY, MONTH, Period
from marketdata.types.checksums import Figure
from marketdata.types.daily_bars import DailyBars
from marketdata.types.day_figures import DAY_VALUE_SCALE
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.records import BookColumns
from marketdata.types.stock_prices import StockPrice
from marketdata.types.ticks import SIZES, Ticks
from terminals import wire

TEMP, HISTORY = "temp_market_data", "market_data_tick"
MINUTES, DAILY, BOOKS, EVENTS = "market_data_minute", "market_data", "order_books", "market_events"
PRICES = "stock_prices"
CACHES = ("cache_realtime_data", "cache_chart_data", "cache_stats_data")
PERIODS: dict[str, Period] = {
    TEMP: DAY, HISTORY: DAY, MINUTES: MONTH, DAILY: MONTH, BOOKS: DAY, EVENTS: DAY, PRICES: MONTH,
}  # fmt: skip
EPOCH_DATE = datetime.date(1970, 1, 1)
Series = tuple[str, str]
"""Symbol and feed."""
Key = tuple[int, int]
"""Time and number of a row, among those of a day."""
# Digits in all and behind the point, of prices, sizes, sums of sizes and traded values.
PRICE_DIGITS = f"(18,{wire.PRICE_SCALE})"
SIZE_DIGITS = f"(18,{wire.SIZE_SCALE})"
VOLUME_DIGITS = f"({20 + wire.SIZE_SCALE},{wire.SIZE_SCALE})"
VALUE_DIGITS = f"({24 + wire.VALUE_SCALE},{wire.VALUE_SCALE})"
DAY_VALUE_DIGITS = f"(18,{DAY_VALUE_SCALE})"
PRICES_BY_CATEGORY = "CREATE INDEX IF NOT EXISTS stock_prices_category ON stock_prices (category, feed, {time})"
"""The one index beside a key that a partitioned table has (docs/adr/0018); `time` is the quoted column."""


ALL_FEEDS = "*"
FINISHED_US = 86_400_000_000
"""Candles whose minute began longer ago, by the wall clock, are finished: who changes them says so. Readers keep only
what is twice as old, so no clock that is wrong by less than that does harm."""


class StorageError(Exception):
    """The database did not do what was asked; the message says what to look at."""


class StorageBusyError(StorageError):
    """Somebody holds what was needed, and waiting longer would have held up the writers. Worth another try later."""


class NotWholeError(StorageError):
    """What was to be replaced has more in it than what would replace it; nothing was changed."""


class Blame(enum.Enum):
    """What an error in a transaction is to be blamed on. Only UNKNOWN can be the content of a batch, and it takes more
    than the error to say so: a transaction of the same shape that succeeds at the same time (`ingest.failures`)."""

    TRANSIENT = "transient"  # the same transaction may succeed at once: deadlock, lock wait, lost connection
    INFRASTRUCTURE = "infrastructure"  # the database would refuse whatever it was given: a flag, a right, a table, room
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A setting of the database that a promise rests on. `is_vital`: with it wrong, what was acknowledged may be lost
    or wrong; with others batches only wait, or something is slower."""

    name: str
    value: str
    wanted: str | Promise
    is_right: bool
    remedy: str | Promise
    is_vital: bool = True


REMEDY = gettext_lazy("the database's own log says more")
"""What to do about an error of which nothing better is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A partition: the trading dates start <= date < end; None is no bound. `rows` is the database's own estimate."""

    table: str
    name: str
    start: datetime.date | None
    end: datetime.date | None
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The regular session of a market on one trading date: start_us <= time < end_us."""

    market: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A row of cache_realtime_data: the latest trade of a symbol on a feed. Price in 1e-8, size in 1e-6."""

    symbol: str
    feed: str
    time_us: int
    tick_id: int
    price: int
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedStats:
    """A row of cache_stats_data: statistics of a symbol on a feed (of the market: the symbol is "") as JSON. `at_us`
    is their revision: they have everything that was committed before."""

    symbol: str
    feed: str
    name: str
    body: str
    at_us: int


class Span(NamedTuple):
    """A stretch of a symbol's events: of one trading date (days since 1970), first_us <= time <= last_us."""

    symbol: str
    day: int
    first_us: int
    last_us: int


Progress = Callable[[str], None]
"""Told now and then during long work, with a few words; may raise to end it between two steps."""


@dataclass(frozen=True, slots=True)
class TickKey:
    """Where a page of rows ended: the next one starts after (or, descending, before) it. `tick_id` is 0 for candles."""

    symbol: str
    time_us: int
    tick_id: int = 0


class Storage(abc.ABC):
    """Ticks and candles in one database, on one connection. Methods that write want to be called inside
    `transaction()`."""

    vendor: ClassVar[str]
    tick_tables: ClassVar[tuple[str, ...]] = (TEMP, HISTORY)
    """Every table a tick may lie in."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed when it ends, durably, or not at all."""
        with transaction.atomic(using=self.connection.alias, durable=not self.connection.in_atomic_block):
            yield

    def notice_silence(self) -> None:  # noqa: B027 - a file has no server to fall silent
        """Of a new connection: see that it fails when the server falls silent (settings_dict["SILENCE_S"], seconds)
        or its host is gone, whatever the client library would do."""

    @contextmanager
    def long_running(self) -> Iterator[None]:
        """For upkeep: inside, a question may take an hour where a worker's would be given up after seconds."""
        yield

    @abc.abstractmethod
    def create_tables(self) -> None:
        """Make the tables that are not there, and give those of an older version the columns they lack."""

    @abc.abstractmethod
    def refine_sizes(self) -> None:
        """Give tables that were made when sizes had four decimal places those of now, with what is in them; does
        nothing where that is done. For a migration: nobody may write meanwhile. StorageError, with nothing changed, if
        a number does not fit any more."""

    @abc.abstractmethod
    def drop_tables(self) -> None:
        """Remove the tables and what is in them."""

    @abc.abstractmethod
    def ensure_partitions(self, dates: Iterable[datetime.date], tables: Sequence[str] = (TEMP, MINUTES)) -> None:
        """Make room for these trading dates. Commits, so never inside `transaction()`; cheap when the room is there.
        A row without room is kept all the same, in a partition for whatever has none."""

    @abc.abstractmethod
    def blame(self, error: BaseException) -> Blame:
        """What to blame for an error of a transaction; UNKNOWN for whatever this database is not known to say of its
        own state."""

    def is_transient(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed when tried again: deadlock, lock wait, lost connection, node not
        ready."""
        return self.blame(error) is Blame.TRANSIENT

    def remedy(self, error: BaseException) -> str | Promise:
        """What an operator should do about an error, in a few words of the reader's language."""
        return REMEDY

    @abc.abstractmethod
    def flags(self) -> list[Flag]:
        """The settings of the server and of this session that the promises rest on, and whether they are right."""

    @abc.abstractmethod
    def load(self, table: str, ticks: Ticks) -> int:
        """Store ticks in bulk; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def merge_minutes(self, bars: Bars) -> Bars:
        """Merge partial candles into the stored ones and return the merged state of each, as it will be committed.
        `marketdata.types.minute_bars.SumTooLargeError`, after which the transaction must not commit, if a sum reaches
        its bound."""

    def load_and_merge(self, table: str, ticks: Ticks, bars: Bars) -> tuple[int, Bars]:
        """`load`, then `merge_minutes`: what both return. PostgreSQL gets few rows in one round trip."""
        return self.load(table, ticks), self.merge_minutes(bars)

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
    def note_finished(self, feed: str, oldest_us: int | None = None) -> None:
        """Tell readers, with the transaction that goes on, that finished candles of a feed (of ALL_FEEDS: of any)
        change: all that changes candles of a minute more than FINISHED_US ago does so, last of all it does. Nothing if
        `oldest_us`, the earliest of the minutes, is younger."""

    @abc.abstractmethod
    def revisions(self, feeds: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """What changes with every `note_finished` of these feeds or of all; () when there never was one. To be read
        before the candles."""

    @abc.abstractmethod
    def read_spans(self, feed: str, spans: Iterable[Span], *, batches: Collection[int] | None = None) -> list[Ticks]:
        """All ticks of these stretches, which do not overlap, by source and in no order; each from wherever it lies, in
        one statement. Reads no more of the tables than the stretches, and of `batches`, at least one, gives no other
        than theirs."""

    @abc.abstractmethod
    def read_minute_spans(self, feed: str, spans: Iterable[Span]) -> Bars:
        """All minute candles of these stretches, which do not overlap, in no order."""

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
    def newest_minutes(self, series: Sequence[Series]) -> dict[str, Bars]:
        """By feed: the newest minute candle of each of these (symbol, feed) that has one, with every trading date that
        shares its minute (and maybe the candle before it)."""

    # --- days -------------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def partitions(self, table: str) -> list[Part]:
        """The partitions of a table that hold named periods, oldest first; [] where the database has none. The empty
        ranges between and the last one are left out."""

    @abc.abstractmethod
    def default_partition_rows(self, table: str) -> int:
        """How many rows lie in partitions for what had no room (0 where there are no partitions)."""

    @abc.abstractmethod
    def dates(self, table: str) -> list[datetime.date]:
        """The trading dates of which a table has rows, oldest first. For TEMP that includes a day on its way."""

    @abc.abstractmethod
    def dates_within(self, table: str, start: datetime.date, end: datetime.date) -> list[datetime.date]:
        """The trading dates start <= date < end of which a table has rows, oldest first. Reads the period, save for a
        single day, of which one row is enough."""

    @abc.abstractmethod
    def drop_days(self, table: str, dates: Sequence[datetime.date], *, unless: Callable[[], bool] | None = None) -> int:
        """Remove these trading dates (for a table by month: the months that start then) by dropping their partitions,
        where there are none by deleting in pieces. Rows of other dates stay. Of TEMP only what is empty goes. What
        `unless` says yes to stays; it is asked when nobody can write to the table, by a connection that can read every
        other one. Returns how many partitions (or periods) went. Commits."""

    @abc.abstractmethod
    def move_day(self, date: datetime.date, *, progress: Progress, count: bool = True) -> int:
        """Move all of a trading date's ticks from TEMP to HISTORY and return how many TEMP had (without `count`, what
        is known of it without looking at every row).

        Whole if HISTORY has none of that date yet, else in pieces. May be killed at any moment and called again; a
        reader of `read_ticks` sees every row at every moment; a writer waits for no longer than a moment.
        StorageBusyError when the tables stay in use by others. Commits, so never inside `transaction()`.
        """

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
    def snapshot(self) -> AbstractContextManager[None]:
        """All questions inside see one and the same moment."""

    @abc.abstractmethod
    def build_daily(
        self, date: datetime.date, windows: Sequence[Window], *, proven: Collection[Series] | None = ()
    ) -> int:
        """Make the daily candles of a trading date from its minute candles, in place of those that are there; returns
        how many. A symbol whose market has no window closes with its last trade. Commits as one transaction.

        NotWholeError, and nothing is changed, if a candle that is there would be gone or have fewer trades: its minute
        candles are a remainder. `proven` names the (symbol, feed) of which the minute candles are known to be whole,
        None says so of all."""

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
    def newest_daily(self, feed: str, symbols: Sequence[str], most: int) -> dict[str, DailyBars]:
        """The newest daily candles, at most `most`, newest first, of each of these symbols that has one on a feed."""

    @abc.abstractmethod
    def days_of_minutes(
        self, date: datetime.date, windows: Sequence[Window], feed: str, symbols: Sequence[str]
    ) -> dict[str, DailyBars]:
        """The daily candle of a trading date, as `build_daily` would make it, of each of these symbols of a feed that
        has minute candles of that date; nothing is stored."""

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
    def day_series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) pairs of a trading date that have ticks or minute candles, sorted."""

    @abc.abstractmethod
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> AbstractContextManager[None]:
        """A transaction in which nobody else changes the minute candles of these symbols on that date, nor commits
        ticks that would: what is read inside is all there is."""

    @abc.abstractmethod
    def replace_minutes(self, date: datetime.date, bars: Bars) -> int:
        """Put these candles in place of the stored ones of the trading date, feed and symbols in `bars.symbols`;
        returns how many rows changed. Inside `own_minutes`. `rev` of a candle that changes is one more than before."""

    @abc.abstractmethod
    def read_day_ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        """All ticks of a trading date, symbol and feed, ordered by (time, tick_id), from wherever they lie."""

    def tick_places(self, date: datetime.date, symbol: str, feed: str) -> dict[str, dict[int, int]]:
        """Where the ticks of a trading date, symbol and feed lie: table -> tick_id -> source."""
        found: dict[str, dict[int, int]] = {}
        for place in self.tick_tables:
            rows = self._query(
                f"SELECT tick_id, source FROM {place} WHERE symbol = %s AND feed = %s AND trade_date = %s",
                [symbol, feed, self._day((date - EPOCH_DATE).days)],
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
    def _moment(self, us: int) -> Any:
        """A time in microseconds as a parameter of a question."""

    @abc.abstractmethod
    def _day(self, days: int) -> Any:
        """A date in days since 1970 as a parameter of a question."""

    @abc.abstractmethod
    def table_figures(self, table: str) -> dict[str, Figure]:
        """Count and checksum of any table's rows, over all columns: by trading date (ISO text) where it has one, else
        under "". Only comparable between databases of one vendor."""

    # --- books, events, caches --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def store_books(self, parts: Iterable[tuple[Ticks, BookColumns]]) -> int:
        """Store order books in bulk, those of several feeds together: `Ticks` has symbols, times, ids and trading dates
        of each part. Those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_books(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        limit: int,
        after: TickKey | None = None,
        ascending: bool = True,
    ) -> list[OrderBook]:
        """Order books with start_us <= time < end_us, ordered by (time, tick_id), at most `limit`."""

    @abc.abstractmethod
    def newest_books(self, feed: str, since_us: Mapping[str, int]) -> list[OrderBook]:
        """The newest order book, by (time, tick_id), of each of these symbols on a feed, no older than the symbol's
        time."""

    @abc.abstractmethod
    def day_book_symbols(self, date: datetime.date) -> list[str]:
        """The symbols that have order books of a trading date, sorted."""

    @abc.abstractmethod
    def read_day_books(
        self, date: datetime.date, symbol: str, *, after: Key | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """Order books of a trading date and symbol, ordered by (time, tick_id), behind `after`, at most `limit`. As
        they are stored: symbol, feed, time_us, tick_id, days since 1970, source, the four JSON arrays, and BOOK_FIGURES
        as integers."""

    @abc.abstractmethod
    def load_prices(self, ticks: Ticks, categories: Mapping[str, str]) -> int:
        """Store the day figures of these snapshots in bulk (`ticks.day`, which is there), each with the category of its
        symbol; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_prices(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
    ) -> list[StockPrice]:
        """Rows of stock_prices of a symbol and feed with start_us <= time < end_us, ordered by (time, tick_id), at most
        `limit`."""

    @abc.abstractmethod
    def latest_prices(self, symbols: Sequence[str], feed: str) -> list[StockPrice]:
        """The newest row of stock_prices, by (time, tick_id), of each of these symbols that has one on the feed. A step
        down the key each, in every month that is kept."""

    @abc.abstractmethod
    def day_price_series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) that have rows of stock_prices of a trading date, sorted."""

    @abc.abstractmethod
    def read_day_prices(self, date: datetime.date, symbol: str, feed: str) -> list[StockPrice]:
        """All rows of stock_prices of a trading date, symbol and feed, ordered by (time, tick_id)."""

    @abc.abstractmethod
    def category_prices(self, category: str, feed: str, start_us: int, end_us: int, *, limit: int) -> list[StockPrice]:
        """Rows of stock_prices of all symbols of a category on a feed with start_us <= time < end_us, the newest first,
        by (time, symbol, tick_id), at most `limit`; of several of the last time it is open which are left out."""

    @abc.abstractmethod
    def delete_prices(self, ticks: Ticks) -> int:
        """Remove the rows of these snapshots; returns how many there were."""

    @abc.abstractmethod
    def store_events(self, events: Sequence[MarketEvent]) -> int:
        """Store events; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_events(
        self,
        start_us: int,
        end_us: int,
        *,
        limit: int,
        kind: str | None = None,
        codes: Sequence[tuple[str, int, int]] | None = None,
        feeds: Sequence[str] | None = None,
        after: Key | None = None,
        newest: bool = False,
    ) -> list[MarketEvent]:
        """Events with start_us <= time < end_us, ordered by (time, id): the first `limit` of them, or the last ones
        (`newest`). `after` leaves out what is not behind (with `newest`: before) this time and id; `codes` are the
        symbols wanted, each with first <= time < end, and `feeds` the feeds; all of them when not given."""

    @abc.abstractmethod
    def read_day_events(self, date: datetime.date, *, after: Key | None, limit: int) -> list[tuple[Any, ...]]:
        """Events of a trading date, ordered by (time, id), behind `after`, at most `limit`. As they are stored:
        time_us, id, days since 1970, feed, source, kind, symbol, body as JSON."""

    @abc.abstractmethod
    def put_latest(self, rows: Sequence[Latest]) -> None:
        """Write rows of cache_realtime_data, in place of those that are there."""

    @abc.abstractmethod
    def put_stats(self, rows: Sequence[CachedStats]) -> None:
        """Write rows of cache_stats_data, each in place of an older one; one that is not newer is left out."""

    @abc.abstractmethod
    def read_stats(self, feed: str, name: str, symbols: Sequence[str]) -> list[CachedStats]:
        """The rows of cache_stats_data of this name of these symbols of a feed that have one."""

    @abc.abstractmethod
    def stats_series(self) -> list[Series]:
        """Every (symbol, feed) that has a row of cache_stats_data."""

    @abc.abstractmethod
    def purge_caches(self, before_us: Mapping[str, int]) -> dict[str, int]:
        """Delete rows of the named cache tables that were written before a time; how many went, by table."""

    def keep_events(self) -> str:
        """See that the database's own timed events exist and run on this node, and that the cache table has the engine
        of CACHE_ENGINE. What is wrong and what to do, or "" if nothing is; databases without events have no trouble."""
        return ""

    @abc.abstractmethod
    def clock_us(self) -> int:
        """The database's own clock, in microseconds UTC."""

    @property
    @abc.abstractmethod
    def clock_sql(self) -> str:
        """An expression that is `clock_us` inside a statement."""

    @abc.abstractmethod
    def series(self) -> list[tuple[str, str]]:
        """Every (symbol, feed) that has a candle."""

    @abc.abstractmethod
    def count(self, table: str) -> int:
        """How many rows a table has, exactly."""

    def _refuse_what_is_too_large(self, most: int | str) -> None:
        """For `refine_sizes`; `most` is what a size may be, in the table's own unit."""
        for table in (TEMP, HISTORY):
            places = " OR ".join(f"{name} >= {most} OR {name} <= -{most}" for name in SIZES)
            rows = self._query(f"SELECT symbol, feed, trade_date, tick_id FROM {table} WHERE {places} LIMIT 1")
            if rows:
                symbol, feed, date, tick_id = rows[0]
                raise StorageError(
                    _(
                        "{table}: a size or cumulative volume of 10^12 or more cannot have six decimal places "
                        "(symbol {symbol}, feed {feed}, trading date {date}, tick {tick_id}); nothing was "
                        "changed. Keep a backup, set such values to NULL, then migrate again."
                    ).format(table=table, symbol=symbol, feed=feed, date=date, tick_id=tick_id)
                )

    def execute_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Run statements that give no rows, each with its parameters, one after the other; a server gets them at once.
        The error of the first that fails; those behind it are not run."""
        with self.connection.cursor() as cursor:
            for sql, params in statements:
                cursor.execute(sql, params)

    def _query(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
