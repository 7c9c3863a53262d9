"""`make simulate-day`: a compressed day of KIS through the whole stack on MariaDB, with everything going wrong that KIS
is known for. The last line is one JSON object; status 1 unless every share that was traded is stored, refused under a
name or told as missing, and no call was one too many.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terminals import wire
from tests.bench import kis_frames
from tests.bench.stack import Stack
from tests.simulated_day import accounting, day
from tests.simulated_day.terminal import SETTLE_S, SETTLE_TRIES, START_S, Terminal
from tests.simulators.kis.process import SimulatorProcess
from tests.waiting import limited

EVERY_S, LOOK_S = 5.0, 0.2
END_S = 300.0
SLACK = 3.0
"""So many times as long as planned a day may take until it is given up."""


def main() -> int:
    """Run a day; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulated_day", description=__doc__)
    parser.add_argument(
        "--trades", type=wire.options.between(1_000, 10**8), default=day.TRADES, help="of the day, all symbols"
    )
    parser.add_argument("--symbols", type=wire.options.between(3, 1_000), default=day.SYMBOLS)
    parser.add_argument("--appkeys", type=wire.options.between(1, 50), default=day.APPKEYS)
    parser.add_argument("--trades-per-s", type=wire.options.between(10, 10**6), default=day.TRADES_PER_S)
    parser.add_argument("--seed", type=wire.options.between(0, 2**31 - 1), default=1)
    parser.add_argument("--workers", type=wire.options.between(1, 16), default=2)
    given = parser.parse_args()
    planned_s = day.QUIET_S + given.trades / given.trades_per_s
    limit_s = 2 * START_S + SLACK * planned_s + SETTLE_TRIES * (START_S + SETTLE_S) + END_S
    try:
        with limited(limit_s, "the simulated day"), Stack("mariadb", workers=given.workers) as stack:
            result, findings = run(stack, given, limit_s=2 * START_S + SLACK * planned_s)
    except (TimeoutError, RuntimeError, OSError) as error:
        print(f"the day could not be finished: {error}", flush=True)
        print(json.dumps({"error": str(error).splitlines()[0]}), flush=True)
        return 1
    for finding in findings[:50]:
        print(finding, flush=True)
    print(json.dumps(result), flush=True)
    return 0 if result["unexplained"] == 0 and result["limiter_trips"] == 0 and result["records"] else 1


