"""`make soak MINUTES=60`: the whole stack under a steady load, with subscribers, requests by REST and pages; memory,
file descriptors and threads of every process, Redis' memory and the database's connections looked at all the time. Ends
with one JSON line, which has the growth of each process in MiB an hour; status 1 if anything grows faster than it
may."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import msgspec

from terminals import wire
from tests.bench import calibration, results
from tests.servers.process import temporary_folder
from tests.soak import report
from tests.soak.readers import Readers
from tests.soak.samples import Watch
from tests.soak.stack import ROOT, Stack

DATABASES = ("mariadb", "postgresql", "sqlite")
FIGURES = ROOT / "docs/figures/soak.json"
WRITTEN_FROM_MIN = 60.0
RATE = 50
WARM_MIN = 31.0  # web processes keep the closed candles of half an hour to compare them (api/stream/candles.py)
LOOK_EVERY_S = 10.0
TOLD_EVERY_S = 300.0
STOPPED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=wire.options.decimal(0), default=60.0, help="how long (60)")
    parser.add_argument(
        "--warm",
        type=wire.options.decimal(0),
        help=f"minutes that are not counted ({WARM_MIN:g}, at most half)",
    )
    parser.add_argument("--rate", type=wire.options.between(1, 10**6), default=RATE, help=f"trades a second ({RATE})")
    parser.add_argument("--database", choices=DATABASES, default=DATABASES[0])
    parser.add_argument("--into", type=Path, help="a file that gets what was found, as JSON")
    given = parser.parse_args()
    if given.minutes < 2:
        parser.error("--minutes is at least 2")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(given)
    except KeyboardInterrupt:
        print("stopped, nothing was written", file=sys.stderr)
        return STOPPED


def _run(given: argparse.Namespace) -> int:
    warm_min = min(WARM_MIN, given.minutes / 2) if given.warm is None else given.warm
    began, before = results.now(), calibration.measure()
    print(f"{given.minutes:g} minutes on {given.database}, of which {warm_min:g} are not counted", flush=True)
    folder = temporary_folder("soak")
    try:
        found = _soaked(folder, given, warm_min, began, before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for one in found.programs:
        print(
            f"{one.program:18s} {one.first_mib:7.1f} to {one.last_mib:7.1f} MiB, {one.mib_per_h:+6.2f} MiB/h (all"
            f" {one.all_mib_per_h:+6.2f}), {one.processes} processes, {one.replaced} replaced, file descriptors"
            f" {one.fds[0]:.0f} to {one.fds[1]:.0f}, threads {one.threads[0]:.0f} to {one.threads[1]:.0f},"
            f" {one.cpu_percent:.1f} % of a core"
        )
    for number in found.numbers:
        print(f"{number.name:22s} {number.first:.1f} to {number.last:.1f}, {number.per_h:+.2f} an hour")
    into = given.into or (FIGURES if given.minutes >= WRITTEN_FROM_MIN else None)
    if into is not None:
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        print(f"written: {into}")
    for fault in found.faults[:20]:
        print(f"fault: {fault}", file=sys.stderr)
    print(json.dumps(_last_line(found)))
    return 1 if found.grows() or found.faults else 0


def _soaked(
    folder: Path, given: argparse.Namespace, warm_min: float, began: str, before: calibration.Calibration
) -> report.Soak:
    seconds, warm_s = given.minutes * 60, warm_min * 60
    with Stack(folder, given.database, given.rate) as stack, Readers(stack.port, stack.headers) as readers:
        started = time.monotonic()
        watch = Watch(stack.conf, stack.pid, servers=stack.servers(), asked=stack.numbers, began=started)
        rows, told = stack.stored(), started
        while (now := time.monotonic()) - started < seconds:
            stack.look()
            watch.look()
            if now - told >= TOLD_EVERY_S:
                told = now
                largest = {name: round(seen["rss_mib"][-1][1], 1) for name, seen in watch.programs.items()}
                print(f"{(now - started) / 60:5.0f} min, {stack.stored() - rows:,} rows, MiB {largest}", flush=True)
            time.sleep(max(0.0, min(LOOK_EVERY_S, seconds / 60) - (time.monotonic() - now)))
        rows = stack.stored() - rows
        elapsed = time.monotonic() - started
    return report.Soak(
        machine=results.machine(),
        began=began,
        database=given.database,
        minutes=round(elapsed / 60, 1),
        warm_minutes=warm_min,
        asked_per_s=given.rate,
        rows=rows,
        rows_per_s=round(rows / elapsed, 1),
        before=before,
        after=calibration.measure(),
        programs=report.growths(watch, warm_s=warm_s, seconds=elapsed),
        numbers=report.numbers(watch, warm_s=warm_s),
        mib_by_minute=report.by_minute(watch),
        faults=readers.faults,
        **report.counted(readers),
    )


def _last_line(found: report.Soak) -> dict[str, object]:
    return {
        "minutes": found.minutes,
        "rows": found.rows,
        "rows_per_s": found.rows_per_s,
        "mib_per_h": {one.program: round(max(one.mib_per_h, one.all_mib_per_h), 2) for one in found.programs},
        "numbers_per_h": {one.name: round(one.per_h, 2) for one in found.numbers},
        "requests": found.requests,
        "messages": found.messages,
        "faults": len(found.faults),
        "grows": found.grows(),
    }


if __name__ == "__main__":
    sys.exit(main())
