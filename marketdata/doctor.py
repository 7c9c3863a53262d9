"""Whether what the promises rest on is so: flags of the database and of Redis, clocks, room, migrations, calendar.

Asked by `manage.py doctor`, before the ingest server acknowledges anything, and every minute, as alarms.
"""

from __future__ import annotations

import enum
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from marketdata import alarms
from marketdata.archive import exports
from marketdata.calendar import trading_dates
from marketdata.maintenance import rollover
from marketdata.models import RolloverRun
from marketdata.storage import storage

UNSAFE = "unsafe_setting"
CLOCK = "server_clock"
GIB = 1 << 30
LEAST_FREE = 0.05  # of a disk


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "unknown"  # could not be looked at
    WARNING = "warning"  # something is slower, later or less safe than promised
    ERROR = "error"  # a promise cannot be kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `is_vital`: with it wrong, what was acknowledged may be lost or wrong."""

    what: str
    value: str
    wanted: str
    level: Level
    remedy: str = ""
    is_vital: bool = False

    @property
    def words(self) -> str:
        return f"{self.what} is {self.value}, must be {self.wanted}: {self.remedy}"


def examine() -> list[Finding]:
    """Everything, in the order in which a person would look. Raises nothing: what cannot be looked at is a finding."""
    found: list[Finding] = []
    for look in (database, redis_servers, clocks, disks, archive, migrations, calendar):
        try:
            found += look()
        except (DatabaseError, InterfaceError) as error:
            remedy = storage().remedy(error)
            found.append(_failed(look, f"{type(error).__name__}: {error}"[:200], remedy))
    return found


def _failed(look: Callable[..., object], error: str, remedy: str) -> Finding:
    return Finding(what=look.__name__, value=error, wanted="an answer", level=Level.ERROR, remedy=remedy)


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
        if urlsplit(url).scheme in ("redis", "rediss", "valkey", "unix"):
            yield from _redis(name, url)


def _redis(name: str, url: str) -> Iterator[Finding]:
    try:
        with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
            client.ping()
            try:
                found: Any = client.config_get("maxmemory-policy", "appendonly", "save")
            except redis.ResponseError:  # a managed one, or a user without the right
                yield Finding(
                    what=f"{name}: maxmemory-policy", value="not told", wanted="noeviction", level=Level.UNKNOWN,
                    remedy="CONFIG is not allowed to us; see it by hand (docker/redis/naru.conf)",
                )  # fmt: skip
                return
    except redis.RedisError as error:
        yield _answers(name, f"{type(error).__name__}", "start it, or see whether it can be reached")
        return
    policy, append, save = (str(found.get(key, "")) for key in ("maxmemory-policy", "appendonly", "save"))
    yield Finding(
        what=f"{name}: maxmemory-policy", value=policy, wanted="noeviction",
        level=Level.OK if policy == "noeviction" else Level.ERROR,
        remedy="CONFIG SET maxmemory-policy noeviction, and in its configuration (docker/redis/naru.conf)",
    )  # fmt: skip
    kept = append == "yes" or bool(save)
    yield Finding(
        what=f"{name}: appendonly", value=append, wanted="yes", level=Level.OK if kept else Level.WARNING,
        remedy="CONFIG SET appendonly yes, and in its configuration: a restart then begins with what it had",
    )  # fmt: skip


def _answers(name: str, error: str, remedy: str) -> Finding:
    return Finding(what=name, value=error, wanted="an answer", level=Level.ERROR, remedy=remedy)


def clocks() -> Iterator[Finding]:
    """This machine's clock and the database's."""
    offset_s = clock_offset_s()
    yield Finding(
        what="clock of this machine minus the database's", value=f"{offset_s:+.3f} s",
        wanted=f"at most {settings.CLOCK_OFFSET_ALARM_S:g} s apart",
        level=Level.OK if abs(offset_s) <= settings.CLOCK_OFFSET_ALARM_S else Level.ERROR,
        remedy="set both by NTP (timedatectl)",
    )  # fmt: skip


