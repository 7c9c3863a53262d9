"""Whether what the promises rest on is so: flags of the database and of Redis, clocks, room, migrations, calendar.

Asked by `manage.py doctor`, before the ingest server acknowledges anything, and every minute, as alarms.
"""

from __future__ import annotations

import email.utils
import enum
import shutil
import socket
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.archive import exports
from marketdata.calendar import trading_dates
from marketdata.maintenance import rollover
from marketdata.models import RolloverRun
from marketdata.realtime import redis_clients, redis_urls
from marketdata.storage import storage

UNSAFE = "unsafe_setting"
CLOCK = "server_clock"
DISK = "disk_low"
PROVIDER_S, PROVIDER_CLOCK_S = 5.0, 60
"""How long a login provider may take to answer, and how far its clock may be off (`api.auth.openid.LEEWAY_S`)."""
GIB = 1 << 30
LEAST_FREE = 0.05  # of a disk


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "unknown"  # could not be looked at
    WARNING = "warning"  # something is slower, later or less safe than promised
    ERROR = "error"  # a promise cannot be kept


SHOWN = {Level.OK: _("ok"), Level.UNKNOWN: _("unknown"), Level.WARNING: _("warning"), Level.ERROR: _("error")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, its texts in the language of whoever reads them (`alarms.english` for programs).
    `is_vital`: with it wrong, what was acknowledged may be lost or wrong."""

    what: str | Promise
    value: str | Promise
    wanted: str | Promise
    level: Level
    remedy: str | Promise = ""
    is_vital: bool = False

    @property
    def words(self) -> Promise:
        return format_lazy(
            _("{what} is {value}, must be {wanted}: {remedy}"),
            what=self.what, value=self.value, wanted=self.wanted, remedy=self.remedy,
        )  # fmt: skip


def examine() -> list[Finding]:
    """Everything, in the order in which a person would look. Raises nothing: what cannot be looked at is a finding."""
    found: list[Finding] = []
    for look in (database, redis_servers, clocks, disks, archive, migrations, calendar, login_provider):
        try:
            found += look()
        except (DatabaseError, InterfaceError) as error:
            remedy = storage().remedy(error)
            found.append(_failed(look, f"{type(error).__name__}: {error}"[:200], remedy))
    return found


def _failed(look: Callable[..., object], error: str, remedy: str | Promise) -> Finding:
    return Finding(what=look.__name__, value=error, wanted=_("an answer"), level=Level.ERROR, remedy=remedy)


# --- what is looked at ------------------------------------------------------------------------------------------------


def database() -> Iterator[Finding]:
    """The flags of the database, by its storage backend."""
    for flag in storage().flags():
        wrong = Level.ERROR if flag.is_vital else Level.WARNING
        yield Finding(
            what=f"{storage().vendor}: {flag.name}",
            value=flag.value,
            wanted=flag.wanted,
            level=Level.OK if flag.is_right else wrong,
            remedy=flag.remedy,
            is_vital=flag.is_vital,
        )


def redis_servers() -> Iterator[Finding]:
    """Redis as live state and, where it is one, as broker: nothing may be evicted; what it holds is on disk soon."""
    urls = {"REDIS_URL": settings.REDIS_URL, "BROKER_URL": settings.BROKER_URL}
    if urls["BROKER_URL"] == urls["REDIS_URL"]:
        del urls["BROKER_URL"]
    for name, url in urls.items():
        if redis_urls.is_redis(url):
            yield from _redis(name, url)


def _redis(name: str, url: str) -> Iterator[Finding]:
    try:
        with redis_clients.client(url, socket_timeout=3, socket_connect_timeout=3) as client:
            client.ping()
            try:
                found: Any = client.config_get("maxmemory-policy", "appendonly", "save")
            except redis.ResponseError:  # a managed one, or a user without the right
                yield Finding(
                    what=f"{name}: maxmemory-policy", value=_("not told"), wanted="noeviction", level=Level.UNKNOWN,
                    remedy=_("CONFIG is not allowed to us; see it by hand (docker/redis/naru.conf)"),
                )  # fmt: skip
                return
    except redis.RedisError as error:
        yield _answers(name, type(error).__name__, _("start it, or see whether it can be reached"))
        return
    policy, append, save = (str(found.get(key, "")) for key in ("maxmemory-policy", "appendonly", "save"))
    yield Finding(
        what=f"{name}: maxmemory-policy", value=policy, wanted="noeviction",
        level=Level.OK if policy == "noeviction" else Level.ERROR,
        remedy=_("CONFIG SET maxmemory-policy noeviction, and in its configuration (docker/redis/naru.conf)"),
    )  # fmt: skip
    kept = append == "yes" or bool(save)
    yield Finding(
        what=f"{name}: appendonly", value=append, wanted="yes", level=Level.OK if kept else Level.WARNING,
        remedy=_("CONFIG SET appendonly yes, and in its configuration: a restart then begins with what it had"),
    )  # fmt: skip


def _answers(name: str, error: str, remedy: Promise) -> Finding:
    return Finding(what=name, value=error, wanted=_("an answer"), level=Level.ERROR, remedy=remedy)


def clocks() -> Iterator[Finding]:
    """This machine's clock and the database's."""
    offset_s = clock_offset_s()
    yield Finding(
        what=_("clock of this machine minus the database's"), value=f"{offset_s:+.3f} s",
        wanted=format_lazy(_("at most {limit:g} s apart"), limit=settings.CLOCK_OFFSET_ALARM_S),
        level=Level.OK if abs(offset_s) <= settings.CLOCK_OFFSET_ALARM_S else Level.ERROR,
        remedy=_("set both by NTP (timedatectl)"),
    )  # fmt: skip


def clock_offset_s(clock: Callable[[], float] = time.time) -> float:
    """This machine's clock minus the database's, in seconds; what the question took is halved."""
    before = clock()
    database_s = storage().clock_us() / 1e6
    return (before + clock()) / 2 - database_s


@dataclass(frozen=True, slots=True)
class Disk:
    """Room, in bytes, where this machine writes `name`."""

    name: str | Promise
    free: int
    total: int

    @property
    def is_short(self) -> bool:
        return self.free < GIB or self.free < LEAST_FREE * self.total


def room() -> Iterator[Disk]:
    """The disks this machine writes to. A database on another machine is looked after there."""
    places: dict[str | Promise, Any] = {"VAR_DIR": settings.VAR_DIR, "BACKUP_DIR": settings.BACKUP_DIR}
    if connection.vendor == "sqlite":
        places[_("database file")] = Path(str(connection.settings_dict["NAME"])).parent
    if settings.ARCHIVE:
        places["ARCHIVE_DIR"] = settings.ARCHIVE_DIR
    for name, place in places.items():
        folder = Path(place)
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        yield Disk(name, usage.free, usage.total)


def disks() -> Iterator[Finding]:
    """Whether there is room enough on them."""
    for disk in room():
        yield Finding(
            what=format_lazy(_("free disk of {name}"), name=disk.name),
            value=f"{disk.free / GIB:.1f} GiB ({100 * disk.free // disk.total} %)",
            wanted=format_lazy(_("1 GiB and {share:.0%} at least"), share=LEAST_FREE),
            level=Level.WARNING if disk.is_short else Level.OK, remedy=_("make room, or move it"),
        )  # fmt: skip


def archive() -> Iterator[Finding]:
    """Whether the archive that counts as made is what this machine sees: backups, upkeep and who looks need one."""
    if not settings.ARCHIVE:
        return
    made = RolloverRun.objects.exclude(archived_at=None).order_by("-archived_at").values_list("trade_date", flat=True)
    newest, folder = made.first(), Path(settings.ARCHIVE_DIR)
    is_there = newest is None or bool(exports.parts_of(newest, folder))
    if newest is None:
        value = _("{folder}, no day archived yet")
    else:
        value = _("{folder}, with {date}") if is_there else _("{folder}, without {date}")
    yield Finding(
        what="ARCHIVE_DIR", value=format_lazy(value, folder=folder, date=newest),
        wanted=_("the newest archived day in it"), level=Level.OK if is_there else Level.ERROR,
        remedy=_("let every machine that makes backups or does upkeep see the same folder under ARCHIVE_DIR"),
    )  # fmt: skip


def migrations() -> Iterator[Finding]:
    """Whether the tables are those of this version."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    yield Finding(
        what=_("migrations"), wanted=_("done"),
        value=format_lazy(_("{number} to be done"), number=len(waiting)) if waiting else _("done"),
        level=Level.ERROR if waiting else Level.OK, remedy="manage.py migrate",
    )  # fmt: skip


