"""Corporate actions by which candles are adjusted, and codes that shares had before."""

from __future__ import annotations

from django.contrib import admin

from api.admin.sheets import SheetAdmin
from marketdata.models import AdjustmentFactor, SymbolRename
from marketdata.reference import sheets


@admin.register(AdjustmentFactor)
class AdjustmentFactorAdmin(SheetAdmin):
    sheet = sheets.FACTORS
    list_display = ("symbol", "ex_date", "kind", "old_rate", "new_rate", "cash", "source", "changed_at")
    list_filter = ("kind", "ex_date")
    search_fields = ("=symbol", "source")
    date_hierarchy = "ex_date"


@admin.register(SymbolRename)
class SymbolRenameAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("old", "new", "since", "source")
    search_fields = ("=old", "=new")
