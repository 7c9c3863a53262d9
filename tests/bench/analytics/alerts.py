"""How long an alert takes, and what rules cost a commit: `python -m tests.bench.analytics.alerts`.

Terminals send RATE ticks a second to a private database through ingest, workers, web server and timetable, while RULES
rules on prices of one symbol each look at them. Told is the time from a tick's sending, and from its commit, to its
alert at a WebSocket, beside that of the trades themselves. Then a worker's batches are processed in this process with
0, 100 and 10,000 rules, in turns. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import websockets

from marketdata.launcher import supervisor
from terminals import wire
from tests.bench import load
from tests.bench.stack import Stack

RATE, RULES = 1_000, 1_000
FIRE = 100  # of the rules; they have no pause, for its end would be measured
APART = 7  # in the list of symbols, so that all terminals send some that fire
BATCH_ROWS = 200  # of 50 symbols, sent again and again: nearly each has prices on both sides of its level
SECONDS, SETTLE_S, ARRIVE_S = 20.0, 5.0, 10.0
COUNTS = (0, 100, 10_000)
BATCHES, TURNS = 60, 3
WORKERS = 2
OWNER = "bench"


@dataclass(frozen=True, slots=True)
class Alerts:
    """Milliseconds to the alert at a socket: from a tick's sending, and from its commit; and by the number of rules the
    microseconds of CPU that a worker takes to process a batch, and of that for looking at rules."""

    sent_p50: float
    sent_p99: float
    commit_p50: float
    commit_p99: float
    alerts: int
    batch_us: dict[str, float]
    look_us: dict[str, float]


class AlertStack(Stack):
    """With the timetable, which rings for what no commit looks at, and the workers of `make run`: statistics, caches
    and upkeep, which one bell or another asks for each second, take none of those that store ticks."""

    def _begin(self) -> None:
        super()._begin()
        for program in supervisor.programs(port=self.web_port, redis=None, terminal=None):
            if program.name not in self.processes:
                self._start(program.name, program.command)

    def _queues(self) -> tuple[str, ...]:
        return super()._queues()[:2]

    def seed(self) -> None:
        """Let Redis know the latest trades, of which there are none yet, as the timetable does after a start."""
        from ingest import recovery

        recovery.announce_missed()

    def codes(self) -> list[str]:
        return [code for of_terminal in self.symbols for code in of_terminal]


def measure(database: str, *, seconds: float = SECONDS, batches: int = BATCHES) -> Alerts:
    """Measure on servers of its own, once a process. RuntimeError when nothing fired, or an alert that is stored did
    not arrive."""
    with AlertStack(database, workers=WORKERS) as stack:
        stack.seed()
        arrived = asyncio.run(_listened(stack, seconds))
        from_sending, from_commit = _waits(arrived)
        print(
            f"{len(from_sending)} alerts: sent to told p50 {_at(from_sending, 50)} ms, p99 {_at(from_sending, 99)} ms;"
            f" committed to told p50 {_at(from_commit, 50)} ms, p99 {_at(from_commit, 99)} ms",
            flush=True,
        )
        for name in [name for name in stack.processes if name != "web"]:
            stack.processes.pop(name).terminate()
        batch_us, look_us = _costs(stack, batches)
    return Alerts(
        _at(from_sending, 50), _at(from_sending, 99), _at(from_commit, 50), _at(from_commit, 99), len(from_sending),
        batch_us, look_us,
    )  # fmt: skip


def _at(values: list[float], percentile: float) -> float:
    return round(float(np.percentile(values, percentile)), 1)


def _rules(owner: Any, codes: list[str], count: int) -> None:
    """Rules on the prices of symbols in turn. Half of all trades of a symbol are above the level of one of the first
    `FIRE`, none above those of the others."""
    from analytics.alerts import due
    from marketdata.models import AlertRule

    AlertRule.objects.all().delete()
    AlertRule.objects.bulk_create(
        [
            AlertRule(
                owner=owner, name=f"{number}", kind="price", symbols=[codes[number * APART % len(codes)]], cooldown_s=0,
                parameters={"direction": "above", "level": _level(number, codes)},
            )
            for number in range(count)
        ],
        batch_size=500,
    )  # fmt: skip
    due.watch()


def _level(number: int, codes: list[str]) -> str:
    base = load.KRX_OPEN_PRICES[number * APART % len(codes) % len(load.KRX_OPEN_PRICES)]
    return str(base if number < FIRE else base + 1_000_000)


async def _listened(stack: AlertStack, seconds: float) -> dict[int, tuple[float, float]]:
    """By an alert's id when it arrived and when its trade was sent, in seconds."""
    key_id, secret = await asyncio.to_thread(_prepare, stack)
    found: dict[int, tuple[float, float]] = {}
    async with websockets.connect(f"ws://127.0.0.1:{stack.web_port}/v2/stream/sim", max_size=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "key": key_id, "secret": secret}))
        await socket.recv()
        await socket.send(json.dumps({"action": "subscribe", "alerts": ["*"]}))
        await socket.recv()
        terminals = stack.load(seconds=seconds + SETTLE_S, batch_rows=BATCH_ROWS, rate=RATE)
        listener = asyncio.create_task(_listen(socket, found, time.time() + SETTLE_S))
        output, _ = await asyncio.to_thread(terminals.communicate, timeout=seconds + 120)
        if terminals.returncode or not json.loads(output)["sent"]:
            raise RuntimeError(f"the terminals failed; the end of ingest's log:\n{stack.tail('ingest')}")
        await asyncio.sleep(ARRIVE_S)
        if listener.done():
            listener.result()
        listener.cancel()
    return found


