"""What the entries of the timetable are called in the reader's language. Their names in the database are those of
`celery_app.TIMETABLE`, in English; an entry that somebody added is called what he called it."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NAMES: dict[str, Promise] = {
    "announce what was committed but never reached the feed": _(
        "announce what was committed but never reached the feed"
    ),
    "announce what a requeue stored and did not announce": _("announce what a requeue stored and did not announce"),
    "rows refused in masses, batches given up": _("rows refused in masses, batches given up"),
    "keep partitions ahead of the calendar": _("keep partitions ahead of the calendar"),
    "roll over the trading days that are over": _("roll over the trading days that are over"),
    "voiding that was interrupted, and subscribers that were not told": _(
        "voiding that was interrupted, and subscribers that were not told"
    ),
    "symbols from the master files of KIS": _("symbols from the master files of KIS"),
    "holidays of KIS beside the calendar": _("holidays of KIS beside the calendar"),
    "minute bars of KIS for minutes with gaps": _("minute bars of KIS for minutes with gaps"),
    "the backup that is due": _("the backup that is due"),
    "finished days to the archive": _("finished days to the archive"),
    "latest prices for readers in SQL": _("latest prices for readers in SQL"),
    "statistics of what changed": _("statistics of what changed"),
    "the pipeline's numbers, for their history": _("the pipeline's numbers, for their history"),
    "deliveries of alerts that are due": _("deliveries of alerts that are due"),
    "alerts of people's rules": _("alerts of people's rules"),
    "quality of what changed today": _("quality of what changed today"),
    "quality of the trading days that were rolled over": _("quality of the trading days that were rolled over"),
    "the report of quality by mail": _("the report of quality by mail"),
    "flags of database and Redis, room and clocks": _("flags of database and Redis, room and clocks"),
    "the database's own clean-up events": _("the database's own clean-up events"),
}


def shown(name: str) -> str:
    """The name of an entry for people."""
    return str(NAMES.get(name, name))
