"""Whether every node of a database cluster holds the same of a period; a person is told where one does not, and nothing
is dropped there. With one server there is nothing to compare."""

from __future__ import annotations

import contextlib
import datetime

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.models import Alarm
from marketdata.storage import StorageError, storage
from marketdata.storage.base import PERIODS

NODES_DIFFER = "nodes_differ"
ONE_DAY = datetime.timedelta(days=1)


def compare_day(date: datetime.date) -> list[str]:
    """What nodes hold otherwise of a trading date, in any table; an alarm if it is anything, resolved if nothing."""
    return _compare(dict.fromkeys(PERIODS, (date, date + ONE_DAY)), date.isoformat())


def compare_period(table: str, start: datetime.date, end: datetime.date) -> list[str]:
    """The same of one table and the trading dates start <= date < end."""
    return _compare({table: (start, end)}, f"{table} {start}")


def look_again() -> None:
    """Compare the days and periods of which a person was told; what was mended is resolved, and so is a period that
    somebody dropped by hand, which nobody looks at before a drop any more."""
    told = Alarm.objects.filter(code=NODES_DIFFER, cleared_at=None)
    for subject in list(told.values_list("subject", flat=True)):
        table, _blank, day = subject.rpartition(" ")
        with contextlib.suppress(ValueError):  # a subject that another version wrote
            date = datetime.date.fromisoformat(day)
            if not table:
                compare_day(date)
            elif table in PERIODS:
                compare_period(table, date, PERIODS[table](date)[1])


def _compare(periods: dict[str, tuple[datetime.date, datetime.date]], subject: str) -> list[str]:
    try:
        found = storage().differences(periods)
    except StorageError as error:
        found = [str(error)]
    if found:
        words = format_lazy(_("the nodes of the database differ: {differences}"), differences="; ".join(found))
        alarms.raise_alarm(NODES_DIFFER, words, subject=subject)
    else:
        alarms.resolve(NODES_DIFFER, subject=subject)
    return found
