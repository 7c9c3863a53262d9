"""What the terminals have on their disks and what the database has in its tables, as `accounting` wants them."""

from __future__ import annotations

import datetime
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import MySQLdb
import MySQLdb.cursors
import psycopg

from terminals import spool, wire
from tests.drill.accounting import Candle, Event, Key, OrderBook, Row, Series, Tick, of_key
from tests.servers import MariaDB, PostgreSQL
from tests.servers.mariadb import DATABASE, PASSWORD, USER

PRICE, SIZE, VALUE = wire.PRICE_SCALE, wire.SIZE_SCALE, wire.VALUE_SCALE
KINDS = {"trade": 1, "quote": 2, "snapshot": 3, "expected": 4, "book": 5, "status": 6}
SIDES = {None: None, "buy": 1, "sell": 2}
_DAY = ("open", "high", "low", "prev_close", "upper_limit", "lower_limit", "change_rate", "cum_value")
_FIGURES = {
    "bid_total": SIZE, "ask_total": SIZE, "expected_price": PRICE, "expected_size": SIZE, "cum_volume": SIZE,
    "mid_price": PRICE,
}  # fmt: skip
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_FETCH = 20_000
_WIDE = Context(prec=80)  # the usual 28 digits would round a value


# --- the terminals -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sent:
    """One terminal's own list: its batches, and of those that carry rows the rows."""

    epoch: str
    batches: dict[int, int] = field(default_factory=dict)  # seq -> CRC-32 of the payload behind its seq
    captured_us: dict[int, int] = field(default_factory=dict)
    rows: dict[tuple[int, int], Row] = field(default_factory=dict)  # (seq, index)
    gap_seqs: set[int] = field(default_factory=set)

    @property
    def gaps(self) -> int:
        return len(self.gap_seqs)


def sent_by(folder: Path) -> Sent:
    """Everything in a terminal's spool; it keeps a day, so nothing is gone yet."""
    sent = Sent(spool.epoch_of(folder))
    for seq, payload in spool.read(folder):
        header = wire.parse_header(payload)
        sent.batches[seq] = zlib.crc32(payload[8:])
        sent.captured_us[seq] = header.captured_us
        if header.encoding == wire.Encoding.GAP:
            sent.gap_seqs.add(seq)
        else:
            read = _READERS.get(header.encoding, _ticks)
            sent.rows.update(((seq, index), row) for index, row in enumerate(read(payload, header)))
    return sent


def _ticks(payload: bytes, header: wire.BatchHeader) -> Iterator[Tick]:
    layout = wire.parse_columns(payload, header)
    prices, sizes = 10 ** (wire.PRICE_SCALE - layout.price_scale), 10 ** (wire.SIZE_SCALE - layout.size_scale)

    for row in wire.decode_columns(payload):
        day = (*(_times(row[name], prices) for name in _DAY[:-1]), row[_DAY[-1]])
        yield Tick(
            header.feed, row["symbol"], row["time_us"], row["kind"], _times(row["price"], prices),
            _times(row["size"], sizes), row["side"] or None, row["seq"], _times(row["bid"], prices),
            _times(row["ask"], prices), _times(row["bid_size"], sizes), _times(row["ask_size"], sizes),
            _times(row["cum_volume"], sizes), None if day.count(None) == len(day) else day,
        )  # fmt: skip


def _books(payload: bytes, header: wire.BatchHeader) -> Iterator[OrderBook]:
    layout = wire.parse_books(payload, header)
    units = {PRICE: 10 ** (PRICE - layout.price_scale), SIZE: 10 ** (SIZE - layout.size_scale)}
    for row in wire.decode_books(payload):
        bids, asks = (
            tuple((price * units[PRICE], size * units[SIZE]) for price, size in row[side]) for side in ("bids", "asks")
        )
        figures = tuple(_times(row[name], units[scale]) for name, scale in _FIGURES.items())
        yield OrderBook(header.feed, row["symbol"], row["time_us"], bids, asks, figures)


def _events(payload: bytes, header: wire.BatchHeader) -> Iterator[Event]:
    for row in wire.parse_events(payload, header):
        given: Any = row
        yield Event(header.feed, given.get("symbol", ""), given["time"], given["event"], _canonical(given["body"]))


_READERS: dict[wire.Encoding, Callable[[bytes, wire.BatchHeader], Iterator[Row]]] = {
    wire.Encoding.BOOKS: _books,
    wire.Encoding.EVENTS: _events,
}


