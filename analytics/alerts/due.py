"""Looks at what was committed with the rules of people, and stores what they found.

Whoever published a commit that touches a watched symbol looks at once, and a bell every two seconds looks for what
nobody did. One worker at a time looks at a feed, from the offset where the look before ended; a symbol that is due
otherwise (other rules, newer statistics, a pause that is over, a Redis that forgot) is looked at as it stands. It is
stored before Redis moves on, under a key that is one for each episode, so who repeats a look stores nothing twice.

Where there is much to look at it is done in parts, each of which is stored and settled, so that a look is over long
before the lease is, however many rules there are; a part that cannot be smaller renews it.
"""

from __future__ import annotations

import datetime
import json
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import redis
from django.db.models import Count, Max, Q

from analytics.alerts import announcements, findings, rule_index, standing, statuses
from analytics.alerts.judging import conditions, episodes, measures, texts
from analytics.alerts.judging.conditions import Kind
from analytics.alerts.judging.episodes import Measured, State
from analytics.alerts.judging.index import EVERY, Index, Rule
from analytics.alerts.judging.measures import Facts, Trades
from marketdata import connections, metrics
from marketdata.calendar import trading_dates
from marketdata.models import Alert
from marketdata.realtime import alerts as shared
from marketdata.realtime import feed as feed_stream
from marketdata.realtime import live_state, records_feed, stats
from marketdata.reference.symbols import Directory
from marketdata.types.tick_arrays import PRICE_UNIT
from marketdata.types.units import day_of

log = logging.getLogger(__name__)

LONGEST_S = 1.0
"""What looks beside a commit holds up the next one for so long at most."""
ENTRIES = 200
"""Of a feed that are looked at together."""
MOST_PAIRS = 10_000
"""A part of a look judges so many rules of symbols, and so many again that are due: a fraction of a second's work. More
only where a single commit touches more, or a symbol has more rules."""
FIELDS = (shared.POSITION, shared.RECORDS, shared.MADE_OF)
_Pairs = list[tuple[Rule, str]]
directory = Directory()


@dataclass(slots=True)
class Found:
    """What a look brings: states by field, alerts that began, (rule, feed, symbol, episode) that are over, and until
    when symbols wait."""

    states: dict[str, bytes | str] = field(default_factory=dict)
    began: list[Alert] = field(default_factory=list)
    over: list[findings.Over] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)


def evaluate(*, feeds: Iterable[str] | None = None, longest_s: float = LONGEST_S) -> int:
    """Look at what is new of these feeds, of all that a rule watches by default. Returns how many alerts began."""
    connection = live_state.connection()
    index = rule_index.current(connection)
    began = 0
    for feed in index.feeds if feeds is None else feeds:
        if feed in index.feeds:
            began += _look(connection, index, feed, time.monotonic() + longest_s)
    return began


def evaluate_beside(feeds: Iterable[str]) -> None:
    """As `evaluate`, for who has something else to do: what fails is left to the bell."""
    try:
        evaluate(feeds=feeds)
    except Exception as error:  # noqa: BLE001 - nothing that a rule brings about may fail a commit
        metrics.ALERT_FAILURES.inc()
        log.warning("alerts wait for the bell error=%s: %s", type(error).__name__, error)
        connections.drop()


def watch(now_us: int | None = None) -> int:
    """What the bell does: whether there are other rules, whose pause is over, what nobody looked at, and what no commit
    brings. Returns how many alerts began."""
    connection = live_state.connection()
    now_us = _now_us() if now_us is None else now_us
    mark = rule_index.mark()
    kept: Any = connection.get(shared.RULES)
    if (b"" if kept is None else kept).decode() != mark:
        index = rule_index.read(mark)
        shared.watch(
            connection,
            {
                feed: shared.Watched(frozenset(one["symbols"]), frozenset(one["statistics"]))
                for feed, one in index.feeds.items()
            },
            mark,
        )
        _end_episodes(index)
    index = rule_index.current(connection)
    began = standing.watch(connection, index.standing, index.places, now_us)
    announcements.announce()
    if not index.feeds:
        return began
    made_of = _made_of(connection, index)
    for feed in index.feeds:
        shared.wake(connection, feed, now_us)
        if shared.states(connection, feed, [shared.MADE_OF]).get(shared.MADE_OF, b"").decode() != made_of:
            _begin(connection, index, feed, made_of)
    return began + evaluate()


# --- rules ------------------------------------------------------------------------------------------------------------


