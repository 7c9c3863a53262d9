"""What belongs to no process: queues, Redis, the database, feeds and their markets, terminals that should be here,
disks. Beat looks when it is asked; a part that cannot be looked at is said to be so and holds up no other."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.db.models import Max
from prometheus_client import Metric

from marketdata import alarms, connections, doctor
from marketdata.backups import copies
from marketdata.ledger import batch_ledger
from marketdata.models import BackupRun, Client
from marketdata.monitoring import figures
from marketdata.monitoring.expectations import MOST_CLIENTS, Expectations
from marketdata.realtime import broker, feed, live_state, redis_health
from marketdata.storage import storage
from marketdata.storage.base import PERIODS

log = logging.getLogger(__name__)

KEEP_S = 5.0
"""An answer so young is given again, whoever asks."""
WAIT_S = 3.0
"""How long a look is waited for; Prometheus gives up after 4 s at the earliest (docker/prometheus)."""
Look = Callable[[], Iterable[Metric]]


class Deployment:
    """`queues` are the names of the broker's. Each part is looked at in a thread of its own, so that a server that is
    frozen is told as away while it is, and all others as they are; what is not whole after `wait_s` has failed."""

    def __init__(self, queues: Sequence[str], *, wait_s: float = WAIT_S) -> None:
        self._queues, self._wait_s = queues, wait_s
        servers = {watch.subject.replace(" ", "_"): watch.client for watch in redis_health.watches()}
        self._looks: dict[str, Look] = {
            **{f"redis_{name}": partial(_look_at_redis, name, client) for name, client in servers.items()},
            "queues": self._look_at_queues,
            "feeds": partial(_look_at_feeds, Expectations()),
            "database": _look_at_database,
            "terminals": _look_at_terminals,
            "disks": _look_at_disks,
        }
        # What is told of a part that failed before it told it.
        self._down: dict[str, tuple[figures.Figure, tuple[str, ...]]] = {
            f"redis_{name}": (figures.REDIS_UP, (name,)) for name in servers
        }
        self._down["database"] = (figures.DATABASE_UP, ())
        self._going: dict[str, _Going] = {}
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._looked_at = float("-inf")

    def collect(self) -> Iterator[Metric]:
        """For a registry of prometheus_client."""
        with self._lock:
            if time.monotonic() - self._looked_at > KEEP_S:
                self._kept = self._look()
                self._looked_at = time.monotonic()
            yield from self._kept

    def _look(self) -> list[Metric]:
        for part, look in self._looks.items():
            if part not in self._going or self._going[part].ended.is_set():  # one thread of a part, however frozen
                self._going[part] = _Going(part, look)
        until_s = time.monotonic() + self._wait_s
        found: dict[str, Metric] = {}
        took: dict[tuple[str, ...], float] = {}
        failed: dict[tuple[str, ...], float] = {}
        for part, going in self._going.items():
            is_whole = going.ended.wait(max(until_s - time.monotonic(), 0)) and going.is_whole
            told = list(going.found)
            took[part,], failed[part,] = going.took_s, float(not is_whole)
            if not is_whole and part in self._down:
                figure, labels = self._down[part]
                told += [figure.family({labels: 0})] if figure.name not in {one.name for one in told} else []
            for one in told:  # two servers tell the same of themselves
                found.setdefault(one.name, Metric(one.name, one.documentation, one.type)).samples.extend(one.samples)
        return [*found.values(), figures.LOOK_SECONDS.family(took), figures.LOOK_FAILED.family(failed)]

    def _look_at_queues(self) -> Iterator[Metric]:
        depths = broker.queue_depths(self._queues)
        if depths is not None:  # of RabbitMQ that does not answer, nothing is told
            yield figures.QUEUE_LENGTH.family({(queue,): depth for queue, depth in depths.items()})


class _Going:
    """A look at a part that is going on."""

    def __init__(self, part: str, look: Look) -> None:
        self._part, self._look = part, look
        self._began = time.monotonic()
        self._took_s = 0.0
        self.found: list[Metric] = []
        self.is_whole = False
        self.ended = threading.Event()
        threading.Thread(target=self._run, name=f"look at {part}", daemon=True).start()

    @property
    def took_s(self) -> float:
        """Until its end, or until now."""
        return self._took_s if self.ended.is_set() else time.monotonic() - self._began

    def _run(self) -> None:
        try:
            for one in self._look():
                self.found.append(one)
            self.is_whole = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are told
            log.info("not looked at part=%s error=%s", self._part, type(error).__name__)
        finally:
            connections.drop()  # of this thread, which is over
            self._took_s = time.monotonic() - self._began
            self.ended.set()


def _look_at_redis(name: str, client: redis.Redis) -> Iterator[Metric]:
    begin = time.monotonic()
    try:
        state: Any = client.info()
    except redis.RedisError:
        yield figures.REDIS_UP.family({(name,): 0})
        return
    for figure, value in (
        (figures.REDIS_UP, 1),
        (figures.REDIS_ANSWER, time.monotonic() - begin),
        (figures.REDIS_USED, state["used_memory"]),
        (figures.REDIS_LIMIT, state.get("maxmemory", 0)),
        (figures.REDIS_CLIENTS, state["connected_clients"]),
        (figures.REDIS_EVICTED, state["evicted_keys"]),
    ):
        yield figure.family({(name,): value})


def _look_at_feeds(expectations: Expectations) -> Iterator[Metric]:
    now_us = batch_ledger.now_us()
    newest = feed.newest(live_state.connection(), live_state.feeds())
    yield figures.FEED_COMMITTED.family({(name,): one.committed_us / 1e6 for name, one in newest.items()})
    expectations.read(newest)
    yield figures.FEED_OPEN.family(
        {(name,): float(is_open) for name, is_open in expectations.open_feeds(now_us).items()}
    )
    yield figures.FEED_SILENCE.family({(name,): limit_s for name, limit_s in expectations.silences(now_us).items()})
    yield figures.TERMINAL_EXPECTED.family({how: float(here) for how, here in expectations.clients(now_us).items()})


def _look_at_database() -> Iterator[Metric]:
    store, begin = storage(), time.monotonic()
    store.clock_us()
    yield figures.DATABASE_ANSWER.of(time.monotonic() - begin)
    yield figures.DATABASE_UP.of(1)
    state = store.server_state()
    for figure, value in (
        (figures.DATABASE_CONNECTIONS, state.connections),
        (figures.DATABASE_CONNECTION_LIMIT, state.connection_limit),
        (figures.DATABASE_REPLICAS, state.replicas),
        (figures.DATABASE_REPLICA_LAG, state.replica_lag_s),
        (figures.GALERA_READY, state.galera_ready),
        (figures.GALERA_PRIMARY, state.galera_primary),
        (figures.GALERA_NODES, state.galera_nodes),
        (figures.GALERA_QUEUE, state.galera_queue),
    ):
        if value is not None:
            yield figure.of(float(value))
    ends = {table: [part.end for part in store.partitions(table) if part.end is not None] for table in PERIODS}
    yield figures.PARTITION_HEADROOM.family(
        {(table,): _start_s(max(found)) - time.time() for table, found in ends.items() if found}
    )
    proven = BackupRun.objects.filter(state=BackupRun.State.VERIFIED).aggregate(at=Max("started_at"))["at"]
    if proven is not None:
        yield figures.BACKUP_AT.of(proven.timestamp())
    if settings.BACKUP_OFFSITE:
        yield from _look_at_copies()


def _look_at_copies() -> Iterator[Metric]:
    state = copies.state()
    yield figures.BACKUP_COPIES_WAITING.of(float(state.waiting))
    if state.proven is not None:
        yield figures.BACKUP_COPY_AT.of(state.proven.started_at.timestamp())


def _start_s(date: datetime.date) -> float:
    return datetime.datetime.combine(date, datetime.time(), datetime.UTC).timestamp()


def _look_at_terminals() -> Iterator[Metric]:
    here = {client["client"] for server in live_state.status()["ingest"] for client in server.get("clients", [])}
    senders = Client.objects.filter(is_active=True, may_send=True).order_by("name").values_list("name", flat=True)
    yield figures.TERMINAL_CONNECTED.family({(name,): float(name in here) for name in senders[:MOST_CLIENTS]})


def _look_at_disks() -> Iterator[Metric]:
    rooms = list(doctor.room())
    yield figures.DISK_FREE.family({(alarms.english(disk.name),): disk.free for disk in rooms})
    yield figures.DISK_SIZE.family({(alarms.english(disk.name),): disk.total for disk in rooms})
