"""MariaDB as one node of a Galera cluster: how tables are changed there, and whether the other nodes hold the same.

Each node serves its own copy. Rows are certified, so nodes agree on them; a change of a table is only replayed as the
text that it was, and a node on which it fails goes on without it (docs/adr/0028).
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import MySQLdb
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage.promises.database import StorageError

Query = Callable[..., list[tuple[Any, ...]]]
Contents = dict[str, Any]
"""What a node holds, by what it is called in a message."""

SHOWN = 3  # differences that a message names of each node
TRIES, PAUSE_S = 8, 0.5
_ANSWER_S = 300  # a question that reads a whole day takes some 20 s; a node that fell silent meanwhile is no answer


@dataclass(frozen=True, slots=True)
class Node:
    """Another node of the cluster, connected."""

    address: str
    query: Query


def is_member(query: Query) -> bool:
    """Whether this server is a node of a cluster."""
    return any(value == "ON" for _, value in query("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'"))


def alter(query: Query, statement: str, limits: str) -> None:
    """Change a table within these limits (as SET STATEMENT has them); on a node of a cluster without any.

    A statement's limits are replayed with it, and each node measures its own time: one that is slow, or where somebody
    holds the table, ends the change that the others have made. A limit of the session does not count there
    (lock_wait_timeout; MariaDB 10.11.19): the change ends the transactions in its way with error 1213 at once.
    """
    query(statement if is_member(query) else f"SET STATEMENT {limits} FOR {statement}")


@dataclass(frozen=True, slots=True)
class Reached:
    """What could be reached of a cluster: who are its members, by the addresses that they tell; the others that are
    connected; which addresses do not answer, each with the reason. All empty where this server is no member."""

    members: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()


@contextmanager
def others(connection: BaseDatabaseWrapper, query: Query) -> Iterator[list[Node]]:
    """Inside, connected to all other nodes of the cluster; none where this server is none. StorageError, which names
    it, when one cannot be asked."""
    with reached(connection, query, answer_s=_ANSWER_S, is_abreast=True) as seen:
        known = 1 + len(seen.nodes)
        if known < len(seen.members):  # one that is away is no member, and comes back with all that it missed
            silent = ", ".join(f"{address} ({trouble})" for address, trouble in seen.silent)
            raise StorageError(
                f"the cluster has {len(seen.members)} nodes ({', '.join(seen.members)}), and only {known} could be"
                f" asked; no answer of: {silent or 'nobody else known'}. DATABASE_NODES may name where each is reached."
            )
        yield list(seen.nodes)


@contextmanager
def reached(
    connection: BaseDatabaseWrapper, query: Query, *, answer_s: int, is_abreast: bool = False
) -> Iterator[Reached]:
    """Inside, connected to those of the other nodes that answer, each within so many seconds. With `is_abreast` each
    question to them waits for what was committed before, and so for a node that stands still; that is for rows."""
    with ExitStack() as stack:
        yield _connected(connection, query, stack, answer_s, is_abreast) if is_member(query) else Reached()


def _connected(
    connection: BaseDatabaseWrapper, query: Query, stack: ExitStack, answer_s: int, is_abreast: bool
) -> Reached:
    told = _status(query, "wsrep_incoming_addresses").split(",")
    members = [address.strip() for address in told if address.strip()]  # an arbitrator has none
    seen = {_status(query, "wsrep_gcomm_uuid")}
    found, silent = [], []
    for address in settings.DATABASE_NODES or members:
        host, _, port = address.rpartition(":")
        place = {"host": host.strip("[]"), "port": int(port or "0"), "read_timeout": answer_s}
        try:
            client = stack.enter_context(closing(MySQLdb.connect(**_parameters(connection) | place)))
            asked = _questions(client)
            # Nobody reads before what he could have seen on the node that is written to; galera.cnf has it so, too.
            asked(f"SET SESSION wsrep_sync_wait = {int(is_abreast)}")
            name = _status(asked, "wsrep_gcomm_uuid")
        except (MySQLdb.Error, ValueError) as error:
            silent.append((address, str(error)))
            continue
        if name not in seen:
            seen.add(name)
            found.append(Node(address, asked))
    return Reached(tuple(members), tuple(found), tuple(silent))


def _parameters(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    own: dict[str, Any] = connection.get_connection_params()
    own.pop("unix_socket", None)
    return own | {"autocommit": True}


def _questions(client: Any) -> Query:
    def query(sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        with closing(client.cursor()) as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())

    return query


def _status(query: Query, name: str) -> str:
    rows = query(f"SHOW GLOBAL STATUS LIKE '{name}'")
    return str(rows[0][1]) if rows else ""


def differences(connection: BaseDatabaseWrapper, query: Query, contents: Callable[[Query], Contents]) -> list[str]:
    """What other nodes hold otherwise than this one, in words; `contents` asks one of them. Rows may come meanwhile:
    a difference is one if neither side changed while it was asked for twice.

    StorageError when a node cannot be asked.
    """
    with others(connection, query) as nodes:
        if not nodes:
            return []
        before: dict[str, tuple[Contents, Contents]] = {}
        with ThreadPoolExecutor(len(nodes), thread_name_prefix="nodes") as pool:
            for _ in range(TRIES):
                answers = [(node.address, pool.submit(_asked, node, contents)) for node in nodes]
                own = contents(query)
                now = {address: (own, answer.result()) for address, answer in answers}
                unequal = {address: pair for address, pair in now.items() if pair[0] != pair[1]}
                standing = {address: pair for address, pair in unequal.items() if before.get(address) == pair}
                if not unequal or standing:
                    return [words for address, pair in standing.items() for words in _words(address, *pair)]
                before = unequal
                time.sleep(PAUSE_S)
    raise StorageError(f"the nodes could not be compared: rows came all the time ({TRIES} tries)")


def _asked(node: Node, contents: Callable[[Query], Contents]) -> Contents:
    try:
        return contents(node.query)
    except MySQLdb.ProgrammingError as error:  # a table that is not there
        return {"tables": str(error)}
    except MySQLdb.Error as error:
        raise StorageError(f"node {node.address} could not be asked: {error}") from error


def _words(address: str, own: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    unequal = sorted(name for name in {*own, *theirs} if own.get(name) != theirs.get(name))
    shown = [
        f"{address}: {name} is {theirs.get(name, 'missing')}, here {own.get(name, 'missing')}"
        for name in unequal[:SHOWN]
    ]
    return [*shown, f"{address}: {len(unequal) - SHOWN} more"] if len(unequal) > SHOWN else shown


def partitions_of(query: Query, table: str) -> Contents:
    """The partitions of a table with their bounds."""
    rows = query(
        "SELECT PARTITION_NAME, PARTITION_DESCRIPTION FROM information_schema.PARTITIONS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND PARTITION_NAME IS NOT NULL",
        [table],
    )
    return {f"{table} partition {name}": str(bound) for name, bound in rows}


def rows_of(query: Query, table: str, row: str, start: datetime.date, end: datetime.date) -> Contents:
    """Number and checksum of a table's rows of start <= date < end, by trading date; `row` is a row as text."""
    found = query(
        f"SELECT trade_date, COUNT(*), SUM(CRC32({row})) FROM {table} WHERE trade_date >= %s AND trade_date < %s"
        " GROUP BY trade_date",
        [start, end],
    )
    return {f"{table} {date}": f"{count} rows (checksum {int(total or 0)})" for date, count, total in found}
