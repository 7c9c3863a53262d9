"""A pair of PostgreSQL behind the moving address, and what fails over there. Who is promoted, and when, a person
decides: that is the drill. That nobody else takes writes, and how an old primary comes back, is docker/postgresql's."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.drill.failovers import AWAY_S, Failovers, one_of
from tests.drill.site import ADDRESS, APPS, DESKS, STORES, Site
from tests.frozen import frozen
from tests.servers.network import Network
from tests.servers.pair import GUARD, REJOIN, Pair
from tests.servers.postgresql import DATABASE, PASSWORD, PORT, USER, PostgreSQL
from tests.waiting import until

HOSTS = ("db1", "db2")
DECIDES_S = 3.0
"""How long the person, or what the house has for it, takes to decide that the primary is gone."""
ENDS_S, WORKS_S = 120.0, 400.0
ALONE = re.compile(r"(\d+) transactions were committed here alone")


class PairSite(Site):
    """A primary and its standby, without which it confirms nothing. `careless`: it waits for nobody."""

    schema = "public"

    def __init__(self, folder: Path, network: Network, *, careless: bool = False) -> None:
        self.members = {
            name: PostgreSQL(folder / f"postgresql-{name}", shared_buffers_mib=128, on=network.hosts[name])
            for name in HOSTS
        }
        settings = {"DATABASE_URL": f"postgres://{USER}:{PASSWORD}@{ADDRESS}:{PORT}/{DATABASE}"}
        checks = [Pair.check(member) for member in self.members.values()]
        super().__init__(folder, network, data=self.members, checks=checks, settings=settings)
        # As Debian's unit: what ended is started again by a person, or when its host boots.
        self.held.update(f"postgresql-{name}" for name in HOSTS)
        self.primary, self.standby = HOSTS
        self.confirmed = "async" if careless else "sync"
        self.promotions = self.copied = self.alone = 0

    def _start_database(self) -> None:
        first, second = self.members.values()
        first.start()
        self.pair = Pair(first, second)
        if (told := self.pair.run(second, REJOIN, "--copy")).returncode:
            raise RuntimeError(told.stderr)
        self.pair.start(second)
        self._confirm()
        for name, member in self.members.items():
            self.at[f"guard-{name}"] = name
            self.add(f"guard-{name}", Pair.command(member, GUARD, "watch"), Pair.environment(member))

    def _state(self) -> str:
        """What the standby is to the primary: sync, async, or "" while it does not follow."""
        primary, follows = self.members[self.primary], "application_name = 'standby' AND state = 'streaming'"
        try:
            return primary.sql(f"SELECT sync_state FROM pg_stat_replication WHERE {follows};").strip()
        except (RuntimeError, subprocess.TimeoutExpired):
            return ""

    def _confirm(self) -> None:
        """Once the standby follows, commits wait for it."""
        primary = self.members[self.primary]
        if not self.until(lambda: self._state() != "", seconds=ENDS_S):
            raise TimeoutError(f"{self.standby} does not follow {self.primary}")
        if self.confirmed == "sync":
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby';")
            primary.sql("SELECT pg_reload_conf();")

    def _database_ails(self) -> list[str]:
        wrong = []
        if (state := self._state()) != self.confirmed:
            wrong.append(f"{self.standby} is {state or 'no replica'} of {self.primary}")
        if self.primary not in self.holders():
            wrong.append(f"{self.primary} takes writes and has not the address")
        return wrong

    def settle(self) -> None:
        primary, standby = self.members[self.primary], self.members[self.standby]
        place = primary.sql("SELECT pg_current_wal_flush_lsn();").strip()
        until(
            lambda: standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{place}';").strip() == "t",
            seconds=ENDS_S,
            what="the standby has replayed what the primary wrote",
        )

    def figures(self) -> dict[str, int]:
        return {"promotions": self.promotions, "copied_anew": self.copied, "committed_alone": self.alone}

    # --- what the person does --------------------------------------------------------------------------------

    def take_over(self) -> None:
        """The standby is promoted, and all go on there."""
        self.wait(DECIDES_S)
        self.aside(self.members[self.standby].promote, seconds=WORKS_S)
        self.primary, self.standby = self.standby, self.primary
        self.promotions += 1

    def go_alone(self) -> None:
        """The standby is gone: commits wait for it no more."""
        self.wait(DECIDES_S)
        self.members[self.primary].sql("ALTER SYSTEM RESET synchronous_standby_names;")
        self.members[self.primary].sql("SELECT pg_reload_conf();")

    def start_standby(self) -> None:
        """It ended, and follows again."""
        self.aside(partial(self.pair.start, self.members[self.standby]), seconds=WORKS_S)
        self._confirm()

    def see_it_end(self) -> list[str]:
        """The old primary is to end by itself if it still runs; what there is to complain of."""
        old = self.members[self.standby]
        if self.until(lambda: not old.running, seconds=ENDS_S):
            return []
        old.kill()
        return [f"{self.standby} took writes {ENDS_S:g} s after another one was promoted"]

    def bring_back(self) -> list[str]:
        """The old primary, which is down, becomes a replica; what there is to complain of."""
        old = self.members[self.standby]
        trouble: list[str] = []
        if self._run(GUARD, "start").returncode == 0:
            trouble.append(f"{self.standby} would have started as a second primary")
        told = self._run(REJOIN)
        if told.returncode:
            self.copied += 1
            self.slow_returns.append(f"{self.standby} was copied anew: {told.stdout[-300:]}{told.stderr[-300:]}")
            again = self._run(REJOIN, "--copy")
            if again.returncode:
                raise RuntimeError(f"{self.standby} does not come back: {again.stdout}{again.stderr}")
        if found := ALONE.search(told.stdout):
            self.alone += int(found[1])
        self.aside(partial(self.pair.start, old), seconds=WORKS_S)
        self._confirm()
        return trouble

    def _run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.aside(partial(self.pair.run, self.members[self.standby], script, *arguments), seconds=WORKS_S)


class PairFailovers(Failovers):
    """As of nodes of Galera; each that takes the primary away ends with the two having changed places."""

    site: PairSite

    def _writer(self) -> str:
        return self.site.primary

    def _node(self, pick: float) -> str:
        """SIGKILL of the primary's server; one time in three of the standby's, without which nothing is confirmed."""
        site = self.site
        if pick < 2 / 3:
            return self._moved(f"SIGKILL of PostgreSQL on {site.primary}", site.node(site.primary).kill, None, "node")
        host = site.standby
        site.node(host).kill()
        site.go_alone()
        site.wait(AWAY_S["node"])
        site.start_standby()
        return f"SIGKILL of PostgreSQL on {host}, the standby; {site.primary} went on alone for {AWAY_S['node']:g} s"

    def _cable(self, pick: float) -> str:
        """The primary's host hears nobody and notices it; its server lives."""
        del pick
        host, network = self.site.primary, self.site.network
        return self._moved(f"the cable of {host} cut", partial(network.cut, host), partial(network.join, host), "cable")

    def _still(self, pick: float) -> str:
        """The primary's server does nothing, and its host goes on taking connections for it."""
        del pick
        host = self.site.primary
        with ExitStack() as stopped:
            pid = self.site.members[host].pid
            strike = partial(stopped.enter_context, frozen(pid))
            return self._moved(f"PostgreSQL on {host} stood still", strike, stopped.close, "still")

    def _minority(self, pick: float) -> str:
        """The primary with an ingest server, half of Redis and a desk, apart from all others; no cable says so."""
        network = self.site.network
        parted = [
            self.site.primary, one_of(APPS, pick), one_of(STORES, pick * 7 % 1), one_of(DESKS, pick * 3 % 1),
        ]  # fmt: skip
        told = f"{', '.join(parted)} parted from the others"
        return self._moved(told, partial(network.part, parted), partial(network.mend, parted), "minority")

    def _holder(self, pick: float) -> str:
        """Keepalived of the primary's host killed, where the address comes back to; or that host without power."""
        if pick < 0.5:
            return super()._holder(pick)
        host, site = self.site.primary, self.site
        told = f"{host}, which had the address, without power"
        return self._moved(told, partial(site.power_off, host), partial(site.power_on, host), "holder")

    def _moved(self, what: str, strike: Callable[[], object], mend: Callable[[], object] | None, kind: str) -> str:
        """Struck, taken over, mended, and the old primary follows. Until it has ended it must not confirm a write, for
        the other one does."""
        site, old = self.site, self.site.primary
        strike()
        began = time.monotonic()
        try:
            site.take_over()
            site.wait(AWAY_S[kind])
        finally:
            if mend is not None:
                mend()
        self.trouble += site.see_it_end()
        self._parting(began, {old})
        self.trouble += site.bring_back()
        return f"{what}; {site.primary} was promoted, and {old} follows it"
