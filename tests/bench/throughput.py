"""Committed ticks a second through the whole road, and the ceiling beside it: alternating rounds, medians, CPU by
process."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass

from tests.bench import raw, rows
from tests.bench.stack import Stack
from tests.bench.window import Window

RAW_STATEMENTS = 100
FIRST_BATCH = 1 << 40  # numbers of batches that no terminal reaches
SETTLE_S = 2.0  # at the start of a round: caches fill, the window opens


@dataclass(slots=True)
class Round:
    """One alternation: the ceiling, then the road. CPU in microseconds a row or tick."""

    raw_per_s: float
    raw_cpu_us: float
    committed_per_s: float
    sent: int
    stored: int
    rss_mib: float
    cpu_us: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.committed_per_s / self.raw_per_s


@dataclass(slots=True)
class Road:
    """What the whole road did, as fast as it goes. CPU in microseconds a tick."""

    committed_per_s: float
    sent: int
    stored: int
    rss_mib: float
    cpu_us: dict[str, float]


@dataclass(slots=True)
class Throughput:
    """All rounds on one database."""

    database: str
    seconds: float
    workers: int
    rounds: list[Round]
    versions: dict[str, str]

    def median(self, name: str) -> float:
        """Of a figure of the rounds."""
        values: list[float] = [getattr(one, name) for one in self.rounds]
        return statistics.median(values)

    def cpu_us(self) -> dict[str, float]:
        """Per tick by kind of process, medians of the rounds."""
        return {name: statistics.median(one.cpu_us[name] for one in self.rounds) for name in self.rounds[0].cpu_us}


def run(database: str, *, seconds: float, rounds: int, workers: int) -> Throughput:
    """`rounds` times: the ceiling, then the road for `seconds` / `rounds`. Tables are emptied before each part."""
    print(f"starting private servers, ingest, {workers} workers and the web server", flush=True)
    found = []
    with Stack(database, workers=workers) as stack:
        for number in range(rounds):
            one = _round(stack, seconds / rounds)
            found.append(one)
            print(
                f"round {number + 1}/{rounds}: {raw.STATEMENTS[database]} alone {one.raw_per_s:,.0f} rows/s, committed "
                f"{one.committed_per_s:,.0f} ticks/s (ratio {one.ratio:.2f}), {one.rss_mib:.0f} MiB, CPU us/tick "
                + " ".join(f"{name} {value:.1f}" for name, value in one.cpu_us.items())
                + f", {database} for {raw.STATEMENTS[database]} alone {one.raw_cpu_us:.1f}",
                flush=True,
            )
        versions = stack.versions()
    return Throughput(database, seconds, workers, found, versions)


def _round(stack: Stack, seconds: float) -> Round:
    from marketdata.storage import storage

    storage().ensure_partitions([rows.today()])
    ticks = rows.statements(RAW_STATEMENTS, first_batch=FIRST_BATCH)
    stack.truncate()
    before = stack.database_cpu_s()
    ceiling = raw.measure(ticks)
    alone = (stack.database_cpu_s() - before) * 1e6 / sum(len(part) for part in ticks)
    stack.truncate()
    found = along_the_road(stack, seconds)
    return Round(
        raw_per_s=ceiling,
        raw_cpu_us=alone,
        committed_per_s=found.committed_per_s,
        sent=found.sent,
        stored=found.stored,
        rss_mib=found.rss_mib,
        cpu_us=found.cpu_us,
    )


def along_the_road(stack: Stack, seconds: float) -> Road:
    """Let the terminals send as fast as they are acknowledged; the tables of the day are empty. RuntimeError unless all
    that was sent is acknowledged and stored."""
    load = stack.load(seconds=seconds + SETTLE_S, batch_rows=rows.BATCH_ROWS)
    time.sleep(SETTLE_S + 0.5)
    memory, ends = [], time.monotonic() + seconds - 0.5
    window = Window(stack, load)
    while load.poll() is None and time.monotonic() < ends:
        memory.append(stack.memory_mib())
        time.sleep(min(1.0, max(0.0, ends - time.monotonic())))
        window.mark()
    output, _ = load.communicate(timeout=120)
    if load.returncode != 0:
        raise RuntimeError(f"the terminals failed; the end of ingest's log:\n{stack.tail('ingest')}")
    result = json.loads(output)
    stored = int(stack.rows("SELECT COUNT(*) FROM temp_market_data")[0][0])
    if stored != result["sent"] or result["committed"] != result["sent"]:
        raise RuntimeError(
            f"sent {result['sent']}, acknowledged {result['committed']}, stored {stored}: these must be equal"
        )
    begin_us, end_us = int((result["begin"] + SETTLE_S) * 1e6), int(result["end"] * 1e6)
    return Road(
        committed_per_s=stack.committed(begin_us, end_us) / ((end_us - begin_us) / 1e6),
        sent=result["sent"],
        stored=stored,
        rss_mib=max(memory, default=0.0),
        cpu_us=window.spent().us_per_tick,
    )
