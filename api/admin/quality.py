"""The quality of days to read: a row of each trading date, symbol and feed."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from analytics.quality import grades
from api import refusals
from api.admin.site import ReadOnly
from marketdata.models import Feed, Market, QualityDay
from terminals import wire


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
        return grades.GRADES


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
        "trade_date", "symbol", "feed", "market", "grade", "because", "stored", "rejected", "lost", "gaps",
        "computed_at",
    )  # fmt: skip
    list_filter = (_Grade, _Feed, _Market, "trade_date")
    search_fields = ("symbol__exact",)
    search_help_text = _("Search by symbol.")
    ordering = ("-trade_date", "-feed", "-market", "-symbol")  # as its index has them
    fields = (
        "trade_date", "symbol", "feed", "market", "grade", "because", "session", "present", "expected", "lost", "gaps",
        "gap_time", "missing", "missing_volume", "received", "stored", "repeated", "rejected", "refusals", "late",
        "voided", "compared_with", "compared", "differing", "clock_us", "computed_at",
    )  # fmt: skip

    @admin.display(description=_("reasons"), empty_value="–")
    def because(self, row: QualityDay) -> str | None:
        """Why it is no better, as the page of quality and the report by mail have it."""
        return "; ".join(reason.text for reason in grades.from_json(row.figures.get("reasons", []))) or None

    @admin.display(description=_("refused by reason"), empty_value="–")
    def refusals(self, row: QualityDay) -> str | None:
        told = row.figures.get("refused", {})
        listed = format_html_join(
            "\n", "<li>{} · {}: {}</li>", ((refusals.words(code), code, f"{count:,}") for code, count in told.items())
        )
        return format_html("<ul>{}</ul>", listed) if told else None

    @admin.display(description=_("minutes with a tick, usually"), empty_value="–")
    def expected(self, row: QualityDay) -> int | None:
        usual: int | None = row.figures.get("expected")
        return usual

    @admin.display(description=_("time in gaps, s"), empty_value="–")
    def gap_time(self, row: QualityDay) -> str | None:
        seconds = row.figures.get("gap_s")
        return None if seconds is None else f"{seconds:,}"

    @admin.display(description=_("missing volume"), empty_value="–")
    def missing_volume(self, row: QualityDay) -> str | None:
        volume = row.figures.get("missing_volume")
        return wire.numbers.write(volume, wire.SIZE_SCALE) if volume else None

    @admin.display(description=_("compared with"), empty_value="–")
    def compared_with(self, row: QualityDay) -> str | None:
        return str(row.figures.get("other") or "") or None
