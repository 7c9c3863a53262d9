"""`make bench`: measures the first lines of the budget on private servers, writes docs/benchmarks.md, ends with one
JSON line."""

from __future__ import annotations

import argparse
import json
import sys

from terminals import wire
from tests.bench import latency, report, throughput, waiting
from tests.bench.stack import Stack

ROUNDS = 5
LATENCY_RATE = latency.RATE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--seconds", type=wire.options.decimal(0), default=60.0, help="of sustained load in all rounds together (60)"
    )
    parser.add_argument(
        "--rounds",
        type=wire.options.between(1, 10**9),
        default=ROUNDS,
        help=f"alternations of LOAD DATA and the road ({ROUNDS})",
    )
    parser.add_argument("--workers", type=wire.options.between(1, 10**9), default=2, help="worker processes (2)")
    parser.add_argument("--only-waiting", action="store_true", help="what a person waits for, and nothing else")
    given = parser.parse_args()
    if given.seconds < 5 or not 1 <= given.rounds <= given.seconds:
        parser.error("--seconds is at least 5 and --rounds from 1 to --seconds")
    print("commands, the second run and Ctrl-C", flush=True)
    waits_of_a_person = waiting.run()
    if given.only_waiting:
        report.write_waiting(waits_of_a_person)
        print(waiting.section(waits_of_a_person))
        return 0
    print(f"starting private MariaDB, Redis, ingest, {given.workers} workers and the web server", flush=True)
    with Stack(workers=given.workers) as stack:
        print(f"latency at {LATENCY_RATE:,} ticks/s", flush=True)
        waits = latency.run(stack, seconds=min(20.0, max(5.0, given.seconds / 3)))
        print(f"p50 {waits.p50} ms, p99 {waits.p99} ms, worst {waits.worst} ms over {waits.ticks:,} ticks", flush=True)
        rounds = throughput.run(stack, seconds=given.seconds, rounds=given.rounds)
        versions = report.versions(stack)
    figures = throughput.summary(rounds)
    memory = max([waits.rss_mib, *(one.rss_mib for one in rounds)])
    report.write(rounds, waits, figures, versions, seconds=given.seconds, workers=given.workers)
    report.write_waiting(waits_of_a_person)
    print(f"written: {report.PAGE.relative_to(report.ROOT)}", flush=True)
    print(json.dumps({**figures, "latency_ms": {"p50": waits.p50, "p99": waits.p99}, "rss_mib": round(memory)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
