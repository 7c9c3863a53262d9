"""Days go to history on a Galera cluster whose other nodes stand still again and again; then every node is counted.

The last line is one JSON object; status 1 unless every node has every day's rows in history, and the same partitions.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from terminals.wire import options
from tests.servers.galera import Cluster, Node
from tests.servers.mariadb import DATABASE

FIRST = datetime.date(2026, 3, 16)
BATCH = 2_000


class Stalls:
    """Stops one of the nodes at a time (SIGSTOP), for a while and again and again, until `end`."""

    def __init__(self, nodes: Sequence[Node], chance: random.Random) -> None:
        self._nodes, self._chance = nodes, chance
        self.count, self.seconds = 0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._chance.uniform(0.02, 0.3)):
            with self._chance.choice(self._nodes).stalled():
                began = time.monotonic()
                self._ended.wait(self._chance.choice((0.2, 0.2, 0.5, 2.0)))
            self.count += 1
            self.seconds += time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill.galera", description=__doc__)
    parser.add_argument("--days", type=options.between(1, 200), default=15)
    parser.add_argument("--rows", type=options.between(2, 1_000_000), default=4_000)
    parser.add_argument("--seed", type=options.between(0, 1 << 31), default=random.SystemRandom().randrange(1 << 31))
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    with Cluster() as cluster:
        os.environ.update(
            DATABASE_URL=cluster.url, CACHE_ENGINE="InnoDB", SECRET_KEY="only-for-drills-" * 4, LOG_LEVEL="ERROR",
            DJANGO_SETTINGS_MODULE="marketdata.settings", VAR_DIR=str(cluster.folder / "var"), NARU_LANG="en",
        )  # fmt: skip
        result = _days_on(cluster, given.days, given.rows, random.Random(given.seed))
    print(json.dumps(result), flush=True)
    return int(any(result[name] for name in ("missing", "different", "alarms")) or result["nodes"] != 3)


def _days_on(cluster: Cluster, days: int, rows: int, chance: random.Random) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command

    from marketdata.calendar import trading_dates
    from marketdata.maintenance import nodes, quiet, rollover
    from marketdata.models import Alarm, RolloverRun
    from marketdata.storage.base import PERIODS
    from tests import upkeep

    call_command("migrate", verbosity=0)
    trading_dates.forget()
    calendar = trading_dates.calendar("KRX")
    dates = calendar.sessions(FIRST, FIRST + datetime.timedelta(days=2 * days + 30))[: days + 1]
    stalls = Stalls(cluster.nodes[1:], chance)
    stalls.start()
    different: list[str] = []
    longest = 0.0
    try:
        for date, following in itertools.pairwise(dates):
            night = upkeep.Clock(f"{date} 06:00")
            quiet.make_room(night())
            quiet.drop(night)
            for _ in range(max(rows // BATCH, 1)):
                upkeep.commit(date, min(rows, BATCH))
            began = time.monotonic()
            rollover.run_one(date, clock=upkeep.Clock(f"{following} 08:05"))
            longest = max(longest, time.monotonic() - began)
            found = nodes.compare_day(date)
            different += found
            print(f"{date} {time.monotonic() - began:.1f} s, {stalls.count} stalls {found or ''}", flush=True)
    finally:
        stalls.end()
    wanted = max(rows // BATCH, 1) * min(rows, BATCH)
    missing = sum(
        wanted - int(_asked(node, f"SELECT COUNT(*) FROM market_data_tick WHERE trade_date = '{date}'"))
        for node in cluster.nodes
        for date in dates[:-1]
    )
    partitions = {
        _asked(
            node,
            "SELECT MD5(GROUP_CONCAT(TABLE_NAME, PARTITION_NAME, PARTITION_DESCRIPTION ORDER BY 1, 2)) FROM"
            " information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND PARTITION_NAME IS NOT NULL",
        )
        for node in cluster.nodes
    }
    if len(partitions) > 1:
        different.append("partitions")
    return {
        "days": RolloverRun.objects.filter(state="done", trade_date__in=dates[:-1]).count(), "rows": wanted * days,
        "tables": len(PERIODS), "stalls": stalls.count, "stalled_s": round(stalls.seconds, 1),
        "longest_rollover_s": round(longest, 2), "missing": missing, "different": len(different),
        "alarms": Alarm.objects.filter(code=nodes.NODES_DIFFER).count(),
        "nodes": int(cluster.nodes[0].status("wsrep_cluster_size")),
    }  # fmt: skip


def _asked(node: Node, question: str) -> str:
    return node.sql(f"SET wsrep_sync_wait = 1, group_concat_max_len = 1000000; USE {DATABASE}; {question};").strip()


if __name__ == "__main__":
    sys.exit(main())