def calendar() -> Iterator[Finding]:
    """Whether the trading calendar reaches far enough."""
    ahead = rollover.current_date(rollover.utc_now()) + rollover.KNOWN_AHEAD
    covers = trading_dates.calendar(rollover.MARKET).covers(ahead)
    yield Finding(
        what=format_lazy(_("calendar of {market}"), market=rollover.MARKET),
        value=format_lazy(_("reaches {date}") if covers else _("does not reach {date}"), date=ahead),
        wanted=_("two months ahead"), level=Level.OK if covers else Level.WARNING, remedy="docs/calendar.md",
    )  # fmt: skip


def login_provider(clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Whether the OpenID Connect provider of the settings, if any, answers, calls itself as they do, and has our time:
    its tokens are believed for so long only. A warning as long as passwords let in as well."""
    if not settings.OIDC_ISSUER:
        return
    wrong = Level.WARNING if settings.PASSWORD_LOGIN else Level.ERROR
    address = f"{settings.OIDC_ISSUER.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = httpx.get(address, timeout=PROVIDER_S).raise_for_status()
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        yield Finding(
            what="OIDC_ISSUER", value=type(error).__name__, wanted=_("an answer"), level=wrong,
            remedy=format_lazy(_("see whether {address} can be reached from here"), address=address),
        )  # fmt: skip
        return
    issuer = told.get("issuer") if isinstance(told, dict) else None
    yield Finding(
        what=_("name of the login provider"), value=str(issuer)[:200], wanted=settings.OIDC_ISSUER,
        level=Level.OK if issuer == settings.OIDC_ISSUER else wrong,
        remedy=_("set OIDC_ISSUER to the letter as the provider calls itself"),
    )  # fmt: skip
    offset_s = _behind_s(answer.headers.get("date", ""), clock())
    yield Finding(
        what=_("clock of this machine minus the login provider's"),
        value=_("not told") if offset_s is None else f"{offset_s:+.0f} s",
        wanted=format_lazy(_("at most {limit:g} s apart"), limit=PROVIDER_CLOCK_S),
        level=Level.UNKNOWN if offset_s is None else Level.OK if abs(offset_s) <= PROVIDER_CLOCK_S else wrong,
        remedy=_("set both by NTP (timedatectl)"),
    )  # fmt: skip
    # A provider may do without: then a login that it ends lasts here until it is idle.
    offers = isinstance(told, dict) and told.get("backchannel_logout_supported") is True
    yield Finding(
        what=_("back-channel logout of the login provider"), value=_("offered") if offers else _("not offered"),
        wanted=_("may be there"), level=Level.OK, remedy="docs/access.md",
    )  # fmt: skip


def _behind_s(date: str, now_s: float) -> float | None:
    """How far a time of a Date header (RFC 9110, section 5.6.7: in whole seconds) is behind; None if it is none."""
    try:
        return now_s - email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None


# --- who asks ---------------------------------------------------------------------------------------------------------


class UnsafeDatabase(Exception):
    """With these settings what is acknowledged could be lost or wrong; the message names each, and how to set it."""


def refuse_unsafe() -> None:
    """Before anything is acknowledged: UnsafeDatabase when a vital flag is wrong, unless ALLOW_UNSAFE_DATABASE says
    that it is meant so. A database that does not answer acknowledges nothing either: it is waited for, not refused."""
    try:
        wrong = [one for one in database() if one.is_vital and one.level is Level.ERROR]
    except (DatabaseError, InterfaceError):
        return
    if wrong and not settings.ALLOW_UNSAFE_DATABASE:
        raise UnsafeDatabase("\n".join(str(one.words) for one in wrong))


def recheck() -> None:
    """Raise an alarm for each setting that is wrong now, and clear those that are right again."""
    found = {UNSAFE: [*database(), *redis_servers(), *archive()], DISK: list(disks())}
    for code, one in ((code, one) for code, some in found.items() for one in some):
        subject = alarms.english(one.what)
        if one.level in (Level.WARNING, Level.ERROR):
            alarms.raise_alarm(code, one.words, subject=subject)
        elif one.level is Level.OK:
            alarms.resolve(code, subject=subject)
        if code == DISK:
            alarms.resolve(UNSAFE, subject=subject)  # an older version told of disks under this name
    subject = f"{socket.gethostname()}/database"
    for one in clocks():
        if one.level is Level.OK:
            alarms.resolve(CLOCK, subject=subject)
        else:
            alarms.raise_alarm(CLOCK, one.words, subject=subject)


def table(found: list[Finding]) -> Iterator[str]:
    """For people."""
    rows = [(str(SHOWN[one.level]), str(one.what), str(one.value)) for one in found]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for one, row in zip(found, rows, strict=True):
        line = "  ".join(text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        yield line.rstrip() if one.level is Level.OK else f"{line}  {one.wanted}: {one.remedy}"


def _width(text: str) -> int:
    """Columns of a terminal: a Korean letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