async def _listen(socket: websockets.ClientConnection, found: dict[int, tuple[float, float]], since: float) -> None:
    async for text in socket:
        now = time.time()
        for message in json.loads(text):
            if message["T"] != "alert":
                raise RuntimeError(f"the stream said {message}")
            sent = datetime.datetime.fromisoformat(message["t"][:26].rstrip("Z") + "+00:00").timestamp()
            if now >= since:
                found.setdefault(message["i"], (now, sent))


def _prepare(stack: AlertStack) -> tuple[str, str]:
    """Key and secret of the owner of the rules, which are there when this returns."""
    from django.contrib.auth import get_user_model

    from marketdata.reference import api_keys

    owner = get_user_model().objects.create_superuser(OWNER)
    key, secret = api_keys.issue(user=owner, name=OWNER, feeds="*")
    _rules(owner, stack.codes(), RULES)
    return key.key_id, secret


def _waits(arrived: Mapping[int, tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Milliseconds from sending, and from commit, of those that a commit brought. RuntimeError as `measure`."""
    from marketdata.models import Alert

    rows = Alert.objects.values_list("pk", "committed_us")
    committed = {number: committed_us for number, committed_us in rows if committed_us is not None}
    known = [number for number in arrived if number in committed]
    if not known:
        raise RuntimeError("no alert arrived: was nothing looked at?")
    lost = set(committed) - set(arrived)
    first = min(arrived)
    if any(number > first for number in lost):
        raise RuntimeError(f"{len(lost)} alerts that are stored did not arrive")
    return (
        [(arrived[one][0] - arrived[one][1]) * 1e3 for one in known],
        [arrived[one][0] * 1e3 - committed[one] / 1e3 for one in known],
    )


def _costs(stack: AlertStack, batches: int) -> tuple[dict[str, float], dict[str, float]]:
    """(microseconds of a batch, of that for looking at rules) by the number of rules: medians over all turns."""
    from django.contrib.auth import get_user_model

    from analytics.alerts import due

    owner = get_user_model().objects.get(username=OWNER)
    looked = 0.0
    beside = due.evaluate_beside

    def timed(feeds: Any) -> None:
        nonlocal looked
        began = time.process_time()
        beside(feeds)
        looked += time.process_time() - began

    payload, times_at = load.batch(stack.codes(), 50, 1)
    times = np.frombuffer(payload, "<i8", 50, times_at)
    whole: dict[str, list[float]] = {str(count): [] for count in COUNTS}
    looks: dict[str, list[float]] = {str(count): [] for count in COUNTS}
    sequence = 0
    with mock.patch.object(due, "evaluate_beside", timed):
        for _ in range(TURNS):
            for count in COUNTS:
                _rules(owner, stack.codes(), count)
                for _ in range(batches // TURNS):
                    sequence += 1
                    payload[0:8] = sequence.to_bytes(8, "little")
                    times[:] = time.time_ns() // 1000
                    looked, began = 0.0, time.process_time()
                    _process(bytes(payload))
                    whole[str(count)].append((time.process_time() - began) * 1e6)
                    looks[str(count)].append(looked * 1e6)
    for count in COUNTS:
        batch, look = (_at(kind[str(count)], 50) for kind in (whole, looks))
        print(f"{count} rules: {batch:,.0f} us of CPU a batch, {look:,.0f} us of it for rules", flush=True)
    medians = [{count: _at(values, 50) for count, values in kind.items()} for kind in (whole, looks)]
    return medians[0], medians[1]


def _process(payload: bytes) -> None:
    """As a worker does."""
    from ingest import notifications, tasks
    from marketdata.ledger import batch_ledger
    from marketdata.models import Source
    from marketdata.types.tick_arrays import batch_number

    source = Source.objects.get(code="SIMULATOR").pk
    number = batch_number(9_999, wire.parse_header(payload).seq)
    batch = notifications.batch_message(number, payload, batch_ledger.now_us(), source, None, None, None)
    tasks.process_batches(batches=[batch], reply_to="bench")


def figures(found: Alerts) -> dict[str, Any]:
    """The figures of the last line."""
    return {
        "alert_ms_p50": found.sent_p50, "alert_ms_p99": found.sent_p99, "alert_commit_ms_p50": found.commit_p50,
        "alert_commit_ms_p99": found.commit_p99, "alert_batch_us": found.batch_us, "alert_look_us": found.look_us,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analytics.alerts", description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--seconds", type=wire.options.between(5, 600), default=SECONDS)
    given = parser.parse_args()
    print(json.dumps(figures(measure(given.database, seconds=given.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
