"""`python -m tests.drill.kafka`: the broker is away while the market goes on, and the publisher is killed meanwhile.

A worker, an ingest server and a simulated market on private servers publish to a Tansu that stands still for `--away`
seconds. The feed holds less than that, so the rest comes from the database. Then every trade that was stored must be in
`processed-data`, once by its id and in the order of its symbol, and the candles of `chart-data` must be those that the
trades make. The last line of the output is JSON; the exit status is 1 unless `missing`, `unknown`, `disordered` and
`differences` are 0. `cpu_us_per_tick` is of the publisher, restarts among it, and of the worker that stored the ticks
in the same run: their ratio says what publishing costs, whatever the machine is doing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from fanout import consumer
from terminals import wire
from tests.drill import crew
from tests.drill.stack import QUEUES, Stack
from tests.frozen import freeze, thaw
from tests.servers.process import temporary_folder
from tests.servers.tansu import Tansu

SYMBOLS = 50
WAIT_S = 600.0
FEED_TICKS = 1_000
IDLE_S = 10.0


class Kafka:
    """One drill; `end` stops everything."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        os.environ.update({"FEED_MAX_TICKS": str(FEED_TICKS), "EVENT_BUS": "kafka"})
        self.given, self._folder = given, folder
        self.broker = Tansu(folder / "tansu")
        os.environ["KAFKA_BOOTSTRAP"] = self.broker.url
        self.stack = Stack(folder, given.database)
        self.cpu: dict[str, float] = {}
        self._seen: dict[int, float] = {}

    def run(self) -> dict[str, Any]:
        """Everything; RuntimeError if it does not go on."""
        given, stack, python = self.given, self.stack, sys.executable
        self.broker.start()
        stack.start_servers()
        member = crew.enlist(self._folder, servers=[stack.ingest_address], rate=1_000, seed=given.seed)[0]
        stack.add("worker", [python, "manage.py", "runworkers", "-n", "kafka@%h", "-c", "1", "-Q", QUEUES])
        stack.add("beat", [python, "-m", "celery", "-A", "celery_app", "beat", "--pidfile="])
        stack.add("ingest", [python, "manage.py", "runingest"])
        stack.add("fanout", [python, "manage.py", "runfanout"])
        at = member.command.index("--server")
        what = ["simulate", "--symbols", str(SYMBOLS), "--rate", str(given.rate)]
        stack.add("market", [*member.command[:3], *what, *member.command[at:]])
        self._for(given.around)
        before = _stored_trades()
        freeze(self.broker.pid)
        self._for(given.away / 2)
        stack.kill("fanout")
        self._for(given.away / 2)
        thaw(self.broker.pid)
        back = time.monotonic()
        meanwhile = _stored_trades() - before
        self._for(given.around)
        stack.programs["market"].wanted = False
        stack.programs["market"].process.terminate()  # type: ignore[union-attr]  # it runs
        if not stack.until(lambda: not stack.programs["market"].up, seconds=WAIT_S):
            raise RuntimeError("the market did not end")
        if not stack.until(_all_published, seconds=WAIT_S):
            raise RuntimeError("not everything was published")
        self._count()
        return self._account(meanwhile, time.monotonic() - back - given.around)

    def _for(self, seconds: float) -> None:
        """Let time pass, and note what the processes used."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            self.stack.wait(min(2.0, max(limit - time.monotonic(), 0.0)))
            self._count()

    def _count(self) -> None:
        for name in ("fanout", "worker"):
            for process in _family(self.stack.programs[name].pid):
                try:
                    used = process.cpu_times()
                except psutil.Error:
                    continue
                total = used.user + used.system
                self.cpu[name] = self.cpu.get(name, 0.0) + total - self._seen.get(process.pid, 0.0)
                self._seen[process.pid] = total

    def _account(self, meanwhile: int, caught_up_s: float) -> dict[str, Any]:
        account = consumer.read({"bootstrap.servers": self.broker.url}, prefix="", idle_s=IDLE_S)
        found = {tick_id for known in account.trades.of.values() for tick_id in known}
        stored = _stored_ids()
        ticks = max(_stored_ticks(), 1)
        told = [list(known) for known in account.trades.of.values()]
        differences = list(account.differences())
        print(*differences[:20], sep="\n", flush=True)
        cost = {name: round(used * 1e6 / ticks, 1) for name, used in self.cpu.items()}
        return {
            "away_s": self.given.away, "stored": len(stored), "stored_meanwhile": meanwhile,
            "missing": len(stored - found), "unknown": len(found - stored),
            "disordered": sum(one > other for ids in told for one, other in itertools.pairwise(ids)),
            "repeated": account.trades.repeated, "candles": len(account.charts), "differences": len(differences),
            "caught_up_s": round(caught_up_s, 1), "ticks": ticks, "cpu_us_per_tick": cost,
            "cpu_of_worker": round(cost["fanout"] / cost["worker"], 2),
        }  # fmt: skip

    def end(self) -> None:
        """Stop everything."""
        if self.broker.running:
            thaw(self.broker.pid)
        self.stack.stop()
        self.broker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _ask(what: str, where: str = "") -> list[tuple[Any, ...]]:
    from django.db import connection

    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what} FROM temp_market_data {where}")
        return list(cursor.fetchall())


_TRADES = "WHERE kind = 'trade' AND size > 0"


def _stored_ids() -> set[int]:
    return {row[0] for row in _ask("tick_id", _TRADES)}


def _stored_trades() -> int:
    return int(_ask("COUNT(*)", _TRADES)[0][0])


def _stored_ticks() -> int:
    return int(_ask("COUNT(*)")[0][0])


def _all_published() -> bool:
    from django.db.models import F, Max

    from marketdata.models import FanoutPosition, FeedPending, IngestBatch

    newest = dict(IngestBatch.objects.filter(stored__gt=0).values_list("feed").annotate(Max("committed_us")))
    reached = dict(FanoutPosition.objects.exclude(epoch="").annotate(at=F("published_us")).values_list("feed", "at"))
    return not FeedPending.objects.exists() and all(reached.get(feed, 0) >= at for feed, at in newest.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.kafka", description=__doc__)
    whole = wire.options.between
    parser.add_argument("--away", type=whole(1, 86_400), default=60, help="seconds without the broker (60)")
    parser.add_argument("--around", type=whole(1, 86_400), default=20, help="seconds before and after (20)")
    parser.add_argument("--rate", type=whole(1, 100_000), default=200, help="trades a second (200)")
    parser.add_argument("--seed", type=whole(0, 10**9), default=1, help="of the market")
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    folder = temporary_folder("kafka")
    drill = Kafka(folder, parser.parse_args(arguments))
    failed, result = True, None
    try:
        result = drill.run()
        failed = any(result[name] for name in ("missing", "unknown", "disordered", "differences"))
    finally:
        if failed:
            print(drill.stack.tails(), flush=True)
        drill.end()
    print(json.dumps(result), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
