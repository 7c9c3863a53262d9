"""Rules of people and the alerts they gave. A person has rules of his own; who operates sees those of all."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.alerts import deliveries, rules, targets
from analytics.alerts.judging import conditions
from api import alert_choices
from api.auth import access
from api.rest import errors, feeds, jsontext, paging, response_schemas, series
from api.rest.bodies import AlertRuleBody, AlertTargetBody
from api.rest.queries import AlertCountQuery, AlertsQuery, NoQuery
from api.views.records import question
from marketdata.models import Alert, AlertRule, AlertTarget, Market, Watchlist
from marketdata.storage import TickKey

Rows = QuerySet[Any]
MOST_COUNTED = 1_000


def _visible(request: Request, rows: Rows) -> Rows:
    """Those of whoever asks, of all where he may see all. PermissionDenied for who has none and can have none."""
    owner = access.alerts_of(request.user)
    if owner is None:
        raise exceptions.PermissionDenied(_("alerts are for people: log in, or use the named key of a person"))
    return rows if owner == access.EVERYBODY else rows.filter(owner_id=owner)


def _person(request: Request) -> int:
    """The owner of what a request makes. PermissionDenied for keys, which read and nothing else."""
    if not access.is_person(request.user):
        raise exceptions.PermissionDenied(_("rules are changed by people who are logged in; a key only reads"))
    return int(request.user.pk or 0)


def _rule(request: Request, number: int, *, own: bool) -> AlertRule:
    """Http404 for one that is not to be seen, or with `own` that is somebody else's."""
    rows = _visible(request, AlertRule.objects.select_related("owner"))
    found = (rows.filter(owner_id=_person(request)) if own else rows).filter(pk=number).first()
    if found is None:
        raise Http404
    return found  # type: ignore[no-any-return]  # rows of one model


def _filled(request: Request, rule: AlertRule, *, partial: bool) -> AlertRule:
    """The rule with what the body says. Unprocessable where that is no rule; UnknownMarket, UnknownFeed."""
    given = AlertRuleBody.of(request, partial=partial)
    market = given.pop("market", rule.market_id)
    if market is not None and not Market.objects.filter(code=market).exists():
        raise errors.UnknownMarket(_("there is no market {market}").format(market=market))
    rule.market_id = market
    watchlist = given.pop("watchlist", rule.watchlist_id)
    rule.watchlist = None if watchlist is None else Watchlist.objects.filter(pk=watchlist, user=rule.owner_id).first()
    if watchlist is not None and rule.watchlist is None:
        raise errors.Unprocessable({"watchlist": _("is the id of one of your own lists (GET /v2/watchlists)")})
    if given.get("feed"):
        given["feed"] = feeds.resolve(given["feed"])
    chosen = given.pop("targets", None)
    if chosen is not None:
        own = AlertTarget.objects.filter(owner_id=rule.owner_id, pk__in=chosen).values_list("pk", flat=True)
        if set(own) != set(chosen):
            raise errors.Unprocessable({"targets": _("are numbers of your own targets")})
    for name, value in given.items():
        setattr(rule, name, value)
    # A rule that looks at nothing may always be switched off.
    if rule.enabled or watchlist is not None or set(given) & {"feed", "symbols"}:
        _may_look(request, rule)
    unknown = alert_choices.unknown(rule.kind, rule.parameters)
    if unknown:
        raise errors.Unprocessable(unknown)
    try:
        with transaction.atomic():
            rules.save(rule)
            if chosen is not None:
                rule.targets.set(chosen)
    except rules.RefusedError as error:
        raise errors.Unprocessable(error.fields) from error
    return rule


def _may_look(request: Request, rule: AlertRule) -> None:
    """FeedForbidden unless its owner may read what the rule looks at: its feed, or every feed where it names none."""
    if rule.kind in conditions.OF_THE_SYSTEM:
        return  # who reads sees all of it in the status of the pipeline
    if rule.feed:
        access.require([rule.feed])
    elif not access.may_read(request.user, access.ALL_FEEDS):
        raise access.FeedForbidden(
            _("name a feed that you may read: without one a rule looks at any symbol's primary one")
        )


