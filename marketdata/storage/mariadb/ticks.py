"""MariaDB, the main database: LOAD DATA LOCAL from memory, exact decimals, tables partitioned by trading date. Today's
ticks and minute candles; `days` has the rest."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Sequence
from typing import ClassVar

from django.db import DatabaseError, InterfaceError

from marketdata.storage import spans as spans_module
from marketdata.storage.base import (
    HISTORY,
    MINUTES,
    PRICE_DIGITS,
    REMEDY,
    SIZE_DIGITS,
    TEMP,
    VALUE_DIGITS,
    VOLUME_DIGITS,
    Blame,
    Flag,
    Latest,
    Span,
    TickKey,
)
from marketdata.storage.mariadb import partitions
from marketdata.storage.mariadb.columns import SELECT_BAR, SELECT_TICK, minute_rows
from marketdata.storage.mariadb.days import COMPRESSED, MOVING, NAMES, PARTED, MariaDBHistory, tables
from marketdata.storage.mariadb.load_data import LoadFile
from marketdata.storage.rows import date_text, moment, nearby, ticks_from_rows
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.ticks import SIZES, Ticks

_PRICE, _SIZE = f"DECIMAL{PRICE_DIGITS}", f"DECIMAL{SIZE_DIGITS}"
_VOLUME, _VALUE = f"DECIMAL{VOLUME_DIGITS}", f"DECIMAL{VALUE_DIGITS}"
_ASCII = "CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
_TICKS = f"""
CREATE TABLE IF NOT EXISTS {{table}} (
    symbol VARCHAR(24) {_ASCII}, event_time DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed VARCHAR(16) {_ASCII}, source TINYINT UNSIGNED NOT NULL,
    kind ENUM('trade','quote','snapshot','expected','book','status') NOT NULL, side ENUM('buy','sell') NULL,
    price {_PRICE} NULL, size {_SIZE} NULL, seq BIGINT NULL,
    bid {_PRICE} NULL, ask {_PRICE} NULL, bid_size {_SIZE} NULL, ask_size {_SIZE} NULL,
    cum_volume {_SIZE} NULL,
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) ENGINE=InnoDB {COMPRESSED} {{parted}}
"""
_MINUTES = f"""
CREATE TABLE IF NOT EXISTS market_data_minute (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, minute_time DATETIME NOT NULL, trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    volume {_VOLUME} NOT NULL, value {_VALUE} NOT NULL, n BIGINT NOT NULL, rev INT NOT NULL,
    open_time DATETIME(6) NOT NULL, open_id BIGINT NOT NULL, close_time DATETIME(6) NOT NULL, close_id BIGINT NOT NULL,
    PRIMARY KEY (symbol, feed, minute_time, trade_date)
) ENGINE=InnoDB {PARTED}
"""
# Assignments run from left to right and see what the ones before them did: open_time and close_time come last.
_MERGE = """
ON DUPLICATE KEY UPDATE
    rev = rev + VALUES(rev),
    open = IF((VALUES(open_time), VALUES(open_id)) < (open_time, open_id), VALUES(open), open),
    close = IF((VALUES(close_time), VALUES(close_id)) > (close_time, close_id), VALUES(close), close),
    high = GREATEST(high, VALUES(high)), low = LEAST(low, VALUES(low)),
    volume = volume + VALUES(volume), value = value + VALUES(value), n = n + VALUES(n),
    open_id = IF((VALUES(open_time), VALUES(open_id)) < (open_time, open_id), VALUES(open_id), open_id),
    open_time = LEAST(open_time, VALUES(open_time)),
    close_id = IF((VALUES(close_time), VALUES(close_id)) > (close_time, close_id), VALUES(close_id), close_id),
    close_time = GREATEST(close_time, VALUES(close_time))