def _canonical(body: object) -> str:
    return json.dumps(body, ensure_ascii=False, sort_keys=True)


def _times(value: int | None, unit: int) -> int | None:
    return None if value is None else value * unit


@dataclass(slots=True)
class Spools:
    """What one terminal's disk has held: its spool now, and what was in it whenever bytes of it were to be changed."""

    sent: dict[str, Sent] = field(default_factory=dict)  # by epoch
    excused: set[tuple[str, int]] = field(default_factory=set)  # (epoch, seq) taken from the disk before it was safe
    damaged: set[tuple[str, int]] = field(default_factory=set)  # (epoch, seq) whose bytes were changed
    overwritten: dict[tuple[str, int], tuple[int, dict[tuple[int, int], Row]]] = field(default_factory=dict)
    """Checksum and rows of a damaged batch that was the spool's last: it was cut off as a torn one is, and the next
    batch has its number. The server may have had it by then, or not."""

    def look(self, folder: Path) -> Sent:
        """Read the spool and remember it; what it holds now."""
        now = sent_by(folder)
        before = self.sent.setdefault(now.epoch, now)
        for seq, checksum in now.batches.items():
            other, place = before.batches.get(seq) not in (None, checksum), (now.epoch, seq)
            is_cut_off = other and place in self.damaged and any(one[0] == seq for one in now.rows)
            replaced = is_cut_off or (other and place in self.excused)
            if is_cut_off:
                rows = {one: tick for one, tick in before.rows.items() if one[0] == seq}
                self.overwritten[place] = before.batches[seq], rows
            if replaced:  # what was taken from the disk was never sent, so another batch has its number
                self.excused.discard(place)
                self.damaged.discard(place)
                before.rows = {one: tick for one, tick in before.rows.items() if one[0] != seq}
            if replaced or seq not in before.batches:
                before.batches[seq], before.captured_us[seq] = checksum, now.captured_us[seq]
                before.rows.update({place: tick for place, tick in now.rows.items() if place[0] == seq})
                before.gap_seqs |= now.gap_seqs & {seq}
        return now

    def missing(self, journal: Path) -> int:
        """Rows that the terminal's journal lists and its disk has never held so, save what was taken or damaged."""
        known = {checksum for one in self.sent.values() for checksum in one.batches.values()}
        known |= {checksum for checksum, _ in self.overwritten.values()}
        gone = 0
        for line in journal.read_text(encoding="ascii").splitlines():
            noted = json.loads(line)
            place = noted["epoch"], noted["seq"]
            if noted["crc32"] not in known and place not in self.excused | self.damaged:
                gone += noted["rows"]
        return gone


def acked(folder: Path) -> int:
    """Up to which batch of its epoch the terminal was told that all is committed, as it last noted."""
    try:
        noted = json.loads((folder / "committed.json").read_bytes())
        return int(noted["committed"]) if noted["epoch"] == spool.epoch_of(folder) else 0
    except (OSError, ValueError, KeyError):
        return 0


def sources_words(sent: Sent) -> Iterator[Tick]:
    """A terminal's ticks in the order its source gave them."""
    return (row for place in sorted(sent.rows) if isinstance(row := sent.rows[place], Tick))


# --- the database --------------------------------------------------------------------------------------------


