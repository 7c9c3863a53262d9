"""Markets, sources and symbols."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from api.admin import site, together
from api.admin.sheets import SheetAdmin
from api.views.symbols import search
from marketdata.models import Feed, FeedOwner, Market, Source, Symbol, SymbolChange
from marketdata.reference import owners, sheets, watchlists
from marketdata.types.tick_arrays import decimal_text
from terminals import wire

__all__ = ["site"]


def _figure(value: int | None, scale: int) -> str:
    """A scaled integer with its thousands apart."""
    return "–" if value is None else f"{Decimal(decimal_text(value, scale)):,f}"


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
    actions = ("activate", "deactivate", "change_together")
    # As people write them, not as they are kept.
    exclude = ("base_price", "lower_limit", "upper_limit", "previous_volume", "market_cap")
    # The master files' words, which the next one would bring back (marketdata/vendors/masters.py).
    readonly_fields = (
        "created_at", "isin", "security_group", "shown_base_price", "shown_lower_limit", "shown_upper_limit",
        "limits_on", "shown_previous_volume", "shown_market_cap", "listed_on", "is_halted",
        "is_administrative", "is_in_liquidation", "warning", "master", "mastered_at", "delisted_on",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Symbol | None = None) -> Any:
        return ("code", *self.readonly_fields) if obj else self.readonly_fields  # ticks are kept under the code

    @admin.display(description=_("base price"))
    def shown_base_price(self, symbol: Symbol) -> str:
        return _figure(symbol.base_price, wire.PRICE_SCALE)

    @admin.display(description=_("lower limit"))
    def shown_lower_limit(self, symbol: Symbol) -> str:
        return _figure(symbol.lower_limit, wire.PRICE_SCALE)

    @admin.display(description=_("upper limit"))
    def shown_upper_limit(self, symbol: Symbol) -> str:
        return _figure(symbol.upper_limit, wire.PRICE_SCALE)

    @admin.display(description=_("volume of the day before"))
    def shown_previous_volume(self, symbol: Symbol) -> str:
        return _figure(symbol.previous_volume, wire.SIZE_SCALE)

    @admin.display(description=_("market value, KRW"))
    def shown_market_cap(self, symbol: Symbol) -> str:
        return _figure(symbol.market_cap, 0)

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

    @admin.action(description=_("Change together: market, category, feed, watch lists…"), permissions=("change",))
    def change_together(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> HttpResponse | None:
        """Asks what of all of them, puts them into watch lists, and shows what else would change."""
        codes = together.chosen_codes(chosen)
        if len(codes) > together.MOST_CHANGED:
            text = _("More than %(most)d rows: choose fewer by the filters.") % {"most": together.MOST_CHANGED}
            self.message_user(request, text, messages.ERROR)
            return None
        user = int(request.user.pk or 0)
        form = together.ChangesForm(user, request.POST if "fields" in request.POST else None)
        if form.is_bound and form.is_valid() and self._listed(request, form, user, codes):
            if not form.changes:
                return None
            text = together.sheet_of(codes, form.changes)
            may_add, may_change = self._may(request)
            made = sheets.plan(self.sheet, text, may_add=may_add, may_change=may_change)
            return self._preview(request, made, text, str(_("chosen in the list")))
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": _("Change together"), "form": form,
            "codes": codes, "few": codes[:10], "action": "change_together",
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME), "across": request.POST.get("select_across", "0"),
        }  # fmt: skip
        return TemplateResponse(request, "api/admin/together.html", shown)

    def _listed(self, request: HttpRequest, form: together.ChangesForm, user: int, codes: list[str]) -> bool:
        """Put them into the lists that were named, and say so; False, with an error in the form, if one has no room."""
        for one, comes in form.lists:
            field: Any = "into" if comes else "out_of"
            try:
                count = watchlists.put(user, one.pk, codes, comes=comes)
            except watchlists.NotKept as error:
                form.add_error(field, str(error))
                return False
            except watchlists.NoSuchWatchlist:  # deleted since the form was read
                form.add_error(field, form.fields[field].error_messages["invalid_choice"])
                return False
            told = {"count": count, "name": one.name}
            text = _("%(count)d into %(name)s.") if comes else _("%(count)d out of %(name)s.")
            self.message_user(request, text % told, messages.SUCCESS)
        return True


@admin.register(SymbolChange)
class SymbolChangeAdmin(site.ReadOnly):
    list_display = ("found_at", "symbol", "what", "before", "after")
    list_filter = ("what",)
    search_fields = ("=symbol", "before", "after")


@admin.register(Market)
class MarketAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("code", "name", "name_en", "timezone", "trade_date_shift_s", "open_on_weekends")
    search_fields = ("code", "name", "name_en")

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
