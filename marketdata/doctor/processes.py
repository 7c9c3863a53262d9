"""Whether Naru's other processes are there and can be reached from here: ingest servers, workers, beat, the broker,
mail."""

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
from marketdata.realtime import live_state, rabbitmq

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


def broker() -> Iterator[Finding]:
    """RabbitMQ where it is the broker: whether it takes our login, and its version. Redis is looked at beside the live
    state (`servers`)."""
    place = urlsplit(settings.BROKER_URL)
    if place.scheme not in ("amqp", "amqps"):
        return
    try:
        version = rabbitmq.server_version()
    except OperationalError as error:
        port = place.port or (5671 if place.scheme == "amqps" else 5672)
        remedy = format_lazy(
            _("see whether {address} can be reached from here, and whether it knows the user of BROKER_URL"),
            address=f"{place.hostname}:{port}",
        )
        yield answers("BROKER_URL", str(error), remedy)
        return
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    yield Finding(
        what="BROKER_URL: RabbitMQ", value=version or _("not told"),
        wanted=format_lazy(_("{least} or newer"), least=".".join(map(str, rabbitmq.LEAST))),
        level=Level.OK if numbers >= rabbitmq.LEAST else Level.WARNING,
        remedy=_("install a newer one: with older ones the tests do not run"),
    )  # fmt: skip


def mail() -> Iterator[Finding]:
    """The mail server, if the settings name one."""
    if not settings.EMAIL_HOST:
        return
    address = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), timeout=CONNECT_S).close()
    except OSError as error:
        remedy = format_lazy(_("see whether {address} can be reached from here"), address=address)
        yield answers("EMAIL_HOST", type(error).__name__, remedy, level=Level.WARNING)
    else:
        yield Finding(what="EMAIL_HOST", value=address, wanted=_("an answer"), level=Level.OK)