class AlertRulesView(APIView):
    """The rules of whoever asks; who operates sees those of all."""

    @extend_schema(
        operation_id="alert_rules", responses={200: response_schemas.AlertRules, "4XX": response_schemas.Error}
    )
    def get(self, request: Request) -> Response:
        """PermissionDenied for who has no rules: clients and visitors."""
        NoQuery.read(request)
        rows = _visible(request, AlertRule.objects.select_related("owner")).order_by("-pk")
        return Response({"rules": [rules.shown(one) for one in rows[:10_000]]})

    @extend_schema(
        operation_id="alert_rules_create", request=AlertRuleBody,
        responses={201: response_schemas.AlertRule, "4XX": response_schemas.Error},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """PermissionDenied for keys; Unprocessable says what is wrong with which field."""
        NoQuery.read(request)
        rule = AlertRule(owner_id=_person(request))
        made = _filled(request, rule, partial=False)
        return Response(rules.shown(made), status=status.HTTP_201_CREATED)


class AlertRuleView(APIView):
    """One rule: read, changed, deleted."""

    @extend_schema(
        operation_id="alert_rule", responses={200: response_schemas.AlertRule, "4XX": response_schemas.Error}
    )
    def get(self, request: Request, number: int) -> Response:
        """Http404 for one that is not to be seen."""
        NoQuery.read(request)
        return Response(rules.shown(_rule(request, number, own=False)))

    @extend_schema(
        operation_id="alert_rule_change", request=AlertRuleBody,
        responses={200: response_schemas.AlertRule, "4XX": response_schemas.Error},
    )  # fmt: skip
    def patch(self, request: Request, number: int) -> Response:
        """Http404 for somebody else's; Unprocessable says what is wrong with which field."""
        NoQuery.read(request)
        rule = _rule(request, number, own=True)
        return Response(rules.shown(_filled(request, rule, partial=True)))

    @extend_schema(operation_id="alert_rule_delete", responses={204: None, "4XX": response_schemas.Error})
    def delete(self, request: Request, number: int) -> Response:
        """Http404 for somebody else's."""
        NoQuery.read(request)
        _rule(request, number, own=True).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class AlertTargetsView(APIView):
    """Where alerts of whoever asks are delivered to."""

    @extend_schema(
        operation_id="alert_targets", responses={200: response_schemas.AlertTargets, "4XX": response_schemas.Error}
    )
    def get(self, request: Request) -> Response:
        """PermissionDenied for who has no rules: clients and visitors."""
        NoQuery.read(request)
        rows = _visible(request, AlertTarget.objects.select_related("owner")).order_by("pk")
        return Response({"targets": [targets.shown(one) for one in rows[:10_000]]})

    @extend_schema(
        operation_id="alert_targets_create", request=AlertTargetBody,
        responses={201: response_schemas.AlertTarget, "4XX": response_schemas.Error},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """PermissionDenied for keys; Unprocessable says what is wrong with which field."""
        NoQuery.read(request)
        owner = _person(request)
        try:
            made, secret = targets.make(owner, **AlertTargetBody.of(request, partial=False))
        except rules.RefusedError as error:
            raise errors.Unprocessable(error.fields) from error
        told = targets.shown(made) | ({"secret": secret} if secret else {})
        return Response(told, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class AlertTargetView(APIView):
    """One target: deleted, with what waits for it."""

    @extend_schema(operation_id="alert_target_delete", responses={204: None, "4XX": response_schemas.Error})
    def delete(self, request: Request, number: int) -> Response:
        """Http404 for somebody else's."""
        NoQuery.read(request)
        _target(request, number).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class AlertTargetTestView(APIView):
    """Whether a target works."""

    @extend_schema(
        operation_id="alert_target_test", request=None,
        responses={200: response_schemas.AlertTest, "4XX": response_schemas.Error},
    )  # fmt: skip
    def post(self, request: Request, number: int) -> Response:
        """Http404 for somebody else's."""
        NoQuery.read(request)
        error = deliveries.try_out(_target(request, number))
        return Response({"delivered": not error, "error": str(error)})


def _target(request: Request, number: int) -> AlertTarget:
    """Http404 for one that is somebody else's."""
    found = AlertTarget.objects.filter(owner_id=_person(request), pk=number).first()
    if found is None:
        raise Http404
    return found


class AlertsView(APIView):
    """What rules found, the newest first."""

    @extend_schema(
        operation_id="alerts", parameters=[AlertsQuery],
        responses={200: response_schemas.Alerts, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """BadToken for a token of another question; PermissionDenied for who has no rules."""
        query = AlertsQuery.read(request)
        asked = question("alerts", query)
        rows = _chosen(request, query).select_related("owner")
        after = series.after(query, asked, [""])
        if after is not None:
            rows = rows.filter(pk__lt=after.tick_id)
        found = list(rows.order_by("-pk")[: query["limit"] + 1])
        token = None
        if len(found) > query["limit"]:
            token = paging.encode_token(TickKey("", 0, found[query["limit"] - 1].pk), asked)
        return Response({"alerts": [_shown(one) for one in found[: query["limit"]]], "next_page_token": token})


def _readable(request: Request, rows: Rows) -> Rows:
    """Alerts that whoever asks may see: on feeds that he may read at this moment."""
    rows = _visible(request, rows)
    if access.may_read(request.user, access.ALL_FEEDS):
        return rows
    names = rows.order_by().values_list("feed", flat=True).distinct()
    return rows.filter(feed__in=[name for name in names if not name or access.may_read(request.user, name)])


def _chosen(request: Request, query: dict[str, Any]) -> Rows:
    """The alerts that a question is about, of those that whoever asks may see."""
    rows = _readable(request, Alert.objects.all())
    columns = {"symbols": "symbol__in", "kind": "kind", "rule": "rule_id", "open": "cleared_at__isnull"}
    rows = rows.filter(**{column: query[name] for name, column in columns.items() if name in query})
    return rows.filter(acknowledged_at__isnull=not query["acknowledged"]) if "acknowledged" in query else rows


class AlertCountView(APIView):
    """How many alerts there are, such as those that nobody has acknowledged."""

    @extend_schema(
        operation_id="alert_count", parameters=[AlertCountQuery],
        responses={200: response_schemas.AlertCount, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """PermissionDenied for who has no rules."""
        rows = _chosen(request, AlertCountQuery.read(request))
        count = rows.order_by()[: MOST_COUNTED + 1].count()
        return Response({"count": min(count, MOST_COUNTED), "more": count > MOST_COUNTED})


class AcknowledgeView(APIView):
    """Somebody has seen an alert."""

    @extend_schema(
        operation_id="alert_acknowledge", request=None,
        responses={200: response_schemas.Alert, "4XX": response_schemas.Error},
    )  # fmt: skip
    def post(self, request: Request, number: int) -> Response:
        """Http404 for one that is not to be seen. One that was acknowledged before stays as it is."""
        NoQuery.read(request)
        _person(request)
        rows = _readable(request, Alert.objects.select_related("owner").filter(pk=number))
        if not rows.exists():
            raise Http404
        rows.filter(acknowledged_at=None).update(
            acknowledged_at=datetime.datetime.now(datetime.UTC), acknowledged_by=request.user.get_username()
        )
        return Response(_shown(rows.get()))


def _shown(one: Alert) -> dict[str, Any]:
    return {
        "id": one.pk, "rule": one.rule_id, "name": one.name, "kind": one.kind, "feed": one.feed, "symbol": one.symbol,
        "value": one.value, "message": one.message, "texts": one.texts or {}, "t": jsontext.time(one.event_us),
        "fired_at": one.fired_at, "cleared_at": one.cleared_at, "quiet": one.quiet, "owner": one.owner.get_username(),
        "acknowledged_by": one.acknowledged_by, "acknowledged_at": one.acknowledged_at,
    }  # fmt: skip
