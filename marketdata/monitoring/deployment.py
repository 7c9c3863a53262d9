"""What belongs to no process: queues, Redis, the database, feeds and their markets, terminals that should be here,
disks. Beat looks when it is asked; a part that cannot be looked at is said to be so and holds up no other."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import redis
from django.db.models import Max
from prometheus_client import Metric

from marketdata import alarms, connections, doctor
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.models import BackupRun, Client, Market
from marketdata.monitoring import figures
from marketdata.realtime import broker, feed, live_state, redis_health
from marketdata.storage import storage
from marketdata.storage.base import PERIODS
from marketdata.vendors import gap_minutes

log = logging.getLogger(__name__)

KEEP_S = 5.0
"""An answer so young is given again, whoever asks."""
MOST_CLIENTS = 512  # INGEST_MAX_CLIENTS of one ingest server, unless it is raised
Look = Callable[[], Iterable[Metric]]


class Deployment:
    """`queues` are the names of the broker's."""

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = queues
        self._redis = {watch.subject.replace(" ", "_"): watch.client for watch in redis_health.watches()}
        self._looks: dict[str, Look] = {
            "redis": self._look_at_redis,
            "queues": self._look_at_queues,
            "feeds": _look_at_feeds,
            "database": _look_at_database,
            "terminals": _look_at_terminals,
            "disks": _look_at_disks,
        }
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
        connections.refresh()
        found: list[Metric] = []
        took: dict[tuple[str, ...], float] = {}
        failed: dict[tuple[str, ...], float] = {}
        for part, look in self._looks.items():
            begin = time.monotonic()
            failed[part,] = 0
            try:
                found += look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are told
                failed[part,] = 1
                connections.drop()
                log.info("not looked at part=%s error=%s", part, type(error).__name__)
                if part == "database":
                    found.append(figures.DATABASE_UP.of(0))
            took[part,] = time.monotonic() - begin
        return [*found, figures.LOOK_SECONDS.family(took), figures.LOOK_FAILED.family(failed)]

    def _look_at_redis(self) -> Iterator[Metric]:
        told: dict[figures.Figure, dict[tuple[str, ...], float]] = {
            figure: {}
            for figure in (
                figures.REDIS_UP, figures.REDIS_ANSWER, figures.REDIS_USED, figures.REDIS_LIMIT, figures.REDIS_CLIENTS,
                figures.REDIS_EVICTED,
            )
        }  # fmt: skip
        for name, client in self._redis.items():
            begin = time.monotonic()
            try:
                state = client.info()
            except redis.RedisError:
                told[figures.REDIS_UP][name,] = 0
                continue
            told[figures.REDIS_UP][name,] = 1
            told[figures.REDIS_ANSWER][name,] = time.monotonic() - begin
            told[figures.REDIS_USED][name,] = state["used_memory"]
            told[figures.REDIS_LIMIT][name,] = state.get("maxmemory", 0)
            told[figures.REDIS_CLIENTS][name,] = state["connected_clients"]
            told[figures.REDIS_EVICTED][name,] = state["evicted_keys"]
        return (figure.family(values) for figure, values in told.items())

    def _look_at_queues(self) -> Iterator[Metric]:
        depths = broker.queue_depths(self._queues)
        if depths is not None:  # of a broker that is no Redis, its own exporter tells
            yield figures.QUEUE_LENGTH.family({(queue,): depth for queue, depth in depths.items()})


def _look_at_feeds() -> Iterator[Metric]:
    now_us = batch_ledger.now_us()
    newest = feed.newest(live_state.connection(), live_state.feeds())
    yield figures.FEED_COMMITTED.family({(name,): one.committed_us / 1e6 for name, one in newest.items()})
    market = Market.objects.filter(code=gap_minutes.MARKET).exists() and trading_dates.calendar(gap_minutes.MARKET)
    if market:
        yield figures.FEED_OPEN.family(
            {(name,): float(market.is_open(now_us, venue)) for name, venue in gap_minutes.VENUES.items()}
        )


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
