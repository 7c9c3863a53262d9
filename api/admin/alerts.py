"""What rules of people found, and how it is delivered. The rules themselves are in `api.admin.alert_rules`."""

from __future__ import annotations

import datetime

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from analytics.alerts import deliveries
from api.admin import asking
from api.admin.site import ReadOnly
from marketdata.models import Alert, AlertDelivery, AlertTarget

MOST_AT_ONCE = 500
"""Rows of one action, each with a line of history; the rest is for the next."""


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    list_display = ("fired_at", "told", "name", "owner", "kind", "symbol", "cleared_at", "acknowledged_by")
    list_filter = (
        "kind", ("cleared_at", admin.EmptyFieldListFilter), ("acknowledged_at", admin.EmptyFieldListFilter), "quiet",
    )  # fmt: skip
    list_select_related = ("owner",)
    search_fields = ("symbol", "name", "owner__username")
    fields = (
        "fired_at", "told", "name", "rule", "owner", "kind", "feed", "symbol", "value", "cleared_at", "quiet",
        "acknowledged_by", "acknowledged_at",
    )  # fmt: skip
    readonly_fields = ("told",)
    actions = ("acknowledge",)

    @admin.display(description=_("message"))
    def told(self, alert: Alert) -> str:
        return alert.shown

    @admin.action(description=_("Acknowledge"), permissions=("view",))
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Alert]) -> None:
        count, now = 0, datetime.datetime.now(datetime.UTC)
        rows = list(chosen.filter(acknowledged_at=None).order_by("pk")[: MOST_AT_ONCE + 1])
        for alert in rows[:MOST_AT_ONCE]:
            mine = Alert.objects.filter(pk=alert.pk, acknowledged_at=None)  # whoever comes first
            if mine.update(acknowledged_at=now, acknowledged_by=request.user.get_username()):
                self.log_change(request, alert, "acknowledged")
                count += 1
        if len(rows) > MOST_AT_ONCE:
            text = _("%(count)d alerts, the oldest, acknowledged. Do it once more for the others.")
            self.message_user(request, text % {"count": count}, messages.WARNING)
        else:
            self.message_user(request, _("%(count)d alerts acknowledged.") % {"count": count}, messages.SUCCESS)


@admin.register(AlertTarget)
class AlertTargetAdmin(ReadOnly):
    list_display = ("name", "owner", "kind", "shown", "enabled", "delivered_at", "failed_at", "failure")
    list_filter = ("kind", "enabled")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    fields = (*list_display, "created_at")

    @admin.display(description=_("last error"), ordering="error")
    def failure(self, target: AlertTarget) -> str:
        return target.failure


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnly):
    list_display = ("alert", "target", "state", "attempts", "next_at", "delivered_at", "failure")
    list_filter = ("state", "target__kind")
    list_select_related = ("alert", "target")
    search_fields = ("target__name", "target__owner__username", "alert__symbol", "error")
    fields = ("alert", "target", "state", "attempts", "next_at", "delivered_at", "failure")
    actions = ("deliver_again",)

    @admin.display(description=_("error"), ordering="error")
    def failure(self, row: AlertDelivery) -> str:
        return row.failure

    @admin.action(description=_("Deliver again"), permissions=("ask",))
    def deliver_again(self, request: HttpRequest, chosen: QuerySet[AlertDelivery]) -> None:
        rows = list(chosen.filter(state=AlertDelivery.State.FAILED).order_by("pk")[: MOST_AT_ONCE + 1])
        given_up = AlertDelivery.objects.filter(pk__in=[row.pk for row in rows[:MOST_AT_ONCE]])
        count = deliveries.again(given_up, datetime.datetime.now(datetime.UTC))
        for row in rows[:MOST_AT_ONCE]:
            self.log_change(request, row, "delivered again")
        if len(rows) > MOST_AT_ONCE:
            text = _("%(count)d deliveries, the oldest, are due again. Do it once more for the others.")
            self.message_user(request, text % {"count": count}, messages.WARNING)
        elif count:
            self.message_user(request, _("%(count)d deliveries are due again.") % {"count": count}, messages.SUCCESS)
        else:
            asking.refuse(self, request, _("None of these was given up: what waits is repeated by itself."))

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return asking.may(request)
