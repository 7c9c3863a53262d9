"""What was asked of a vendor: its minute bars where something of ours was lost, and the daily questions."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from api.admin.site import ReadOnly, moment
from marketdata.models import VendorMinute, VendorRun
from marketdata.types.tick_arrays import decimal_text
from terminals import wire


@admin.register(VendorMinute)
class VendorMinuteAdmin(ReadOnly):
    list_display = ("minute", "symbol", "feed", "vendor", "last", "traded", "rev", "fetched_at")
    list_filter = ("feed", "vendor")
    search_fields = ("=symbol",)
    ordering = ("-id",)
    fields = ("trade_date", *list_display)

    @admin.display(description=_("minute"), ordering="minute_us")
    def minute(self, bar: VendorMinute) -> str:
        return moment(bar.minute_us)

    @admin.display(description=_("close"))
    def last(self, bar: VendorMinute) -> str:
        return "–" if bar.close is None else decimal_text(bar.close, wire.PRICE_SCALE)

    @admin.display(description=_("volume"))
    def traded(self, bar: VendorMinute) -> str:
        return decimal_text(bar.volume, wire.SIZE_SCALE)


@admin.register(VendorRun)
class VendorRunAdmin(ReadOnly):
    list_display = ("job", "run_date", "begun_at", "outcome")
