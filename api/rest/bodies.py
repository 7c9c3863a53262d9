"""The bodies that resources take, checked; the OpenAPI schema is made from them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request

from analytics.alerts.rules import LONGEST_PAUSE_S
from api.rest import errors
from api.rest.fields import MOST_NUMBER, LimitedListField
from marketdata.models import AlertRule, AlertTarget
from marketdata.models.reference import FEED_PATTERN, SYMBOL_PATTERN
from marketdata.reference import watchlists
from marketdata.types import reject_reasons

MOST_CODES = 10_000
"""Of a rule that anybody could have (ALERT_MAX_SYMBOLS)."""


class Body(serializers.Serializer[Any]):
    """An object in JSON; a field that is not known is an error that names what is allowed."""

    @classmethod
    def of(cls, request: Request, *, partial: bool) -> dict[str, Any]:
        """The checked body. UnknownParameter, Problem for one that is no object, and REST framework's ValidationError
        say what is wrong with it."""
        given = request.data
        if not isinstance(given, dict):
            raise errors.Problem(_("the body is an object"))
        unknown = [str(name)[:40] for name in given if name not in cls().fields]
        if unknown:
            told = _("unknown field {name!r}; allowed are {names}")
            raise errors.UnknownParameter(told.format(name=unknown[0], names=", ".join(sorted(cls().fields))))
        return dict(cls(data=given, partial=partial).run_validation(given))


class AlertRuleBody(Body):
    """What a request says of a rule; `parameters` are those of its kind (docs/alerts.md)."""

    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(choices=AlertRule.Kind.values)
    parameters = serializers.DictField()
    symbols = LimitedListField(
        child=serializers.RegexField(SYMBOL_PATTERN, max_length=24), max_length=MOST_CODES, required=False
    )
    watchlist = serializers.CharField(max_length=36, required=False, allow_null=True, help_text="one of your own")
    market = serializers.CharField(max_length=16, required=False, allow_null=True)
    feed = serializers.RegexField(FEED_PATTERN, required=False, allow_blank=True)
    cooldown_s = serializers.IntegerField(min_value=0, max_value=LONGEST_PAUSE_S, required=False)
    quiet_from = serializers.TimeField(required=False, allow_null=True, help_text="in Seoul, such as 22:00")
    quiet_until = serializers.TimeField(required=False, allow_null=True)
    enabled = serializers.BooleanField(required=False)
    targets = LimitedListField(
        child=serializers.IntegerField(min_value=1, max_value=MOST_NUMBER), max_length=100, required=False
    )


class AlertTargetBody(Body):
    name = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(choices=AlertTarget.Kind.values)
    address = serializers.CharField(max_length=500, write_only=True)


class _CodeField(serializers.RegexField):
    """The code of a symbol in a body."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SYMBOL_PATTERN, trim_whitespace=False, **options)


class RequeueBody(Body):
    """What to judge again; at least one of them."""

    code = serializers.ChoiceField(choices=reject_reasons.LETTERS_AGAIN, required=False, help_text="dead letters")
    reason = serializers.ChoiceField(
        choices=[fault.name.lower() for fault in reject_reasons.Fault if fault.name],
        required=False, help_text="refused rows with it",
    )  # fmt: skip
    batch = serializers.RegexField(r"^[0-9]{1,6}/[0-9]{1,10}\Z", required=False, help_text="stream/seq")


class AlarmBody(Body):
    """What becomes of an alarm."""

    do = serializers.ChoiceField(choices=["acknowledge", "clear"])


class WatchlistBody(Body):
    name = serializers.CharField(max_length=64)
    symbols = LimitedListField(
        child=_CodeField(), required=False, default=list, max_length=watchlists.MOST_SYMBOLS,
        help_text="codes in the order of the list",
    )  # fmt: skip


class WatchlistChanges(Body):
    name = serializers.CharField(max_length=64, required=False)
    symbols = LimitedListField(
        child=_CodeField(), required=False, max_length=watchlists.MOST_SYMBOLS,
        help_text="codes in the order of the list, in place of those of before",
    )  # fmt: skip


class WatchlistSymbol(Body):
    symbol = _CodeField()
