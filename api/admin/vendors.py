"""What was asked of a vendor: its minute bars where something of ours was lost, and the daily questions."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from api.admin.site import ReadOnly, moment
from api.timetable_names import NAMES
from marketdata.models import VendorMinute, VendorRun
from marketdata.types.tick_arrays import decimal_text
from terminals import wire

JOBS = {
    "vendor_masters": NAMES["symbols from the master files of KIS"],
    "vendor_limits": _("price limits of the day from KIS"),
    "holidays": NAMES["holidays of KIS beside the calendar"],
}
"""What is asked daily, by `VendorRun.job`."""


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
    list_display = fields = ("job", "called", "run_date", "begun_at", "told")

    @admin.display(description=_("what"))
    def called(self, run: VendorRun) -> str:
        return str(JOBS.get(run.job, "–"))

    @admin.display(description=_("outcome"))
    def told(self, run: VendorRun) -> str:
        return run.shown
