"""The calendar's exceptions, which an administrator enters, and what the upkeep did: rollovers, backups, alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api.admin.asking import AskingPages
from api.admin.sheets import SheetAdmin
from api.admin.site import ReadOnly, moment
from marketdata.models import (
    Alarm,
    BackupRun,
    CalendarOverride,
    DroppedDay,
    FanoutPosition,
    JobLease,
    RolloverRun,
)
from marketdata.reference import sheets
from marketdata.types import titles


@admin.register(CalendarOverride)
class CalendarOverrideAdmin(SheetAdmin):
    sheet = sheets.OVERRIDES
    list_display = ("date", "market", "is_open", "shift_minutes", "regular_open", "regular_close", "note", "source")
    list_filter = ("market", "is_open")
    date_hierarchy = "date"
    search_fields = ("note", "source")


@admin.register(RolloverRun)
class RolloverRunAdmin(AskingPages):
    works = ("rollover", "retention")
    list_display = ("trade_date", "state", "rows", "late_rows", "daily", "done_at", "archived_at", "told")
    list_filter = ("state",)
    date_hierarchy = "trade_date"
    fields = (
        "trade_date", "state", "expected", "rows", "checksum", "late_rows", "daily", "told", "tries", "retry_at",
        "accepted", "counted_at", "sealed_at", "verified_at", "moved_at", "aggregated_at", "cleaned_at", "done_at",
        "archived_at", "dropped_at", "fence",
    )  # fmt: skip

    @admin.display(description=_("error"))
    def told(self, run: RolloverRun) -> str:
        return run.shown


@admin.register(DroppedDay)
class DroppedDayAdmin(AskingPages):
    works = ("retention",)
    list_display = ("trade_date", "kind", "rows", "times", "dropped_at")
    list_filter = ("kind",)
    date_hierarchy = "trade_date"
    fields = ("trade_date", "kind", "rows", "checksum", "times", "dropped_at")


@admin.register(BackupRun)
class BackupRunAdmin(AskingPages):
    works = ("backup",)
    list_display = (
        "name", "kind", "state", "bytes", "started_at", "verified_at", "copied_at", "copy_proven_at", "told",
    )  # fmt: skip
    list_filter = ("state", "kind")
    fields = (
        "name", "kind", "base", "vendor", "state", "position", "bytes", "raw_bytes", "sha256", "started_at", "ended_at",
        "verified_at", "told", "copied_at", "copy_bytes", "copy_sha256", "copy_signer", "copy_proven_at",
        "copy_restored", "copy_place", "whole_report",
    )  # fmt: skip

    @admin.display(description=_("error"))
    def told(self, run: BackupRun) -> str:
        return run.shown

    @admin.display(description=_("report"))
    def whole_report(self, run: BackupRun) -> str:
        return format_html("<pre>{}</pre>", json.dumps(run.report, ensure_ascii=False, indent=1, default=str)[:100_000])


class _ByCode(admin.AllValuesFieldListFilter):
    """Codes that occur, each with what it is called."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": titles.alarm(str(choice["display"]))}


@admin.register(Alarm)
class AlarmAdmin(ReadOnly):
    list_display = ("named", "subject", "told", "count", "raised_at", "seen_at", "cleared_at")
    list_filter = (("cleared_at", admin.EmptyFieldListFilter), ("code", _ByCode))
    fields = (
        "named", "subject", "told", "count", "raised_at", "seen_at", "acknowledged_at", "acknowledged_by", "cleared_at",
        "cleared_by",
    )  # fmt: skip
    readonly_fields = ("told",)

    @admin.display(description=_("alarm"), ordering="code")
    def named(self, alarm: Alarm) -> str:
        return titles.alarm(alarm.code)

    @admin.display(description=_("message"))
    def told(self, alarm: Alarm) -> str:
        return alarm.shown


@admin.register(JobLease)
class JobLeaseAdmin(ReadOnly):
    list_display = ("job", "owner", "fence")
    fields = ("job", "owner", "fence", "until_us")


@admin.register(FanoutPosition)
class FanoutPositionAdmin(ReadOnly):
    list_display = ("feed", "behind", "published", "delivered", "seen", "away_since", "wrong")
    fields = (
        "feed", "behind", "published", "delivered", "seen", "away_since", "wrong", "epoch", "offset", "fence",
    )  # fmt: skip
    readonly_fields = ("behind", "published", "delivered", "seen", "away_since", "wrong")

    @admin.display(description=_("behind the feed, seconds"))
    def behind(self, position: FanoutPosition) -> str:
        return f"{position.behind_s:.3f}"

    @admin.display(description=_("newest commit published"))
    def published(self, position: FanoutPosition) -> str:
        return moment(position.published_us or None)

    @admin.display(description=_("last delivery"))
    def delivered(self, position: FanoutPosition) -> str:
        return moment(position.delivered_us or None)

    @admin.display(description=_("last looked at"))
    def seen(self, position: FanoutPosition) -> str:
        return moment(position.seen_us or None)

    @admin.display(description=_("broker away since"))
    def away_since(self, position: FanoutPosition) -> str:
        return moment(position.trouble_us or None)

    @admin.display(description=_("what the broker's client says"))
    def wrong(self, position: FanoutPosition) -> str:
        return position.trouble or "–"
