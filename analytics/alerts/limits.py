"""How many alerts an hour a rule may give. One that gives more is of no use to anybody: it is switched off, and a last
alert of it says so."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.models import Alert, AlertRule

log = logging.getLogger(__name__)

HOUR = datetime.timedelta(hours=1)


def within(began: Sequence[Alert], now: datetime.datetime) -> list[Alert]:
    """Those of these that are to be stored, in their order: of each rule as many as ALERT_MAX_PER_HOUR leaves. A rule
    of which one is left out is switched off, and an alert that tells of it is stored."""
    rules = {(one.rule_id, one.revision) for one in began}  # a rule that was mended begins with none
    of_rules = Alert.objects.filter(rule__in={rule for rule, _revision in rules})
    # Not what fired ahead of now: the clock was set back since.
    rows = of_rules.filter(fired_at__gt=now - HOUR, fired_at__lte=now).order_by()
    left = dict.fromkeys(rules, settings.ALERT_MAX_PER_HOUR)
    for rule, revision, count in rows.values_list("rule", "revision").annotate(Count("pk")):
        left[rule, revision] = settings.ALERT_MAX_PER_HOUR - count
    kept: list[Alert] = []
    told: set[int | None] = set()
    for one in began:
        left[one.rule_id, one.revision] -= 1
        if left[one.rule_id, one.revision] >= 0:
            kept.append(one)
        elif one.rule_id not in told:
            told.add(one.rule_id)
            _switch_off(one, now)
    return kept


def _switch_off(one: Alert, now: datetime.datetime) -> None:
    """And store the alert that says so, unless the rule is another one by now or off already."""
    most = settings.ALERT_MAX_PER_HOUR
    text = format_lazy(
        _("the rule gave {most} alerts within an hour and is switched off: give it a pause, a band or fewer symbols"),
        most=most,
    )
    with transaction.atomic():
        mine = AlertRule.objects.filter(pk=one.rule_id or 0, revision=one.revision, enabled=True)
        if not mine.update(enabled=False, revision=F("revision") + 1, changed_at=now):
            return
        # Of a revision that looks at nothing, so that its key is that of no episode.
        told = Alert.objects.create(
            rule_id=one.rule_id, revision=one.revision + 1, owner_id=one.owner_id, name=one.name, kind=one.kind,
            feed=one.feed, episode=1, value=str(most), message=alarms.english(text), texts=alarms.translations(text),
            event_us=one.event_us, fired_at=now, cleared_at=now, quiet=one.quiet,
        )  # fmt: skip
    log.warning("alert rule switched off rule=%d alerts=%d", told.rule_id or 0, most)
