"""Whether Naru's other processes are there and can be reached from here: ingest servers, workers, beat, mail."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import redis
from celery import current_app
from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError

from marketdata.doctor.findings import Finding, Level, answers
from marketdata.realtime import live_state

LATE = datetime.timedelta(minutes=5)
"""Beat writes down every 30 seconds when it rang last, and something rings each minute."""
CONNECT_S, PING_S = 3, 2.0
_STARTED = _("start it: `systemctl start naru-…`, or its service; docs/operations.md")


def ingest_servers() -> Iterator[Finding]:
    """Those that say in Redis that they run."""
    try:
        running = live_state.status()["ingest"]
    except redis.RedisError:
        return  # told already
    names = ", ".join(str(one.get("instance", "")) for one in running)
    yield Finding(
        what=_("ingest servers"), value=names or _("none"), wanted=_("one at least"),
        level=Level.OK if running else Level.WARNING, remedy=_STARTED,
    )  # fmt: skip


def workers() -> Iterator[Finding]:
    """Whether each queue has a worker that answers within two seconds; a busy one may not."""
    try:
        with current_app.connection_for_write(connect_timeout=CONNECT_S) as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_S)
            told = current_app.control.inspect(timeout=PING_S, connection=connection).active_queues() or {}
    except (OperationalError, redis.RedisError, OSError) as error:
        yield answers(_("workers"), type(error).__name__, _("start the broker, or see whether it can be reached"))
        return
    served = {queue["name"] for queues in told.values() for queue in queues}
    missing = sorted(set(current_app.amqp.queues) - served)
    yield Finding(
        what=_("queues without a worker"), value=", ".join(missing) or _("none"), wanted=_("none"),
        level=Level.WARNING if missing else Level.OK, remedy=_STARTED,
    )  # fmt: skip


def beat(now: datetime.datetime | None = None) -> Iterator[Finding]:
    """When the timetable rang last, as beat writes it down."""
    moments = PeriodicTask.objects.exclude(last_run_at=None).order_by("-last_run_at")
    last = moments.values_list("last_run_at", flat=True).first()
    ago = (now or datetime.datetime.now(datetime.UTC)) - last if last else None
    minutes = ago // datetime.timedelta(minutes=1) if ago else 0
    yield Finding(
        what=_("the timetable rang last"),
        value=format_lazy(_("{minutes} minutes ago"), minutes=minutes) if ago else _("never"),
        wanted=_("within five minutes"), level=Level.OK if ago and ago < LATE else Level.WARNING, remedy=_STARTED,
    )  # fmt: skip


def others() -> Iterator[Finding]:
    """Servers of other people that the settings name."""
    places = {"EMAIL_HOST": (settings.EMAIL_HOST, settings.EMAIL_PORT)} if settings.EMAIL_HOST else {}
    broker = urlsplit(settings.BROKER_URL)
    if broker.scheme in ("amqp", "amqps") and broker.hostname:
        places["BROKER_URL"] = (broker.hostname, broker.port or (5671 if broker.scheme == "amqps" else 5672))
    for name, (host, port) in places.items():
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
        except OSError as error:
            remedy = format_lazy(_("see whether {address} can be reached from here"), address=f"{host}:{port}")
            yield answers(name, type(error).__name__, remedy, level=Level.WARNING)
        else:
            yield Finding(what=name, value=f"{host}:{port}", wanted=_("an answer"), level=Level.OK)
