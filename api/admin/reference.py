"""Markets, sources and symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from api.admin import site
from api.admin.sheets import SheetAdmin
from api.views.symbols import search
from marketdata.models import Feed, FeedOwner, Market, Source, Symbol, SymbolChange
from marketdata.reference import owners, sheets

__all__ = ["site"]


class _Known(admin.AllValuesFieldListFilter):
    """Values that occur; the empty one can be seen, too."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "–"}


@admin.register(Symbol)
class SymbolAdmin(SheetAdmin):
    sheet = sheets.SYMBOLS
    list_display = ("code", "name", "name_en", "market", "category", "primary_feed", "is_active", "created_at")
    list_display_links = ("code", "name")
    list_filter = ("is_active", "market", ("category", _Known), ("primary_feed", _Known))
    list_select_related = ("market",)
    list_per_page = 100
    search_fields = ("code", "name", "name_en")
    search_help_text = _("Search by code or name, or by the initial consonants of a name.")
    actions = ("activate", "deactivate")
    # The master files' words, which the next one would bring back (marketdata/vendors/masters.py).
    readonly_fields = (
        "created_at", "isin", "security_group", "base_price", "lower_limit", "upper_limit", "limits_on",
        "previous_volume", "market_cap", "listed_on", "is_halted",
        "is_administrative", "is_in_liquidation", "warning", "master", "mastered_at", "delisted_on",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Symbol | None = None) -> Any:
        return ("code", *self.readonly_fields) if obj else self.readonly_fields  # ticks are kept under the code

    def has_delete_permission(self, request: HttpRequest, obj: Symbol | None = None) -> bool:
        return False  # its ticks would stay behind, nameless; deactivate it

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Symbol], search_term: str
    ) -> tuple[QuerySet[Symbol], bool]:
        """As everywhere else: each word in code or names, consonants standing for syllables."""
        for word in search_term.split():
            queryset = search(queryset, word)
        return queryset, False

    @admin.action(description=_("Activate"))
    def activate(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> None:
        self._set(request, chosen, active=True)

    @admin.action(description=_("Deactivate"))
    def deactivate(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> None:
        self._set(request, chosen, active=False)

    def _set(self, request: HttpRequest, chosen: QuerySet[Symbol], *, active: bool) -> None:
        changed = list(chosen.exclude(is_active=active))
        count = chosen.update(is_active=active)
        for symbol in changed:
            self.log_change(request, symbol, f"is_active = {active}")
        text = _("%(count)d symbols changed; ingest follows within half a minute.") % {"count": count}
        self.message_user(request, text, messages.SUCCESS)


@admin.register(SymbolChange)
class SymbolChangeAdmin(site.ReadOnly):
    list_display = ("found_at", "symbol", "what", "before", "after")
    list_filter = ("what",)
    search_fields = ("=symbol", "before", "after")


@admin.register(Market)
class MarketAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("code", "name", "timezone", "trade_date_shift_s", "open_on_weekends", "nonpositive_prices")
    search_fields = ("code", "name")

    def has_delete_permission(self, request: HttpRequest, obj: Market | None = None) -> bool:
        return False


@admin.register(Feed)
class FeedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("name", "shared", "created_by", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Feed | None = None) -> Any:
        return ("name", "created_by", "created_at") if obj else ()


@admin.register(FeedOwner)
class FeedOwnerAdmin(site.ReadOnly):
    list_display = ("feed", "symbol", "client")
    list_filter = ("feed", "client")
    list_select_related = ("client",)
    search_fields = ("=symbol",)
    actions = ("release",)

    @admin.action(description=_("Release: the next who sends it owns it"), permissions=("change_owner",))
    def release(self, request: HttpRequest, chosen: QuerySet[FeedOwner]) -> None:
        released = [one for one in chosen.select_related("client") if one.client is not None]
        count = owners.release_rows(chosen)
        for owner in released:
            self.log_change(request, owner, f"released from {owner.client}")
        text = _("%(count)d released; workers follow within seconds.") % {"count": count}
        self.message_user(request, text, messages.SUCCESS)

    def has_change_owner_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("marketdata.change_feedowner")


@admin.register(Source)
class SourceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("code", "max_age_s", "is_synthetic")

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> Any:
        return ("id", "code") if obj else ()  # both are written into every tick or known to terminals

    def has_delete_permission(self, request: HttpRequest, obj: Source | None = None) -> bool:
        return False
