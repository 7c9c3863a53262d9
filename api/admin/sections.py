"""The sections of the administration: what its pages are about, in the order in which a desk looks for them. Django
would list them by application, and nearly all are of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from api.admin import stored


@dataclass(frozen=True, slots=True)
class Section:
    """`key` in addresses, `title` above; `pages` are names of models as `app.Model`, or of `api.admin.stored`."""

    key: str
    title: Promise
    pages: tuple[str, ...]


SECTIONS = (
    Section("instruments", _("Instruments"), (
        "marketdata.Symbol", "marketdata.SymbolChange", "marketdata.SymbolRename", "marketdata.AdjustmentFactor",
        "marketdata.Market", "marketdata.CalendarOverride",
    )),
    Section("access", _("Senders and readers"), (
        "marketdata.Client", "marketdata.ApiKey", "marketdata.Source", "marketdata.Feed", "marketdata.FeedOwner",
        "auth.User", "auth.Group", "marketdata.ReadRule", "marketdata.OpenIdAccount",
    )),
    Section("stored", _("Stored data"), (
        "ticks", "order_books", "stock_prices", "market_events", "marketdata.VendorMinute", "marketdata.QualityDay",
    )),
    Section("ledger", _("Ledger"), (
        "marketdata.IngestReject", "marketdata.DeadLetter", "marketdata.Gap", "marketdata.IngestRequeue",
        "marketdata.IngestBatch", "marketdata.IngestStream", "marketdata.VoidOrder", "marketdata.VoidedTick",
    )),
    Section("upkeep", _("Upkeep"), (
        "marketdata.Alarm", "marketdata.RolloverRun", "marketdata.BackupRun", "marketdata.DroppedDay",
        "marketdata.VendorRun", "marketdata.FanoutPosition", "marketdata.JobLease", "marketdata.AuditEntry",
        "admin.LogEntry",
    )),
    Section("alerts", _("Alerts"), (
        "marketdata.AlertRule", "marketdata.Alert", "marketdata.AlertTarget", "marketdata.AlertDelivery",
    )),
    Section("timetable", _("Timetable"), (
        "django_celery_beat.PeriodicTask", "django_celery_beat.IntervalSchedule", "django_celery_beat.CrontabSchedule",
        "django_celery_beat.ClockedSchedule", "django_celery_beat.SolarSchedule",
    )),
)  # fmt: skip
OTHERS = Section("others", _("Others"), ())


def arranged(apps: Iterable[Mapping[str, Any]], request: HttpRequest) -> list[dict[str, Any]]:
    """Django's applications as sections of the same shape. A page that no section names is in the last one."""
    pages = {f"{app['app_label']}.{page['object_name']}": page for app in apps for page in app["models"]}
    pages |= {name: page for name, page in _stored(request).items() if pages}
    found = [(section, [pages.pop(name) for name in section.pages if name in pages]) for section in SECTIONS]
    found.append((OTHERS, [page for name, page in pages.items() if "." in name]))
    return [
        {
            "name": section.title, "app_label": section.key, "app_url": f"{reverse('admin:index')}#{section.key}",
            "has_module_perms": True, "models": shown,
        }
        for section, shown in found
        if shown
    ]  # fmt: skip


def _stored(request: HttpRequest) -> dict[str, dict[str, Any]]:
    """Pages that are no model's, as Django describes those of models."""
    return {
        name: {
            "name": table.title, "object_name": f"stored-{name}", "perms": {"view": True}, "view_only": True,
            "admin_url": reverse("stored", args=[name]), "add_url": None,
        }
        for name, table in stored.TABLES.items()
        if request.user.has_perm(table.permission)
    }  # fmt: skip