class Book:
    """Questions to the drill's database over a connection of its own, in the plain SQL that both servers speak."""

    def __init__(self, connection: Any, cursor: Callable[[], Any], tables: Sequence[str]) -> None:
        self._connection, self._cursor = connection, cursor
        self.tables = tables
        """Where ticks may lie: a day may have gone to history."""

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Row by row: the answer may be longer than memory should hold."""
        cursor = self._cursor()
        try:
            cursor.execute(sql)
            while chunk := cursor.fetchmany(_FETCH):
                yield from chunk
        finally:
            cursor.close()

    def do(self, sql: str) -> None:
        """A statement without an answer."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
        self._connection.commit()

    def number(self, sql: str) -> int:
        """The only number of an answer."""
        return int(next(self.rows(sql))[0])

    def streams(self) -> dict[tuple[str, str], int]:
        """(client, epoch) -> the number of that spool in the ledger."""
        told = self.rows("SELECT c.name, s.epoch, s.id FROM ingest_stream s JOIN client c ON c.id = s.client_id")
        return {(name, epoch): number for name, epoch, number in told}

    def ticks(self) -> Iterator[tuple[Key, str, Tick]]:
        """(key, trading date, row) of every row wherever it lies, in no order: a day may have gone to history."""
        columns = (
            "tick_id, trade_date, feed, symbol, event_time, kind, price, size, side, seq,"
            " bid, ask, bid_size, ask_size, cum_volume"
        )
        days = self._days()
        sql = " UNION ALL ".join(f"SELECT {columns} FROM {table}" for table in self.tables)
        for tick_id, date, feed, symbol, at, kind, price, size, side, seq, *quote in self.rows(sql):
            bid, ask, bids, asks, volume = quote
            yield of_key(tick_id), date.isoformat(), Tick(
                feed, symbol, micros(at), KINDS[kind], scaled(price, PRICE), scaled(size, SIZE), SIDES[side], seq,
                scaled(bid, PRICE), scaled(ask, PRICE), scaled(bids, SIZE), scaled(asks, SIZE), scaled(volume, SIZE),
                days.pop(tick_id, None),
            )  # fmt: skip
        if days:
            raise AssertionError(f"stock_prices has rows of no tick: {list(days.items())[:3]}")

    def _days(self) -> dict[int, tuple[int | None, ...]]:
        """What snapshots told of their day, by the id of their tick."""
        names = "open_price, high_price, low_price, prev_close, upper_limit, lower_limit, change_rate, value"
        found: dict[int, tuple[int | None, ...]] = {}
        for tick_id, *prices, value in self.rows(f"SELECT tick_id, {names} FROM stock_prices"):
            if tick_id in found:
                raise AssertionError(f"stock_prices has tick {tick_id} twice")
            found[tick_id] = (*(scaled(price, PRICE) for price in prices), scaled(value, 2))
        return found

    def records(self) -> Iterator[tuple[Key, Row]]:
        """Every order book and event, in no order."""
        sides = "bid_prices, bid_volumes, ask_prices, ask_volumes"
        sql = f"SELECT tick_id, feed, symbol, event_time, {sides}, {', '.join(_FIGURES)} FROM order_books"
        for tick_id, feed, symbol, at, *rest in self.rows(sql):
            bid_prices, bids, ask_prices, asks = (_numbers(told) for told in rest[:4])
            figures = tuple(scaled(one, scale) for one, scale in zip(rest[4:], _FIGURES.values(), strict=True))
            yield (
                of_key(tick_id),
                OrderBook(feed, symbol, micros(at), _levels(bid_prices, bids), _levels(ask_prices, asks), figures),
            )
        told = "SELECT event_id, feed, symbol, event_time, kind, body FROM market_events"
        for event_id, feed, symbol, at, word, body in self.rows(told):
            read = json.loads(body) if isinstance(body, str) else body
            yield of_key(event_id), Event(feed, symbol, micros(at), word, _canonical(read))

    def candles(self) -> Iterator[tuple[Series, Candle]]:
        """Every candle in market_data_minute."""
        sql = (
            "SELECT symbol, feed, minute_time, trade_date, open, high, low, close, volume, value, n"
            " FROM market_data_minute"
        )
        for symbol, feed, at, date, *numbers, volume, value, n in self.rows(sql):
            prices = [exactly(price, 8) for price in numbers]
            yield (
                Series(symbol, feed, micros(at), date.isoformat()),
                Candle(
                    prices[0],
                    prices[1],
                    prices[2],
                    prices[3],
                    exactly(volume, SIZE),
                    exactly(value, wire.VALUE_SCALE),
                    n,
                ),
            )

    def refused(self) -> set[Key]:
        """Rows kept aside with a reason."""
        told = self.rows("SELECT batch, idx FROM ingest_reject")
        return {(batch >> 32, batch & 0xFFFFFFFF, index) for batch, index in told}

    def commits(self) -> list[tuple[int, int]]:
        """(batch, when it was committed) of the whole ledger."""
        return list(self.rows("SELECT batch, committed_us FROM ingest_batch"))

    def absent(self, stream: int, upto: int) -> int:
        """How many of a spool's batches 1 to `upto` the ledger does not have."""
        low, high = (stream << 32) + 1, (stream << 32) + upto
        return upto - self.number(f"SELECT COUNT(*) FROM ingest_batch WHERE batch BETWEEN {low} AND {high}")


Away: tuple[type[Exception], ...] = (MySQLdb.Error, psycopg.Error)
"""What a question raises while the database is away."""


