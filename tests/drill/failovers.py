"""What fails over: a node killed, a cable cut, a node that stands still, a minority parted, the address taken from who
has it, Redis' master killed, an ingest host without power.

Each is struck, left so for a while, and mended; `tests.drill.site` starts again what ended by itself meanwhile.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.drill.site import APPS, DESKS, STORES, Site
from tests.drill.writers import Parting
from tests.frozen import frozen

KINDS = ("node", "cable", "still", "minority", "holder", "redis", "ingest")
AWAY_S = {"node": 8.0, "cable": 18.0, "still": 18.0, "minority": 20.0, "holder": 15.0, "redis": 20.0, "ingest": 15.0}
"""How long it stays so: longer than those who are left need to agree that it is gone."""


@dataclass(frozen=True, slots=True)
class Failover:
    """`pick` in [0, 1) says which one of a kind."""

    kind: str
    pick: float


def plan(count: int, *, seed: int, kinds: Sequence[str] = KINDS) -> Iterator[Failover]:
    """`count` of them, decided by the seed alone: each round has every kind once, in an order of its own."""
    chance = random.Random(seed)
    rounds = (chance.sample(kinds, len(kinds)) for _ in itertools.count())
    for kind in itertools.islice(itertools.chain.from_iterable(rounds), count):
        yield Failover(kind, chance.random())


@dataclass
class Failovers:
    """`cause` one and mend it; what was parted meanwhile is in `partings`, what did not go as promised in `trouble`."""

    site: Site
    partings: list[Parting] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def cause(self, one: Failover) -> str:
        """Strike, wait, mend; in words what it was."""
        return self._causes()[one.kind](one.pick)

    def _causes(self) -> dict[str, Callable[[float], str]]:
        return {
            "node": self._node, "cable": self._cable, "still": self._still, "minority": self._minority,
            "holder": self._holder, "redis": self._redis, "ingest": self._ingest,
        }  # fmt: skip

    def _node(self, pick: float) -> str:
        """SIGKILL of one node's server, that of the writer as often as not."""
        host = self._writer() if pick < 0.5 else one_of(self.site.nodes, 2 * pick - 1)
        self.site.node(host).kill()
        self.site.wait(AWAY_S["node"])
        return f"SIGKILL of mariadbd on {host}"

    def _cable(self, pick: float) -> str:
        """A node's host hears nobody and notices it."""
        host = self._writer() if pick < 0.5 else one_of(self.site.nodes, 2 * pick - 1)
        began = self._parted_by(lambda: self.site.network.cut(host))
        try:
            self.site.wait(AWAY_S["cable"])
        finally:
            self._parting(began, {host})
            self.site.network.join(host)
        return f"the cable of {host} cut for {AWAY_S['cable']:g} s"

    def _still(self, pick: float) -> str:
        """The writer's server does nothing, and its host goes on taking connections for it; three in four of the
        times, else another node's, which holds up every commit until the others let it go."""
        host = self._writer() if pick < 0.75 else one_of(self.site.nodes, 4 * pick - 3)
        with frozen(self.site.node(host).pid):
            self.site.wait(AWAY_S["still"])
        return f"mariadbd on {host} stood still for {AWAY_S['still']:g} s"

    def _minority(self, pick: float) -> str:
        """The writer with an ingest server, half of Redis and a desk, apart from all others; no cable says so."""
        writer = self._writer()
        parted = [writer, one_of(APPS, pick), one_of(STORES, pick * 7 % 1), one_of(DESKS, pick * 3 % 1)]
        began = self._parted_by(lambda: self.site.network.part(parted))
        try:
            self.site.wait(AWAY_S["minority"])
        finally:
            self._parting(began, {writer})
            self.site.network.mend(parted)
        return f"{', '.join(parted)} parted from the others for {AWAY_S['minority']:g} s"

    def _holder(self, pick: float) -> str:
        """Who has the address: its host without power, or Keepalived killed, which leaves the address where it is."""
        host = self._writer()
        if pick < 0.5:
            keeper = self.site.servers[f"keepalived-{host}"]
            keeper.kill()
            self.site.wait(AWAY_S["holder"])
            return f"SIGKILL of keepalived on {host}, which had the address"
        killed = self.site.power_off(host)
        try:
            self.site.wait(AWAY_S["holder"])
        finally:
            self.site.power_on(host)
        return f"{host}, which had the address, without power ({killed} processes) for {AWAY_S['holder']:g} s"

    def _redis(self, pick: float) -> str:
        """Redis' master killed, or its host without power; away until the Sentinels have another one."""
        host = next(name for name in STORES if self.site.store(name).ask("role") == "master")
        name = f"redis-{host}"
        if pick < 0.5:
            self.site.power_off(host)
            try:
                self.site.wait(AWAY_S["redis"])
            finally:
                self.site.power_on(host)
            return f"{host}, which had Redis' master, without power for {AWAY_S['redis']:g} s"
        self.site.held.add(name)
        try:
            self.site.store(host).kill()
            self.site.wait(AWAY_S["redis"])
        finally:
            self.site.held.discard(name)
        return f"SIGKILL of Redis' master on {host}, away for {AWAY_S['redis']:g} s"

    def _ingest(self, pick: float) -> str:
        """An ingest server's host without power, with its workers and its beat."""
        host = one_of(APPS, pick)
        killed = self.site.power_off(host)
        try:
            self.site.wait(AWAY_S["ingest"])
        finally:
            self.site.power_on(host)
        return f"{host} without power ({killed} processes) for {AWAY_S['ingest']:g} s"

    def _writer(self) -> str:
        holders = self.site.holders()
        return holders[0] if holders else self.site.nodes[0]

    @staticmethod
    def _parted_by(cut: Callable[[], None]) -> float:
        """When the cut was made: nobody heard the other side from then on."""
        cut()
        return time.monotonic()

    def _parting(self, began: float, hosts: set[str]) -> None:
        self.partings.append(Parting(began, time.monotonic(), frozenset(hosts)))


def one_of(names: tuple[str, ...], pick: float) -> str:
    return names[int(pick * len(names))]
