"""What is due, what an increment builds on, and what may go. Pure: no clock, no database, no files."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.models.texts import of_error
from marketdata.types.units import SEOUL

FULL, INCREMENTAL = "full", "incremental"
RUNNING, STORED, VERIFIED, FAILED, EXPIRED = "running", "stored", "verified", "failed", "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a backup. `base` is the name of the one an increment builds on."""

    name: str
    kind: str
    state: str
    started_at: datetime.datetime
    base: str = ""
    position: str = ""
    has_archive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When backups are made and how long they stay."""

    time: datetime.time
    every: datetime.timedelta
    full_every: datetime.timedelta
    keep: datetime.timedelta

    @property
    def patience(self) -> datetime.timedelta:
        """How old the newest backup may become: one and a half turns."""
        return self.every * 1.5


@dataclass(frozen=True, slots=True)
class Choice:
    """What the next backup is, and in a few words why."""

    kind: str
    base: Known | None = None
    why: str = field(default="")


class BrokenChain(Exception):
    """A backup that another one needs is missing; the message names it."""


def due(now: datetime.datetime, backups: Sequence[Known], plan: Plan) -> bool:
    """Whether no backup was made since the last time of day at which one ought to have been. A failed one counts as
    none."""
    made = [one for one in backups if one.state in (STORED, VERIFIED) and one.has_archive]
    newest = max(made, key=lambda one: one.started_at, default=None)
    return newest is None or newest.started_at < turn(now, plan)


def turn(now: datetime.datetime, plan: Plan) -> datetime.datetime:
    """The last moment at or before `now` at which a backup is to be made: `time` in Seoul, and every `every` from
    it."""
    local = now.astimezone(SEOUL)
    first = datetime.datetime.combine(local.date(), plan.time, SEOUL)
    if first > local:
        first -= datetime.timedelta(days=1)
    if plan.every >= datetime.timedelta(days=1):  # every n days: counted from a fixed day
        days = max(plan.every // datetime.timedelta(days=1), 1)
        first -= datetime.timedelta(days=first.toordinal() % days)
        return first
    return first + (local - first) // plan.every * plan.every


def overdue(now: datetime.datetime, age_from: datetime.datetime | None, plan: Plan) -> bool:
    """Whether no backup was verified for one and a half turns. `age_from` is when the newest verified one began, or
    since when there is something to keep; None if there is nothing."""
    return age_from is not None and now - age_from > plan.patience


def choose(now: datetime.datetime, backups: Sequence[Known], plan: Plan) -> Choice:
    """Full, or an increment on the newest backup."""
    archived = sorted((one for one in backups if one.has_archive), key=lambda one: one.started_at)
    if not archived:
        return Choice(FULL, why="there is no backup yet")
    newest = archived[-1]
    if newest.state != VERIFIED:
        return Choice(FULL, why=f"{newest.name} is not verified")
    if not newest.position:
        return Choice(FULL, why=f"nothing can follow {newest.name}")
    try:
        needed = chain(newest.name, {one.name: one for one in archived})
    except BrokenChain as error:
        return Choice(FULL, why=alarms.english(of_error(error)))
    # Half a turn early, so that the one of the same weekday is the full one however late the last began.
    if now - needed[0].started_at >= plan.full_every - min(plan.every, datetime.timedelta(days=1)) / 2:
        return Choice(FULL, why=f"the last full one is {needed[0].name}")
    return Choice(INCREMENTAL, newest, f"builds on {newest.name}")


def chain(name: str, backups: Mapping[str, Known]) -> list[Known]:
    """The backups that restoring `name` needs, the full one first. BrokenChain if one of them is gone."""
    found: list[Known] = []
    while True:
        one = backups.get(name)
        if one is None or not one.has_archive:
            raise BrokenChain(format_lazy(_("{name} is missing"), name=name))
        if any(other.name == name for other in found):
            raise BrokenChain(format_lazy(_("{name} builds on itself"), name=name))
        found.append(one)
        if one.kind == FULL:
            return found[::-1]
        name = one.base


def expired(now: datetime.datetime, backups: Sequence[Known], plan: Plan) -> list[str]:
    """The backups that may go, increments before what they build on. One stays as long as a younger one needs it, and
    the newest verified one with its chain stays for ever."""
    known = {one.name: one for one in backups if one.has_archive}
    verified = [one for one in known.values() if one.state == VERIFIED]
    young = [one for one in known.values() if now - one.started_at < plan.keep]
    keep: set[str] = {one.name for one in young}
    for one in [*young, *sorted(verified, key=lambda one: one.started_at)[-1:]]:
        try:
            keep |= {needed.name for needed in chain(one.name, known)}
        except BrokenChain:
            keep.add(one.name)
    gone = [one for one in known.values() if one.name not in keep and one.state != RUNNING]
    return [one.name for one in sorted(gone, key=lambda one: one.started_at, reverse=True)]
