"""The processes of the rollover drill: who rolls over, who reads the day that is moving, who writes the new one. Each
tells what happens in lines of JSON, and goes on when the database is away.

python -m tests.drill.rollover_roles ROLE SPEC     SPEC is a JSON object (tests/drill/rollover.py)
"""

# ruff: noqa: E402 - models can be imported only once Django is set up
from __future__ import annotations

import datetime
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import django

from marketdata.types.units import day_of

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata.settings")
django.setup()

import numpy as np
from django.db import Error as DatabaseTrouble
from django.db import connection

from analytics.series import candles
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Claim
from marketdata.maintenance import leases, retention, rollover
from marketdata.maintenance.rollover import count_ahead, run_context
from marketdata.models import RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, TEMP
from marketdata.types import checksums, minute_bars
from marketdata.types.tick_arrays import TICK_BITS, Ticks, batch_number, empty
from terminals import wire

FEED = "krx"
OPEN_US = 9 * 3_600_000_000
SESSION_US = 23_400_000_000
LEASE_S = 3.0  # so that the drill need not wait a minute for the lease of each runner it killed


def tell(**fields: Any) -> None:
    """One line of JSON on standard output, at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def symbols(number: int) -> list[str]:
    """The drill's symbols."""
    return [f"D{at:05d}" for at in range(number)]


def batch_of(date: datetime.date, stream: int, seq: int, rows: int, *, of: int, share: float) -> Ticks:
    """Batch `seq` of a stream: trades around `share` of the session, always the same for the same arguments."""
    rng = np.random.default_rng([stream, seq])
    ticks = empty(FEED, 4, rows, symbols(of))
    start = day_of(date) * 86_400_000_000 - 9 * 3_600_000_000 + OPEN_US
    ticks.time_us[:] = np.sort(start + int(share * SESSION_US) + rng.integers(0, 20_000_000, rows))
    ticks.symbol[:] = rng.integers(0, of, rows)
    ticks.kind[:] = wire.Kind.TRADE
    ticks.side[:] = rng.integers(1, 3, rows)
    ticks.price[:] = rng.integers(1_000, 90_000, rows) * 10**8
    ticks.size[:] = rng.integers(1, 1_000, rows) * 10**6
    ticks.seq[:] = seq * 10_000 + np.arange(rows)
    ticks.trade_date[:] = day_of(date)
    ticks.tick_id[:] = (batch_number(stream, seq) << TICK_BITS) + np.arange(rows)
    return ticks


def commit(ticks: Ticks, number: int, *, with_candles: bool = True) -> None:
    """What a worker does with a batch: claim, ledger by date, ticks, candles, in one transaction."""
    now = batch_ledger.now_us()
    claim = Claim(
        batch=number, state="stored", feed=FEED, rows=len(ticks), stored=len(ticks), rejected=0, checksum=number,
        first_us=int(ticks.time_us[0]), last_us=int(ticks.time_us[-1]), received_us=now, committed_us=now,
    )  # fmt: skip
    with storage().transaction():
        batch_ledger.claim([claim])
        batch_ledger.claim_days(checksums.by_batch(ticks, ticks.tick_id >> TICK_BITS))
        if storage().load(TEMP, ticks) != len(ticks):
            raise RuntimeError("fewer ticks were stored than claimed")
        if with_candles:
            storage().merge_minutes(candles.build(ticks))


def persistently(job: Callable[[], None]) -> None:
    """Until it works: whatever the database says meanwhile is what the drill does to it."""
    while True:
        try:
            job()
            return
        except batch_ledger.AlreadyClaimedError:
            return  # it was committed after all
        except DatabaseTrouble as error:
            tell(away=type(error).__name__)
            connection.close()
            time.sleep(0.1)


# --- roles ------------------------------------------------------------------------------------------------------------