@contextmanager
def book(server: MariaDB | PostgreSQL) -> Iterator[Book]:
    """Open the database for questions; `Away` while it does not answer."""
    if isinstance(server, MariaDB):
        with mariadb(server.host, server.port, PASSWORD) as made:
            yield made
        return
    connection = psycopg.connect(server.url, connect_timeout=2, options="-c TimeZone=UTC")
    names = itertools.count()
    try:
        yield Book(connection, lambda: connection.cursor(f"drill{next(names)}"), _TICKS)
    finally:
        connection.close()


@contextmanager
def mariadb(host: str, port: int, password: str) -> Iterator[Book]:
    """As `book`, of a MariaDB that somebody else started, by the account that Naru has there."""
    connection = MySQLdb.connect(
        host=host, port=port, user=USER, password=password, database=DATABASE, charset="utf8mb4",
        connect_timeout=2, read_timeout=60, autocommit=True,
    )  # fmt: skip
    try:
        yield Book(connection, lambda: connection.cursor(MySQLdb.cursors.SSCursor), [*_TICKS, "market_data_moving"])
    finally:
        connection.close()


_TICKS = ("temp_market_data", "market_data_tick")


def _numbers(told: Any) -> list[Decimal]:
    """A JSON array of numbers, as text or as a driver that reads it has it."""
    read = json.loads(told, parse_float=Decimal, parse_int=Decimal) if isinstance(told, str) else told
    return [Decimal(str(one)) for one in read]


def _levels(prices: Sequence[Decimal], sizes: Sequence[Decimal]) -> tuple[tuple[int, int], ...]:
    return tuple((exactly(price, PRICE), exactly(size, SIZE)) for price, size in zip(prices, sizes, strict=True))


def micros(moment: datetime.datetime) -> int:
    """A time in UTC as microseconds since 1970."""
    return (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def exactly(value: Decimal, scale: int) -> int:
    """A decimal as a whole number of 10**-scale; ValueError if it is none."""
    whole = value.scaleb(scale, _WIDE)
    if whole != int(whole):
        raise ValueError(f"{value} has more than {scale} decimals")
    return int(whole)


def scaled(value: Decimal | None, scale: int) -> int | None:
    """As `exactly`, and nothing for nothing."""
    return None if value is None else exactly(value, scale)


def keyed(spools: Mapping[str, Spools], streams: Mapping[tuple[str, str], int]) -> dict[Key, Row]:
    """All terminals' rows by the keys they must be stored under; a spool unknown to the ledger gets keys of its own."""
    all_rows: dict[Key, Row] = {}
    for client, epoch, one in _every(spools):
        stream = streams.get((client, epoch), -1 - len(all_rows))
        all_rows.update(((stream, seq, index), tick) for (seq, index), tick in one.rows.items())
    return all_rows


def overwritten(
    spools: Mapping[str, Spools], streams: Mapping[tuple[str, str], int]
) -> dict[tuple[int, int], dict[Key, Row]]:
    """By (stream, seq) the rows of batches that were damaged and whose numbers other batches have, by their keys."""
    found = {}
    for client, one in spools.items():
        for (epoch, seq), (_, rows) in one.overwritten.items():
            stream = streams.get((client, epoch), 0)
            found[stream, seq] = {(stream, seq, index): row for (_, index), row in rows.items()}
    return found


def excused(spools: Mapping[str, Spools], streams: Mapping[tuple[str, str], int]) -> set[tuple[int, int]]:
    """(stream, seq) of the batches that the drill itself took from a disk before the server had them."""
    return {
        (streams.get((client, epoch), 0), seq)
        for client, one in spools.items()
        for epoch, seq in one.excused | one.damaged
    }


def slowest_us(
    spools: Mapping[str, Spools], streams: Mapping[tuple[str, str], int], commits: Iterable[tuple[int, int]]
) -> int:
    """The longest time from a terminal's taking a batch to its commit."""
    captured = {
        (streams.get((client, epoch), 0), seq): captured_us
        for client, epoch, one in _every(spools)
        for seq, captured_us in one.captured_us.items()
    }
    known = ((captured.get((batch >> 32, batch & 0xFFFFFFFF)), committed_us) for batch, committed_us in commits)
    return max((committed_us - taken_us for taken_us, committed_us in known if taken_us is not None), default=0)


def _every(spools: Mapping[str, Spools]) -> Iterator[tuple[str, str, Sent]]:
    for client, one in sorted(spools.items()):
        for epoch, sent in sorted(one.sent.items()):
            yield client, epoch, sent
