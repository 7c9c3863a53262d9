"""Committed ticks a second through the whole road, and the ceiling beside it: alternating rounds, medians, CPU by
process."""

from __future__ import annotations

import datetime
import json
import statistics
import time
from dataclasses import dataclass, field

from tests.bench import raw
from tests.bench.stack import SYMBOLS_EACH, TERMINALS, Stack

BATCH_ROWS = 1_000
RAW_STATEMENTS = 200
SETTLE_S = 2.0  # at the start of a round: caches fill, the window opens


@dataclass(slots=True)
class Round:
    """One alternation: the ceiling, then the road."""

    raw_per_s: float
    committed_per_s: float
    sent: int
    stored: int
    rejected: int
    rss_mib: float
    cpu_us_per_tick: dict[str, float] = field(default_factory=dict)


def run(stack: Stack, *, seconds: float, rounds: int) -> list[Round]:
    """`rounds` times: LOAD DATA alone, then the road for `seconds` / `rounds`. Tables are emptied before each part."""
    results = []
    for number in range(rounds):
        today = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=9)).date()
        from marketdata.storage import storage

        storage().ensure_partitions([today])
        ticks = raw.statements(
            stack.symbols,
            batch_rows=BATCH_ROWS,
            count=RAW_STATEMENTS,
            day=(today - datetime.date(1970, 1, 1)).days,
            start_us=time.time_ns() // 1000,
            first_batch=1 << 40,
        )
        stack.truncate()
        before = stack.cpu_seconds()["mariadb"]
        ceiling = raw.measure(ticks)
        alone = (stack.cpu_seconds()["mariadb"] - before) * 1e6 / sum(len(part) for part in ticks)
        stack.truncate()
        results.append(_road(stack, ceiling, seconds / rounds))
        results[-1].cpu_us_per_tick["mariadb for LOAD DATA alone"] = alone
        last = results[-1]
        print(
            f"round {number + 1}/{rounds}: LOAD DATA {ceiling:,.0f} rows/s, committed "
            f"{last.committed_per_s:,.0f} ticks/s (ratio {last.committed_per_s / ceiling:.2f}), "
            f"{last.rss_mib:.0f} MiB, CPU us/tick "
            + " ".join(f"{name} {value:.1f}" for name, value in last.cpu_us_per_tick.items()),
            flush=True,
        )
    return results


def _road(stack: Stack, ceiling: float, seconds: float) -> Round:
    load = stack.load(seconds=seconds + SETTLE_S, batch_rows=BATCH_ROWS)
    time.sleep(SETTLE_S + 0.5)
    before, memory, started = stack.cpu_seconds(), [], time.time()
    while load.poll() is None and time.time() < started + seconds - 0.5:
        memory.append(stack.memory_mib())
        time.sleep(1.0)
    after = stack.cpu_seconds()
    output, _ = load.communicate(timeout=120)
    if load.returncode != 0:
        raise RuntimeError(f"the terminals failed; logs are in {stack.folder}")
    result = json.loads(output)
    begin_us, end_us = int((result["begin"] + SETTLE_S) * 1e6), int(result["end"] * 1e6)
    window = stack.rows(
        "SELECT COALESCE(SUM(stored), 0) FROM ingest_batch WHERE committed_us >= %s AND committed_us < %s",
        begin_us,
        end_us,
    )
    stored = int(stack.rows("SELECT COUNT(*) FROM temp_market_data")[0][0])
    per_s = float(window[0][0]) / ((end_us - begin_us) / 1e6)
    ticks = per_s * seconds
    if stored != result["sent"] or result["committed"] != result["sent"]:
        raise RuntimeError(
            f"sent {result['sent']}, acknowledged {result['committed']}, stored {stored}: these must be equal"
        )
    return Round(
        raw_per_s=ceiling,
        committed_per_s=per_s,
        sent=result["sent"],
        stored=stored,
        rejected=result["rejected"],
        rss_mib=max(memory, default=0.0),
        cpu_us_per_tick={name: (after[name] - before[name]) * 1e6 / ticks for name in after} if ticks else {},
    )


def summary(rounds: list[Round]) -> dict[str, float]:
    """Medians over the rounds; the ratio is the median of each round's own."""
    return {
        "committed_per_s": round(statistics.median(r.committed_per_s for r in rounds)),
        "raw_load_per_s": round(statistics.median(r.raw_per_s for r in rounds)),
        "ratio": round(statistics.median(r.committed_per_s / r.raw_per_s for r in rounds), 3),
    }


__all__ = ["BATCH_ROWS", "SYMBOLS_EACH", "TERMINALS", "Round", "run", "summary"]
