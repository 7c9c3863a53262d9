"""Who asks, and for what: a person for everything, the start of the ingest server for what is vital, each minute."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils.module_loading import import_string

from marketdata import alarms
from marketdata.doctor import clocks, disks, encryption, preparation, processes, servers, standbys, statistics
from marketdata.doctor.copies import other_place
from marketdata.doctor.fanout import fanout
from marketdata.doctor.findings import Finding, Level, answers
from marketdata.doctor.login_provider import login_provider
from marketdata.storage import storage

UNSAFE = "unsafe_setting"
CLOCK = "server_clock"
DISK = "disk_low"
FANOUT = "fanout_behind"


def examine() -> list[Finding]:
    """Everything, in the order in which a person would look. Raises nothing: what cannot be looked at is a finding."""
    found: list[Finding] = []
    for look in (
        preparation.program, servers.database, standbys.database_nodes, servers.redis_servers, standbys.sentinels,
        clocks.clocks, clocks.synchronisation, disks.disks, disks.archive, preparation.migrations,
        preparation.calendar, statistics.betas, encryption.connections, encryption.terminals, encryption.pages,
        processes.ingest_servers, processes.broker, processes.workers, processes.beat, processes.mail, fanout,
        other_place, login_provider, *_of_others(),
    ):  # fmt: skip
        try:
            found += look()
        except (DatabaseError, InterfaceError) as error:
            remedy = storage().remedy(error)
            found.append(answers(look.__name__, f"{type(error).__name__}: {error}"[:200], remedy))
    return found


def _of_others() -> list[Callable[[], Iterator[Finding]]]:
    """What other packages look at, by the dotted names that their AppConfig has in `doctor_looks`: nothing of it is
    imported before."""
    names = [name for config in apps.get_app_configs() for name in getattr(config, "doctor_looks", ())]
    return [import_string(name) for name in names]


class UnsafeDatabase(Exception):
    """With these settings what is acknowledged could be lost or wrong; the message names each, and how to set it."""


def refuse_unsafe() -> None:
    """Before anything is acknowledged: UnsafeDatabase when a vital flag is wrong, unless ALLOW_UNSAFE_DATABASE says
    that it is meant so. A database that does not answer acknowledges nothing either: it is waited for, not refused."""
    try:
        wrong = [one for one in servers.database() if one.is_vital and one.level is Level.ERROR]
    except (DatabaseError, InterfaceError):
        return
    if wrong and not settings.ALLOW_UNSAFE_DATABASE:
        raise UnsafeDatabase("\n".join(str(one.words) for one in wrong))


def recheck() -> None:
    """Raise an alarm for each setting that is wrong now, and clear those that are right again."""
    unsafe = [
        *servers.database(), *standbys.database_nodes(), *servers.redis_servers(), *standbys.sentinels(),
        *disks.archive(), *encryption.certificate(),
    ]  # fmt: skip
    found = {UNSAFE: unsafe, DISK: list(disks.disks())}
    for code, one in ((code, one) for code, some in found.items() for one in some):
        subject = alarms.english(one.what)
        if one.level in (Level.WARNING, Level.ERROR):
            alarms.raise_alarm(code, one.words, subject=subject)
        elif one.level is Level.OK:
            alarms.resolve(code, subject=subject)
        if code == DISK:
            alarms.resolve(UNSAFE, subject=subject)  # an older version told of disks under this name
    if settings.EVENT_BUS == "none":
        alarms.resolve(FANOUT)
    for one in fanout():
        if one.level is Level.OK:
            alarms.resolve(FANOUT)
        else:
            alarms.raise_alarm(FANOUT, one.words)
    subject = f"{socket.gethostname()}/database"
    for one in clocks.clocks():
        if one.level is Level.OK:
            alarms.resolve(CLOCK, subject=subject)
        else:
            alarms.raise_alarm(CLOCK, one.words, subject=subject)
