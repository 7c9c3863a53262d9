"""Rules that no commit brings, looked at by timetable: no trades while a market is open, missing data, terminals that
are not connected, alarms of the system, queues that are full.

States of their episodes are read from the alerts themselves, so Redis may forget everything and nothing fires twice;
two who look at once store an episode once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from django.db.models import Count, Max, Q
from django.utils.functional import Promise

from analytics.alerts import findings, gaps
from analytics.alerts.judging import episodes, standing, texts
from analytics.alerts.judging.conditions import Kind
from analytics.alerts.judging.episodes import ARMED, Measured, State
from analytics.alerts.judging.index import Place, Rule, watched
from marketdata.calendar import feed_hours, trading_dates
from marketdata.models import Alarm, Alert
from marketdata.realtime import alerts as shared
from marketdata.realtime import broker, live_state
from marketdata.types.units import microseconds

MOST_ALARMS = 200
"""Subjects of a code that are looked at, those that were seen last."""
BRIEF = datetime.timedelta(minutes=10)
"""For so long an alarm that is over is still looked at, so that one that came and went between two looks is told."""
States = Mapping[tuple[str, str, str], State]
"""By the rule's mark, feed and symbol."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was measured of something that a rule looks at, and the words of an alert; `shown` is its value, the highest
    that was measured by default."""

    rule: Rule
    feed: str
    symbol: str
    value: Measured
    text: Promise
    event_us: int
    shown: int | None = None


def watch(connection: redis.Redis, rules: Sequence[Rule], places: Mapping[str, Place], now_us: int) -> int:
    """Look at what these rules are about as it stands. Returns how many alerts began."""
    if not rules:
        return 0
    now = datetime.datetime.fromtimestamp(now_us / 1e6, datetime.UTC)
    states = _states(rules)
    seen = [
        *_silences(rules, places, now_us),
        *_absences(connection, rules, states, now_us),
        *_alarms(rules, states, now_us),
        *_queues(connection, rules, states, now_us),
    ]
    began: list[Alert] = []
    over: list[findings.Over] = []
    for one in seen:
        rule = one.rule
        step = episodes.judge(
            rule.condition.direction, rule.condition.level, 0, states.get((rule.mark, one.feed, one.symbol), ARMED),
            one.value, now_us=now_us, pause_us=rule.pause_us,
        )  # fmt: skip
        over += [(rule, one.feed, one.symbol, episode) for episode in step.over]
        began += [
            findings.made(
                rule,
                one.feed,
                one.symbol,
                episode,
                one.value.high if one.shown is None else one.shown,
                one.text,
                now=now,
                event_us=one.event_us,
            )
            for episode in step.began
        ]
    findings.store(began, over)
    return len(began) + gaps.watch(connection, rules, places, now_us)


def _states(rules: Sequence[Rule]) -> States:
    """Of these rules as they are now, from what fired."""
    marks = {rule.mark for rule in rules}
    rows = Alert.objects.filter(rule_id__in=[rule.number for rule in rules]).order_by()
    grouped = rows.values_list("rule_id", "revision", "feed", "symbol").annotate(
        newest=Max("episode"), last=Max("fired_at"), still_open=Count("pk", filter=Q(cleared_at=None))
    )
    return {
        (f"{rule}.{revision}", feed, symbol): State(episode, bool(still_open), _us(fired_at))
        for rule, revision, feed, symbol, episode, fired_at, still_open in grouped
        if f"{rule}.{revision}" in marks
    }


# --- no trades --------------------------------------------------------------------------------------------------------


def _silences(rules: Iterable[Rule], places: Mapping[str, Place], now_us: int) -> list[Seen]:
    """Of rules on symbols each of these, of a rule on a market the market as a whole. Nothing while Redis does not know
    the latest trades."""
    chosen = [rule for rule in rules if rule.condition.kind is Kind.STALE]
    if not chosen or not live_state.seeded():
        return []
    of_market: dict[tuple[str, str], int | None] = {}
    found = []
    for rule in chosen:
        for feed, codes in watched(rule, places).items():
            if rule.symbols:
                latest = live_state.latest(feed, codes)
                times = {code: latest[code]["time_us"] if code in latest else None for code in codes}
                markets = {code: places[code].market for code in codes}
            else:
                key = (feed, rule.market)
                if key not in of_market:
                    of_market[key] = _newest(feed, rule.market, places)
                times, markets = {"": of_market[key]}, {"": rule.market}
            for code, last_us in times.items():
                seconds = standing.silence_s(last_us, _stretches(feed, markets[code], now_us), now_us)
                text = texts.text(rule.condition, code or f"{rule.market} ({feed})", seconds, rule.condition.level)
                value = Measured(seconds, seconds, seconds)
                found.append(Seen(rule, feed, code, value, text, now_us))
    return found


def _newest(feed: str, market: str, places: Mapping[str, Place]) -> int | None:
    times = (
        row["time_us"] for code, row in live_state.latest(feed).items()
        if code in places and places[code].market == market
    )  # fmt: skip
    return max((time_us for time_us in times if time_us is not None), default=None)


def _stretches(feed: str, market: str, now_us: int) -> list[tuple[int, int]]:
    """When trades of a feed may come at any moment: in an auction silence is as it should be."""
    return feed_hours.stretches(trading_dates.calendar(market), feed, now_us)


# --- terminals --------------------------------------------------------------------------------------------------------


def _absences(connection: redis.Redis, rules: Iterable[Rule], states: States, now_us: int) -> list[Seen]:
    chosen = [rule for rule in rules if rule.condition.kind is Kind.TERMINAL]
    if not chosen:
        return []
    connected = {one["client"] for server in live_state.status()["ingest"] for one in server.get("clients", [])}
    is_absent = {rule.condition.subject: rule.condition.subject not in connected for rule in chosen}
    since = shared.lasting(connection, "terminal", is_absent, now_us)
    found = []
    for rule in chosen:
        client, level = rule.condition.subject, rule.condition.level
        state = states.get((rule.mark, "", client), ARMED)
        value = standing.absence(since.get(client), level, state, now_us)
        found.append(Seen(rule, "", client, value, texts.text(rule.condition, client, value.last, level), now_us))
    return found


# --- queues -----------------------------------------------------------------------------------------------------------


def _queues(connection: redis.Redis, rules: Iterable[Rule], states: States, now_us: int) -> list[Seen]:
    """For how long each queue has been as full as a rule says, to the band below it once that was told. Nothing where
    the broker does not tell."""
    chosen = [rule for rule in rules if rule.condition.kind is Kind.QUEUE]
    depths = broker.queue_depths(sorted({rule.condition.subject for rule in chosen})) if chosen else None
    if depths is None:
        return []
    before = {rule.mark: states.get((rule.mark, "", rule.condition.subject), ARMED) for rule in chosen}
    is_full = {
        rule.mark: depths[rule.condition.subject]
        >= rule.condition.depth - (rule.condition.band if before[rule.mark].is_open else 0)
        for rule in chosen
    }
    since = shared.lasting(connection, "queue", is_full, now_us)
    found = []
    for rule in chosen:
        queue, seconds = rule.condition.subject, rule.condition.level
        value, depth = standing.absence(since.get(rule.mark), seconds, before[rule.mark], now_us), depths[queue]
        found.append(Seen(rule, "", queue, value, texts.of_queue(queue, depth, value.last), now_us, depth))
    return found


# --- alarms -----------------------------------------------------------------------------------------------------------


def _alarms(rules: Iterable[Rule], states: States, now_us: int) -> list[Seen]:
    chosen = [rule for rule in rules if rule.condition.kind is Kind.ALARM]
    by_code: dict[str, list[Alarm]] = {}
    since = datetime.datetime.fromtimestamp(now_us / 1e6, datetime.UTC) - BRIEF
    for code in {rule.condition.subject for rule in chosen}:
        rows = Alarm.objects.filter(code=code).filter(Q(cleared_at=None) | Q(cleared_at__gte=since))
        by_code[code] = list(rows.order_by("-seen_at")[:MOST_ALARMS])
    found = []
    for rule in chosen:
        alarms = by_code[rule.condition.subject]
        for row in alarms:
            state = states.get((rule.mark, "", row.subject), ARMED)
            raised_us, is_active = _us(row.raised_at), row.cleared_at is None
            value = standing.alarm(raised_us, is_active=is_active, state=state, changed_us=rule.changed_us)
            text = texts.of_alarm(row.code, row.subject)
            found.append(Seen(rule, "", row.subject, value, text, raised_us))
        known = {row.subject for row in alarms}
        gone = [key for key, state in states.items() if key[0] == rule.mark and state.is_open and key[2] not in known]
        none = Measured(0, 0, 0)
        found += [
            Seen(rule, "", subject, none, texts.of_alarm(rule.condition.subject, subject), now_us)
            for _mark, _feed, subject in gone
        ]
    return found


def _us(moment: Any) -> int:
    return microseconds(moment)
