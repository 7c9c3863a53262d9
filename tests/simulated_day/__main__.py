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
from pathlib import Path
from typing import Any

from terminals import wire
from tests.bench.stack import Stack
from tests.simulated_day import accounting, day, speed
from tests.simulated_day.terminal import Terminal
from tests.simulators.kis.process import SimulatorProcess

EVERY_S = 5.0
SETTLE_TRIES, SETTLE_S = 6, 30.0
START_S, END_S = 300.0, 300.0


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
    with Stack("mariadb", workers=given.workers) as stack:
        result, findings = run(stack, given)
    for finding in findings[:50]:
        print(finding, flush=True)
    print(json.dumps(result), flush=True)
    return 0 if result["unexplained"] == 0 and result["limiter_trips"] == 0 and result["records"] else 1


def run(stack: Stack, given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Let the day go by, then account for it."""
    names = [f"key{number:02d}" for number in range(given.appkeys)]
    with (
        SimulatorProcess(*_options(stack.folder, given, names), "--paused") as kis,
        Terminal(stack, kis, names) as terminal,
    ):
        terminal.until(terminal.is_registered, "all registrations", seconds=START_S)
        print(f"{terminal.summary()}; the day begins", flush=True)
        began, memory = time.monotonic(), 0.0
        kis.order("go")
        while not (account := kis.account())["done"]:
            memory = max(memory, stack.memory_mib() + terminal.memory_mib())
            print(f"{account['trades'] / given.trades:4.0%} of the day, {terminal.summary()}", flush=True)
            time.sleep(EVERY_S)
        took_s = time.monotonic() - began
        account = _settle(stack, kis, terminal)
        success_rate = terminal.number("naru_kis_success_ratio")
        kis.order("no_rest")  # or pictures would come without end
        rows = terminal.stop(seconds=END_S)
    told, stored = accounting.told(account), accounting.stored(stack.rows)
    verdict = accounting.judge(told, stored, rows)
    records = sum(told.sent.values()) + told.expected + told.books + rows.get("snapshot", 0)
    return {
        "records": records,
        "stored": sum(stored.kinds.values()),
        "rejected": sum(stored.rejected.values()),
        "gap_shares": sum(stored.gap_shares.values()),
        "lost_shares_sim": told.lost_shares,
        "unexplained": verdict.unexplained,
        "limiter_trips": account["rest"]["limiter_trips"],
        "decode_per_s": speed.decode_per_s(),
        "latency_ms": accounting.latency(account["samples"], stack.rows),
        "success_rate": round(success_rate, 4),
        "rss_mib": round(memory),
        "records_per_s": round(records / took_s),
        "kinds": dict(stored.kinds),
        "reasons": dict(stored.rejected),
        "faults": {**account["faults"], "rest": account["rest"]["faults"]},
        "load": os.getloadavg()[0],
    }, verdict.findings


def _options(folder: Path, given: argparse.Namespace, names: list[str]) -> list[str]:
    """Of the simulator."""
    steps = folder / "script.json"
    steps.write_text(json.dumps(day.script(given.trades)), encoding="utf-8")
    options = {
        "symbols": given.symbols,
        "trades": given.trades,
        "trades-per-s": given.trades_per_s,
        "book-share": day.BOOK_SHARE,
        "seed": given.seed,
        "start": day.START,
        "end": day.END,
        "speed": f"{day.SESSION_S * given.trades_per_s / given.trades:.3f}",
        "script": steps,
        "sample": max(1, given.trades // 20_000),
    }
    chances = [f"--chance={fault}={share}" for fault, share in day.REST_FAULTS.items()]
    appkeys = [f"--appkey={Terminal.appkey(name)}={Terminal.secret(name)}" for name in names]
    return [*(f"--{name}={value}" for name, value in options.items()), *chances, *appkeys]


def _settle(stack: Stack, kis: SimulatorProcess, terminal: Terminal) -> dict[str, Any]:
    """The account once everything is where it must be, or does not come there any more. What was missing of a stock
    before is shown by its next trade, and so each gets one more, again where that one was lost with a connection."""
    account: dict[str, Any] = {}
    for _ in range(SETTLE_TRIES):
        terminal.until(terminal.is_registered, "all registrations again", seconds=START_S)
        kis.settle()
        account = kis.account()
        wanted = accounting.told(account)
        if terminal.comes(lambda: accounting.shares_are_there(wanted, accounting.stored(stack.rows)), seconds=SETTLE_S):  # noqa: B023  # of now
            break
    return account


if __name__ == "__main__":
    sys.exit(main())