def clock_offset_s(clock: Callable[[], float] = time.time) -> float:
    """This machine's clock minus the database's, in seconds; what the question took is halved."""
    before = clock()
    database_s = storage().clock_us() / 1e6
    return (before + clock()) / 2 - database_s


def disks() -> Iterator[Finding]:
    """Room where this machine writes. A database on another machine is looked after there."""
    places: dict[str, Any] = {"VAR_DIR": settings.VAR_DIR, "BACKUP_DIR": settings.BACKUP_DIR}
    if connection.vendor == "sqlite":
        places["database file"] = Path(str(connection.settings_dict["NAME"])).parent
    if settings.ARCHIVE:
        places["ARCHIVE_DIR"] = settings.ARCHIVE_DIR
    for name, place in places.items():
        folder = Path(place)
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        is_short = usage.free < GIB or usage.free < LEAST_FREE * usage.total
        yield Finding(
            what=f"free disk of {name}", value=f"{usage.free / GIB:.1f} GiB ({100 * usage.free // usage.total} %)",
            wanted=f"1 GiB and {LEAST_FREE:.0%} at least", level=Level.WARNING if is_short else Level.OK,
            remedy="make room, or move it",
        )  # fmt: skip


def archive() -> Iterator[Finding]:
    """Whether the archive that counts as made is what this machine sees: backups, upkeep and who looks need one."""
    if not settings.ARCHIVE:
        return
    made = RolloverRun.objects.exclude(archived_at=None).order_by("-archived_at").values_list("trade_date", flat=True)
    newest, folder = made.first(), Path(settings.ARCHIVE_DIR)
    is_there = newest is None or bool(exports.parts_of(newest, folder))
    yield Finding(
        what="ARCHIVE_DIR", value=f"{folder}, {'with' if is_there else 'without'} {newest or 'no day yet'}",
        wanted="the newest archived day in it", level=Level.OK if is_there else Level.ERROR,
        remedy="let every machine that makes backups or does upkeep see the same folder under ARCHIVE_DIR",
    )  # fmt: skip


def migrations() -> Iterator[Finding]:
    """Whether the tables are those of this version."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    yield Finding(
        what="migrations", value=f"{len(waiting)} to be done" if waiting else "done", wanted="done",
        level=Level.ERROR if waiting else Level.OK, remedy="manage.py migrate",
    )  # fmt: skip


def calendar() -> Iterator[Finding]:
    """Whether the trading calendar reaches far enough."""
    ahead = rollover.current_date(rollover.utc_now()) + rollover.KNOWN_AHEAD
    covers = trading_dates.calendar(rollover.MARKET).covers(ahead)
    yield Finding(
        what=f"calendar of {rollover.MARKET}", value=f"{'reaches' if covers else 'does not reach'} {ahead}",
        wanted="two months ahead", level=Level.OK if covers else Level.WARNING, remedy="docs/calendar.md",
    )  # fmt: skip


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
        raise UnsafeDatabase("\n".join(one.words for one in wrong))


def recheck() -> None:
    """Raise an alarm for each setting that is wrong now, and clear those that are right again."""
    for one in [*database(), *redis_servers(), *disks(), *archive()]:
        if one.level in (Level.WARNING, Level.ERROR):
            alarms.raise_alarm(UNSAFE, one.words, subject=one.what)
        elif one.level is Level.OK:
            alarms.resolve(UNSAFE, subject=one.what)
    subject = f"{socket.gethostname()}/database"
    for one in clocks():
        if one.level is Level.OK:
            alarms.resolve(CLOCK, subject=subject)
        else:
            alarms.raise_alarm(CLOCK, one.words, subject=subject)


def table(found: list[Finding]) -> Iterator[str]:
    """For people."""
    widths = [
        max(len(text) for text in column) for column in zip(*((one.what, one.value) for one in found), strict=True)
    ]
    for one in found:
        line = f"{one.level.value:8} {one.what:{widths[0]}}  {one.value:{widths[1]}}"
        yield line.rstrip() if one.level is Level.OK else f"{line}  {one.wanted}: {one.remedy}"