def run(stack: Stack, given: argparse.Namespace, *, limit_s: float) -> tuple[dict[str, Any], list[str]]:
    """Let the day go by, then account for it. TimeoutError if it takes longer than `limit_s`; RuntimeError if a process
    ended."""
    names = [f"key{number:02d}" for number in range(given.appkeys)]
    with (
        SimulatorProcess(*_options(stack.folder, given, names), "--paused") as kis,
        Terminal(stack, kis, names) as terminal,
    ):
        terminal.until(terminal.is_registered, "all registrations", seconds=START_S)
        ends, total, memory = time.monotonic() + limit_s, day.QUIET_TRADES + given.trades, 0.0
        cpu_s = stack.cpu_s(terminal.pid)
        print(f"{terminal.summary()}; {day.QUIET_TRADES_PER_S:,} trades/s for {day.QUIET_S} s", flush=True)
        kis.order(f"pace {day.QUIET_TRADES_PER_S}")
        kis.order("go")
        # A little less than planned, for the faults of the day begin behind its quiet part.
        while (account := kis.account())["trades"] < 0.9 * day.QUIET_TRADES:
            _look(stack, ends, f"trade {account['trades']:,} of the quiet part")
            time.sleep(LOOK_S)
        began, began_us, quiet = time.monotonic(), time.time_ns() // 1000, _records(account, terminal.rows())
        print(f"{terminal.summary()}; the day begins, {given.trades_per_s:,} trades/s", flush=True)
        kis.order(f"pace {given.trades_per_s}")
        while not (account := kis.account())["done"]:
            _look(stack, ends, f"trade {account['trades']:,} of {total:,}")
            memory = max(memory, stack.memory_mib() + terminal.memory_mib())
            print(f"{account['trades'] / total:4.0%} of the day, {terminal.summary()}", flush=True)
            time.sleep(EVERY_S)
        took_s = time.monotonic() - began
        at_speed = _records(account, terminal.rows()) - quiet
        cpu_s = {name: used_s - cpu_s[name] for name, used_s in stack.cpu_s(terminal.pid).items()}
        account = terminal.settle(lambda: accounting.stored(stack.rows))
        samples = kis.samples()
        success_rate, failed = terminal.number("naru_kis_success_ratio"), terminal.counts("naru_kis_failed_total")
        kis.order("no_rest")  # or pictures would come without end
        rows = terminal.stop(seconds=END_S)
    told, stored = accounting.told(account), accounting.stored(stack.rows)
    verdict = accounting.judge(told, stored, rows)
    return {
        "records": _records(account, rows),
        "stored": sum(stored.kinds.values()),
        "rejected": sum(stored.rejected.values()),
        "gap_shares": sum(stored.gap_shares.values()),
        "lost_shares_sim": told.lost_shares,
        "unexplained": verdict.unexplained,
        "limiter_trips": account["rest"]["limiter_trips"],
        "decode_per_s": kis_frames.decode_per_s(),
        "latency_ms": accounting.latency((one for one in samples if one[3] >= began_us), stack.rows),
        "records_per_s": round(at_speed / took_s),
        "quiet_latency_ms": accounting.latency((one for one in samples if one[3] < began_us), stack.rows),
        "quiet_trades_per_s": day.QUIET_TRADES_PER_S,
        "cpu_us_per_record": {name: round(used_s / (quiet + at_speed) * 1e6) for name, used_s in cpu_s.items()},
        "success_rate": round(success_rate, 4),
        "failed": failed,
        "rss_mib": round(memory),
        "kinds": dict(stored.kinds),
        "reasons": dict(stored.rejected),
        "faults": {**account["faults"], "rest": account["rest"]["faults"]},
        "load": os.getloadavg()[0],
    }, verdict.findings


def _records(account: Mapping[str, Any], rows: Mapping[str, int]) -> int:
    """So many records of trades, expected prices and books the simulator has sent, and pictures the terminal has."""
    told = accounting.told(account)
    return sum(told.sent.values()) + told.expected + told.books + rows.get("snapshot", 0)


def _look(stack: Stack, ends: float, where: str) -> None:
    """TimeoutError if the time is over, RuntimeError if a process of the stack ended."""
    stack.look()
    if time.monotonic() > ends:
        raise TimeoutError(f"the day takes too long, it is at {where}")


def _options(folder: Path, given: argparse.Namespace, names: list[str]) -> list[str]:
    """Of the simulator."""
    steps = folder / "script.json"
    steps.write_text(json.dumps(day.script(given.trades, after=day.QUIET_TRADES)), encoding="utf-8")
    options = {
        "symbols": given.symbols,
        "trades": day.QUIET_TRADES + given.trades,
        "trades-per-s": given.trades_per_s,
        "book-share": day.BOOK_SHARE,
        "seed": given.seed,
        "start": day.START,
        "end": day.END,
        "speed": f"{day.SESSION_S / (day.QUIET_S + given.trades / given.trades_per_s):.3f}",
        "script": steps,
        "sample": max(1, given.trades // 60_000),
    }
    chances = [f"--chance={fault}={share}" for fault, share in day.REST_FAULTS.items()]
    appkeys = [f"--appkey={Terminal.appkey(name)}={Terminal.secret(name)}" for name in names]
    return [*(f"--{name}={value}" for name, value in options.items()), *chances, *appkeys]


if __name__ == "__main__":
    sys.exit(main())
