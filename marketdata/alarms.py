"""What a person must look at: raised by whoever finds it, again as long as it is so, resolved by whoever finds it
mended.

An alarm is a row, a log line of level ERROR and a gauge; each code is explained in docs/operations.md.
"""

from __future__ import annotations

import datetime
import logging
import time
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q
from django.utils import translation
from django.utils.functional import Promise

from marketdata.models import Alarm, AuditEntry
from marketdata.storage import storage

log = logging.getLogger(__name__)

TELL_EVERY_S, MOST_TOLD = 60.0, 1_000
LONGEST = 2000  # letters of a message
told: dict[tuple[str, str], float] = {}


def english(text: str | Promise) -> str:
    """A text of the catalogues as programs and logs have it."""
    with translation.override("en"):
        return str(text)


def translations(text: str | Promise) -> dict[str, str]:
    """A text of the catalogues in each language of the pages but English; of a text that is in none: nothing."""
    found = {}
    for language, _name in settings.LANGUAGES if isinstance(text, Promise) else ():
        if language != "en":
            with translation.override(language):
                found[language] = str(text)[:LONGEST]
    return found


def raise_alarm(code: str, message: str | Promise, *, subject: str = "") -> None:
    """Say that `subject` has this trouble; a second time counts up and keeps the newest message. It is logged and kept
    in English; one of the catalogues (`gettext_lazy`) is also kept as readers of other languages see it."""
    texts, message = translations(message), english(message)[:LONGEST]
    now = datetime.datetime.now(datetime.UTC)
    subject = subject[:80]
    log.error("alarm code=%s subject=%s message=%s", code, subject or "-", message)
    alarm, is_new = Alarm.objects.get_or_create(
        code=code,
        subject=subject,
        defaults={"message": message, "texts": texts, "raised_at": now, "seen_at": now},
    )
    if not is_new:
        again: dict[str, Any] = {"count": F("count") + 1}
        if alarm.cleared_at:
            again = {"raised_at": now, "count": 1, "cleared_by": "", "acknowledged_at": None, "acknowledged_by": ""}
        Alarm.objects.filter(pk=alarm.pk).update(message=message, texts=texts, seen_at=now, cleared_at=None, **again)


def raise_often(code: str, message: str | Promise, *, subject: str = "") -> None:
    """As `raise_alarm`, for what may be found many times a second: at most once a minute from this process."""
    now = time.monotonic()
    if now - told.get((code, subject), -TELL_EVERY_S) >= TELL_EVERY_S:
        if len(told) > MOST_TOLD:
            told.clear()
        told[code, subject] = now
        raise_alarm(code, message, subject=subject)


def resolve_old(code: str, older_than: datetime.timedelta) -> None:
    """What was not found again for so long is over."""
    limit = datetime.datetime.now(datetime.UTC) - older_than
    for subject in Alarm.objects.filter(code=code, cleared_at=None, seen_at__lt=limit).values_list(
        "subject", flat=True
    ):
        resolve(code, subject=subject)


def resolve(code: str, *, subject: str | None = None) -> None:
    """The trouble is over: of `subject`, or of every subject of this code."""
    for key in [key for key in told if key[0] == code and subject in (None, key[1])]:
        del told[key]
    active = Alarm.objects.filter(code=code, cleared_at=None)
    if subject is not None:
        active = active.filter(subject=subject[:80])
    if active.update(cleared_at=datetime.datetime.now(datetime.UTC)):
        log.info("alarm cleared code=%s subject=%s", code, subject or "-")


def acknowledge(number: int, *, by: str) -> Alarm | None:
    """Somebody has seen an alarm and looks after it; it stands as before. The alarm, or None if it does not stand."""
    seen = {"acknowledged_at": datetime.datetime.now(datetime.UTC), "acknowledged_by": by[:150]}
    return _by_hand(number, "acknowledge", by, seen)


def clear(number: int, *, by: str) -> Alarm | None:
    """Somebody says that the trouble of an alarm is over; who finds that it is not raises it anew. The alarm, or None
    if it does not stand."""
    over = {"cleared_at": datetime.datetime.now(datetime.UTC), "cleared_by": by[:150]}
    return _by_hand(number, "clear", by, over)


def _by_hand(number: int, what: str, by: str, changes: dict[str, Any]) -> Alarm | None:
    """Change a standing alarm, with an entry in the audit of commands."""
    with storage().transaction():
        if not Alarm.objects.filter(pk=number, cleared_at=None).update(**changes):
            return None
        alarm = Alarm.objects.get(pk=number)
        AuditEntry.objects.create(
            actor=by[:100], action=f"alarm_{what}", text=f"{what} {alarm}", outcome=alarm.message[:300]
        )
    log.info("alarm changed by hand what=%s code=%s subject=%s by=%s", what, alarm.code, alarm.subject or "-", by)
    return alarm


def cleared(since: datetime.datetime) -> list[Alarm]:
    """What was cleared since then, by itself or by somebody, newest first."""
    return list(Alarm.objects.filter(cleared_at__gte=since).order_by("-cleared_at"))


def standing() -> dict[str, int]:
    """How many alarms of a code are not cleared, of each code that ever was raised."""
    counted = Alarm.objects.order_by().values_list("code").annotate(number=Count("pk", filter=Q(cleared_at=None)))
    return dict(counted)


def active() -> list[Alarm]:
    """What is not cleared, newest first."""
    return list(Alarm.objects.filter(cleared_at=None).order_by("-seen_at"))