def load(spec: dict[str, Any]) -> None:
    """A share of a whole day, as fast as it goes: batches first, first + step, …"""
    date = datetime.date.fromisoformat(spec["date"])
    count = -(-spec["rows"] // 5_000)
    storage().ensure_partitions([date])
    known = [Symbol(code=code, market_id="KRX", primary_feed=FEED) for code in symbols(spec["symbols"])]
    Symbol.objects.bulk_create(known, ignore_conflicts=True)
    for seq in range(1 + spec["first"], count + 1, spec["step"]):
        rows = min(5_000, spec["rows"] - (seq - 1) * 5_000)
        ticks = batch_of(date, spec["stream"], seq, rows, of=spec["symbols"], share=seq / count)
        number = batch_number(spec["stream"], seq)
        persistently(lambda ticks=ticks, number=number: commit(ticks, number))  # type: ignore[misc]
    tell(loaded=True)


def write(spec: dict[str, Any]) -> None:
    """Batches of the new day at a steady pace, now and then a late one of the days that move; how long each took."""
    today, late = datetime.date.fromisoformat(spec["date"]), [datetime.date.fromisoformat(d) for d in spec["late"]]
    storage().ensure_partitions([today])
    seq, due = 0, time.monotonic()
    while True:
        seq += 1
        is_late = bool(late) and seq % spec["late_every"] == 0
        date = late[seq // spec["late_every"] % len(late)] if is_late else today
        ticks = batch_of(date, spec["stream"], seq, 20 if is_late else spec["rows"], of=spec["symbols"], share=0.5)
        began = time.monotonic()
        number = batch_number(spec["stream"], seq)
        persistently(lambda ticks=ticks, number=number: commit(ticks, number))  # type: ignore[misc]
        ended = time.monotonic()
        tell(wrote=len(ticks), date=date.isoformat(), began=began, ms=round((ended - began) * 1e3, 2), seq=seq)
        due = max(due + spec["pause_s"], ended)
        time.sleep(max(0.0, due - time.monotonic()))


def read(spec: dict[str, Any]) -> None:
    """Each symbol of the days that move, over and over: a row fewer than were committed before is a hole."""
    least = {(date, symbol): count for date, counts in spec["counts"].items() for symbol, count in counts.items()}
    chosen = list(least)
    rng = random.Random(spec["seed"])
    while True:
        date, symbol = rng.choice(chosen)
        start = day_of(datetime.date.fromisoformat(date)) * 86_400_000_000 - 9 * 3_600_000_000
        began = time.monotonic()
        try:
            found = len(storage().read_ticks(symbol, FEED, start, start + 86_400_000_000))
        except DatabaseTrouble as error:
            tell(away=type(error).__name__)
            connection.close()
            time.sleep(0.1)
            continue
        tell(read=found, ms=round((time.monotonic() - began) * 1e3, 2), hole=found < least[date, symbol], of=symbol)
        time.sleep(spec["pause_s"])


def run(spec: dict[str, Any]) -> None:
    """What beat does every minute, more often: the rollover of whatever is due, with a line for each step."""
    run_context.TTL_S = LEASE_S

    def progress(words: str) -> None:
        tell(step=words, at=time.monotonic())

    while True:
        began = time.monotonic()
        try:
            with storage().long_running():
                done = rollover.run_due(progress=progress)
            if done:
                tell(done=[date.isoformat() for date in done], seconds=round(time.monotonic() - began, 3))
        except (DatabaseTrouble, leases.LeaseLost) as error:
            tell(away=f"{type(error).__name__}: {error}"[:200])
            connection.close()
        for trouble in _troubles():
            tell(trouble=trouble)
        time.sleep(spec["pause_s"])


def _troubles() -> Iterator[str]:
    try:
        for run in RolloverRun.objects.exclude(error=""):
            yield f"{run.trade_date} {run.error}"
    except DatabaseTrouble:
        connection.close()


def count(spec: dict[str, Any]) -> None:
    """What upkeep does in the hour before the day is due: compare it with the ledger."""
    date, began = datetime.date.fromisoformat(spec["date"]), time.monotonic()
    run, _ = RolloverRun.objects.get_or_create(trade_date=date)
    with storage().long_running(), leases.hold(leases.UPKEEP) as lease:
        context = run_context.Context(lease=lease, clock=rollover.utc_now, progress=lambda _words: None, threads=1)
        counted = count_ahead.count(run, context)
    run.refresh_from_db()
    told = batch_ledger.day_figure(date)
    tell(
        equal=counted and told == checksums.Figure(run.rows or 0, run.checksum or 0),
        seconds=round(time.monotonic() - began, 2),
    )


def judge(spec: dict[str, Any]) -> None:
    """Whether each day ended in history, whole and once: against the ledger, and candle by candle."""
    days = {}
    for text in spec["dates"]:
        date = datetime.date.fromisoformat(text)
        told, stored = (
            batch_ledger.day_figure(date),
            checksums.total(storage().tick_figures(date, tables=[HISTORY]).values()),
        )
        left = checksums.total(storage().tick_figures(date, tables=[TEMP]).values())
        wrong = daily = 0
        for symbol, feed in storage().day_series(date):
            ticks = storage().read_day_ticks(date, symbol, feed)
            made = candles.build(ticks)
            start, end = int(made.time_us[0]), int(made.time_us[-1]) + 60_000_000
            kept = storage().read_minutes(symbol, feed, start, end)
            wrong += minute_bars.changes(kept, made)[0] != [] or len(minute_bars.changes(kept, made)[1]) > 0
            bar = storage().read_daily(symbol, feed, date, date + datetime.timedelta(days=1))
            daily += len(bar) == 1 and int(bar.n[0]) == len(ticks)
        run = RolloverRun.objects.filter(trade_date=date).first()
        days[text] = {
            "ledger": [told.rows, told.checksum], "history": [stored.rows, stored.checksum], "left": left.rows,
            "wrong_candles": wrong, "daily": daily, "series": len(storage().day_series(date)),
            "state": run.state if run else None, "rows": run.rows if run else None, "late": run.late_rows if run else 0,
        }  # fmt: skip
    tell(days=days)


def dates(spec: dict[str, Any]) -> None:
    """The current trading day and those before it, by the calendar, oldest first; room is made as beat does hourly."""
    retention.extend(rollover.utc_now())
    calendar, found = trading_dates.calendar(rollover.MARKET), [rollover.current_date(rollover.utc_now())]
    for _ in range(spec["number"]):
        found.append(calendar.previous_session(found[-1]))
    tell(dates=[date.isoformat() for date in reversed(found)])


ROLES = {"dates": dates, "judge": judge, "load": load, "write": write, "read": read, "run": run, "count": count}

if __name__ == "__main__":
    ROLES[sys.argv[1]](json.loads(sys.argv[2]))
