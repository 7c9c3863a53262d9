"""What the server asks KIS each day, called by the timetable where there are keys. Each does whatever is still due."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterable

from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.calendar import trading_dates
from marketdata.calendar.feed_hours import MARKET
from marketdata.maintenance import leases
from marketdata.types.units import SEOUL
from marketdata.vendors import holidays, kis, masters, repair, runs
from marketdata.vendors.errors import UnusableKeys, VendorAway, VendorRefused

log = logging.getLogger(__name__)

MASTERS_LEASE = MASTERS_JOB = "vendor_masters"
LIMITS_JOB = "vendor_limits"
REPAIR_JOB = "vendor_repair"
BAD_KEYS = "kis_keys"
AGAIN = _("{date}: {error}; tried again until it succeeds")
SLICE_S = 25.0  # of one turn of a repair: the rollover waits in the same queue
ASKED_S = 60.0  # the same of one that a person asked for


def _usable() -> bool:
    """Whether the keys can be used; an alarm as long as they cannot."""
    try:
        kis.account()
    except UnusableKeys as error:
        alarms.raise_alarm(BAD_KEYS, str(error))
        return False
    alarms.resolve(BAD_KEYS)
    return True


def repair_gaps(now: datetime.datetime) -> None:
    """A slice of what is to be fetched for the minutes with gaps of the last trading days."""
    if not _usable():
        return
    with kis.Service(kis.account(), clock=lambda: now) as service:
        try:
            outcomes = repair.run_due(repair.due_dates(now), service, now, until_s=time.monotonic() + SLICE_S)
        except leases.LeaseHeld as error:
            log.info("repair waits reason=%s", error)
            return
        except VendorAway as error:  # the alarm is raised; the next turn tries again
            log.warning("repair ended error=%s", error)
            runs.count_failure(REPAIR_JOB)
            return
    runs.count(REPAIR_JOB, now, sum(outcome.fetched for outcome in outcomes))
    runs.count_failure(REPAIR_JOB, sum(len(outcome.refused) for outcome in outcomes))
    for outcome in outcomes:
        log.info(
            "repaired date=%s fetched=%d replaced=%d questions=%d left=%d refused=%d differing=%d",
            outcome.date, outcome.fetched, outcome.replaced, outcome.questions, outcome.left, len(outcome.refused),
            len(outcome.differing),
        )  # fmt: skip


def repair_asked(lost: Iterable[tuple[datetime.date, str]], now: datetime.datetime) -> Promise:
    """Ask anew, once, for what was lost on these trading dates of these symbols ("" for all of a date), or without any
    for what is due. Returns what came of it, for the audit. LeaseHeld if another process is at it."""
    until_s = time.monotonic() + ASKED_S
    chosen = sorted(set(lost))
    try:
        with kis.Service(kis.account(), clock=lambda: now) as service:
            outcomes = [
                repair.run(date, service, now, symbol=symbol or None, again=True, progress=log.debug, until_s=until_s)
                for date, symbol in chosen
            ] or repair.run_due(repair.due_dates(now), service, now, until_s=until_s)
    except (UnusableKeys, VendorAway) as error:
        runs.count_failure(REPAIR_JOB)
        return format_lazy(_("not done: {error}"), error=str(error))
    runs.count(REPAIR_JOB, now, sum(outcome.fetched for outcome in outcomes))
    runs.count_failure(REPAIR_JOB, sum(len(outcome.refused) for outcome in outcomes))
    fetched, replaced = (sum(getattr(one, name) for one in outcomes) for name in ("fetched", "replaced"))
    questions, left = (sum(getattr(one, name) for one in outcomes) for name in ("questions", "left"))
    counts = _("{fetched:,} minutes fetched, {replaced:,} replaced, {questions:,} questions, {left:,} minutes left")
    told = [format_lazy(counts, fetched=fetched, replaced=replaced, left=left, questions=questions)]
    refused = [f"{series} ({reason})" for one in outcomes for series, reason in one.refused.items()]
    if refused:
        told.append(format_lazy(_("no answer: {series}"), series=", ".join(refused[: repair.MOST_NAMED])))
    if not all(one.is_through for one in outcomes):
        told.append(_("not through in time, ask again"))
    return format_lazy("; ".join(["{}"] * len(told)), *told)


def load_masters(now: datetime.datetime) -> None:
    """The morning's master files, once on each trading day; again until all of them were taken over."""
    today = _morning(now)
    if today is None or runs.is_done(MASTERS_JOB, today) or not _usable():
        return
    try:
        with leases.hold(MASTERS_LEASE):
            files = [kis.download(name) for name in kis.MASTERS]
            taken = masters.take(files, now)
            runs.finish(
                MASTERS_JOB, today, now, format_lazy(", ".join(["{}"] * len(taken)), *map(masters.summary, taken))
            )
            runs.count(MASTERS_JOB, now, sum(len(file.listings) for file in files))
    except leases.LeaseHeld as error:
        log.info("masters wait reason=%s", error)
    except VendorAway as error:
        alarms.raise_alarm(masters.FAILED, format_lazy(AGAIN, date=today, error=str(error)))
        runs.count_failure(MASTERS_JOB)
    else:
        alarms.resolve(masters.FAILED)


def load_limits(now: datetime.datetime) -> None:
    """Today's price limits of what the morning's files list, once they were loaded; they tell none."""
    today = _morning(now)
    if today is None or not runs.is_done(MASTERS_JOB, today) or runs.is_done(LIMITS_JOB, today):
        return
    if not _usable():
        return
    codes = masters.to_ask_limits()
    try:
        with leases.hold(MASTERS_LEASE), kis.Service(kis.account(), clock=lambda: now) as service:
            kept = masters.take_limits(service.limits(codes), today)
            told = format_lazy(_("{kept} of {asked} symbols"), kept=kept, asked=len(codes))
            runs.finish(LIMITS_JOB, today, now, told)
            runs.count(LIMITS_JOB, now, kept)
    except leases.LeaseHeld as error:
        log.info("limits wait reason=%s", error)
    except VendorRefused as error:
        runs.finish(LIMITS_JOB, today, now, str(error))
        log.info("no limits reason=%s", error)
        runs.count_failure(LIMITS_JOB)
    except VendorAway as error:
        alarms.raise_alarm(masters.LIMITS_FAILED, format_lazy(AGAIN, date=today, error=str(error)))
        runs.count_failure(LIMITS_JOB)
    else:
        alarms.resolve(masters.LIMITS_FAILED)


def check_holidays(now: datetime.datetime) -> None:
    """The vendor's holidays beside our calendar, asked once a day."""
    today = _morning(now)
    if today is None or runs.is_done(holidays.JOB, today) or not _usable():
        return
    with kis.Service(kis.account(), clock=lambda: now) as service:
        holidays.check_due(service.opens, now)


def _morning(now: datetime.datetime) -> datetime.date | None:
    """The date in Seoul if it is a trading day and NARU_KIS_MASTERS_TIME is past."""
    local = now.astimezone(SEOUL)
    if local.time() < settings.NARU_KIS_MASTERS_TIME or not trading_dates.calendar(MARKET).is_session(local.date()):
        return None
    return local.date()
