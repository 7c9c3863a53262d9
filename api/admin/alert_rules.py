"""Rules on alerts, with the fields of the page of alerts. Who may change rules here does so for their owners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from analytics.alerts import rules
from analytics.alerts.judging import conditions, texts
from analytics.alerts.judging.conditions import Direction, Kind
from api import alert_choices
from marketdata.models import AlertRule, AlertTarget, Client, Watchlist
from marketdata.types import titles

DIRECTIONS: Mapping[str, Promise] = MappingProxyType(
    {Direction.ABOVE: _("at or above"), Direction.BELOW: _("at or below"), Direction.CROSSING: _("crosses")}
)
LIMITS: Mapping[str, Promise] = MappingProxyType({Direction.ABOVE: _("upper limit"), Direction.BELOW: _("lower limit")})
PARAMETERS = ("direction", "level", "band", "minutes", "client", "code", "status", "queue", "seconds")
SCOPE: Mapping[str, Any] = MappingProxyType({"symbols": [], "watchlist": None, "market": None, "feed": ""})
"""What a rule looks at, and what of it a rule about the system has."""
_PLAIN = ("owner", "name", "kind", *SCOPE, "cooldown_s", "quiet_from", "quiet_until", "enabled")
_BETWEEN, _NUMBER = re.compile(r"[\s,]+"), re.compile(r"[0-9]{1,18}")


def _of_kinds(name: str) -> str:
    """The kinds of rules that have a field, for the script that shows what the chosen kind has."""
    if name in SCOPE:
        return " ".join(kind for kind in Kind if kind not in conditions.OF_THE_SYSTEM)
    return " ".join(kind for kind in Kind if name in conditions.members(kind))


def _choice(label: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic when running
    """A rule as people think of it: what it is made of has a field each, of which those of its kind count."""

    direction = _choice(_("When"))
    level = forms.CharField(
        label=_("Level"), required=False, max_length=32, widget=AdminTextInputWidget,
        help_text=_("A price, a change in %, a multiple of the usual volume, or messages that wait."),
    )  # fmt: skip
    band = forms.CharField(
        label=_("Back by (band)"), required=False, max_length=32, widget=AdminTextInputWidget,
        help_text=_("How far it has to go back before it may fire again; when empty, 0."),
    )  # fmt: skip
    minutes = forms.CharField(
        label=_("Of the newest minutes"), required=False, max_length=2, widget=AdminTextInputWidget,
        help_text=_("1 to 30; empty: the whole day so far"),
    )  # fmt: skip
    client = _choice(_("Terminal"))
    code = _choice(_("Alarm"))
    status = _choice(_("Status"))
    queue = _choice(_("Queue"))
    seconds = forms.CharField(label=_("Seconds"), required=False, max_length=9, widget=AdminTextInputWidget)
    symbols = forms.CharField(
        label=_("symbols"), required=False, widget=AdminTextInputWidget,
        help_text=_("Codes with commas between them; instead of a watch list or a market."),
    )  # fmt: skip
    watchlist = forms.ModelChoiceField(
        Watchlist.objects.none(), label=_("watch list"), required=False,
        help_text=_("One of the owner's, by what is in it at that moment."),
    )  # fmt: skip
    targets = forms.ModelMultipleChoiceField(
        AlertTarget.objects.none(), label=_("delivered to"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("The owner's targets; those of another owner are offered once the rule is his."),
    )  # fmt: skip

    class Meta:
        model = AlertRule
        fields = (
            "owner", "name", "kind", "symbols", "watchlist", "market", "feed", "cooldown_s", "quiet_from",
            "quiet_until", "targets", "enabled",
        )  # fmt: skip

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        rule = self.instance
        held = rule.parameters if isinstance(rule.parameters, dict) else {}
        for name in PARAMETERS:
            self.initial.setdefault(name, held.get(name, ""))
        if isinstance(rule.symbols, list):
            self.initial["symbols"] = ", ".join(map(str, rule.symbols))
        clients = Client.objects.filter(may_send=True).order_by("name").values_list("name", flat=True)
        choices: dict[str, list[Any]] = {
            "direction": [
                (name, f"{words} · {LIMITS[name]}" if name in LIMITS else words) for name, words in DIRECTIONS.items()
            ],
            "client": [(name, name) for name in clients],
            "code": alert_choices.alarms(),
            "status": [(name, texts.STATUSES[name]) for name in conditions.STATUSES],
            "queue": alert_choices.queues(),
        }  # fmt: skip
        for name, offered in choices.items():
            kept = held.get(name)  # a terminal or an alarm that is gone meanwhile is still what the rule says
            gone = [] if not kept or kept in _values(offered) else [(kept, kept)]
            self.fields[name].choices = [("", "–"), *gone, *offered]  # type: ignore[attr-defined]  # a choice
        for name in {*PARAMETERS, *SCOPE} & set(self.fields):  # who may only look has no form of the model's fields
            widget: Any = self.fields[name].widget
            getattr(widget, "widget", widget).attrs["data-kinds"] = _of_kinds(name)  # the admin wraps some
        owner = self._owner()
        if owner is not None:
            self.fields["watchlist"].queryset = Watchlist.objects.filter(user_id=owner)  # type: ignore[attr-defined]
            self.fields["targets"].queryset = AlertTarget.objects.filter(owner_id__in={owner, rule.owner_id})  # type: ignore[attr-defined]

    def _owner(self) -> int | None:
        """Whose rule it is, as it was sent."""
        said = self.data.get(self.add_prefix("owner")) if self.is_bound else None
        said = said or self.instance.owner_id or self.initial.get("owner")
        return int(str(said)) if _NUMBER.fullmatch(str(said)) else None

    def clean(self) -> dict[str, Any]:
        """ValidationError for what `analytics.alerts.rules` refuses, at the field that it is about."""
        given = super().clean() or {}
        if self.errors:
            return given
        kind = Kind(given["kind"])
        given["targets"] = given["targets"].filter(owner=given["owner"])  # those of the owner before stay with him
        given["symbols"] = [code for code in _BETWEEN.split(given["symbols"]) if code]
        if kind in conditions.OF_THE_SYSTEM:  # its form has no such fields
            given |= {**SCOPE, "symbols": []}
        rule = self.instance
        for name in _PLAIN:
            setattr(rule, name, given[name])
        entered = {name: str(given[name]).strip() for name in conditions.members(kind)}
        rule.parameters = {
            name: text.replace(",", "") if name in ("level", "band", "seconds") else text
            for name, text in entered.items()
            if text
        }
        try:
            rules.check(rule)
            unknown = alert_choices.unknown(rule.kind, rule.parameters)
            if unknown:
                raise rules.RefusedError(unknown)
        except rules.RefusedError as error:
            own = {name: text for name, text in error.fields.items() if name in self.fields}
            rest = [f"{name}: {text}" for name, text in error.fields.items() if name not in own]
            raise ValidationError({**own, **({"__all__": rest} if rest else {})}) from error
        return given | {"symbols": rule.symbols}


def _values(offered: list[Any]) -> set[str]:
    """What may be chosen, of groups or without."""
    found: set[str] = set()
    for value, shown in offered:
        found |= {one for one, _shown in shown} if isinstance(shown, list) else {value}
    return found


def condition(rule: AlertRule) -> str:
    """What a rule waits for, in a line."""
    held = rule.parameters if isinstance(rule.parameters, dict) else {}
    directions = LIMITS if rule.kind == Kind.LIMIT else DIRECTIONS
    signs = {Kind.CHANGE: "{value}%", Kind.VOLUME: "×{value}"}
    forms_of: dict[str, Any] = {
        "direction": directions.get(str(held.get("direction")), "{value}"),
        "level": signs.get(rule.kind, "{value}"),  # type: ignore[call-overload]  # words of the same enumeration
        "band": _("band {value}"),
        "minutes": _("in {value} min"),
        "status": texts.STATUSES.get(str(held.get("status")), "{value}"),
        "seconds": _("of {value} s or more") if rule.kind == Kind.GAP else _("for {value} s"),
    }
    called = {"code": titles.alarm, "queue": titles.queue}
    parts = {
        name: called[name](str(held[name]))
        if name in called
        else str(forms_of.get(name, "{value}")).format(value=held[name])
        for name in PARAMETERS
        if name in held
    }
    if "direction" in parts and "level" in parts:
        parts["direction"] = _("{direction} {level}").format(direction=parts["direction"], level=parts.pop("level"))
    return " ".join(parts.values())


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    form = RuleForm
    list_display = ("name", "owner", "kind", "waits_for", "looks_at", "feed", "enabled", "changed_at")
    list_filter = ("kind", "enabled", "market", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner", "market", "watchlist")
    search_fields = ("name", "owner__username", "symbols")
    search_help_text = _("Search by name, owner or symbol.")
    autocomplete_fields = ("owner",)
    actions = ("switch_on", "switch_off")
    fields = (
        "owner", "name", "kind", *PARAMETERS, *SCOPE, "cooldown_s", "quiet_from", "quiet_until", "targets", "enabled",
    )  # fmt: skip

    class Media:
        js = ("api/admin/alert_rule.js",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_fields(self, request: HttpRequest, obj: AlertRule | None = None) -> Any:
        """Who may only look sees the condition in words."""
        if self.has_change_permission(request, obj) or self.has_add_permission(request):
            return self.fields
        plain = tuple(name for name in self.fields if name not in (*PARAMETERS, "symbols"))
        return (*plain[:3], "waits_for", "symbols", *plain[3:])

    @admin.display(description=_("condition"))
    def waits_for(self, rule: AlertRule) -> str:
        return condition(rule)

    @admin.display(description=_("looks at"), empty_value="–")
    def looks_at(self, rule: AlertRule) -> str | None:
        named = ", ".join(map(str, rule.symbols[:5])) + (" …" if len(rule.symbols) > 5 else "")
        return named or (rule.watchlist.name if rule.watchlist else None) or rule.market_id

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        rules.save(obj)

    @admin.action(description=_("Switch on"), permissions=("change",))
    def switch_on(self, request: HttpRequest, chosen: QuerySet[AlertRule]) -> None:
        self._switch(request, chosen, on=True)

    @admin.action(description=_("Switch off"), permissions=("change",))
    def switch_off(self, request: HttpRequest, chosen: QuerySet[AlertRule]) -> None:
        self._switch(request, chosen, on=False)

    def _switch(self, request: HttpRequest, chosen: QuerySet[AlertRule], *, on: bool) -> None:
        """One by one, for what cannot be judged any more (its symbol or list is gone) stays off and says why."""
        count = 0
        for rule in chosen.exclude(enabled=on):
            rule.enabled = on
            try:
                rules.save(rule)
            except rules.RefusedError as error:
                told = {"rule": rule.name, "error": str(error)}
                self.message_user(request, _("%(rule)s: not changed. %(error)s") % told, messages.WARNING)
                continue
            self.log_change(request, rule, "switched on" if on else "switched off")
            count += 1
        self.message_user(request, _("%(count)d rules changed.") % {"count": count}, messages.SUCCESS)
