"""What a Celery message costs on its way, in ms of CPU: as kombu carries it (batches within the message, acknowledged)
and as Naru does, in turns on one private Redis with two pool processes. The task does nothing but read its batches.

Run as `python -m tests.bench.messages`; the figures of docs/adr/0014 come from here.
"""

from __future__ import annotations

import functools
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import redis
from celery import Celery

from celery_app import QUEUES, broker_settings
from ingest import bodies
from ingest.in_flight import InFlightBatch
from marketdata.realtime import broker
from tests.bench.load import batch
from tests.servers import Redis
from tests.servers.process import spawn, temporary_folder

SIZES = {"5 x 1,000 rows": (5, 1000), "4 x 12 rows": (4, 12), "1 x 1 row": (1, 1)}
DONE = "done"
MESSAGES = 200
OUT = 4
ROUNDS = 3
BEFORE = "NARU_BENCH_BEFORE"
TASK, QUEUE = "ingest.tasks.process_batches", QUEUES[0]


def _configure(app: Celery, *, before: bool) -> None:
    """`before`: kombu's own transport, with acknowledgement and its steps of priority."""
    values = broker_settings(os.environ["BROKER_URL"])
    if before:
        for queue in values["task_queues"]:
            queue.no_ack = False
        values["broker_transport_options"].pop("priority_steps")
        values["broker_transport"] = "kombu.transport.redis:Transport"
    app.conf.update({name: values[name] for name in values if name.islower()}, beat_schedule={})


@functools.lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["BROKER_URL"], socket_timeout=None)


app = Celery("bench")
if "BROKER_URL" in os.environ:
    _configure(app, before=os.environ.get(BEFORE) == "1")


@app.task(name=TASK)
def process_batches(*, batches: Any = None, body: Any = None, **_: object) -> None:
    """Read the batches and say so."""
    found = bodies.take(body) if body is not None else batches
    _client().lpush(DONE, len(found or ()))


def _flights(batches: int, rows: int) -> list[InFlightBatch]:
    symbols = [f"{number:06d}" for number in range(50)]
    return [
        InFlightBatch(
            number=number,
            stream=1,
            seq=number,
            payload=bytes(batch(symbols, rows, number)[0]),
            rows=rows,
            received_us=1,
            source_id=1,
            register_market=None,
            since=0.0,
        )
        for number in range(batches)
    ]


def _publish_before(entries: list[InFlightBatch]) -> object:
    from ingest.notifications import batch_message

    batches = [batch_message(f.number, f.payload, f.received_us, f.source_id, None, None, 1) for f in entries]
    return app.send_task(TASK, kwargs={"batches": batches, "reply_to": "bench"}, queue=QUEUE)


def _cpu_s(worker: psutil.Process, server: psutil.Process) -> dict[str, float]:
    def used(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    pool = sum(used(child) for child in worker.children())
    return {"publisher": time.process_time(), "worker": used(worker), "pool": pool, "redis": used(server)}


def _measure(
    publish: Callable[[list[InFlightBatch]], object],
    entries: list[InFlightBatch],
    cpu_s: Callable[[], dict[str, float]],
) -> dict[str, float]:
    """ms of CPU a message by process, OUT messages at a time."""
    before, out = cpu_s(), 0
    for _ in range(MESSAGES):
        publish(entries)
        out += 1
        while out >= OUT:
            _client().blpop([DONE])
            out -= 1
    while out:
        _client().blpop([DONE])
        out -= 1
    return {name: (used - before[name]) * 1e3 / MESSAGES for name, used in cpu_s().items()}


def main() -> int:
    folder = temporary_folder("messages")
    server = Redis(folder / "redis")
    server.start()
    os.environ |= {"BROKER_URL": server.url, "REDIS_URL": server.url, "DJANGO_SETTINGS_MODULE": "marketdata.settings"}
    import django
    from django.conf import settings

    django.setup()
    settings.BROKER_URL = server.url
    from ingest.dispatch import Dispatcher

    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for before in (True, False):
            app.close()
            _configure(app, before=before)
            command = [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "tests.bench.messages",
                "worker",
                "-c",
                "2",
                "-l",
                "WARNING",
            ]
            quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", ",".join(QUEUES[:2])]
            worker = spawn(
                [*command, *quiet],
                environment={**os.environ, BEFORE: str(int(before))},
                log=folder / "worker.log",
                cwd=Path.cwd(),
            )
            dispatcher = Dispatcher(reply_to="bench", max_messages=OUT, done=lambda entries, taken: None)
            publish: Callable[[list[InFlightBatch]], object] = _publish_before
            if not before:
                publish = functools.partial(dispatcher._publish, 1)
            cpu_s = functools.partial(_cpu_s, psutil.Process(worker.pid), psutil.Process(server.pid))
            _measure(publish, _flights(1, 1), lambda: {})  # until it runs, and connections are made
            for size, (batches, rows) in SIZES.items():
                entries = _flights(batches, rows)
                cost = _measure(publish, entries, cpu_s)
                found.setdefault((size, "kombu" if before else "naru"), []).append(cost)
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
    for (size, way), costs in sorted(found.items()):
        median = {name: statistics.median(cost[name] for cost in costs) for name in costs[0]}
        total = statistics.median(sum(cost.values()) for cost in costs)
        print(f"{size:15s} {way:6s} {total:6.2f} ms  " + "  ".join(f"{name} {ms:.2f}" for name, ms in median.items()))
    broker.connection().close()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
