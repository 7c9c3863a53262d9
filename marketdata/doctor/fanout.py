"""Whether another broker is given what was committed (EVENT_BUS), by the positions that the publisher notes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level
from marketdata.models import FanoutPosition

WHAT = _("topics of another broker")


def fanout(now_us: int | None = None) -> Iterator[Finding]:
    """Nothing without EVENT_BUS."""
    if settings.EVENT_BUS == "none":
        return
    positions = list(FanoutPosition.objects.all())
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    silent_s = (now_us - max((one.seen_us for one in positions), default=0)) / 1e6
    behind_s = max((one.behind_s for one in positions), default=0.0)
    troubles = [(one.trouble_us or one.seen_us, one.trouble) for one in positions if one.trouble]
    since_us, trouble = min(troubles, default=(now_us, ""))
    away_s = max(now_us - since_us, 0) / 1e6
    wanted = format_lazy(_("within {seconds:.0f} s of the feed"), seconds=settings.KAFKA_ALARM_S)
    if not positions or silent_s > settings.KAFKA_ALARM_S:
        yield Finding(
            what=WHAT, value=_("nobody publishes"), wanted=wanted, level=Level.WARNING,
            remedy=_("start `manage.py runfanout` (naru-fanout); its log says why it ended. Nothing is lost"),
        )  # fmt: skip
        return
    value = format_lazy(_("{seconds:.0f} s behind"), seconds=behind_s)
    if trouble:
        value = format_lazy(
            _("{seconds:.0f} s behind ({trouble}), the broker away for {away:.0f} s"),
            seconds=behind_s, trouble=trouble, away=away_s,
        )  # fmt: skip
    is_late = max(behind_s, away_s) > settings.KAFKA_ALARM_S
    yield Finding(
        what=WHAT, value=value, wanted=wanted, level=Level.WARNING if is_late else Level.OK,
        remedy=_("see whether the broker can be reached (KAFKA_BOOTSTRAP, KAFKA_OPTIONS_FILE); it then catches up"),
    )  # fmt: skip
