"""MariaDB, the main database: LOAD DATA LOCAL from memory, exact decimals, tables partitioned by trading date. Today's
ticks and minute candles; `days` has the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import MySQLdb
from django.db import DatabaseError, InterfaceError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketdata.storage.base import HISTORY, MINUTES, PRICES, REMEDY, TEMP, Blame, Flag, OtherNode, ServerState
from marketdata.storage.mariadb import cluster, flags, partitions, tables
from marketdata.storage.mariadb.columns import SELECT_BAR, minute_rows
from marketdata.storage.mariadb.days import MariaDBHistory
from marketdata.storage.mariadb.load_data import LoadFile, PriceFile, load_lines
from marketdata.storage.server_sql import REFINED
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks

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
        _("SET GLOBAL local_infile=ON, and local_infile=ON in the server's configuration (docker/mariadb/naru.cnf)"),
    ),
    **dict.fromkeys(
        (1290, 1836, 1792),
        _("the server is read-only: SET GLOBAL read_only=OFF, or point DATABASE_URL at the writer"),
    ),
    **dict.fromkeys(
        (1044, 1045, 1142, 1143, 1227, 1370, 1410, 1698), _("GRANT the user of DATABASE_URL what is named")
    ),
    **dict.fromkeys((1046, 1049, 1051, 1054, 1136, 1146, 1364), _("run `manage.py migrate`, or restore what is named")),
    **dict.fromkeys((1021, 1114, 1030), _("make room on the database's disk")),
    **dict.fromkeys((1040, 1203, 1226), _("raise max_connections, or end connections that nobody needs")),
    **dict.fromkeys((1153, 2020), _("set max_allowed_packet to 64M or more")),
    **dict.fromkeys((2002, 2003, 2006, 2013), _("start the database, or see whether it can be reached")),
    **dict.fromkeys(
        (1205, 1969, 1317), _("end the statement that holds the tables (SHOW PROCESSLIST), or wait for it")
    ),
}

_UNREADY = 1047  # "WSREP has not yet prepared node for application use"
NODE_ANSWER_S = 3
"""For an answer of another node; each is asked a few values, not its tables."""


class MariaDB(MariaDBHistory):
    """Ticks and candles in MariaDB >= 10.6."""

    vendor: ClassVar[str] = "mysql"
    SIZED: ClassVar[tuple[str, ...]] = (*MariaDBHistory.SIZED, tables.MOVING)
    REVISE: ClassVar[str] = (
        "INSERT INTO candle_revision (place, revision) VALUES (%s, %s)"
        " ON DUPLICATE KEY UPDATE revision = VALUES(revision)"
    )

    def create_tables(self) -> None:
        for table in (TEMP, HISTORY):
            self._query(tables.TICKS.format(table=table, parted=tables.PARTED))
        self._query(tables.TICKS.format(table=tables.MOVING, parted=""))
        self._compress()
        for statement in (tables.MINUTE_CANDLES, *tables.PRICE_ROWS, *tables.others(), tables.WIDEN_BOOKS):
            self._query(statement)

    def _coarse_columns(self) -> list[tuple[str, str]]:
        rows = self._query(
            "SELECT TABLE_NAME, COLUMN_NAME, IS_NULLABLE, COLUMN_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE = 'decimal'"
        )
        return [
            (table, f"MODIFY {name} DECIMAL{REFINED[name]} {'NULL' if nullable == 'YES' else 'NOT NULL'}")
            for table, name, nullable, now in rows
            if name in REFINED and now != f"decimal{REFINED[name]}"
        ]

    def _compress(self) -> None:
        """Give tables of ticks that were made without it the option, at once and without a copy: days are exchanged
        between them, so they must be alike."""
        for table in (TEMP, HISTORY, tables.MOVING):
            options = self._query(
                "SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                " AND TABLE_NAME = %s",
                [table],
            )
            if "PAGE_COMPRESSED`=1" not in str(options):
                self._query(f"ALTER TABLE {table} {tables.COMPRESSED}")

    def drop_tables(self) -> None:
        for table in (TEMP, tables.MOVING, HISTORY, MINUTES, *tables.NAMES):
            self._query(f"DROP TABLE IF EXISTS {table}")
            partitions.forget(self._place(table))

    def blame(self, error: BaseException) -> Blame:
        if isinstance(error, InterfaceError):
            return Blame.TRANSIENT
        number = _number(error)
        if number in _TRANSIENT:
            return Blame.TRANSIENT
        return Blame.INFRASTRUCTURE if number in _INFRASTRUCTURE else Blame.UNKNOWN

    def remedy(self, error: BaseException) -> str | Promise:
        return _REMEDIES.get(_number(error) or 0, REMEDY)

    def state_though_refused(self, error: BaseException) -> ServerState:
        try:  # SHOW is answered; only a session that there is can ask
            told = self._status("wsrep_ready", "wsrep_cluster_status")
            member = cluster.is_member(self._query)
        except DatabaseError:
            return ServerState(galera_ready=False if _number(error) == _UNREADY else None)
        return ServerState(
            galera_ready=told["wsrep_ready"] == "ON" if member else None,
            galera_primary=told["wsrep_cluster_status"] == "Primary" if member else None,
        )

    def _status(self, *names: str) -> dict[str, str]:
        asked = ", ".join(f"'{name}'" for name in names)
        rows = self._query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({asked})")
        return {str(name).lower(): str(value) for name, value in rows}

    def server_state(self) -> ServerState:
        told = self._status(
            "Threads_connected", "Slaves_connected", "wsrep_ready", "wsrep_cluster_status", "wsrep_cluster_size",
            "wsrep_local_recv_queue", "wsrep_flow_control_paused_ns",
        )  # fmt: skip
        member = cluster.is_member(self._query)
        return ServerState(
            connections=int(told["threads_connected"]),
            connection_limit=int(self._query("SELECT @@max_connections")[0][0]),
            replicas=int(told.get("slaves_connected", "0")),
            galera_ready=told["wsrep_ready"] == "ON" if member else None,
            galera_primary=told["wsrep_cluster_status"] == "Primary" if member else None,
            galera_nodes=int(told["wsrep_cluster_size"]) if member else None,
            galera_queue=int(told["wsrep_local_recv_queue"]) if member else None,
            galera_paused_s=int(told["wsrep_flow_control_paused_ns"]) / 1e9 if member else None,
        )

    def flags(self) -> list[Flag]:
        return [*flags.of_server(self._query), *flags.of_session(self._query)]

    def other_nodes(self) -> list[OtherNode]:
        with cluster.reached(self.connection, self._query, answer_s=NODE_ANSWER_S) as seen:
            told = [_of_node(node) for node in seen.nodes]
            silent = [OtherNode(address=address, trouble=trouble) for address, trouble in seen.silent]
            unnamed = [
                OtherNode(address=_("not named by DATABASE_NODES"), trouble=_("nobody asks it"))
                for _place in range(len(seen.members) - 1 - len(told) - len(silent))
            ]
        return [*told, *silent, *unnamed]

    def cipher(self) -> str:
        return str(self._query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])

    def execute_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        connection: Any = self.connection  # of ours, as the settings have it
        begin = [("BEGIN", ())] if statements and connection.take_begin() else []
        super().execute_together([*begin, *statements])

    def load(self, table: str, ticks: Ticks) -> int:
        return self._load(table, LoadFile(ticks), len(ticks))

    def load_prices(self, ticks: Ticks, categories: Mapping[str, str]) -> int:
        return self._load(PRICES, PriceFile(ticks, categories), len(ticks))

    def _load(self, table: str, file: LoadFile, rows: int) -> int:
        with contextlib.closing(file):
            return self._explained(file.load(self.connection, table), rows)

    def _load_lines(self, table: str, columns: Sequence[str], text: bytes, rows: Sequence[Sequence[Any]]) -> int:
        return self._explained(load_lines(self.connection, table, columns, text), len(rows))

    def _explained(self, stored: int, rows: int) -> int:
        """How many of the rows that were just loaded are new. LOCAL also clips what does not fit, and says so in a
        warning only; their number came with the answer."""
        if stored < rows or self.connection.connection.warning_count():
            self._explain_warnings()
        return stored

    def merge_minutes(self, bars: Bars) -> Bars:
        if not len(bars):
            return bars
        merged = self._query(f"INSERT{minute_rows(bars)}{_MERGE} RETURNING {SELECT_BAR}")
        self.note_finished(bars.feed, int(bars.time_us.min()))
        return minute_bars.believable(minute_bars.from_rows(bars.feed, merged))


def _of_node(node: cluster.Node) -> OtherNode:
    try:
        return OtherNode(address=node.address, flags=tuple(flags.of_server(node.query)))
    except MySQLdb.Error as error:
        return OtherNode(address=node.address, trouble=str(error))


def _number(error: BaseException) -> int | None:
    """The number MariaDB or its client gives an error."""
    number = error.args[0] if isinstance(error, DatabaseError) and error.args else None
    return number if isinstance(number, int) else None