def _end_episodes(index: Index) -> None:
    """Of rules that were changed, switched off or deleted nothing goes on, nor of what a rule looks at no more."""
    rows = Alert.objects.filter(cleared_at=None).values_list("pk", "rule_id", "revision", "symbol")
    for pk, rule, revision, symbol in rows:
        if not index.looks_at(f"{rule}.{revision}", symbol):  # of a deleted rule there is no number
            Alert.objects.filter(pk=pk, cleared_at=None).update(cleared_at=_now())


def _made_of(connection: redis.Redis, index: Index) -> str:
    return f"{index.mark} {feed_stream.current_epoch(connection)}"


def _begin(connection: redis.Redis, index: Index, feed: str, made_of: str) -> None:
    """Other rules, or another Redis: states as the database has them where they are not known, and every watched symbol
    is due as it stands."""
    lease = shared.Lease(connection, feed, feed_stream.STREAM + feed)
    if not lease.take():
        return  # whoever has it is asked again at the next bell
    try:
        newest = feed_stream.newest(connection, [feed]).get(feed)
        known = shared.states(connection, feed, FIELDS)
        before = known.get(shared.MADE_OF, b"").decode().partition(" ")[2]
        states: dict[str, bytes | str] = {shared.MADE_OF: made_of}
        if not before or before != made_of.partition(" ")[2]:
            states |= _stored_states(index, feed)
            states[shared.POSITION] = str(newest.last if newest else 0)
        fields = [name for name in shared.known_fields(connection, feed) if " " in name and name != shared.MADE_OF]
        gone = [shared.RECORDS, *(name for name in fields if name.partition(" ")[0] not in index.rules)]
        left = [name for name in fields if name not in gone and not index.looks_at(*name.partition(" ")[::2])]
        for name, state in shared.states(connection, feed, left).items():  # the next episode has another number
            states[name] = episodes.pack(replace(episodes.unpack(state), is_open=None))
        if not lease.renew():
            return
        watched = index.feeds[feed]["symbols"]
        symbols = list(index.places) if EVERY in watched else sorted(watched)
        shared.mark(connection, feed, symbols)
        lease.settle(states, gone=gone)
    finally:
        lease.release(whatever_is_left=True)


def _stored_states(index: Index, feed: str) -> dict[str, bytes]:
    """By field, from what fired."""
    rows = Alert.objects.filter(feed=feed, rule__enabled=True).exclude(kind__in=conditions.STANDING).order_by()
    grouped = rows.values_list("rule_id", "revision", "symbol").annotate(
        newest=Max("episode"), last=Max("fired_at"), still_open=Count("pk", filter=Q(cleared_at=None))
    )
    return {
        f"{rule}.{revision} {symbol}": episodes.pack(
            State(episode, True if still_open else None, int(fired_at.timestamp() * 1e6))
        )
        for rule, revision, symbol, episode, fired_at, still_open in grouped
        if index.looks_at(f"{rule}.{revision}", symbol)
    }


# --- looking ----------------------------------------------------------------------------------------------------------


def _look(connection: redis.Redis, index: Index, feed: str, until: float) -> int:
    """Look at a feed until nothing is new, unless somebody else does. Returns how many alerts began."""
    lease = shared.Lease(connection, feed, feed_stream.STREAM + feed)
    if not lease.take():
        return 0
    began, finished = 0, False
    try:
        while not finished:
            found, goes_on = _look_once(connection, lease, index, feed)
            began += found
            finished = lease.release(whatever_is_left=not goes_on or time.monotonic() > until)
    finally:
        if not finished:
            lease.release(whatever_is_left=True)
    if began:
        announcements.announce()
    return began


def _look_once(connection: redis.Redis, lease: shared.Lease, index: Index, feed: str) -> tuple[int, bool]:
    """How many alerts began, and whether what is left can be looked at now: the bell comes again for the rest, and who
    looks beside a commit does not wait for what only time brings."""
    known = shared.states(connection, feed, [shared.POSITION, shared.RECORDS])
    if shared.POSITION not in known:
        return 0, False  # the bell begins
    position = int(known[shared.POSITION])
    entries = feed_stream.entries_after(connection, feed, position, most=ENTRIES)
    due = shared.due(connection, feed)
    of_statuses = [key.removeprefix(shared.STATUS) for key in due if key.startswith(shared.STATUS)]
    seen, pairs = _seen(index, feed, entries)
    chosen = _first(index, feed, due, seen)
    stand = _as_they_stand(index, feed, chosen)
    is_known = stand is not None
    if stand is None:
        due, stand = {}, {}  # Redis does not know the latest trades yet
    pairs += _pairs(index, feed, stand)
    found = Found()
    if not _judge(connection, lease, feed, pairs, stand | seen, found):
        return 0, False
    gone = _judge_statuses(connection, lease, index, feed, known.get(shared.RECORDS), of_statuses, found)
    if gone is None or ((found.began or found.over) and not lease.renew()):
        return 0, False
    findings.store(found.began, found.over)
    position = entries[-1].last if entries else position
    looked = {*chosen, *seen}
    done = {one: number for one, number in due.items() if one in looked or one[0] == shared.STATUS}
    mine = lease.settle(found.states | {shared.POSITION: str(position)}, gone=gone, done=done, held=found.held)
    return (len(found.began), is_known) if mine else (0, False)


