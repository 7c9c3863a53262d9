"""What actions note in the history that Django keeps of each object (`django_admin_log`): in English, as logs are, and
put into the reader's language when it is shown, whenever it was noted. Django's own notes are translated by Django;
those of sheets name a file, a line, fields and values, which are the same in every language."""

from __future__ import annotations

import re
from functools import cache

from django.contrib.admin.models import LogEntry
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketdata import alarms

NOTES: tuple[Promise, ...] = (
    _("is_active = True"),
    _("is_active = False"),
    _("switched on"),
    _("switched off"),
    _("enable_tasks"),
    _("disable_tasks"),
    _("toggle_tasks"),
    _("run_tasks"),
    _("released from {client}"),
    _("restored {count} ticks"),
    _("ticks voided"),
    _("acknowledged"),
    _("delivered again"),
    _("issued"),
    _("revoked"),
    _("secret renewed"),
    _("secret renewed; the one of before works for {hours} h"),
    _("second factor enrolled"),
    _("second factor reset"),
    _("second factor removed"),
    _("recovery codes renewed"),
    _("account created at a login by the provider"),
    _("account taken into use by a login by the provider"),
    _("logged out by the login provider"),
    _("role {name} removed"),
    _("role {name} given"),
)
"""Every note, with {places} for what is filled in."""


def in_words(entry: LogEntry) -> str:
    """What an entry tells, in the reader's language if it is known in that."""
    noted = str(entry.get_change_message())
    for form, text in _forms():
        found = form.fullmatch(noted)
        if found:
            return str(text).format(**found.groupdict())
    return noted


@cache
def _forms() -> tuple[tuple[re.Pattern[str], Promise], ...]:
    """Each note as it is kept, with what is filled in as groups."""
    return tuple((_form(alarms.english(text)), text) for text in NOTES)


def _form(text: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(text)), re.DOTALL)
