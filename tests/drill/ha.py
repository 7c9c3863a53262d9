"""Failovers of a whole site under load, then every row accounted for on every node and by every subscriber of the feed.
Root only: hosts are namespaces.

The last line is one JSON object; status 1 unless nothing is lost or doubled, no candle wrong, no two sides of the
cluster took writes, all nodes hold the same, and each subscriber was told each trade once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import redis

from marketdata.types.tick_arrays import TICK_BITS
from terminals import wire
from tests.drill import accounting, crew, failovers, node_contents, pair, recorded_state, subscribers, writers
from tests.drill.failovers import Failovers
from tests.drill.programs import ROOT
from tests.drill.recorded_state import Spools
from tests.drill.site import DESKS, NUMBERS, GaleraSite, Site
from tests.drill.stack import Terminal
from tests.servers import packages
from tests.servers.network import Network
from tests.servers.process import keep as keep_folder
from tests.servers.process import temporary_folder
from tests.servers.sentinel import PASSWORD

SIMULATORS = 7
SOCKETS = 2  # subscribers at each desk
START_S, HEAL_S, DELIVER_S, TELL_S = 180.0, 180.0, 1800.0, 180.0
CALM_S = 3.0
RAW_QUEUE = "raw_market_data"
JUDGED = (
    "lost", "duplicated", "candle_mismatches", "split_brain", "nodes_different", "writes_lost", "rejected", "gaps",
    "dead_letters", "unfinished", "subscriber_gaps", "subscriber_duplicates", "subscriber_unknown",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a drill; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.ha", description=__doc__)
    number = wire.options.between
    parser.add_argument("--failovers", type=number(1, 10_000), default=30, metavar="N", help="how many (30)")
    parser.add_argument("--seed", type=number(0, 2**31 - 1), help="the same seed, the same order")
    parser.add_argument(
        "--rate", type=number(10, 10**6), default=400, metavar="N", help="rows a second of all terminals (400)"
    )
    parser.add_argument(
        "--seconds",
        type=wire.options.decimal(0),
        default=3600.0,
        metavar="S",
        help="no more failovers after this long (3600)",
    )
    parser.add_argument(
        "--database", choices=("galera", "postgresql"), default="galera", help="three nodes (galera), or a pair"
    )
    parser.add_argument("--kinds", metavar="A,B", help=f"of these alone: {','.join(failovers.KINDS)}")
    parser.add_argument("--keep", action="store_true", help="keep the folder; a drill that fails keeps it anyway")
    parser.add_argument(
        "--careless",
        action="store_true",
        help="a cluster that ignores quorum, a primary that waits for no standby: the drill has to find two writers",
    )
    given = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("hosts are namespaces of the kernel, which only root may make")
    given.kinds = tuple(given.kinds.split(",")) if given.kinds else failovers.KINDS
    if not set(given.kinds) <= set(failovers.KINDS):
        parser.error(f"--kinds are some of {','.join(failovers.KINDS)}")
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    _fetch(given.database)
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, _interrupted)
    drill = Drill(temporary_folder("ha", in_memory=True), given, seed)
    try:
        result = drill.run()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        drill.end(keep=given.keep)
        return 130
    except BaseException:
        drill.end(keep=True)
        raise
    failed = any(result[name] for name in JUDGED) or result["failovers"] != given.failovers
    result["left_behind"] = drill.end(keep=failed or given.keep)
    print(json.dumps(result), flush=True)
    return int(failed or result["left_behind"] > 0)


def _fetch(database: str) -> None:
    """What the network of our own could not fetch any more."""
    if database == "galera":
        packages.need_galera()
    for program in packages.PROGRAMS:
        packages.need(program)
    packages.need("keepalived", packages.FAILOVER)


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class Drill:
    """One run: start, strike, deliver, account."""

    def __init__(self, folder: Path, given: argparse.Namespace, seed: int) -> None:
        self.folder, self.given, self.seed = folder, given, seed
        self.began = time.monotonic()
        self.network = Network(NUMBERS, folder)
        self.site: Site | None = None
        self.writers: writers.Writers | None = None
        self.crew: list[Terminal] = []
        self.groups: list[subscribers.Group] = []
        self.listening_us, self.pause_s = 0, 0.0
        self.listened: list[dict[str, Any]] = []
        self.trouble: list[str] = []
        self.done: Counter[str] = Counter()
        self.windows: list[tuple[str, int, int]] = []  # kind, struck, whole again (microseconds)
        self.healed_s: defaultdict[str, float] = defaultdict(float)

    def run(self) -> dict[str, Any]:
        """All of it; the result, its first keys in the order that is promised."""
        self._say(f"seed {self.seed}, {self.given.failovers} failovers, {self.given.rate} rows/s, below {self.folder}")
        self.network.start()
        kind = pair.PairSite if self.given.database == "postgresql" else GaleraSite
        self.site = site = kind(self.folder, self.network, careless=self.given.careless)
        site.start_servers()
        self._say(f"{len(site.nodes)} servers of the database, the address is on {site.holders()}")
        _migrate()
        self.crew = crew.enlist(
            self.folder, servers=[site.servers_of(0), site.servers_of(1)], rate=self.given.rate, seed=self.seed,
            simulators=SIMULATORS, options=["--plain"],
        )  # fmt: skip
        key = crew.enlist_reader()
        site.start_programs(self.crew)
        if not site.until(partial(self._all_flow, 0), seconds=START_S):
            print(site.tails(), flush=True)
            raise RuntimeError(f"only {self._flowing(0)} of {len(self.crew)} terminals had a batch committed")
        self._listen(site, key)
        self.writers = writers.Writers(site.data, site.holders)
        self.writers.start()
        begin_us = _now_us()
        self._say(f"all {len(self.crew)} terminals have rows committed, all subscribers listen; the failovers begin")
        partings = self._strike(site)
        end_us = _now_us()
        self.writers.stop()
        self.pause_s = max(float(one.ask("pause")) for one in self.groups)
        self._deliver(site)
        return self._account(site, partings, begin_us, end_us)

    def _listen(self, site: Site, key: tuple[str, str]) -> None:
        """Subscribers at each desk, which go to one web server and to the other one when it is gone."""
        for turn, desk in enumerate(DESKS):
            group = subscribers.Group(
                desk, self.folder, key, site.webs_of(turn), sockets=SOCKETS, within=site.host(desk).within
            )
            self.groups.append(group)
        site.aside(lambda: sum(one.listen() for one in self.groups), seconds=START_S)
        self.listening_us = _now_us()

    def _strike(self, site: Site) -> list[writers.Parting]:
        striking = pair.PairFailovers(site) if isinstance(site, pair.PairSite) else Failovers(site)
        limit = time.monotonic() + self.given.seconds
        for one in failovers.plan(self.given.failovers, seed=self.seed, kinds=self.given.kinds):
            if time.monotonic() > limit:
                self._say(f"--seconds {self.given.seconds:g} is over")
                break
            struck_us, struck = _now_us(), time.monotonic()
            told = striking.cause(one)
            mended_us = _now_us()
            self.done[one.kind] += 1
            began = time.monotonic()
            if not site.until(lambda: not site.ailing(), seconds=HEAL_S):
                self.trouble.append(f"after {told}: {'; '.join(site.ailing())} for {HEAL_S:g} s")
            if not site.until(partial(self._all_flow, mended_us), seconds=HEAL_S):
                self.trouble.append(f"after {told}: {len(self.crew) - self._flowing(mended_us)} terminals stand still")
            whole_s = time.monotonic() - began
            self.healed_s[one.kind] = max(self.healed_s[one.kind], whole_s)
            site.wait(CALM_S)
            self.windows.append((one.kind, struck_us, _now_us()))
            self._say(
                f"{sum(self.done.values()):>3}/{self.given.failovers} {told}; all well {whole_s:.1f} s after the"
                f" mending, {time.monotonic() - struck:.1f} s in all; {self._committed():,} rows committed;"
                f" the address is on {', '.join(site.holders()) or 'no host'}"
            )
        self.trouble += striking.trouble
        return striking.partings

    def _all_flow(self, since_us: int) -> bool:
        return self._flowing(since_us) == len(self.crew)

    def _flowing(self, since_us: int) -> int:
        """How many spools had something committed since."""
        return self._ask(
            "SELECT COUNT(DISTINCT batch >> 32) FROM {schema}.ingest_batch"
            f" WHERE stored > 0 AND committed_us > {since_us}"
        )

    def _committed(self) -> int:
        return self._ask("SELECT COALESCE(SUM(stored), 0) FROM {schema}.ingest_batch")

    def _ask(self, question: str) -> int:
        """Over the socket of the node that has the address, where no cut is in the way; -1 while it is silent."""
        site = self.site
        if site is None or not (holders := site.holders()):
            return -1
        try:
            return int(site.ask(holders[0], question.replace("{schema}", site.schema) + ";").strip() or -1)
        except (RuntimeError, ValueError, subprocess.TimeoutExpired):
            return -1

    # --- the end ---------------------------------------------------------------------------------------------

    def _deliver(self, site: Site) -> None:
        """Stop the sources, let everything arrive, then let what is under way come to rest."""
        self._say("the sources stop")
        self.trouble += [f"{name} did not end when asked" for name in site.end([one.name for one in self.crew])]
        began = time.monotonic()
        deliver = partial(crew.deliver, self.crew, server=site.servers_of(0), seconds=DELIVER_S, plain=True)
        try:
            self.trouble += site.aside(deliver, seconds=2 * DELIVER_S)
        except (RuntimeError, TimeoutError) as error:  # the account says what it came to
            self.trouble.append(f"the terminals could not be opened for the delivery: {error}")
        self._say(f"delivered after {time.monotonic() - began:.1f} s")
        self.trouble += [f"{name} did not drain" for name in site.end(_named(site, "ingest"))]
        if not site.until(lambda: self._queue_is_empty(site), seconds=120.0):
            self.trouble.append(f"the queue {RAW_QUEUE} is not empty")
        self._tell(site)
        self.trouble += [f"{name} did not end when asked" for name in site.end(_named(site, "web", "worker", "beat"))]

    def _tell(self, site: Site) -> None:
        """Wait until the subscribers have what was committed since they listen, and end them."""
        wanted = self.folder / "wanted.npy"
        np.save(wanted, self._due(site))
        if not site.until(lambda: sum(one.lacking(wanted) for one in self.groups) == 0, seconds=TELL_S):
            for where in (where for one in self.groups for where in json.loads(one.ask(f"who {wanted}"))):
                self._say(f"WRONG: a subscriber that lacks trades: {where}")
        self.listened = [one.end() for one in self.groups]

    def _due(self, site: Site) -> np.ndarray[Any, Any]:
        """The ids of the trades of batches that were committed once all subscribers listened."""
        held = _trades(site)
        since = f"SELECT batch FROM {{schema}}.ingest_batch WHERE committed_us > {self.listening_us}"
        return held[np.isin(held >> TICK_BITS, _numbers(site, since))]

    def _queue_is_empty(self, site: Site) -> bool:
        master = site.sentinels.master
        with redis.Redis(master.host, master.port, password=PASSWORD, socket_timeout=5) as client:
            return int(client.llen(RAW_QUEUE)) == 0

    def _account(self, site: Site, partings: list[writers.Parting], begin_us: int, end_us: int) -> dict[str, Any]:
        self._say("accounting")
        spools = {member.name: Spools() for member in self.crew}
        for member in self.crew:
            spools[member.name].look(member.spool)
        gone = sum(spools[member.name].missing(member.journal) for member in self.crew)
        site.settle()
        found = {name: _on(site, name, spools) for name in site.nodes}
        first = found[site.nodes[0]]
        different = [name for name, one in found.items() if one.contents != first.contents]
        assert self.writers is not None
        lacking = self.writers.missing()
        told = [ids for one in self.groups for ids in one.kept()]
        due = self._due(site)
        heard = subscribers.account(told, due=due, stored=_trades(site))
        split = writers.split(self.writers.writes, partings, self.writers.holders.found, site.nodes)
        for name, one in found.items():
            for line in [*one.rows.examples, *one.wrong[: accounting.EXAMPLES]]:
                self._say(f"WRONG on {name}: {line}")
        for line in [*split, *self.trouble]:
            self._say(f"WRONG: {line}")
        for where in (where for one in self.listened for where in one["silences"]):
            self._say(f"note: a connection was silent: {where}")
        for line in site.slow_returns:
            self._say(f"note: {line}")
        for what, count in sorted(site.own_ends.items()):
            self._say(f"note: {what}, {count} times; it was started again")
        moments = [moment for _, moment in first.commits]
        return {
            "failovers": sum(self.done.values()),
            "rows_sent": first.rows.sent + gone,
            "lost": max(one.rows.lost for one in found.values()) + gone,
            "duplicated": max(one.rows.duplicated for one in found.values()),
            "candle_mismatches": max(len(one.wrong) for one in found.values()),
            "longest_stall_s": _seconds(accounting.longest_pause_us(moments, begin=begin_us, end=end_us)),
            "split_brain": len(split),
            "nodes_different": len(different),
            "rows_stored": {name: one.rows.stored for name, one in found.items()},
            "candles": len(first.candles),
            "rejected": first.rows.rejected,
            "gaps": first.gaps,
            "dead_letters": first.dead_letters,
            "writes": len(self.writers.writes),
            "writes_lost": max(lacking.values()),
            "address_on_two_hosts_s": round(sum(one.ended - one.began for one in self.writers.holders.found), 2),
            "unfinished": len(self.trouble),
            "subscribers": len(told),
            "subscriber_trades": len(due),
            **{f"subscriber_{name}": count for name, count in heard.items()},
            "subscriber_pause_s": round(self.pause_s, 2),
            "subscriber_resumes": sum(len(one["resumes"]) for one in self.listened),
            "done": {kind: self.done[kind] for kind in failovers.KINDS},
            "longest_stall_by_kind_s": self._stalls(moments),
            "slowest_batch_s": _seconds(recorded_state.slowest_us(spools, first.streams, first.commits)),
            "whole_again_s": {kind: round(longest, 1) for kind, longest in sorted(self.healed_s.items())},
            "terminals": len(self.crew),
            "ended_by_themselves": sum(site.own_ends.values()),
            **site.figures(),
            "seed": self.seed,
            "seconds": round(time.monotonic() - self.began, 1),
        }

    def _stalls(self, moments: list[int]) -> dict[str, float]:
        longest: dict[str, int] = dict.fromkeys(failovers.KINDS, 0)
        for kind, begin, end in self.windows:
            longest[kind] = max(longest[kind], accounting.longest_pause_us(moments, begin=begin, end=end))
        return {kind: _seconds(us) for kind, us in longest.items() if self.done[kind]}

    def end(self, *, keep: bool) -> int:
        """Stop everything, remove the folder or say where it is; how many processes were left all the same."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if self.writers is not None:
            self.writers.stop()
        for group in self.groups:
            group.kill()
        left = self.site.stop() if self.site is not None else []
        self.network.stop()
        if left:
            self._say(f"WRONG: left behind and killed now: {left}")
        if keep:
            self._say(f"kept: {keep_folder(self.folder)}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return len(left)

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


def _on(site: Site, name: str, spools: dict[str, Spools]) -> node_contents.Held:
    """What one node holds, compared with what the terminals have."""
    with recorded_state.book(site.node(name)) as book:
        return node_contents.account(book, spools)


def _numbers(site: Site, question: str) -> np.ndarray[Any, Any]:
    """A column of whole numbers, as the first server of the database has it."""
    host = site.nodes[0]
    return np.array(site.ask(host, question.replace("{schema}", site.schema) + ";").split(), np.int64)


def _trades(site: Site) -> np.ndarray[Any, Any]:
    """The ids of all trades of the feed to which the subscribers listen."""
    stored = "SELECT tick_id FROM {schema}.temp_market_data WHERE feed = 'sim' AND kind = 'trade' ORDER BY tick_id"
    return _numbers(site, stored)


def _named(site: Site, *kinds: str) -> list[str]:
    return [name for name in site.programs if name.startswith(tuple(f"{kind}-" for kind in kinds))]


def _migrate() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"migrate failed:\n{done.stderr[-3000:]}")


def _now_us() -> int:
    return time.time_ns() // 1000


def _seconds(us: int) -> float:
    return round(us / 1e6, 2)


if __name__ == "__main__":
    sys.exit(main())
