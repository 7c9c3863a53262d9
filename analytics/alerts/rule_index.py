"""The rules of people as they are judged, read from the database once for each mark of them."""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from django.db.models import Count, Max, Sum

from analytics.alerts.judging import conditions
from analytics.alerts.judging.index import Index, Place, Rule, build
from marketdata.models import AlertRule, Symbol, SymbolRename, Watchlist
from marketdata.realtime import alerts as shared
from marketdata.reference import corporate_actions
from marketdata.types.units import SEOUL

log = logging.getLogger(__name__)

_indexes: dict[str, Index] = {}  # the newest, by its mark


def mark() -> str:
    """Changes with the rules, their lists, with which symbols there are and what they are called; "" without rules."""
    rules = AlertRule.objects.filter(enabled=True, owner__is_active=True).aggregate(
        rows=Count("pk"), newest=Max("changed_at"), revisions=Sum("revision"), last=Max("pk"), numbers=Sum("pk")
    )
    if not rules["rows"]:
        return ""
    active = Symbol.objects.filter(is_active=True).order_by("market", "primary_feed")
    symbols = active.values_list("market", "primary_feed").annotate(rows=Count("pk"), newest=Max("created_at"))
    lists = Watchlist.objects.filter(alert_rules__enabled=True).aggregate(rows=Count("pk"), newest=Max("updated_at"))
    renames = SymbolRename.objects.filter(since__lte=_today()).aggregate(rows=Count("pk"), last=Max("pk"))
    return hashlib.sha256(repr((rules, list(symbols), lists, renames)).encode()).hexdigest()[:24]


def current(connection: redis.Redis) -> Index:
    """The rules with the mark that Redis has; without one nothing is watched."""
    kept: Any = connection.get(shared.RULES)
    if kept is None:
        return Index()
    marked = kept.decode()
    return _indexes.get(marked) or read(marked)


def read(marked: str) -> Index:
    """The rules as they are now, kept under this mark."""
    rows = AlertRule.objects.filter(enabled=True, owner__is_active=True).select_related("watchlist").order_by("pk")
    today, renames = _today(), corporate_actions.renames()
    rules = []
    for row in rows:
        try:
            condition = conditions.read(row.kind, row.parameters)
        except conditions.ConditionError as error:  # of a later version, or written past the forms
            log.warning("alert rule left out rule=%d wrong=%s", row.pk, ",".join(error.fields))
            continue
        named, since = row.symbols, row.changed_at
        if row.watchlist is not None:
            named, since = row.watchlist.symbols, row.watchlist.updated_at
        rules.append(
            Rule(
                number=row.pk, revision=row.revision, owner=row.owner_id, name=row.name, condition=condition,
                symbols=_called(named, since.astimezone(SEOUL).date(), today, renames),
                market=row.market_id or "", feed=row.feed, pause_us=row.cooldown_s * 1_000_000,
                changed_us=int(row.changed_at.timestamp() * 1e6), quiet_from=row.quiet_from,
                quiet_until=row.quiet_until,
            )
        )  # fmt: skip
    places = {}
    if rules:
        found = Symbol.objects.filter(is_active=True).order_by().values_list("code", "market_id", "primary_feed")
        places = {code: Place(market, feed) for code, market, feed in found}
    made = build(rules, places, marked)
    _indexes.clear()
    _indexes[marked] = made
    return made


def _called(
    codes: Iterable[str], on: datetime.date, today: datetime.date, renames: Sequence[SymbolRename]
) -> tuple[str, ...]:
    """What the shares that had these codes on a date are called today."""
    if not renames:
        return tuple(codes)
    found = []
    for code in codes:
        held = corporate_actions.held(code, on, renames)
        now = [one.code for one in held if one.start is None or one.start <= today]
        found.append(now[-1] if now else code)
    return tuple(dict.fromkeys(found))


def _today() -> datetime.date:
    return datetime.datetime.now(SEOUL).date()
