"""`make bench-api`: measures the serving side on private servers and each database, writes docs/benchmarks-api.md and
its picture, ends with one JSON line. Each database is measured in a process of its own; `--only NAME` measures one and
writes nothing."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from terminals import wire
from tests.bench import calibration, processes, results
from tests.bench.api import cases, measure, page

DATABASES = ("sqlite", "mariadb", "postgresql")
THROUGHPUT = "sqlite"  # where requests and messages a second are measured, too
SECONDS = 4.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    parser.add_argument(
        "--seconds", type=wire.options.decimal(0), default=SECONDS, help="of requests by each number of clients (4)"
    )
    parser.add_argument("--only", choices=DATABASES, help="one database, which is shown and not written")
    parser.add_argument("--into", type=Path, help="with --only: a file that gets what was found, as JSON")
    given = parser.parse_args()
    if given.seconds < 1:
        parser.error("--seconds is at least 1")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _one(given.only, given.seconds, given.into) if given.only else _all(given.seconds)
    except KeyboardInterrupt:
        print("stopped, nothing was written", file=sys.stderr)
        return 130


def _one(database: str, seconds: float, into: Path | None) -> int:
    found = measure.run(database, seconds=seconds, throughput=database == THROUGHPUT)
    if into is not None:
        into.write_bytes(msgspec.json.encode(found))
    return 0


def _all(seconds: float) -> int:
    """Every database, then the page."""
    began, started, before = results.now(), time.monotonic(), calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as folder:
        for database in DATABASES:
            into = Path(folder) / f"{database}.json"
            status = processes.run_apart(
                ["tests.bench.api", "--only", database, "--into", str(into), f"--seconds={seconds:g}"]
            )
            if status:
                print(f"{database} ended with status {status}, nothing was written", file=sys.stderr)
                return 1
            found.append(msgspec.json.decode(into.read_bytes(), type=measure.Measured))
    after = calibration.measure()
    minutes, packages = (time.monotonic() - started) / 60, results.packages(page.PACKAGES)
    whole = page.Whole(began, minutes, seconds, before, after, found, packages)
    page.write(whole)
    print(f"calibration {after.ms:.0f} ms; written: {page.PAGE.name}, {page.PICTURE.name}", flush=True)
    print(json.dumps(summary(whole), separators=(",", ":")))
    return 0


def summary(whole: page.Whole) -> dict[str, object]:
    """The figures of the last line: ms are CPU of the web process, `rps` is of one web process."""
    costs = {(one.database, cost.case): round(cost.cpu, 2) for one in whole.found for cost in one.costs}
    (full,) = (one for one in whole.found if one.database == THROUGHPUT)
    here = [one for one in full.rates if one.server == measure.DAPHNE]
    return {
        "bars_1000_ms_p50": costs[THROUGHPUT, cases.FINISHED],
        "trades_1000_ms_p50": costs[THROUGHPUT, cases.TRADES],
        "rps": {str(one.clients): round(one.per_s) for one in here if one.processes == 1},
        "ws_fanout_per_s": round(max(one.per_s for one in full.fan_out if one.server == measure.DAPHNE)),
        "rps_of_two_processes": {str(one.clients): round(one.per_s) for one in here if one.processes == 2},
        **{
            f"{database}_{name}": costs[database, case]
            for database in DATABASES
            if database != THROUGHPUT
            for name, case in (("bars_1000_ms_p50", cases.FINISHED), ("trades_1000_ms_p50", cases.TRADES))
        },
        "calibration_ms": round(whole.before.ms),
    }


if __name__ == "__main__":
    sys.exit(main())
