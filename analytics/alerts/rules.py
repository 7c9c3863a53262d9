"""Rules of people, checked and saved: what REST and the admin have in common. Within the quotas of their owner."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from analytics.alerts.judging import conditions
from analytics.alerts.judging.conditions import ConditionError, Kind
from marketdata.calendar import feed_hours, trading_dates
from marketdata.models import AlertRule, Client, Symbol

JUDGED = ("kind", "parameters", "symbols", "watchlist_id", "market_id", "feed", "enabled")
"""What is changed of these lets a rule's episodes begin anew."""
LONGEST_PAUSE_S = 7 * 86_400
MOST_NAMED = 5  # symbols in one complaint


class RefusedError(ValueError):
    """What is wrong with a rule, by field."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = dict(fields)


def is_name(name: str) -> bool:
    """Whether it is one line: names stand in subjects of mail, in logs and in lists."""
    return bool(name.strip()) and not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name)


def hold_quota(owner: int) -> None:
    """Within a transaction: until it ends, nobody else makes something of this owner's that is counted."""
    list(get_user_model().objects.select_for_update().filter(pk=owner).values_list("pk"))


def check(rule: AlertRule) -> None:
    """Put a rule into its shortest form. RefusedError says what is wrong, and of each field what would be right."""
    wrong: dict[str, str] = {}
    if not is_name(rule.name):
        wrong["name"] = _("is one line of letters")
    try:
        rule.parameters = conditions.parameters(conditions.read(rule.kind, rule.parameters))
    except ConditionError as error:
        wrong |= error.fields
    wrong |= _scope(rule) or _terminal(rule) or _silence(rule)
    if (rule.quiet_from is None) != (rule.quiet_until is None):
        wrong["quiet_from"] = _("and quiet_until are given together, or neither")
    if not 0 <= rule.cooldown_s <= LONGEST_PAUSE_S:
        wrong["cooldown_s"] = _("is 0 to {most}").format(most=LONGEST_PAUSE_S)
    if rule._state.adding and AlertRule.objects.filter(owner_id=rule.owner_id).count() >= settings.ALERT_MAX_RULES:
        text = _("has {most} rules, as many as may be: delete one first")
        wrong["owner"] = text.format(most=settings.ALERT_MAX_RULES)
    if wrong:
        raise RefusedError(wrong)


def _terminal(rule: AlertRule) -> dict[str, str]:
    if rule.kind != Kind.TERMINAL or not isinstance(rule.parameters, dict) or "client" not in rule.parameters:
        return {}
    client = rule.parameters["client"]
    if Client.objects.filter(name=str(client)[:32], may_send=True).exists():
        return {}
    return {"client": _("is the name of a client that sends")}


def _scope(rule: AlertRule) -> dict[str, str]:
    if rule.kind in conditions.OF_THE_SYSTEM:
        given = {
            "symbols": rule.symbols, "watchlist": rule.watchlist_id, "market": rule.market_id, "feed": rule.feed,
        }  # fmt: skip
        told = _("is left out: {kind} looks at no symbol, list, market or feed").format(kind=rule.kind)
        return {name: told for name, value in given.items() if value}
    symbols = cast("Any", rule.symbols)
    if not isinstance(symbols, list) or not all(isinstance(code, str) for code in symbols):
        return {"symbols": _("is a list of codes")}
    rule.symbols = symbols = list(dict.fromkeys(symbols))
    if len(symbols) > settings.ALERT_MAX_SYMBOLS:
        told = _("has at most {most} codes; a market stands for all of its symbols")
        return {"symbols": told.format(most=settings.ALERT_MAX_SYMBOLS)}
    if not rule.enabled and not rule._state.adding:
        return {}  # what is switched off looks at nothing: it may name a symbol or a list that is gone meanwhile
    named = [name for name in ("symbols", "watchlist_id", "market_id") if getattr(rule, name)]
    if not named:
        return {"symbols": _("names codes, unless the rule is for a watch list or a market")}
    if len(named) > 1:
        told = _("is the only one that is given of symbols, watchlist and market")
        return {named[-1].removesuffix("_id"): told}
    if rule.watchlist and rule.watchlist.user_id != rule.owner_id:
        return {"watchlist": _("is the id of a list of the rule's owner")}
    unknown = set(symbols) - set(Symbol.objects.filter(code__in=symbols).values_list("code", flat=True))
    if not unknown:
        return {}
    return {"symbols": _("has {symbol}, which is not registered").format(symbol=sorted(unknown)[0])}


def _silence(rule: AlertRule) -> dict[str, str]:
    """A rule on silence would never fire where nobody knows when trades may come. Of a list, whose content changes, one
    symbol with known hours is enough."""
    if rule.kind != Kind.STALE or (not rule.enabled and not rule._state.adding):
        return {}
    if rule.feed in feed_hours.BY_NIGHT:
        return {"feed": _("is one whose hours are not known, so its silence is never told")}
    if rule.market_id is not None:
        known = trading_dates.calendar(rule.market_id).hours_known
        return {} if known else {"market": _("is one whose hours are not known, so its silence is never told")}
    codes = rule.symbols or (rule.watchlist.symbols if rule.watchlist else [])
    rows = Symbol.objects.filter(code__in=codes).order_by("code").values_list("code", "market_id", "primary_feed")
    never = [
        code
        for code, market, primary in rows
        if not feed_hours.are_known(trading_dates.calendar(market), rule.feed or primary)
    ]
    if not never or (rule.watchlist and len(never) < len(rows)):
        return {}
    told = _("has symbols whose trading hours are not known, so their silence is never told: {symbols}")
    shown = ", ".join(never[:MOST_NAMED]) + (" …" if len(never) > MOST_NAMED else "")
    return {"watchlist" if rule.watchlist else "symbols": told.format(symbols=shown)}


def save(rule: AlertRule) -> None:
    """Check and store a rule, with a new revision where it is judged by something else. RefusedError as of `check`, and
    where its owner has another rule of that name."""
    try:
        with transaction.atomic():
            hold_quota(rule.owner_id)
            before = AlertRule.objects.filter(pk=rule.pk).values(*JUDGED, "revision").first() if rule.pk else None
            check(rule)
            if before is not None:
                changed = any(before[name] != getattr(rule, name) for name in JUDGED)
                rule.revision = before["revision"] + changed
            rule.changed_at = datetime.datetime.now(datetime.UTC)
            rule.save()
    except IntegrityError as error:
        same = AlertRule.objects.filter(owner_id=rule.owner_id, name=rule.name).exclude(pk=rule.pk)
        if not same.exists():
            raise
        raise RefusedError({"name": _("is that of another rule of this owner")}) from error


def shown(rule: AlertRule) -> dict[str, Any]:
    """A rule as REST has it."""
    return {
        "id": rule.pk, "name": rule.name, "kind": rule.kind, "parameters": rule.parameters, "symbols": rule.symbols,
        "watchlist": rule.watchlist_id, "market": rule.market_id, "feed": rule.feed, "cooldown_s": rule.cooldown_s,
        "targets": sorted(one.pk for one in rule.targets.all()) if rule.pk else [],
        "quiet_from": _clock(rule.quiet_from), "quiet_until": _clock(rule.quiet_until), "enabled": rule.enabled,
        "owner": rule.owner.get_username(), "created_at": rule.created_at, "changed_at": rule.changed_at,
    }  # fmt: skip


def _clock(at: datetime.time | None) -> str | None:
    return None if at is None else at.isoformat("minutes")
