"""What the entries of the timetable are called in the reader's language, and when they are done. Their names in the
database are those of `celery_app.TIMETABLE`, in English; an entry that somebody added is called what he called it."""

from __future__ import annotations

import calendar

from cron_descriptor import (
    FormatException,
    MissingFieldException,
    Options,
    WrongArgumentException,
    get_description,
)
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask

NAMES: dict[str, Promise] = {
    "announce what was committed but never reached the feed": _(
        "announce what was committed but never reached the feed"
    ),
    "announce what a requeue stored and did not announce": _("announce what a requeue stored and did not announce"),
    "rows refused in masses, batches given up": _("rows refused in masses, batches given up"),
    "keep partitions ahead of the calendar": _("keep partitions ahead of the calendar"),
    "drop partitions that are past their time": _("drop partitions that are past their time"),
    "roll over the trading days that are over": _("roll over the trading days that are over"),
    "voiding that was interrupted, and subscribers that were not told": _(
        "voiding that was interrupted, and subscribers that were not told"
    ),
    "symbols from the master files of KIS": _("symbols from the master files of KIS"),
    "holidays of KIS beside the calendar": _("holidays of KIS beside the calendar"),
    "minute bars of KIS for minutes with gaps": _("minute bars of KIS for minutes with gaps"),
    "the backup that is due": _("the backup that is due"),
    "verified backups to the other place": _("verified backups to the other place"),
    "finished days to the archive": _("finished days to the archive"),
    "latest prices for readers in SQL": _("latest prices for readers in SQL"),
    "candles for readers in SQL": _("candles for readers in SQL"),
    "statistics of what changed": _("statistics of what changed"),
    "the pipeline's numbers, for their history": _("the pipeline's numbers, for their history"),
    "deliveries of alerts that are due": _("deliveries of alerts that are due"),
    "alerts of people's rules": _("alerts of people's rules"),
    "quality of what changed today": _("quality of what changed today"),
    "quality of the trading days that were rolled over": _("quality of the trading days that were rolled over"),
    "the report of quality by mail": _("the report of quality by mail"),
    "flags of database and Redis, room and clocks": _("flags of database and Redis, room and clocks"),
    "upkeep that should have been done": _("upkeep that should have been done"),
    "the database's own clean-up events": _("the database's own clean-up events"),
}

OTHERS: dict[str, Promise] = {
    "celery.backend_cleanup": _("results of tasks that are past their time"),
}
"""Entries that Celery itself adds."""
_UNITS = (
    (86_400, _("every {number} d")),
    (3600, _("every {number} h")),
    (60, _("every {number} min")),
    (1, _("every {number} s")),
)
_LOCALES = {"ko": "ko_KR", "en": "en_US"}  # of cron_descriptor


def shown(name: str) -> str:
    """The name of an entry for people."""
    return str(NAMES.get(name) or OTHERS.get(name) or name)


def crontab(row: CrontabSchedule) -> str:
    """When a crontab is due, in words of the reader's language: "At 08:05, Monday through Friday (Asia/Seoul)"; one
    that cannot be put into words as it is written."""
    options = Options()
    options.locale_code = _LOCALES.get((get_language() or "")[:2], "en_US")
    options.use_24hour_time_format = True
    fields = (row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week)
    try:
        words = str(get_description(" ".join("".join(field.split()) for field in fields), options))
    except (FormatException, MissingFieldException, WrongArgumentException):
        return str(row)
    # The package leaves the names of days and months to the C library, whose language no request changes.
    for number, name in WEEKDAYS.items():
        words = words.replace(calendar.day_name[number], str(name))
    for number, name in MONTHS.items():
        words = words.replace(calendar.month_name[number], str(name))
    return f"{words} ({row.timezone})"


def every(task: PeriodicTask) -> str:
    """How often an entry is done, or when, in the reader's language; an interval is told in the largest unit that it is
    whole ones of."""
    if task.crontab is not None:
        return crontab(task.crontab)
    if task.interval is None:
        return str(task.scheduler)
    seconds = task.interval.schedule.run_every.total_seconds()
    for size, words in _UNITS:
        if seconds >= size and seconds % size == 0:
            return str(words).format(number=int(seconds // size))
    return str(task.interval)
