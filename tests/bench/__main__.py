"""`make bench`: measures the lines of the budget on private servers, writes docs/benchmarks.md and its picture, ends
with one JSON line. Each part runs in a process of its own; `--only NAME` runs one, shows what it found and writes
nothing."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from terminals import wire
from tests.bench import calibration, candles, latency, peers, processes, report, rest, results, throughput, waiting

ROUNDS = 3
STOPPED = 130


@dataclass(frozen=True, slots=True)
class Part:
    """What runs, and the type of what it finds."""

    says: str
    run: Callable[[argparse.Namespace], object]
    finds: Any


def _road(database: str) -> Callable[[argparse.Namespace], object]:
    return lambda given: throughput.run(database, seconds=given.seconds, rounds=given.rounds, workers=given.workers)


def _small(database: str) -> Callable[[argparse.Namespace], object]:
    return lambda given: latency.run(database, seconds=min(20.0, max(5.0, given.seconds / 2)), workers=given.workers)


PARTS = {
    "waiting": Part("commands, the second run and Ctrl-C", lambda given: waiting.run(), waiting.Waits),
    "mariadb": Part("the whole road on MariaDB", _road("mariadb"), throughput.Throughput),
    "mariadb-small": Part("small batches on MariaDB", _small("mariadb"), latency.Latency),
    "postgresql": Part("the whole road on PostgreSQL", _road("postgresql"), throughput.Throughput),
    "postgresql-small": Part("small batches on PostgreSQL", _small("postgresql"), latency.Latency),
    "mariadb-books": Part(
        "order books beside ticks on MariaDB",
        lambda given: latency.beside_books(
            "mariadb", seconds=min(10.0, max(5.0, given.seconds / 4)), turns=min(2, given.rounds), workers=given.workers
        ),
        latency.Beside,
    ),
    "peers": Part(
        "the same rows stored by others",
        lambda given: peers.run(turn_s=min(4.0, given.seconds / 10), turns=given.rounds),
        peers.Peers,
    ),
    "candles": Part("candles beside a data frame's", lambda given: candles.run(), candles.Candles),
    "rest": Part("requests by REST on SQLite", lambda given: rest.run("sqlite"), rest.Requests),
    "mariadb-rest": Part("requests by REST on MariaDB", lambda given: rest.run("mariadb"), rest.Requests),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--seconds", type=wire.options.decimal(0), default=60.0, help="of sustained load, all rounds of a part (60)"
    )
    parser.add_argument(
        "--rounds", type=wire.options.between(1, 10**9), default=ROUNDS, help=f"alternations in a part ({ROUNDS})"
    )
    parser.add_argument("--workers", type=wire.options.between(1, 10**9), default=2, help="worker processes (2)")
    parser.add_argument("--only", choices=PARTS, help="one part, which is shown and not written")
    parser.add_argument("--into", type=Path, help="with --only: a file that gets what was found, as JSON")
    given = parser.parse_args()
    if given.seconds < 5 or given.rounds > given.seconds:
        parser.error("--seconds is at least 5 and --rounds at most --seconds")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _one(given) if given.only else _all(given)
    except KeyboardInterrupt:
        print("중단됨, 기록하지 않았습니다 / stopped, nothing was written", file=sys.stderr)
        return STOPPED


def _one(given: argparse.Namespace) -> int:
    found = PARTS[given.only].run(given)
    text = msgspec.json.encode(found)
    if given.into:
        given.into.write_bytes(text)
    else:
        print(msgspec.json.format(text).decode())
    return 0


def _all(given: argparse.Namespace) -> int:
    """Every part, then the page. A part that fails is named there, and in the status."""
    began, started = results.now(), time.monotonic()
    before = calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as folder:
        for number, (name, part) in enumerate(PARTS.items(), start=1):
            print(f"\n[{number}/{len(PARTS)}] {name}: {part.says}", flush=True)
            into = Path(folder) / f"{name}.json"
            status = processes.run_apart(
                [
                    "tests.bench", "--only", name, "--into", str(into), f"--seconds={given.seconds:g}",
                    f"--rounds={given.rounds}", f"--workers={given.workers}",
                ]
            )  # fmt: skip
            if status == 0:
                found[name.replace("-", "_")] = msgspec.json.decode(into.read_bytes(), type=part.finds)
            else:
                failed[name] = f"ended with status {status}"
                print(f"{name} {failed[name]}", file=sys.stderr, flush=True)
    after = calibration.measure()
    print(f"\ncalibration {after.ms:.0f} ms, load {after.load:.1f}", flush=True)
    all_results = results.Results(
        machine=results.machine(),
        began=began,
        minutes=(time.monotonic() - started) / 60,
        before=before,
        after=after,
        packages=results.packages(),
        failed=failed,
        **found,
    )
    report.write(all_results)
    print(f"written: {report.PAGE.relative_to(report.ROOT)}, {report.PICTURE.relative_to(report.ROOT)}", flush=True)
    print(json.dumps({work: here.replace("*", "") for work, _, here in report.budget(all_results)}, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