"""
# Lock wait, deadlock, node not ready, error during COMMIT (outcome unknown: the claim row answers), server gone,
# shutting down, cannot connect, too many connections, read-only after a failover; then: row changed under a snapshot,
# packets broken on the way, too many connections of a user, interrupted, statement timed out, handshake lost, TLS
# broken.
_TRANSIENT = {
    1205, 1213, 1047, 1180, 2006, 2013, 2055, 1053, 1927, 2002, 2003, 1040, 1290, 1836, 1021, 1114, 1030,
    1020, 1158, 1159, 1160, 1161, 1203, 1226, 1317, 1792, 1969, 2012, 2026,
}  # fmt: skip
# LOAD DATA LOCAL switched off (4166; 1148 and 3948 in other versions, 2068 in the client); rights; database, table,
# column or partition not there; files and tablespaces that cannot be opened, read or are broken; read-only table;
# packet too large; out of memory, threads, locks or transactions; host blocked; key file or definition changed.
_INFRASTRUCTURE = {
    4166, 1148, 3948, 2068,
    1044, 1045, 1130, 1142, 1143, 1227, 1370, 1410, 1698,
    1046, 1049, 1051, 1054, 1136, 1146, 1305, 1364, 1526, 1735, 1748, 1932,
    1005, 1016, 1017, 1018, 1023, 1024, 1026, 1027, 1028, 1033, 1034, 1035, 1194, 1195, 1812, 1813, 1814, 1815, 1817,
    1036, 1153, 2020, 1037, 1038, 1041, 1135, 1206, 1637, 1129, 1412, 1467, 1615, 1665,
}  # fmt: skip
_REMEDIES = {
    **dict.fromkeys(
        (4166, 1148, 3948, 2068),
        "SET GLOBAL local_infile=ON, and local_infile=ON in the server's configuration (docker/mariadb/naru.cnf)",
    ),
    **dict.fromkeys(
        (1290, 1836, 1792), "the server is read-only: SET GLOBAL read_only=OFF, or point DATABASE_URL at the writer"
    ),
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1370, 1410, 1698), "GRANT the user of DATABASE_URL what is named"),
    **dict.fromkeys((1046, 1049, 1051, 1054, 1136, 1146, 1364), "run `manage.py migrate`, or restore what is named"),
    **dict.fromkeys((1021, 1114, 1030), "make room on the database's disk"),
    **dict.fromkeys((1040, 1203, 1226), "raise max_connections, or end connections that nobody needs"),
    **dict.fromkeys((1153, 2020), "set max_allowed_packet to 64M or more"),
    **dict.fromkeys((2002, 2003, 2006, 2013), "start the database, or see whether it can be reached"),
    **dict.fromkeys((1205, 1969, 1317), "end the statement that holds the tables (SHOW PROCESSLIST), or wait for it"),
}
_SIZED = (TEMP, MOVING, HISTORY, MINUTES, "market_data", "cache_realtime_data")

_DIALECT = spans_module.Dialect(
    places=(TEMP, MOVING, HISTORY), tick=SELECT_TICK, bar=SELECT_BAR, time=moment, date=date_text
)


class MariaDB(MariaDBHistory):
    """Ticks and candles in MariaDB >= 10.6."""

    tick_tables: ClassVar[tuple[str, ...]] = (TEMP, MOVING, HISTORY)
    vendor: ClassVar[str] = "mysql"

    def create_tables(self) -> None:
        for table in (TEMP, HISTORY):
            self._query(_TICKS.format(table=table, parted=PARTED))
        self._query(_TICKS.format(table=MOVING, parted=""))
        self._compress()
        for statement in (_MINUTES, *tables()):
            self._query(statement)

    def refine_sizes(self) -> None:
        rows = self._query(
            "SELECT TABLE_NAME, COLUMN_NAME, IS_NULLABLE, COLUMN_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE = 'decimal'"
        )
        wanted = dict.fromkeys(SIZES, SIZE_DIGITS)
        wanted |= {"volume": VOLUME_DIGITS, "regular_volume": VOLUME_DIGITS, "value": VALUE_DIGITS}
        changes: dict[str, list[str]] = {}
        for table, name, nullable, now in rows:
            if table in _SIZED and name in wanted and now != f"decimal{wanted[name]}":
                null = "NULL" if nullable == "YES" else "NOT NULL"
                changes.setdefault(table, []).append(f"MODIFY {name} DECIMAL{wanted[name]} {null}")
        if TEMP in changes or HISTORY in changes:
            self._refuse_what_is_too_large(10**12)
        for table, modified in sorted(changes.items()):
            self._query(f"ALTER TABLE {table} {', '.join(modified)}")

    def _compress(self) -> None:
        """Give tables of ticks that were made without it the option, at once and without a copy: days are exchanged
        between them, so they must be alike."""
        for table in (TEMP, HISTORY, MOVING):
            options = self._query(
                "SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                " AND TABLE_NAME = %s",
                [table],
            )
            if "PAGE_COMPRESSED`=1" not in str(options):
                self._query(f"ALTER TABLE {table} {COMPRESSED}")

    def drop_tables(self) -> None:
        for table in (TEMP, MOVING, HISTORY, MINUTES, *NAMES):
            self._query(f"DROP TABLE IF EXISTS {table}")
            partitions.forget(self._place(table))

    def blame(self, error: BaseException) -> Blame:
        if isinstance(error, InterfaceError):
            return Blame.TRANSIENT
        number = _number(error)
        if number in _TRANSIENT:
            return Blame.TRANSIENT
        return Blame.INFRASTRUCTURE if number in _INFRASTRUCTURE else Blame.UNKNOWN

    def remedy(self, error: BaseException) -> str:
        return _REMEDIES.get(_number(error) or 0, REMEDY)

    def flags(self) -> list[Flag]:
        names = (
            "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "sync_binlog", "local_infile",
            "innodb_strict_mode", "max_allowed_packet", "sql_mode", "time_zone", "tx_isolation", "read_only",
        )  # fmt: skip
        session = {"sql_mode", "time_zone", "tx_isolation", "innodb_strict_mode"}
        places = ", ".join(f"@@{'session' if name in session else 'global'}.{name}" for name in names)
        found = {name: str(value) for name, value in zip(names, self._query(f"SELECT {places}")[0], strict=True)}
        on = {name: value.upper() in ("1", "ON", "TRUE") for name, value in found.items()}

        def flag(name: str, wanted: str, is_right: bool, remedy: str, *, is_vital: bool = True) -> Flag:
            return Flag(
                name=name, value=found[name], wanted=wanted, is_right=is_right, remedy=remedy, is_vital=is_vital
            )

        ours, theirs = "take it out of DATABASE_URL: Naru sets it itself", "and in docker/mariadb/naru.cnf's place"
        return [
            flag(
                "innodb_flush_log_at_trx_commit", "1", found["innodb_flush_log_at_trx_commit"] == "1",
                f"SET GLOBAL innodb_flush_log_at_trx_commit=1, {theirs}: a commit must survive a power cut",
            ),
            flag(
                "innodb_doublewrite", "ON", found["innodb_doublewrite"].upper() not in ("0", "OFF"),
                "innodb_doublewrite=ON in the server's configuration: a page torn by a power cut must be mendable",
            ),
            flag(
                "sync_binlog", "1 where log_bin is on", not on["log_bin"] or found["sync_binlog"] == "1",
                f"SET GLOBAL sync_binlog=1, {theirs}: with the binary log on, a commit is only as durable as it",
            ),
            flag(
                "sql_mode", "strict",
                any(mode in found["sql_mode"] for mode in ("STRICT_ALL_TABLES", "STRICT_TRANS_TABLES")), ours,
            ),
            flag("time_zone", "+00:00", found["time_zone"] in ("+00:00", "UTC"), ours),
            flag("tx_isolation", "READ-COMMITTED", found["tx_isolation"] == "READ-COMMITTED", ours),
            flag(
                "local_infile", "ON", on["local_infile"],
                f"SET GLOBAL local_infile=ON, {theirs}: without it no batch can be stored, and all wait",
                is_vital=False,
            ),
            flag(
                "read_only", "OFF", found["read_only"].upper() in ("0", "OFF"),
                "SET GLOBAL read_only=OFF, or point DATABASE_URL at the writer", is_vital=False,
            ),
            flag(
                "innodb_strict_mode", "ON", on["innodb_strict_mode"], f"SET GLOBAL innodb_strict_mode=ON, {theirs}",
                is_vital=False,
            ),
            flag(
                "max_allowed_packet", "16777216 or more", int(found["max_allowed_packet"]) >= 16 << 20,
                f"SET GLOBAL max_allowed_packet=67108864, {theirs}", is_vital=False,
            ),
        ]  # fmt: skip

    def load(self, table: str, ticks: Ticks) -> int:
        with contextlib.closing(LoadFile(ticks)) as file:
            stored = file.load(self.connection, table)
            # LOCAL also clips what does not fit, and says so in a warning only; the count came with the answer.
            if stored < len(ticks) or self.connection.connection.warning_count():
                self._explain_warnings()
            return stored

    def merge_minutes(self, bars: Bars) -> Bars:
        if not len(bars):
            return bars
        merged = self._query(f"INSERT{minute_rows(bars)}{_MERGE} RETURNING {SELECT_BAR}")
        return minute_bars.believable(minute_bars.from_rows(bars.feed, merged))

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
    ) -> Ticks:
        where = ["symbol = %s", "feed = %s", "event_time >= %s", "event_time < %s"]
        params: list[object] = [symbol, feed, moment(start_us), moment(end_us)]
        if kind is not None:
            where.append("kind = %s")
            params.append(int(kind))  # an enumeration would be quoted as text
        way, sign = ("ASC", ">") if ascending else ("DESC", "<")
        if after is not None:
            where.append(f"event_time {sign}= %s AND (event_time {sign} %s OR tick_id {sign} %s)")
            params += [moment(after.time_us), moment(after.time_us), after.tick_id]
        # The trading date is the event's own within a week (ingest.validation); it is what partitions are chosen by.
        where += ["trade_date >= %s", "trade_date <= %s"]
        params += [nearby(start_us, -8), nearby(end_us, 8)]
        order = f"ORDER BY event_time {way}, tick_id {way}" + ("" if limit is None else f" LIMIT {limit:d}")
        places = (TEMP, MOVING, HISTORY) if table is None else (table,)
        parts = [
            f"(SELECT {SELECT_TICK}, event_time FROM {self.connection.ops.quote_name(place)}"
            f" WHERE {' AND '.join(where)} {order})"
            for place in places
        ]
        rows = self._steady(f"{' UNION ALL '.join(parts)} {order}", params * len(places))
        return ticks_from_rows(feed, symbol, [row[:-1] for row in rows])

    def read_spans(self, feed: str, spans: Iterable[Span]) -> list[Ticks]:
        return spans_module.read_ticks(self._steady, _DIALECT, feed, spans)

    def read_minute_spans(self, feed: str, spans: Iterable[Span]) -> Bars:
        return spans_module.read_minutes(self._steady, _DIALECT, feed, spans)

    def newest_trades(self, symbols: Sequence[str]) -> list[Latest]:
        return spans_module.newest_trades(self._steady, _DIALECT, symbols)

    def read_day_ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        parts = [
            f"(SELECT {SELECT_TICK}, event_time FROM {place} WHERE symbol = %s AND feed = %s AND trade_date = %s)"
            for place in (TEMP, MOVING, HISTORY)
        ]
        rows = self._steady(f"{' UNION ALL '.join(parts)} ORDER BY event_time, tick_id", [symbol, feed, date] * 3)
        return ticks_from_rows(feed, symbol, [row[:-1] for row in rows])

    def series(self) -> list[tuple[str, str]]:
        return [
            (row[0], row[1])
            for row in self._query("SELECT DISTINCT symbol, feed FROM market_data_minute ORDER BY 1, 2")
        ]

    def count(self, table: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {self.connection.ops.quote_name(table)}")[0][0])


def _number(error: BaseException) -> int | None:
    """The number MariaDB or its client gives an error."""
    number = error.args[0] if isinstance(error, DatabaseError) and error.args else None
    return number if isinstance(number, int) else None
