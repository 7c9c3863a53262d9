"""What belongs to no process: queues, Redis, the database, feeds and their markets, terminals that should be here,
upkeep that should have been done. Beat looks when it is asked, and at the disks of its host as every program does."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError
from prometheus_client import Metric

from marketdata import alarms, backups
from marketdata.backups import copies
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import Client
from marketdata.monitoring import disk_room, figures, missing_figures, source_figures
from marketdata.monitoring.expectations import MOST_CLIENTS, Expectations
from marketdata.monitoring.looks import WAIT_S, Look, Looks
from marketdata.realtime import broker, feed, live_state, redis_clients, redis_health, redis_urls
from marketdata.storage import storage
from marketdata.storage.base import PERIODS, ServerState


class Deployment(Looks):
    """`queues` are the names of the broker's."""

    def __init__(self, queues: Sequence[str], *, wait_s: float = WAIT_S) -> None:
        servers = {subject.replace(" ", "_"): url for subject, url in redis_health.urls().items()}
        looks: dict[str, Look] = {
            **{
                f"redis_{name}": partial(_look_at_redis, name, redis_health.client(url))
                for name, url in servers.items()
            },
            **{
                f"sentinels_{name}": partial(_look_at_sentinels, name, url)
                for name, url in servers.items()
                if redis_urls.is_watched(url)
            },
            "queues": partial(_look_at_queues, queues),
            "feeds": partial(_look_at_feeds, Expectations()),
            "database": _look_at_database,
            "upkeep": _look_at_upkeep,
            "terminals": _look_at_terminals,
            "sources": lambda: source_figures.look(batch_ledger.now_us()),
            "gaps": missing_figures.Kept(missing_figures.gaps),
            "symbols": missing_figures.Kept(missing_figures.symbols),
            "disks": disk_room.look,
        }
        down: dict[str, tuple[figures.Figure, tuple[str, ...]]] = {
            f"redis_{name}": (figures.REDIS_UP, (name,)) for name in servers
        }
        super().__init__(looks, down={**down, "database": (figures.DATABASE_UP, ())}, wait_s=wait_s)


def _look_at_queues(queues: Sequence[str]) -> Iterator[Metric]:
    depths = broker.queue_depths(queues)
    if depths is not None:  # of RabbitMQ that does not answer, nothing is told
        yield figures.QUEUE_LENGTH.family({(queue,): depth for queue, depth in depths.items()})


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
        (figures.REDIS_REPLICAS, state["connected_slaves"]),
    ):
        yield figure.family({(name,): value})
    lags = [state[f"slave{at}"]["lag"] for at in range(state["connected_slaves"]) if f"slave{at}" in state]
    if lags:
        yield figures.REDIS_REPLICA_LAG.family({(name,): float(max(lags))})


def _look_at_sentinels(name: str, url: str) -> Iterator[Metric]:
    sentinels, master = redis_clients.sentinels(url), redis_urls.watched(url).master
    yield figures.REDIS_SENTINELS_NAMED.family({(name,): len(sentinels)})
    with ThreadPoolExecutor(len(sentinels)) as together:  # each may take its second
        answers = list(together.map(partial(_knows, master=master), [client for _address, client in sentinels]))
    yield figures.REDIS_SENTINELS.family({(name,): float(sum(answers))})


def _knows(sentinel: redis.Redis, master: str) -> bool:
    try:
        with sentinel:
            known: Any = sentinel.sentinel_masters()
            return master in known
    except redis.RedisError:
        return False


def _look_at_feeds(expectations: Expectations) -> Iterator[Metric]:
    now_us = batch_ledger.now_us()
    there = live_state.feeds()
    newest = feed.newest(live_state.connection(), there)
    yield figures.FEED_COMMITTED.family({(name,): one.committed_us / 1e6 for name, one in newest.items()})
    expectations.read(there)  # one whose stream was emptied among them
    yield figures.FEED_OPEN.family(
        {(name,): float(is_open) for name, is_open in expectations.open_feeds(now_us).items()}
    )
    yield figures.FEED_SILENCE.family({(name,): limit_s for name, limit_s in expectations.silences(now_us).items()})
    yield figures.TERMINAL_EXPECTED.family({how: float(here) for how, here in expectations.clients(now_us).items()})


def _look_at_database() -> Iterator[Metric]:
    store, begin = storage(), time.monotonic()
    try:
        store.clock_us()
    except DatabaseError as error:
        yield from _standing(store.state_though_refused(error))
        raise
    yield figures.DATABASE_ANSWER.of(time.monotonic() - begin)
    yield figures.DATABASE_UP.of(1)
    state = store.server_state()
    for figure, value in (
        (figures.DATABASE_CONNECTIONS, state.connections),
        (figures.DATABASE_CONNECTION_LIMIT, state.connection_limit),
        (figures.DATABASE_REPLICAS, state.replicas),
        (figures.DATABASE_REPLICA_LAG, state.replica_lag_s),
        (figures.GALERA_NODES, state.galera_nodes),
        (figures.GALERA_QUEUE, state.galera_queue),
        (figures.GALERA_PAUSED, state.galera_paused_s),
    ):
        if value is not None:
            yield figure.of(float(value))
    yield from _standing(state)
    if state.galera_nodes is not None and settings.DATABASE_NODES:
        yield figures.GALERA_NODES_EXPECTED.of(len(settings.DATABASE_NODES))
    ends = {table: [part.end for part in store.partitions(table) if part.end is not None] for table in PERIODS}
    yield figures.PARTITION_HEADROOM.family(
        {(table,): _start_s(max(found)) - time.time() for table, found in ends.items() if found}
    )


def _standing(state: ServerState) -> Iterator[Metric]:
    """Of a node in its cluster."""
    for figure, value in (
        (figures.GALERA_READY, state.galera_ready),
        (figures.GALERA_PRIMARY, state.galera_primary),
    ):
        if value is not None:
            yield figure.of(float(value))


def _look_at_upkeep() -> Iterator[Metric]:
    yield figures.ALARMS.family({(code,): number for code, number in alarms.standing().items()})
    undone = rollover.undone(rollover.utc_now())
    yield figures.ROLLOVERS_UNDONE.of(undone.days)
    yield figures.ROLLOVERS_OVERDUE.of(len(undone.late) + undone.backlog)
    age_from = backups.age_from()
    if age_from is not None:
        yield figures.BACKUP_AT.of(age_from.timestamp())
    if settings.BACKUP_OFFSITE:
        yield from _look_at_copies()


def _look_at_copies() -> Iterator[Metric]:
    state = copies.state()
    yield figures.BACKUP_COPIES_WAITING.of(float(state.waiting))
    if state.age_from is not None:
        yield figures.BACKUP_COPY_AT.of(state.age_from.timestamp())


def _start_s(date: datetime.date) -> float:
    return datetime.datetime.combine(date, datetime.time(), datetime.UTC).timestamp()


def _look_at_terminals() -> Iterator[Metric]:
    here = {client["client"] for server in live_state.status()["ingest"] for client in server.get("clients", [])}
    senders = Client.objects.filter(is_active=True, may_send=True).order_by("name").values_list("name", flat=True)
    yield figures.TERMINAL_CONNECTED.family({(name,): float(name in here) for name in senders[:MOST_CLIENTS]})
