"""The process that publishes: one at a time by a lease, the next waits for it; begun anew whenever something failed."""

from __future__ import annotations

import logging
import threading
import time

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from fanout import delivery
from fanout import publisher as publishers
from fanout.delivery import Delivery, DeliveryFailed
from fanout.publisher import Publisher
from marketdata import metrics
from marketdata.launcher import liveness
from marketdata.maintenance import leases
from marketdata.maintenance.leases import Lease, LeaseHeld, LeaseLost
from marketdata.realtime import redis_clients

log = logging.getLogger(__name__)

JOB = "fanout"
LEASE_S = 15.0
STANDBY_S = 3.0
PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
WELL_S = 30.0
"""What ran for so long began well: the next pause is short again."""

for _what in ("lease", "redis", "database", "broker"):  # of what is not there, Prometheus does not see the first one
    metrics.FANOUT_FAILURES.labels(_what)


class Stopped(Exception):
    """The process is to end."""


def run(stopped: threading.Event) -> None:
    """Publish until stopped. OptionsError: with these settings it cannot."""
    extra = delivery.options(settings.KAFKA_OPTIONS)
    pause, waits = PAUSE_S, False
    while not stopped.is_set():
        liveness.renew(settings.ALIVE_FILE)
        began = time.monotonic()
        try:
            with leases.hold(JOB, ttl_s=LEASE_S) as lease:
                log.info("publishing fence=%d", lease.fence)
                waits = False
                _publish(lease, extra, stopped)
        except Stopped:
            return
        except LeaseHeld as error:
            if not waits:
                log.info("waits for another one reason=%s", error)
            waits = True
            publishers.silence()
            stopped.wait(STANDBY_S)
            continue
        except LeaseLost as error:
            _failed("lease", error)
        except redis.RedisError as error:
            _failed("redis", error)
        except (DatabaseError, InterfaceError) as error:
            _failed("database", error)
            connections.close_all()
        except DeliveryFailed as error:
            _failed("broker", error)
        pause = PAUSE_S if time.monotonic() - began > WELL_S else min(pause * 2, LONGEST_PAUSE_S)
        stopped.wait(pause)


def _failed(what: str, error: Exception) -> None:
    metrics.FANOUT_FAILURES.labels(what).inc()
    log.warning("publishing begins anew what=%s error=%s: %s", what, type(error).__name__, error)


def _publish(lease: Lease, extra: dict[str, str], stopped: threading.Event) -> None:
    publisher: Publisher | None = None

    def between() -> None:
        liveness.renew(settings.ALIVE_FILE)
        if stopped.is_set():
            raise Stopped

    def wait(_trouble: str) -> None:
        between()
        if publisher is not None:
            publisher.note_waiting()

    out = Delivery(
        ",".join(settings.KAFKA_BOOTSTRAP), extra, prefix=settings.KAFKA_TOPIC_PREFIX, form=settings.KAFKA_FORMAT,
        fence=lease.fence, wait=wait,
    )  # fmt: skip
    try:
        with redis_clients.client(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=3) as connection:
            publisher = Publisher(connection, out, lease, form=settings.KAFKA_FORMAT, between=between)
            publisher.look()  # before the broker is needed, so that one that is away from the first is told of
            out.make_topics(partitions=settings.KAFKA_PARTITIONS, replication=settings.KAFKA_REPLICATION)
            try:
                while True:
                    between()
                    out.idle()
                    publisher.turn()
            except Stopped:
                publisher.save()
                raise
    finally:
        out.close()
