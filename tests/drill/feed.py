"""`python -m tests.drill.feed`: subscribers of the feed while web servers, Redis and connections are killed.

Two web servers, a worker, an ingest server and a simulated market on private servers. Each subscriber merges what it is
given as a client is told to (`tests/drill/merge.py`), and must then have every trade that was stored, once. The last
line of the output is JSON; the exit status is 1 unless `gaps` and `duplicates` are 0. `silences` counts
connections that stayed open and said nothing: a subscriber ends them, as it is told to, and nothing is lost; each is a
fault all the same.

It measures the product and not how fast a machine is: kills and cuts come by the number of trades and not by the clock,
and after one to three of them the market waits until every subscriber has everything. Only when none has got another
trade for `STUCK_S` what is missing counts as lost.

`resume_ms_p99` is of single resumes, from the moment a client begins the connection that succeeded, or is told that
Redis is another one (461), until it has read `replay_completed`, and with it every trade it missed. Not in it: the time
until a client notices its loss, its pause of at most 0.1 s, and tries that found no server. `resume_parts_ms_p99` are
its parts: `connect` to the end of the handshake, `login` to `authenticated`, `listing` to `subscription`, `replay` to
`replay_completed`; `resume_from` by where the trades came from. A client process measures by how much it is late
itself (`client_late_ms_p99`), and `machine_wait` is the time that these processes waited for a
processor, as a part of the time that they ran: with more than some tenths the figures are of the machine.
`stalled_client_effect` is by how much the p99 of 49 subscribers grows (0.1 is a tenth) when a 50th stops reading, and
`stalled_client_effect_95` between which values it lies with 95 %. Both web servers have 50 subscribers at the same time
and are told the same trades; a 50th stalls at one of them, and at the other in the next turn. So what the machine, the
database and the market do to a turn they do to both, and a pair of turns has each server and each process of
subscribers once with one that stalls and once without. One that stalls does until more than half of what may wait for
it waits, or the drill fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from marketdata.types.tick_arrays import TICK_BITS
from terminals import wire
from tests.drill import crew
from tests.drill.feed_clients import PARTS
from tests.drill.stack import QUEUES, Stack, Terminal
from tests.drill.subscribers import Group, account
from tests.servers import free_port
from tests.servers.process import keep as keep_folder
from tests.servers.process import temporary_folder

WEBS = 2
GROUPS = 2  # processes of subscribers
SYMBOLS = 50
QUOTES = 1.3
STALL_SOCKETS = 50
WAIT_S = STUCK_S = 120.0
TELL_S = 10.0
TOGETHER = (1, 3)  # strikes between two waits for all


class Feed:
    """One drill; `end` stops everything and removes its folder."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        os.environ.update({
            "WS_MAX_PER_KEY": "10000", "WS_MAX_CONNECTIONS": "10000", "WS_MAX_UNAUTHENTICATED": "10000",
            "WS_MAX_UNAUTHENTICATED_OF_ADDRESS": "10000", "WEB_MAX_CONNECTIONS": "10000",
            "WEB_MAX_CONNECTIONS_OF_ADDRESS": "10000", "API_RATE_LIMIT": "1000000",
        })  # fmt: skip
        self.folder, self.given = folder, given
        self.stack = Stack(folder, given.database)
        self.ports = [free_port() for _ in range(WEBS)]
        self.kills = self.restarts = 0
        self._turn = 0

    def run(self) -> dict[str, Any]:
        """Everything; RuntimeError if it does not even begin."""
        given, stack, python = self.given, self.stack, sys.executable
        stack.start_servers()
        self.crew = crew.enlist(self.folder, servers=[stack.ingest_address], rate=1_000, seed=given.seed)[:1]
        self.key = crew.enlist_reader()
        stack.add("worker", [python, "manage.py", "runworkers", "-n", "feed@%h", "-c", "1", "-Q", QUEUES])
        stack.add("beat", [python, "-m", "celery", "-A", "celery_app", "beat", "--pidfile="])
        stack.add("ingest", [python, "manage.py", "runingest"])
        for number, port in enumerate(self.ports):
            stack.add(f"web{number}", [python, "manage.py", "runweb", "--port", str(port)])
        for port in self.ports:
            if not stack.until(lambda port=port: _healthy(port), seconds=WAIT_S):  # type: ignore[misc]
                raise RuntimeError("a web server did not start")
        stalled = self._stalled() if given.stall_messages else None
        print(f"{given.sockets} sockets, {given.messages} trades at {given.rate}/s, seed {given.seed}", flush=True)
        groups = self._subscribe(given.sockets, cuts=given.cuts)
        before = self._stored()
        self._strike(groups, before)
        results = [one.end() for one in groups]
        return self._account(self._stored(), before, groups, results, stalled)

    # --- subscribers --------------------------------------------------------------------------------------------------

    def _subscribe(self, sockets: int, *, cuts: int = 0, stalls: bool = False) -> list[Group]:
        groups = []
        servers = [f"127.0.0.1:{port}" for port in self.ports]
        for number in range(GROUPS):
            self._turn += 1
            groups.append(
                Group(
                    str(self._turn), self.folder, self.key, servers[number : number + 1] if stalls else servers,
                    sockets=sockets // GROUPS, cuts=cuts // GROUPS, messages=self.given.messages, stalls=stalls,
                    waits=not cuts,
                )
            )  # fmt: skip
        for one in groups:
            one.listen()
        return groups

    def _stalled(self) -> tuple[float, float, float]:
        """By how much the others' p99 grows with one that stalls, and between which values that lies."""
        given = self.given
        groups = self._subscribe(STALL_SOCKETS * WEBS, stalls=True)
        found: list[dict[bool, float]] = []
        for turn in range(2 * given.turns):
            stalling = (turn + 1) // 2 % WEBS  # 0, 1, 1, 0: what grows with time is on both sides
            before = self._stored()
            groups[stalling].ask("stall")
            self._market(given.stall_messages)
            if not self._have_all(groups, before, len(before) + given.stall_messages):
                raise RuntimeError("the subscribers did not get everything, though nothing was killed")
            waits = [json.loads(one.ask("waits")) for one in groups]
            groups[stalling].ask("read")
            found.append({at == stalling: one["p99_ms"] for at, one in enumerate(waits)})
            told = {("with" if at == stalling else "without"): one for at, one in enumerate(waits)}
            print(f"server {stalling} has one that stalls: {json.dumps(told)}", flush=True)
        for one in groups:
            one.end()
        return effect([turn[True] / turn[False] for turn in found])

    # --- the market ---------------------------------------------------------------------------------------------------

    def _market(self, trades: int) -> None:
        """A terminal that sends so many trades and ends."""
        member: Terminal = self.crew[0]
        what = ["simulate", "--symbols", str(SYMBOLS), "--rate", str(self.given.rate), "--trades", str(trades)]
        at = member.command.index("--server")
        self.stack.add("market", [*member.command[:3], *what, *member.command[at:]])
        self.stack.programs["market"].wanted = False

    def _stored(self) -> np.ndarray[Any, Any]:
        """The ids of the trades that the database has."""
        return np.array(sorted(row[0] for row in _trades("tick_id")), np.int64)

    def _until_stored(self, trades: int) -> None:
        """Wait until the database has so many."""
        seconds = WAIT_S + trades / self.given.rate
        if not self.stack.until(lambda: _trades("COUNT(*)")[0][0] >= trades, seconds=seconds):
            raise RuntimeError(f"{_trades('COUNT(*)')[0][0]} trades were stored of {trades}")

    def _have_all(self, groups: list[Group], before: np.ndarray[Any, Any], trades: int) -> bool:
        """Wait until so many trades are stored, the market has ended and every subscriber has all that were not stored
        `before`; False when none of them has got another one for `STUCK_S`."""
        self._until_stored(trades)
        if not self.stack.until(lambda: not self.stack.programs["market"].up, seconds=WAIT_S):
            raise RuntimeError("the terminal did not end")
        wanted = self.folder / "wanted.npy"
        np.save(wanted, np.setdiff1d(self._stored(), before))
        least, since, told = None, time.monotonic(), time.monotonic()
        while lacking := sum(one.lacking(wanted) for one in groups):
            now = time.monotonic()
            if least is None or lacking < least:
                least, since = lacking, now
            if now - since > STUCK_S:
                return False
            if now - told > TELL_S:
                told = now
                print(f"the subscribers still lack {lacking} trades together", flush=True)
            self.stack.wait(0.5)
        return True

    def _strike(self, groups: list[Group], before: np.ndarray[Any, Any]) -> None:
        """A market that goes on part by part, and kills of web servers and Redis at random places in each part. It ends
        early when subscribers do not get what they lack."""
        given, chance = self.given, random.Random(self.given.seed)
        strikes = ["web"] * given.kills + ["redis"] * given.restarts
        chance.shuffle(strikes)
        stored, done = len(before), 0
        while strikes or not done:
            now = [strikes.pop() for _ in range(min(chance.randint(*TOGETHER), len(strikes)))]
            left = given.messages - done
            part = max(left * len(now) // (len(now) + len(strikes)), 1) if strikes else left
            self._market(part)
            for what, place in zip(now, sorted(chance.random() for _ in now), strict=True):
                self._until_stored(stored + done + int(part * place))
                self._kill(what)
            done += part
            if not self._have_all(groups, before, stored + done):
                print(f"for {STUCK_S:.0f} s no subscriber got what it lacks", flush=True)
                for one in groups:
                    for where in json.loads(one.ask(f"who {self.folder / 'wanted.npy'}")):
                        print(where, flush=True)
                return

    def _kill(self, what: str) -> None:
        if what == "web":
            self.stack.kill(f"web{self.kills % WEBS}")
            self.kills += 1
        else:
            self.stack.kill("redis")
            self.restarts += 1
        print(f"killed {what}, {self.kills} web servers and {self.restarts} times Redis by now", flush=True)

    # --- the account --------------------------------------------------------------------------------------------------

    def _account(
        self, stored: np.ndarray[Any, Any], before: np.ndarray[Any, Any], groups: list[Group],
        results: list[dict[str, Any]], effect: tuple[float, float, float] | None,
    ) -> dict[str, Any]:  # fmt: skip
        """`before` is what was stored before the subscribers came: some of it is read again with what they missed."""
        expected = np.setdiff1d(stored, before)
        kept = [ids for one in groups for ids in one.kept()]
        for number, one in enumerate(kept):
            if len(lacking := np.setdiff1d(expected, one)):
                batches = Counter((lacking >> TICK_BITS).tolist())
                print(
                    f"subscriber {number} lacks {len(lacking)} trades, by batch {dict(sorted(batches.items()))}",
                    flush=True,
                )
        for where in (where for one in results for where in one["silences"]):
            print(f"a connection was silent: {where}", flush=True)
        resumes = [resume for one in results for resume in one["resumes"]]
        resumed = [sum(resume[part] for part in PARTS) for resume in resumes]
        lags = [ms for one in results for ms in one["lags_ms"]]
        return {
            "sockets": len(kept),
            "messages": len(expected),
            **account(kept, due=expected, stored=stored),
            "repeated_and_dropped": sum(one["repeated"] for one in results),
            "offsets_twice": sum(one["twice"] for one in results),
            "gap_messages": sum(one["gap_messages"] for one in results),
            "silences": sum(len(one["silences"]) for one in results),
            "refused": sum((Counter(one["refused"]) for one in results), Counter()),
            "web_kills": self.kills,
            "redis_restarts": self.restarts,
            "connection_kills": sum(one["cuts"] for one in results),
            "resumes": len(resumed),
            "resume_ms_p50": _percentile(resumed, 50),
            "resume_ms_p99": _percentile(resumed, 99),
            "resume_parts_ms_p99": {part[:-3]: _percentile([one[part] for one in resumes], 99) for part in PARTS},
            "resume_from": {
                place: {"resumes": len(mine), "ms_p99": _percentile(mine, 99), "trades_p99": _percentile(trades, 99)}
                for place in ("ring", "database")
                for mine in [[ms for ms, one in zip(resumed, resumes, strict=True) if one["from"] == place]]
                for trades in [[one["trades"] for one in resumes if one["from"] == place]]
            },
            "client_late_ms_p99": _percentile(lags, 99),
            "machine_wait": round(sum(one["waited_s"] for one in results) / sum(one["ran_s"] for one in results), 2),
            "stalled_client_effect": effect and effect[0],
            "stalled_client_effect_95": effect and effect[1:],
        }

    def end(self, *, keep: bool) -> None:
        """Stop everything; the folder stays if it is to be looked at."""
        self.stack.stop()
        if keep:
            print(f"kept: {keep_folder(self.folder)}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def effect(ratios: Sequence[float]) -> tuple[float, float, float]:
    """What something does to a figure, and between which values that lies with 95 %: `ratios` are of turns with it to
    those without, each two turns a pair in which the two sides changed places. Of logarithms, by Student's t."""
    logs = np.log(ratios).reshape(-1, 2).mean(axis=1)
    middle, off = float(logs.mean()), float("inf")
    if len(logs) > 1:
        off = _STUDENT_95[min(len(logs) - 1, len(_STUDENT_95)) - 1] * float(logs.std(ddof=1)) / len(logs) ** 0.5
    return tuple(round(float(np.expm1(one)), 3) for one in (middle, middle - off, middle + off))  # type: ignore[return-value]  # three


_STUDENT_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Of 1 to 10 degrees of freedom, as every table of the t distribution has it; more is taken as 10."""


def _percentile(values: Sequence[float], percent: int) -> float | None:
    return round(float(np.percentile(values, percent)), 1) if values else None


def _trades(what: str) -> list[tuple[int]]:
    from django.db import connection

    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what} FROM temp_market_data WHERE feed = 'sim' AND kind = 'trade'")
        return list(cursor.fetchall())


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.feed", description=__doc__)
    whole = wire.options.between
    for name, default, what in (
        ("--sockets", 200, "subscribers (200)"),
        ("--messages", 100_000, "trades that each is to get (100000)"),
        ("--rate", 400, "trades a second (400)"),
        ("--kills", 20, "web servers killed (20)"),
        ("--restarts", 5, "restarts of Redis (5)"),
        ("--cuts", 50, "connections cut (50)"),
        ("--stall-messages", 6_000, "trades of each turn with one that stalls (6000)"),
        ("--turns", 4, "pairs of such turns (4)"),
        ("--seed", random.SystemRandom().randrange(10**6), "who is killed when"),
    ):
        parser.add_argument(name, type=whole(0, 10**9), default=default, metavar="N", help=what)
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    drill = Feed(temporary_folder("feed"), parser.parse_args(arguments))
    failed = True
    try:
        result = drill.run()
        failed = bool(result["gaps"] or result["duplicates"] or result["unknown"])
    finally:
        if failed:
            print(drill.stack.tails(), flush=True)
        drill.end(keep=failed)
    print(json.dumps(result), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
