"""What rules on missing data find: gaps as they were noted, of terminals, sources and the ledger.

A gap has no duration as an episode: what was found at a look is told once, under the number of the newest of these
gaps, and is over at once. What is noted within the pause after an alert is not told afterwards: that there are gaps is
known.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import redis
from django.db.models import Max

from analytics.alerts import findings
from analytics.alerts.judging import index, texts
from analytics.alerts.judging.conditions import Kind
from analytics.alerts.judging.index import Place, Rule
from marketdata.models import Alert, Gap
from marketdata.types.units import moment_of

LOOKED_BACK = datetime.timedelta(minutes=10)
"""A gap that was noted longer ago than this before a look is not told: nobody looked for that long."""
HISTORY = datetime.timedelta(days=1)
"""A gap that ended longer before it was noted is one of a replay or of history, and is not told."""
MOST_GAPS = 5_000
LOCK, LOCK_MS = "naru:alerts-gaps", 10_000
"""Two who look at once could tell a gap together with another one and again alone."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a rule tells of together: a symbol, or with "" all that it looks at on a feed."""

    feed: str
    symbol: str
    place: str


def watch(connection: redis.Redis, rules: Iterable[Rule], places: Mapping[str, Place], now_us: int) -> int:
    """Tell of gaps that were noted since the look before, unless somebody else does. Returns how many alerts that
    gave."""
    chosen = [rule for rule in rules if rule.condition.kind is Kind.GAP]
    if not chosen or not connection.set(LOCK, "1", nx=True, px=LOCK_MS):
        return 0
    try:
        began = _found(chosen, places, _moment(now_us))
        findings.store(began, [])
    finally:
        connection.delete(LOCK)
    return len(began)


def _found(rules: Sequence[Rule], places: Mapping[str, Place], now: datetime.datetime) -> list[Alert]:
    noted = Gap.objects.filter(created_at__gt=now - LOOKED_BACK, created_at__lte=now + LOOKED_BACK)
    gaps = [gap for gap in noted.order_by("-pk")[:MOST_GAPS] if gap.created_at - _moment(gap.to_us) < HISTORY]
    if not gaps:
        return []
    told = _told(rules)
    began: list[Alert] = []
    for rule in rules:
        for subject, mine in _by_subject(rule, places, gaps).items():
            last = told.get((rule.mark, subject.feed, subject.symbol))
            since = _moment(rule.changed_us)
            if last is not None:
                since = max(since, last + datetime.timedelta(microseconds=rule.pause_us))
            new = [gap for gap in mine if gap.created_at > since]
            if new:
                began.append(_alert(rule, subject, new, now))
    return began


def _told(rules: Sequence[Rule]) -> dict[tuple[str, str, str], datetime.datetime]:
    """When these rules, as they are now, told last, by mark, feed and symbol."""
    rows = Alert.objects.filter(rule_id__in=[rule.number for rule in rules]).order_by()
    grouped = rows.values_list("rule_id", "revision", "feed", "symbol").annotate(last=Max("fired_at"))
    return {(f"{rule}.{revision}", feed, symbol): last for rule, revision, feed, symbol, last in grouped}


def _by_subject(rule: Rule, places: Mapping[str, Place], gaps: Sequence[Gap]) -> dict[_Subject, list[Gap]]:
    """Those of these gaps that a rule is about, long enough. A gap of no symbol is one of every symbol of its feed."""
    found: dict[_Subject, list[Gap]] = {}
    feeds = index.watched(rule, places)
    for gap in gaps:
        if gap.feed not in feeds or gap.to_us - gap.from_us < rule.condition.level * 1_000_000:
            continue
        codes = feeds[gap.feed]
        if gap.symbol and not _looks(rule, places, codes, gap):
            continue
        symbol = gap.symbol if codes else ""
        place = symbol or (rule.market or ", ".join(codes[:3]))
        found.setdefault(_Subject(gap.feed, symbol, f"{place} ({gap.feed})"), []).append(gap)
    return found


def _looks(rule: Rule, places: Mapping[str, Place], codes: Sequence[str], gap: Gap) -> bool:
    if codes:
        return gap.symbol in codes
    place = places.get(gap.symbol)
    return place is not None and place.market == rule.market and (bool(rule.feed) or place.feed == gap.feed)


def _alert(rule: Rule, subject: _Subject, gaps: Sequence[Gap], now: datetime.datetime) -> Alert:
    newest = max(gaps, key=lambda gap: gap.pk)
    longest = max((gap.to_us - gap.from_us) // 1_000_000 for gap in gaps)
    text = texts.of_gaps(subject.place, len(gaps), longest, sum(gap.rows for gap in gaps))
    alert = findings.made(rule, subject.feed, subject.symbol, newest.pk, longest, text, now=now, event_us=newest.to_us)
    alert.cleared_at = now
    return alert


def _moment(time_us: int) -> datetime.datetime:
    return moment_of(time_us)
