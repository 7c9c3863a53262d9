"""What rules found, as rows: made with the words of their kind, and stored once for each episode."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.functional import Promise

from analytics.alerts import limits
from analytics.alerts.judging import conditions, episodes
from analytics.alerts.judging.index import Rule
from marketdata import alarms, connections
from marketdata.models import Alert
from marketdata.types.units import SEOUL

Over = tuple[Rule, str, str, int]
"""An episode that is over: its rule, feed, symbol (or whatever a rule of the system is about) and number."""


def made(
    rule: Rule, feed: str, symbol: str, episode: int, value: int, text: Promise, *,
    now: datetime.datetime, event_us: int, committed_us: int | None = None,
) -> Alert:  # fmt: skip
    """The alert of an episode that began; `value` in the units of the kind."""
    return Alert(
        rule_id=rule.number, revision=rule.revision, owner_id=rule.owner, name=rule.name,
        kind=str(rule.condition.kind), feed=feed, symbol=symbol, episode=episode,
        value=conditions.number_text(value, conditions.SCALES[rule.condition.kind]), message=alarms.english(text),
        texts=alarms.translations(text), event_us=event_us, committed_us=committed_us, fired_at=now,
        quiet=episodes.is_quiet(rule.quiet_from, rule.quiet_until, now.astimezone(SEOUL).time()),
    )  # fmt: skip


def store(began: Sequence[Alert], over: Iterable[Over]) -> None:
    """What began and what is over, in one transaction: a commit of the database for each would be what an alert waits
    for. What another worker stored of the same episodes stays as it is."""
    ends: set[tuple[int | None, int, str, str, int]] = {
        (rule.number, rule.revision, feed, symbol, episode) for rule, feed, symbol, episode in over
    }
    if not began and not ends:
        return
    now = datetime.datetime.now(datetime.UTC)
    kept = limits.within(began, now) if began else []
    for one in kept:
        if (one.rule_id, one.revision, one.feed, one.symbol, one.episode) in ends:
            one.cleared_at = one.cleared_at or now  # it was there for a moment only

    def keep() -> None:
        with transaction.atomic():
            Alert.objects.bulk_create(kept, ignore_conflicts=True, batch_size=200)
            rows = Alert.objects.filter(cleared_at=None, rule__in={key[0] for key in ends})
            columns = ("rule_id", "revision", "feed", "symbol", "episode")
            ended = [pk for pk, *key in rows.values_list("pk", *columns) if tuple(key) in ends]
            for start in range(0, len(ended), 500):
                Alert.objects.filter(pk__in=ended[start : start + 500], cleared_at=None).update(cleared_at=now)

    connections.steadily(keep)  # of two that store the same at once MariaDB may end one as a deadlock
