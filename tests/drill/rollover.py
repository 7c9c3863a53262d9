"""The rollover under fire: readers of the day that moves and writers of the new day go on, two runners as two beats
would, SIGKILL of runner and database between the steps and inside them; then every row is accounted for.

The last line is one JSON object; status 1 unless all days ended in history, equal, no reader ever saw a hole, and every
strike that was planned was made: those that were not are `missed`, by name. On Galera HAProxy stands before the nodes
and the one that all write to is struck: the day goes on at another one (`writer_moves`), the runners stand still while
the first comes back, and readers and writers do not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from terminals import wire
from tests import servers
from tests.drill.stack import NODE_READY_S
from tests.frozen import frozen
from tests.servers import MariaDB, Redis
from tests.servers.galera import Cluster, Node
from tests.servers.haproxy import HAProxy
from tests.servers.mariadb import DATABASE
from tests.servers.process import free_port, spawn, temporary_folder
from tests.servers.process import keep as keep_folder
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = 1_000
LATE_EVERY = 7
SMALL_DAYS, SMALL_ROWS = 5, 20_000  # more days under fire: each is sealed and moved once only
WRITERS, PAUSE_S = 2, 0.1
CALM_S = 6.0
QUIET_S = 60.0
FINISH_S = 180.0
# Words of a step to wait for, and how long after them to strike, as a share of the seconds a calm verification took.
POINTS = (
    ("seal", 0.0), ("verify", 0.0), ("verify", 0.5), ("move", 0.0), ("taking the day", 0.0), ("bringing the day", 0.0),
    ("bringing the day", 0.2), ("aggregate", 0.0), ("aggregate", 0.03), ("clean", 0.0), ("finish", 0.0),
)  # fmt: skip


@dataclass(slots=True)
class Role:
    """A child process and what it has told so far."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    read_to: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)

    def news(self) -> list[dict[str, Any]]:
        """What it told since the last call."""
        with self.log.open("rb") as file:
            file.seek(self.read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read_to += len(whole)
        new = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        self.lines += new
        return new

    def kill(self) -> None:
        """SIGKILL, and its remains collected."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Calm:
    """A rollover that nothing was done to: seconds, longest writer's transaction in it and before it (ms)."""

    seconds: float
    stall_ms: float
    usual_ms: float
    verify_s: float
    bytes_per_tick: float | None
    readers: list[Role]


class Drill:
    """One run: load, roll over in calm, load, roll over under fire, judge."""

    def __init__(self, folder: Path, *, rows: int, rate: int, seed: int, database: str) -> None:
        self.folder, self.rows, self.rate, self.random = folder, rows, rate, random.Random(seed)
        memory_mib = 1024 + rows // 1_000  # it holds the days, as it should
        self.cluster = Cluster(folder / "database", buffer_pool_mib=memory_mib) if database == "galera" else None
        self.proxy: HAProxy | None = None
        self.server: Any = (
            self.cluster.nodes[0]  # that is asked, and at first written to
            if self.cluster is not None
            else servers.PostgreSQL(folder / "database")
            if database == "postgresql"
            else MariaDB(folder / "database", buffer_pool_mib=memory_mib)
        )
        self.redis = Redis(folder / "redis")
        self.environment: dict[str, str] = {}
        if self.cluster is not None:
            peers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
            self.proxy = HAProxy(folder / "proxy", nodes=self.cluster.nodes, peers=peers, place=0)
            for node in self.cluster.nodes:
                node.ready_s = NODE_READY_S
        self.number = self.kills = self.moves = 0
        self.missed: list[str] = []
        self.began = time.monotonic()
        (folder / "log").mkdir()

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {words}", flush=True)

    def start(self, role: str, **spec: Any) -> Role:
        """A child of tests.drill.rollover_roles."""
        self.number += 1
        log = self.folder / "log" / f"{role}-{self.number}.log"
        command = [sys.executable, "-m", "tests.drill.rollover_roles", role, json.dumps(spec)]
        return Role(role, spawn(command, environment=self.environment, log=log, cwd=ROOT), log)

    def ask(self, role: str, **spec: Any) -> dict[str, Any]:
        """Run a child to its end; the last line it told."""
        child = self.start(role, **spec)
        status = child.process.wait(timeout=900)
        child.news()
        if status or not child.lines:
            raise RuntimeError(f"{role} ended with {status}:\n{child.log.read_text(errors='replace')[-3000:]}")
        return child.lines[-1]

    def run(self) -> dict[str, Any]:
        self.say(f"below {self.folder}")
        (self.cluster or self.server).start()
        self.redis.start()
        if self.proxy is not None:
            self.proxy.start()
            self.until_written_to()
        self.environment = os.environ | {
            "DATABASE_URL": (self.proxy or self.server).url, "REDIS_URL": self.redis.url, "BROKER_URL": self.redis.url,
            "VAR_DIR": str(self.folder / "var"), "SECRET_KEY": "only-for-the-drill-" * 3, "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
        }  # fmt: skip
        if self.cluster is not None:
            self.environment["CACHE_ENGINE"] = "InnoDB"
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, env=self.environment, cwd=ROOT, check=True)
        unseen, calm, fire, *small, today = self.ask("dates", number=SMALL_DAYS + 3)["dates"]
        self.say(
            f"{self.rows:,} ticks a day: {unseen} and {calm} are rolled over in calm, {fire} under fire,"
            f" {today} is being written"
        )
        uncounted = self.calm(unseen, today, stream=3, ahead=False)
        counted = self.calm(calm, today, stream=1, ahead=True)
        readers = [*uncounted.readers, *counted.readers]

        for at, date in enumerate(small):
            self.load(date, stream=30 + at, rows=SMALL_ROWS)
        self.load(fire, stream=2)
        fire_writers = [self.writer(today, stream=20 + at, late=[calm, fire]) for at in range(WRITERS)]
        fire_readers = [self.reader(fire, seed=10 + at) for at in range(2)]
        runners = [self.start("run", pause_s=0.2) for _ in range(2)]
        runners = self.strike(runners, verify_s=uncounted.verify_s)
        for writer in fire_writers:
            writer.news()
            writer.kill()
        days = [*small, unseen, calm, fire]
        self.finish(runners, days)
        for child in fire_readers:
            child.news()
            child.kill()
        return self.account(
            self.ask("judge", dates=days),
            readers + fire_readers,
            fire_writers,
            {
                "bytes_per_tick": counted.bytes_per_tick,
                "seconds": round(counted.seconds, 2),
                "seconds_uncounted": round(uncounted.seconds, 2),
                "writer_stall_ms": round(max(counted.stall_ms, uncounted.stall_ms), 1),
                "writer_usual_ms": max(counted.usual_ms, uncounted.usual_ms),
            },
        )

    def sql(self, statements: str) -> str:
        """Ask the database that the days lie in."""
        return str(self.server.sql(f"USE {DATABASE};{statements}" if isinstance(self.server, MariaDB) else statements))

    def bytes_per_tick(self, date: str) -> float | None:
        """What the calm day takes on the disk by itself, where the database tells it."""
        if not isinstance(self.server, MariaDB):
            return None
        name = f"{DATABASE}/market_data_tick#P#p{date.replace('-', '')}"
        told = self.sql(f"SELECT ALLOCATED_SIZE FROM information_schema.INNODB_SYS_TABLESPACES WHERE NAME = '{name}';")
        return round(int(told) / self.rows, 1)

    # --- parts ------------------------------------------------------------------------------------------------------

    def load(self, date: str, *, stream: int, rows: int | None = None) -> None:
        began, rows = time.monotonic(), rows or self.rows
        loaders = [
            self.start("load", date=date, stream=stream, rows=rows, symbols=SYMBOLS, first=at, step=2)
            for at in range(2)
        ]
        for loader in loaders:
            if loader.process.wait(timeout=1800):
                raise RuntimeError(loader.log.read_text(errors="replace")[-3000:])
        took = time.monotonic() - began
        self.say(f"{date}: {rows:,} ticks committed in {took:.0f} s")

    def writer(self, date: str, *, stream: int, late: list[str]) -> Role:
        return self.start(
            "write",
            date=date,
            stream=stream,
            rows=int(self.rate * PAUSE_S / WRITERS),
            symbols=SYMBOLS,
            pause_s=PAUSE_S,
            late=late,
            late_every=LATE_EVERY,
        )

    def reader(self, date: str, *, seed: int) -> Role:
        told = self.sql(f"SELECT symbol, COUNT(*) FROM temp_market_data WHERE trade_date = '{date}' GROUP BY symbol;")
        counts = {line.split()[0]: int(line.split()[-1]) for line in told.replace("|", " ").strip().splitlines()}
        if sum(counts.values()) != self.rows:
            raise RuntimeError(f"{sum(counts.values()):,} rows of {date} are stored, {self.rows:,} were loaded")
        return self.start("read", counts={date: counts}, seed=seed, pause_s=0.05)

    def calm(self, date: str, today: str, *, stream: int, ahead: bool) -> Calm:
        """One day goes to history, nothing is killed. `ahead`: it was counted in the hour before, as every morning."""
        self.load(date, stream=stream)
        writers = [self.writer(today, stream=100 * stream + at, late=[]) for at in range(WRITERS)]
        time.sleep(CALM_S)
        usual = [line["ms"] for writer in writers for line in writer.news() if "ms" in line]
        readers = [self.reader(date, seed=100 * stream + at) for at in range(2)]
        if ahead:
            counted = self.ask("count", date=date)
            if not counted["equal"]:
                raise RuntimeError(f"{date} was counted ahead and differs from the ledger")
            self.say(f"counted ahead in {counted['seconds']} s")
        runner = self.start("run", pause_s=0.2)
        until = time.monotonic() + FINISH_S
        while not any("done" in line for line in runner.lines):
            runner.news()
            if time.monotonic() > until or runner.process.poll() is not None:
                raise RuntimeError(f"{date} was not rolled over:\n{runner.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.01)
        time.sleep(1.0)
        runner.kill()
        done = next(line for line in runner.lines if "done" in line)
        steps = [(line["step"], line["at"]) for line in runner.lines if "step" in line]
        begin, end = steps[0][1], steps[0][1] + done["seconds"]
        for (words, at), (_, following) in zip(steps, [*steps[1:], ("", end)], strict=True):
            self.say(f"  {following - at:6.2f} s  {words}")
        for writer in writers:
            writer.news()
        stalls = sorted(
            (line["ms"], line["began"])
            for writer in writers
            for line in writer.lines
            if "ms" in line and line["began"] <= end and line["began"] + line["ms"] / 1e3 >= begin
        )
        for ms, began in stalls[-3:]:
            words = next((words for words, at in reversed(steps) if at <= began + ms / 1e3), "")
            self.say(f"  a writer took {ms:.0f} ms from {began - begin:.2f} s on: {words}")
        for child in (*writers, *readers):
            child.news()
            child.kill()
        at = dict(reversed(steps))
        calm = Calm(
            seconds=done["seconds"],
            stall_ms=stalls[-1][0],
            usual_ms=max(usual),
            verify_s=at[f"{date} move"] - at[f"{date} verify"],
            bytes_per_tick=self.bytes_per_tick(date),
            readers=readers,
        )
        self.say(
            f"{date}: {calm.seconds:.2f} s, longest writer stall {calm.stall_ms:.0f} ms of {len(stalls)}"
            f" (before it {calm.usual_ms:.0f} ms)"
        )
        return calm

    def strike(self, runners: list[Role], *, verify_s: float) -> list[Role]:
        """Whatever step a runner is at: if a strike at it is left, strike. Ends when none is left, or none was possible
        for a while: a step may not come again, though others of late ticks do."""
        points = POINTS if isinstance(self.server, MariaDB) else [one for one in POINTS if one[0] != "taking the day"]
        left = [(victim, *point) for point in points for victim in ("runner", "database")]
        for runner in runners:
            runner.news()
        last = time.monotonic()
        while left and time.monotonic() - last < QUIET_S + 6 * verify_s:
            time.sleep(0.002)
            told = [(runner, line["step"]) for runner in runners for line in runner.news() if "step" in line]
            if not told:
                continue
            runner, words = told[-1]
            strike = next((one for one in left if one[1] in words), None)
            if strike is None:
                continue
            left.remove(strike)
            victim, _, share = strike
            if share:
                time.sleep(share * verify_s * self.random.uniform(0.5, 1.5))
            self.kills += 1
            if victim == "runner":
                runner.kill()
                runners = [one for one in runners if one is not runner] + [self.start("run", pause_s=0.2)]
            else:
                self.kill_database(runners)
            self.say(f"kill {self.kills:>2}: {victim} at {words!r}" + (" inside" if share else ""))
            for one in runners:
                one.news()  # what they said before the blow is past
            last = time.monotonic()
        self.missed = [f"{victim} at {words!r}" + (" inside" if share else "") for victim, words, share in left]
        return runners

    def written_to(self) -> Node | None:
        """The node that all write to; none while there is none."""
        assert self.cluster is not None
        assert self.proxy is not None
        name = self.proxy.writer
        return next((node for node in self.cluster.nodes if node.node_name == name), None)

    def until_written_to(self, *, but: Node | None = None) -> Node:
        """That node, once it is another one than `but`; TimeoutError."""

        def found() -> Node | None:
            node = self.written_to()
            return None if node is but else node

        return cast(Node, until(found, seconds=NODE_READY_S, what="a node is written to"))

    def kill_database(self, runners: list[Role]) -> None:
        """SIGKILL, and start it again. Of a cluster it is the node that all write to, which comes back once they write
        to another one; what a runner does next waits for it, so that the next strike meets a whole cluster."""
        if self.cluster is None:
            self.server.kill()
            self.server.start()
            return
        struck = self.until_written_to()
        struck.kill()
        self.until_written_to(but=struck)
        self.moves += 1
        with ExitStack() as still:
            for runner in runners:
                still.enter_context(frozen(runner.process.pid))
            struck.start()

    def finish(self, runners: list[Role], days: list[str]) -> None:
        """Let the runners come to rest: nothing is left of the days that moved."""
        until = time.monotonic() + FINISH_S
        named = ", ".join(f"'{day}'" for day in days)
        while True:
            left = self.sql(
                f"SELECT COUNT(*) FROM temp_market_data WHERE trade_date IN ({named});"
                f"SELECT COUNT(*) FROM rollover_run WHERE trade_date IN ({named}) AND state <> 'done';"
            ).split()
            if left == ["0", "0"] or time.monotonic() > until:
                break
            time.sleep(0.5)
        time.sleep(2.0)
        for runner in runners:
            runner.news()
            runner.kill()

    def account(
        self, judged: dict[str, Any], readers: list[Role], writers: list[Role], calm: dict[str, Any]
    ) -> dict[str, Any]:
        days = judged["days"]
        late = sum(line["wrote"] for one in writers for line in one.lines if line.get("date") in days)
        reads = [line for one in readers for line in one.lines if "read" in line]
        equal = all(
            day["ledger"] == day["history"] and day["state"] == "done" and not day["left"] and not day["wrong_candles"]
            and day["daily"] == day["series"] == SYMBOLS and day["rows"] == day["ledger"][0]
            for day in days.values()
        )  # fmt: skip
        # A writer that was killed between COMMIT and its line wrote 20 rows more than it told.
        stored = sum(day["history"][0] for day in days.values())
        loaded = 3 * self.rows + SMALL_DAYS * SMALL_ROWS
        equal &= loaded + late <= stored <= loaded + late + 20 * len(writers)
        for text, day in days.items():
            self.say(f"{text} {day}")
        differences = self.cluster.differences() if self.cluster is not None else []
        for table in differences:
            self.say(f"not every node has the same: {table}")
        return {
            "rows": self.rows, "rate": self.rate, "kills": self.kills, "equal": equal,
            "reader_holes": sum(line["hole"] for line in reads), **calm,
            "late_rows": late, "reads": len(reads), "longest_read_ms": max(line["ms"] for line in reads),
            "missed": self.missed, "node_differences": len(differences), "writer_moves": self.moves,
            "total_seconds": round(time.monotonic() - self.began, 1),
        }  # fmt: skip

    def end(self, *, keep: bool) -> None:
        if self.proxy is not None:
            self.proxy.stop()
        (self.cluster or self.server).stop()
        self.redis.stop()
        if keep:
            self.say(f"kept: {keep_folder(self.folder)}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def fine(result: Mapping[str, Any]) -> bool:
    """Whether nothing is wrong, and nothing that was to be tried was left out."""
    return bool(result["equal"]) and not (result["reader_holes"] or result["node_differences"] or result["missed"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.rollover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows",
        type=wire.options.between(1, 10**9),
        default=1_000_000,
        metavar="N",
        help="ticks of each of the three days (1000000)",
    )
    parser.add_argument(
        "--rate",
        type=wire.options.between(1, 10**9),
        default=5_000,
        metavar="N",
        help="ticks a second of the day that is being written (5000)",
    )
    parser.add_argument(
        "--seed", type=wire.options.between(0, 2**31 - 1), default=random.SystemRandom().randrange(10**6)
    )
    parser.add_argument("--database", choices=("mariadb", "postgresql", "galera"), default="mariadb")
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    drill = Drill(
        temporary_folder("rollover"), rows=given.rows, rate=given.rate, seed=given.seed, database=given.database
    )
    failed = True
    try:
        result = drill.run()
        failed = not fine(result)
    finally:
        drill.end(keep=failed)
    print(json.dumps(result), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
