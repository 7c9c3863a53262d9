"""The quality of days to read: a row of each trading date, symbol and feed."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from analytics.quality.grades import GRADES
from api.admin.site import ReadOnly
from marketdata.models import Feed, Market, QualityDay


class _Known(admin.SimpleListFilter):
    """A filter that offers what is known elsewhere: what occurs in this table would take reading all of it."""

    @abc.abstractmethod
    def known(self) -> Iterable[str]:
        """What may be chosen."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(one, one) for one in self.known()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[QualityDay]) -> QuerySet[QualityDay]:
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


class _Grade(_Known):
    title = _("grade")
    parameter_name = "grade"

    def known(self) -> Iterable[str]:
        return GRADES


class _Feed(_Known):
    title = _("feed")
    parameter_name = "feed"

    def known(self) -> Iterable[str]:
        return Feed.objects.order_by("name").values_list("name", flat=True)


class _Market(_Known):
    title = _("market")
    parameter_name = "market"

    def known(self) -> Iterable[str]:
        return Market.objects.order_by("code").values_list("code", flat=True)


@admin.register(QualityDay)
class QualityDayAdmin(ReadOnly):
    list_display = (
        "trade_date", "symbol", "feed", "market", "grade", "session", "present", "lost", "stored", "rejected", "late",
        "gaps", "computed_at",
    )  # fmt: skip
    list_filter = (_Grade, _Feed, _Market, "trade_date")
    search_fields = ("symbol__exact",)
    ordering = ("-trade_date", "-feed", "-market", "-symbol")  # as its index has them
    fields = (
        *list_display, "received", "repeated", "voided", "missing", "compared", "differing", "clock_us", "figures",
    )  # fmt: skip
