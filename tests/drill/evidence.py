"""What the terminals have on their disks and what the database has in its tables, as `accounting` wants them."""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import MySQLdb
import MySQLdb.cursors

from terminals import spool, wire
from tests.drill.accounting import Candle, Key, Series, Tick, of_key
from tests.servers import MariaDB
from tests.servers.mariadb import DATABASE, PASSWORD, USER

KINDS = {"trade": 1, "quote": 2, "snapshot": 3, "expected": 4, "book": 5, "status": 6}
SIDES = {None: None, "buy": 1, "sell": 2}
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
    rows: dict[tuple[int, int], Tick] = field(default_factory=dict)  # (seq, index)
    gaps: int = 0


def sent_by(folder: Path) -> Sent:
    """Everything in a terminal's spool; it keeps a day, so nothing is gone yet."""
    sent = Sent(spool.epoch_of(folder))
    for seq, payload in spool.read(folder):
        header = wire.parse_header(payload)
        sent.batches[seq] = zlib.crc32(payload[8:])
        sent.captured_us[seq] = header.captured_us
        if header.encoding == wire.Encoding.GAP:
            sent.gaps += 1
        else:
            sent.rows.update(((seq, index), tick) for index, tick in enumerate(_ticks(payload, header)))
    return sent


def _ticks(payload: bytes, header: wire.BatchHeader) -> Iterator[Tick]:
    layout = wire.parse_columns(payload, header)
    prices, sizes = 10 ** (wire.PRICE_SCALE - layout.price_scale), 10 ** (wire.SIZE_SCALE - layout.size_scale)

    def times(value: int | None, unit: int) -> int | None:
        return None if value is None else value * unit

    for row in wire.decode_columns(payload):
        yield Tick(
            header.feed, row["symbol"], row["time_us"], row["kind"], times(row["price"], prices),
            times(row["size"], sizes), row["side"] or None, row["seq"], times(row["bid"], prices),
            times(row["ask"], prices), times(row["bid_size"], sizes), times(row["ask_size"], sizes),
            times(row["cum_volume"], sizes),
        )  # fmt: skip


def missing_from_spool(journal: Path, sent: Sent) -> int:
    """Rows that the terminal's journal lists and its spool has not, or not any more the same."""
    gone = 0
    for line in journal.read_text(encoding="ascii").splitlines():
        noted = json.loads(line)
        if noted["epoch"] != sent.epoch or sent.batches.get(noted["seq"]) != noted["crc32"]:
            gone += noted["rows"]
    return gone


def acked(folder: Path) -> int:
    """Up to which batch the terminal was told that all is committed, as it last noted."""
    try:
        return int(json.loads((folder / "committed.json").read_bytes())["committed"])
    except (OSError, ValueError, KeyError):
        return 0


def sources_words(sent: Sent) -> Iterator[Tick]:
    """A terminal's rows in the order its source gave them."""
    return (sent.rows[place] for place in sorted(sent.rows))


# --- the database --------------------------------------------------------------------------------------------


class Book:
    """Questions to the drill's MariaDB over a connection of its own, asked in plain SQL."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Row by row: the answer may be longer than memory should hold."""
        cursor = self._connection.cursor(MySQLdb.cursors.SSCursor)
        try:
            cursor.execute(sql)
            while chunk := cursor.fetchmany(_FETCH):
                yield from chunk
        finally:
            cursor.close()

    def number(self, sql: str) -> int:
        """The only number of an answer."""
        return int(next(self.rows(sql))[0])

    def streams(self) -> dict[tuple[str, str], int]:
        """(client, epoch) -> the number of that spool in the ledger."""
        told = self.rows("SELECT c.name, s.epoch, s.id FROM ingest_stream s JOIN client c ON c.id = s.client_id")
        return {(name, epoch): number for name, epoch, number in told}

    def ticks(self) -> Iterator[tuple[Key, str, Tick]]:
        """(key, trading date, row) of every row in temp_market_data, in no order."""
        sql = (
            "SELECT tick_id, trade_date, feed, symbol, event_time, kind, price, size, side, seq,"
            " bid, ask, bid_size, ask_size, cum_volume FROM temp_market_data"
        )
        for tick_id, date, feed, symbol, at, kind, price, size, side, seq, *quote in self.rows(sql):
            bid, ask, bids, asks, volume = quote
            yield of_key(tick_id), date.isoformat(), Tick(
                feed, symbol, micros(at), KINDS[kind], scaled(price, 8), scaled(size, 4), SIDES[side], seq,
                scaled(bid, 8), scaled(ask, 8), scaled(bids, 4), scaled(asks, 4), scaled(volume, 4),
            )  # fmt: skip

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
                Candle(prices[0], prices[1], prices[2], prices[3], exactly(volume, 4), exactly(value, 12), n),
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


@contextmanager
def book(server: MariaDB) -> Iterator[Book]:
    """Open the database for questions; MySQLdb.Error while it is away."""
    connection = MySQLdb.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, database=DATABASE, charset="utf8mb4",
        connect_timeout=2, read_timeout=60, autocommit=True,
    )  # fmt: skip
    try:
        yield Book(connection)
    finally:
        connection.close()


def micros(moment: datetime.datetime) -> int:
    """A DATETIME(6) in UTC as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def exactly(value: Decimal, scale: int) -> int:
    """A decimal as a whole number of 10**-scale; ValueError if it is none."""
    whole = value.scaleb(scale, _WIDE)
    if whole != int(whole):
        raise ValueError(f"{value} has more than {scale} decimals")
    return int(whole)


def scaled(value: Decimal | None, scale: int) -> int | None:
    """As `exactly`, and nothing for nothing."""
    return None if value is None else exactly(value, scale)


def keyed(sent: Mapping[str, Sent], streams: Mapping[tuple[str, str], int]) -> dict[Key, Tick]:
    """All terminals' rows by the keys they must be stored under; a spool unknown to the ledger gets keys of its own."""
    all_rows: dict[Key, Tick] = {}
    for number, (client, one) in enumerate(sorted(sent.items())):
        stream = streams.get((client, one.epoch), -1 - number)
        all_rows.update(((stream, seq, index), tick) for (seq, index), tick in one.rows.items())
    return all_rows


def slowest_us(
    sent: Mapping[str, Sent], streams: Mapping[tuple[str, str], int], commits: Iterable[tuple[int, int]]
) -> int:
    """The longest time from a terminal's taking a batch to its commit."""
    clients = {stream: client for (client, _), stream in streams.items()}
    return max(
        (
            committed_us - captured
            for batch, committed_us in commits
            if (one := sent.get(clients.get(batch >> 32, ""))) is not None
            and (captured := one.captured_us.get(batch & 0xFFFFFFFF)) is not None
        ),
        default=0,
    )