def _seen(index: Index, feed: str, entries: list[feed_stream.FeedEntry]) -> tuple[dict[str, Trades], _Pairs]:
    """What was traded in these entries, and the rules that look at it. Takes those from the list that are too many to
    be looked at together."""
    watched = index.feeds[feed]["symbols"]
    chosen = None if EVERY in watched else watched
    while True:
        seen = measures.of_entries([(one.ticks, one.committed_us) for one in entries], chosen)
        pairs = _pairs(index, feed, seen)
        if len(pairs) <= MOST_PAIRS or len(entries) <= 1:
            return seen, pairs
        del entries[(len(entries) + 1) // 2 :]


def _pairs(index: Index, feed: str, symbols: Iterable[str]) -> _Pairs:
    return [(rule, symbol) for symbol in symbols for rule in index.of(feed, symbol)]


def _first(index: Index, feed: str, due: Mapping[str, str], seen: Mapping[str, Trades]) -> list[str]:
    """Those of the symbols that are due that are looked at now as they stand: the half of a part by how often they
    became due since the look before, the other half by chance, so that none waits for ever for others that become due
    again and again."""
    left = [one for one in due if one not in seen and one[0] != shared.STATUS]
    left.sort(key=lambda one: -int(due[one]))
    chosen: list[str] = []
    rules = 0
    while left and rules < MOST_PAIRS:
        place = 0 if rules < MOST_PAIRS / 2 else random.randrange(len(left))  # noqa: S311 - a turn, not a secret
        chosen.append(left.pop(place))
        rules += sum(1 for _rule in index.of(feed, chosen[-1]))
    return chosen


def _as_they_stand(index: Index, feed: str, symbols: Sequence[str]) -> dict[str, Trades] | None:
    """The last trade of each of these that has one; None while Redis does not know."""
    if not symbols:
        return {}
    if not live_state.seeded():
        return None
    found = {}
    for symbol, row in live_state.latest(feed, list(symbols)).items():
        price, time_us = int(row["price"] or 0), int(row["time_us"] or 0)
        place = index.places.get(symbol)
        if place is None:
            continue
        day = day_of(trading_dates.calendar(place.market).trade_date(time_us))
        found[symbol] = Trades(time_us, int(row["tick_id"] or 0), day, Measured(price, price, price))
    return found


def _judge(
    connection: redis.Redis, lease: shared.Lease, feed: str, pairs: _Pairs, seen: Mapping[str, Trades], found: Found
) -> bool:
    """Whether the feed is still ours behind it."""
    for start in range(0, len(pairs), MOST_PAIRS):
        if start and not lease.renew():
            return False
        _judge_some(connection, feed, pairs[start : start + MOST_PAIRS], seen, found)
    return True


def _judge_some(connection: redis.Redis, feed: str, pairs: _Pairs, seen: Mapping[str, Trades], found: Found) -> None:
    facts = _facts(connection, feed, pairs)
    names = [f"{rule.mark} {symbol}" for rule, symbol in pairs]
    kept = shared.states(connection, feed, names)
    now_us = _now_us()
    for (rule, symbol), name in zip(pairs, names, strict=True):
        measured = measures.measure(rule.condition, seen[symbol], facts.get(symbol, measures.UNKNOWN))
        if measured is None:
            continue
        level, value = measured
        before = episodes.unpack(kept.get(name))
        step = episodes.judge(
            rule.condition.direction, level, rule.condition.band, before, value, now_us=now_us, pause_us=rule.pause_us
        )
        if step.state != before:
            found.states[name] = episodes.pack(step.state)
        if step.waits_until_us is not None:
            found.held[symbol] = min(step.waits_until_us, found.held.get(symbol, step.waits_until_us))
        found.over += [(rule, feed, symbol, episode) for episode in step.over]
        found.began += [
            _alert(rule, feed, symbol, episode, _value(rule, value), level, seen[symbol]) for episode in step.began
        ]


def _judge_statuses(
    connection: redis.Redis, lease: shared.Lease, index: Index, feed: str, looked: bytes | None, due: Sequence[str],
    found: Found,
) -> list[str] | None:  # fmt: skip
    """What rules find in statuses since the look before, and of symbols that are due. Returns fields that go, None if
    the feed is somebody else's by now."""
    if not index.feeds[feed]["statuses"]:
        return [shared.RECORDS] if looked is not None else []
    now_us = _now_us()
    if looked is None:
        # First how far it came, then how it stands: what comes between the two is looked at again, and changes nothing.
        position = records_feed.newest_status(connection, feed)
        seen = statuses.standing(index, feed, None, now_us)
    else:
        seen = statuses.standing(index, feed, due, now_us)
        told, position = statuses.committed(connection, feed, looked.decode())
        seen += told
    found.states[shared.RECORDS] = position
    pairs = [
        (rule, one) for one in seen for rule in index.of_statuses(feed, one.symbol)
        if rule.condition.subject == one.kind
    ]  # fmt: skip
    names = [f"{rule.mark} {one.symbol}" for rule, one in pairs]
    kept = shared.states(connection, feed, list(dict.fromkeys(names)))
    for place, ((rule, one), name) in enumerate(zip(pairs, names, strict=True)):  # each by itself, in their order
        if place % MOST_PAIRS == MOST_PAIRS - 1 and not lease.renew():
            return None
        before = episodes.unpack(kept.get(name))
        step = episodes.judge(
            rule.condition.direction, rule.condition.level, 0, before, one.value, now_us=now_us, pause_us=rule.pause_us
        )
        if step.state != before:
            found.states[name] = kept[name] = episodes.pack(step.state)
        if step.waits_until_us is not None:
            found.held[shared.STATUS + one.symbol] = step.waits_until_us
        found.over += [(rule, feed, one.symbol, episode) for episode in step.over]
        text = texts.text(rule.condition, one.symbol, one.value.last, rule.condition.level)
        found.began += [
            findings.made(rule, feed, one.symbol, episode, 1, text, now=_now(), event_us=one.time_us)
            for episode in step.began
        ]
    return []


def _value(rule: Rule, value: Measured) -> int:
    """The value that made it fire: beyond the level a moment ago, if it is not any more."""
    if rule.condition.direction is conditions.Direction.ABOVE:
        return value.high
    return value.low if rule.condition.direction is conditions.Direction.BELOW else value.last


def _facts(connection: redis.Redis, feed: str, pairs: Sequence[tuple[Rule, str]]) -> dict[str, Facts]:
    """Of each symbol what its rules need."""
    by_statistics = {s for rule, s in pairs if rule.condition.kind in (Kind.CHANGE, Kind.VOLUME)}
    by_limits = {symbol for rule, symbol in pairs if rule.condition.kind is Kind.LIMIT}
    told = stats.results(connection, feed, sorted(by_statistics)) if by_statistics else {}
    of_minutes = sorted({symbol for rule, symbol in pairs if rule.condition.minutes})
    recent = stats.recent(connection, feed, of_minutes) if of_minutes else {}
    rules = directory.find(by_limits) if by_limits else {}
    found = {}
    for symbol in by_statistics | by_limits:
        values: dict[str, Any] = {}
        if symbol in told:
            body = json.loads(told[symbol].body, parse_float=Decimal)
            day = day_of(datetime.date.fromisoformat(body["td"]))
            values = {"day": day, "previous_close": _scaled(body["prevClose"], PRICE_UNIT)}
            values["volume_ratio"] = _scaled(body["volumeRatio"], 10_000)
        if symbol in recent:
            values["recent_day"], values["recent"] = recent[symbol]
        limits = rules[symbol].limits if symbol in rules else None
        if limits is not None:
            values |= {"lower": limits.lower, "upper": limits.upper, "limits_day": limits.day}
        found[symbol] = Facts(**values)
    return found


def _scaled(value: Decimal | int | None, unit: int) -> int | None:
    return None if value is None else int(value * unit)


def _alert(rule: Rule, feed: str, symbol: str, episode: int, value: int, level: int, seen: Trades) -> Alert:
    text = texts.text(rule.condition, symbol, value, level)
    return findings.made(
        rule, feed, symbol, episode, value, text, now=_now(), event_us=seen.time_us, committed_us=seen.committed_us
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _now_us() -> int:
    return time.time_ns() // 1000
