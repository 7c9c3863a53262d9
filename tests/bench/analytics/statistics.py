"""What statistics cost, and whether more workers do more: `python -m tests.bench.analytics.statistics`.

Each symbol has 60 finished days, minutes of the last 20 of them, and a day of ticks that goes on. In a round every
symbol has one trade more and is due; 1, 2 and 4 worker processes share the round. The first round of all, in which
nothing is noted yet, is told by itself. The last line is JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from marketdata.types.units import day_of
from terminals import wire
from tests.bench import processes, rest
from tests.servers.process import spawn, temporary_folder
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[3]
SYMBOLS, ROUNDS = 400, 3
FEED = "krx"
TODAY = datetime.date(2026, 3, 16)
MINUTES, TRADES_A_MINUTE = 100, 10  # of the day that goes on
WORKERS = (1, 2, 4)
BATCH = 5_000


def _ticks(codes: list[str], date: datetime.date, minutes: int, each: int, *, seq: int, first: int = 0) -> object:
    """Trades of each symbol, `each` in each of so many minutes from minute `first` after nine on."""
    from marketdata.types import tick_arrays
    from tests import market

    count = minutes * each
    made = tick_arrays.empty(FEED, 4, len(codes) * count, codes)
    row, at = np.arange(len(made)), np.tile(np.arange(count), len(codes))
    made.symbol[:] = np.repeat(np.arange(len(codes)), count)
    made.time_us[:] = market.NINE_US + (date - TODAY).days * market.DAY_US + first * market.MINUTE_US
    made.time_us[:] += at * (market.MINUTE_US // each)
    made.kind[:] = wire.Kind.TRADE
    made.price[:] = market.price("70000") + np.random.default_rng(seq).integers(-50, 50, len(made)) * market.price(
        "100"
    )
    made.size[:] = market.size("1") * (1 + row % 50)
    made.trade_date[:] = day_of(date)
    made.tick_id[:] = market.tick_id(seq, 0) + (row // BATCH << tick_arrays.TICK_BITS | row % BATCH)
    return made


def _fill(symbols: int) -> list[str]:
    from analytics.series import candles
    from marketdata.maintenance import rollover
    from marketdata.models import RolloverRun, Symbol
    from marketdata.storage import storage
    from tests import builders

    codes = [f"{number:06d}" for number in range(900_000, 900_000 + symbols)]
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX", primary_feed=FEED) for code in codes])
    days = [TODAY - datetime.timedelta(days=back) for back in range(1, 90)]
    days = [day for day in days if rollover.windows(day)][:60]
    for place, day in enumerate(days):
        storage().ensure_partitions([day])
        with storage().transaction():
            storage().merge_minutes(candles.build(_ticks(codes, day, MINUTES if place < 20 else 5, 1, seq=1)))  # type: ignore[arg-type]  # made there, where Django is set up
        storage().build_daily(day, rollover.windows(day))
        RolloverRun.objects.create(trade_date=day, state=RolloverRun.State.DONE)
    builders.commit(storage(), _ticks(codes, TODAY, MINUTES, TRADES_A_MINUTE, seq=1_000))  # type: ignore[arg-type]
    return codes


def _work() -> None:
    """A worker that is rung all the time, as long as its parent lives."""
    import django

    django.setup()
    from analytics.statistics import due

    while os.getppid() == int(os.environ["BENCH_PARENT"]):
        if not due.compute():
            time.sleep(0.1)  # a bell a second is slower still


class Rounds:
    """Worker processes, and what a round costs them."""

    def __init__(self, count: int, codes: list[str], log: Path) -> None:
        environment = {**os.environ, "BENCH_PARENT": str(os.getpid()), "PYTHONPATH": str(ROOT)}
        self._codes = codes
        self._workers: list[subprocess.Popen[bytes]] = [
            spawn(
                [sys.executable, "-m", "tests.bench.analytics.statistics", "--work"],
                environment=environment, log=log, cwd=ROOT,
            )
            for _ in range(count)
        ]  # fmt: skip
        self.run()  # until they are up

    def run(self) -> tuple[float, float]:
        """(seconds, seconds of CPU of all workers) until everything is computed."""
        from marketdata.realtime import live_state, stats

        connection = live_state.connection()

        def is_done() -> bool:
            taken: Any = connection.zrange(stats.TAKEN, 0, -1)
            left = connection.scard(stats.MARKED + FEED)
            return not left and all(member.endswith(b" ") for member in taken)  # the market's, at most

        before, began = processes.cpu_s(one.pid for one in self._workers), time.perf_counter()
        stats.mark(connection, FEED, self._codes)
        until(is_done, seconds=600, what="the statistics", every=0.01)
        return time.perf_counter() - began, processes.cpu_s(one.pid for one in self._workers) - before

    def stop(self) -> None:
        for one in self._workers:
            one.terminate()
            one.wait(30)


def measure(database: str, *, symbols: int = SYMBOLS, rounds: int = ROUNDS) -> dict[str, object]:
    """`stats_symbols_per_s` by the number of workers, and ms of CPU of a symbol; on servers of its own, once a
    process."""
    folder = temporary_folder("stats")
    with rest.servers(database, folder) as environment:
        os.environ.update(environment)
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from marketdata.storage import storage
        from tests import builders

        call_command("migrate", verbosity=0, skip_checks=True)
        codes = _fill(symbols)
        speeds: dict[str, float] = {}
        cpu: dict[str, float] = {}
        begun = time.perf_counter()
        for count in WORKERS:
            connections.close_all()
            workers = Rounds(count, codes, folder / "workers.log")
            if count == WORKERS[0]:
                print(
                    f"first round, nothing noted: {time.perf_counter() - begun:.1f} s for {symbols} symbols", flush=True
                )
            took, used = 0.0, 0.0
            for number in range(rounds):
                seq = 10_000 * count + 100 * number
                builders.commit(storage(), _ticks(codes, TODAY, 1, 1, seq=seq, first=MINUTES + 10 * count + number))  # type: ignore[arg-type]
                seconds, busy = workers.run()
                took, used = took + seconds, used + busy
            workers.stop()
            speeds[str(count)] = round(symbols * rounds / took, 1)
            cpu[str(count)] = round(1000 * used / (symbols * rounds), 3)
            print(f"{count} workers: {speeds[str(count)]} symbols/s, {cpu[str(count)]} ms of CPU a symbol", flush=True)
    return {"stats_symbols_per_s": speeds, "stats_cpu_ms": cpu}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analytics.statistics", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--symbols", type=wire.options.between(1, 10_000), default=SYMBOLS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        _work()
        return 0
    print(json.dumps(measure(given.database, symbols=given.symbols)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
