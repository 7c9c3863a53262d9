"""Whether two sides of a cluster took writes at the same time: somebody writes to every server all the while, over its
own socket, where no cut cable is in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import MySQLdb
import psycopg

from tests.drill.recorded_state import Away
from tests.servers import MariaDB, PostgreSQL
from tests.servers.postgresql import DATABASE

EVERY_S = 0.2
LOOK_S = 0.05
ANSWER_S = 4
SHIFT = 40
TABLE = "drill.written"
MAKE = f"CREATE SCHEMA drill; CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY);"


class Write(NamedTuple):
    """One that was acknowledged. Times of the machine's monotonic clock in seconds: asked, and answered."""

    host: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Parting:
    """From `began` to `ended` these hosts heard none of the others."""

    began: float
    ended: float
    hosts: frozenset[str]


class Holding(NamedTuple):
    """From `began` to `ended` these hosts had the virtual address at once."""

    began: float
    ended: float
    hosts: frozenset[str]


def both_wrote(
    writes: Iterable[Write], began: float, ended: float, one: Collection[str], other: Collection[str]
) -> bool:
    """Whether one side and the other each had a write acknowledged that was asked for and answered within."""
    within = {write.host for write in writes if began <= write.began and write.ended <= ended}
    return bool(within & set(one)) and bool(within & set(other))


def split(
    writes: Sequence[Write], partings: Iterable[Parting], holdings: Iterable[Holding], hosts: Collection[str]
) -> list[str]:
    """Each time that there were two clusters, or two writers, in words: two parted sides that both took writes, two
    holders of the address whose nodes both did."""
    found = [
        f"{sorted(one.hosts)} and the others were parted for {one.ended - one.began:.1f} s, and both took writes"
        for one in partings
        if both_wrote(writes, one.began, one.ended, one.hosts, set(hosts) - one.hosts)
    ]
    for holding in holdings:
        within = {w.host for w in writes if holding.began <= w.began and w.ended <= holding.ended} & holding.hosts
        if len(within) > 1:
            found.append(
                f"{sorted(within)} had the address for {holding.ended - holding.began:.2f} s, and both took writes"
            )
    return found


class Holders:
    """Turns what is seen of the address, moment by moment, into `Holding`s of more than one."""

    def __init__(self) -> None:
        self.found: list[Holding] = []
        self._since: tuple[float, frozenset[str]] | None = None

    def saw(self, at: float, hosts: Collection[str]) -> None:
        """At this moment these had it."""
        now = frozenset(hosts)
        if self._since is not None and self._since[1] != now:
            self.found.append(Holding(self._since[0], at, self._since[1]))
            self._since = None
        if self._since is None and len(now) > 1:
            self._since = (at, now)

    def end(self, at: float) -> None:
        """Nobody looks any more."""
        self.saw(at, ())


class Writers:
    """Writes to every node, and looks who has the address, until `stop`."""

    def __init__(self, nodes: Mapping[str, MariaDB | PostgreSQL], holders: Callable[[], Collection[str]]) -> None:
        self._nodes, self._holders = nodes, holders
        self.holders = Holders()
        self._made: dict[str, list[tuple[int, Write]]] = {name: [] for name in nodes}
        self._ended = threading.Event()
        places = enumerate(nodes.items(), start=1)
        self._threads = [
            threading.Thread(target=self._write, args=(place, name, node), name=f"writer-{name}", daemon=True)
            for place, (name, node) in places
        ]
        self._threads.append(threading.Thread(target=self._look, name="holders", daemon=True))

    def start(self) -> None:
        """Make the table, on the first node, and begin."""
        next(iter(self._nodes.values())).sql(MAKE)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=2 * ANSWER_S + 2)
        self.holders.end(time.monotonic())

    @property
    def writes(self) -> list[Write]:
        """All that were acknowledged."""
        return [write for made in self._made.values() for _, write in list(made)]

    def missing(self) -> dict[str, int]:
        """How many acknowledged writes each node lacks."""
        wanted = {number for made in self._made.values() for number, _ in made}
        lacks = {}
        for name, node in self._nodes.items():
            wait = "SET wsrep_sync_wait = 1; " if isinstance(node, MariaDB) else ""  # PostgreSQL: after `Site.settle`
            held = {int(word) for word in node.sql(f"{wait}SELECT id FROM {TABLE};").split()}
            lacks[name] = len(wanted - held)
        return lacks

    def _write(self, place: int, name: str, node: MariaDB | PostgreSQL) -> None:
        number = place << SHIFT
        while not self._ended.is_set():
            try:
                with closing(_connect(node)) as connection:
                    while not self._ended.wait(EVERY_S):
                        number += 1
                        began = time.monotonic()
                        with closing(connection.cursor()) as cursor:
                            cursor.execute(f"INSERT INTO {TABLE} VALUES ({number})")
                        self._made[name].append((number, Write(name, began, time.monotonic())))
            except Away:  # down, without a quorum, a standby, or silent: that is what is looked at
                self._ended.wait(EVERY_S)

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.holders.saw(time.monotonic(), self._holders())


def _connect(node: MariaDB | PostgreSQL) -> Any:
    """As its superuser. PostgreSQL keeps us while it does not confirm: a late answer is one all the same."""
    if isinstance(node, PostgreSQL):
        return psycopg.connect(
            host=str(node.sockets), port=node.port, user="postgres", dbname=DATABASE, autocommit=True, connect_timeout=2
        )
    return MySQLdb.connect(
        unix_socket=str(node.socket), user="root", autocommit=True, connect_timeout=1, read_timeout=ANSWER_S,
        write_timeout=ANSWER_S,
    )  # fmt: skip
