"""The upkeep that beat calls: the rollover, room and retention, caches, backups, archive. Each does whatever is still
due, so a call that was lost or came twice changes nothing."""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Sequence

from celery import current_app, shared_task
from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from marketdata import alarms, backups, disks, doctor
from marketdata.archive import exports
from marketdata.backups import offsite
from marketdata.limits import quotas, reached
from marketdata.maintenance import leases, quiet, requests, retention, rollover
from marketdata.models import BackupRun
from marketdata.models.texts import kept
from marketdata.realtime import cache_tables, measurements
from marketdata.storage import storage
from marketdata.vendors import keys

log = logging.getLogger(__name__)

HOURS_S = 3600
QUIET = datetime.timedelta(minutes=10)  # a refusal that did not come again for so long is over
A_DAY = datetime.timedelta(days=1)  # limits of prices are of one


@shared_task(soft_time_limit=3 * HOURS_S, time_limit=3 * HOURS_S + 60)
def roll_over(**_: object) -> None:
    """The rollover of every day that is over and not done."""
    quotas.watch()
    with storage().long_running():
        rollover.run_due()


@shared_task
def watch_upkeep(**_: object) -> None:
    """What should have been done and is not, and alarms whose cause did not come again. In another queue than what it
    looks after, which may hang, fail or have no worker."""
    now = rollover.utc_now()
    rollover.check_overdue(now)
    backups.check_overdue(now)
    for code in ("feed_refused", "scope_refused", reached.CODE):
        alarms.resolve_old(code, QUIET)
    alarms.resolve_old("outside_limits", A_DAY)


@shared_task(soft_time_limit=12 * HOURS_S, time_limit=12 * HOURS_S + 60)
def back_up(**_: object) -> None:
    """The backup that is due, restored and compared before it counts."""
    with storage().long_running():
        backups.run_due(rollover.utc_now())


@shared_task(soft_time_limit=12 * HOURS_S, time_limit=12 * HOURS_S + 60)
def copy_backups(**_: object) -> None:
    """Verified backups to the other place, where BACKUP_OFFSITE names one, and proven from there."""
    with storage().long_running():
        offsite.run_due(rollover.utc_now())


@shared_task(soft_time_limit=3 * HOURS_S, time_limit=3 * HOURS_S + 60)
def archive_days(**_: object) -> None:
    """Finished days to Parquet, where ARCHIVE says so."""
    if settings.ARCHIVE:
        with storage().long_running():
            exports.run_due(_silent)


def _silent(_words: str) -> None:
    """For work that nobody watches."""


@shared_task
def extend_partitions(**_: object) -> None:
    """Room for today and the days ahead."""
    try:
        with leases.hold(leases.UPKEEP):
            quiet.make_room(rollover.utc_now())
    except leases.LeaseHeld as error:
        log.info("no room made reason=%s", error)


@shared_task(soft_time_limit=3 * HOURS_S, time_limit=3 * HOURS_S + 60)
def drop_expired(**_: object) -> None:
    """Partitions that are past their time, while no market trades."""
    with storage().long_running():
        quiet.drop(rollover.utc_now)


@shared_task
def refresh_caches(**_: object) -> None:
    """What changed of the latest prices, for readers in SQL."""
    cache_tables.refresh()


@shared_task
def note_pipeline(**_: object) -> None:
    """A point of the pipeline's history."""
    measurements.note([queue.name for queue in current_app.conf.task_queues], min(disk.free for disk in disks.room()))


@shared_task
def recheck(**_: object) -> None:
    """Whether the flags of database and Redis, the room on the disks and the clocks are still right; and whether what
    people asked for is being done."""
    requests.close()
    doctor.recheck()


@shared_task
def keep_events(**_: object) -> None:
    """See that the database's own clean-up events run on this node, and that no two of a kind do at once."""
    trouble = storage().keep_events()
    if trouble:
        alarms.raise_alarm("events_off", trouble)
    else:
        alarms.resolve("events_off")


# What somebody asked for by the page of operations; each does what the management command of its name does.


@shared_task(soft_time_limit=3 * HOURS_S, time_limit=3 * HOURS_S + 60)
def roll_over_asked(*, entry: int, **_: object) -> None:
    """The rollover of every day that is over and not done, old ones as well."""

    def work() -> Promise:
        with storage().long_running():
            done = rollover.run_due(old_days=sys.maxsize)
        if not done:
            return gettext_lazy("nothing was due, or could be done")
        return format_lazy(gettext_lazy("done: {dates}"), dates=", ".join(str(date) for date in done))

    requests.carry_out(entry, work)


@shared_task(soft_time_limit=12 * HOURS_S, time_limit=12 * HOURS_S + 60)
def back_up_asked(*, entry: int, **_: object) -> None:
    """A backup now, restored and compared."""

    def work() -> Promise:
        with storage().long_running():
            made = backups.make(rollover.utc_now())
        told = format_lazy("{name}: {state}", name=made.name, state=BackupRun.State(made.state).label)
        return format_lazy("{told} ({error})", told=told, error=kept(made.error, made.texts)) if made.error else told

    requests.carry_out(entry, work)


@shared_task(soft_time_limit=HOURS_S, time_limit=HOURS_S + 60)
def retain_asked(*, entry: int, **_: object) -> None:
    """Room for the days ahead, and what is past its time dropped."""

    def work() -> Promise:
        now = rollover.utc_now()
        with storage().long_running(), leases.hold(leases.UPKEEP):
            retention.extend(now)
            dropped = len(retention.apply(now, progress=_silent))
        return format_lazy(gettext_lazy("{number} periods dropped"), number=f"{dropped:,}")

    requests.carry_out(entry, work)


# What asks KIS is imported where it is done: httpx would cost every process of Celery memory that only one needs.


@shared_task(soft_time_limit=240, time_limit=300)
def repair_asked(*, entry: int, lost: Sequence[Sequence[str]] = (), **_: object) -> None:
    """KIS's minute bars for what was chosen, each a trading date and a symbol ("" for all of the date); without any for
    what is due."""

    def work() -> Promise:
        if not keys.are_there():
            return gettext_lazy("not done: no keys of KIS are configured (NARU_KIS_KEYS_FILE, docs/operations.md)")
        from marketdata.vendors import duties

        chosen = [(datetime.date.fromisoformat(date), symbol) for date, symbol in lost]
        return duties.repair_asked(chosen, rollover.utc_now())

    requests.carry_out(entry, work)


@shared_task(soft_time_limit=90, time_limit=120)
def repair_gaps(**_: object) -> None:
    """KIS's minute bars for the minutes in which something of ours was lost, a slice at a time."""
    if keys.are_there_or_told():
        from marketdata.vendors import duties

        duties.repair_gaps(rollover.utc_now())


@shared_task(soft_time_limit=240, time_limit=300)
def load_masters(**_: object) -> None:
    """The morning's symbols from KIS's master files, and their price limits."""
    if keys.are_there_or_told():
        from marketdata.vendors import duties

        duties.load_masters(rollover.utc_now())
        duties.load_limits(rollover.utc_now())


@shared_task(soft_time_limit=90, time_limit=120)
def check_holidays(**_: object) -> None:
    """KIS's holidays beside our calendar."""
    if keys.are_there_or_told():
        from marketdata.vendors import duties

        duties.check_holidays(rollover.utc_now())
