"""Lists of what the upkeep did: rollovers, backups, what retention removed. What errors say may name addresses, and is
for people who operate, in the administration."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import label_for_field
from django.utils.translation import gettext_lazy as _

from api.lists.listing import DASH, PAGE, Asked, Column, Listing, moment, number
from api.views.status_upkeep import backup_shown
from marketdata.models import BackupRun, DroppedDay, RolloverRun


def rollovers(asked: Asked) -> Listing:
    rows = RolloverRun.objects.order_by("-trade_date")
    if asked["date"] is not None:
        rows = rows.filter(trade_date=asked["date"])
    steps = ("counted_at", "sealed_at", "verified_at", "moved_at", "aggregated_at", "cleaned_at", "done_at")
    return Listing(
        _("Rollovers"),
        [
            Column(_("trading date")), Column(_("state"), text=True), Column(_("ticks")), Column(_("late ticks")),
            Column(_("daily candles")), Column(_("tries")),
            *(Column(str(label_for_field(name, RolloverRun))) for name in steps),
        ],
        [
            [
                one.trade_date.isoformat(), one.get_state_display(), number(one.rows), number(one.late_rows),
                number(one.daily), number(one.tries), *(moment(getattr(one, name)) for name in steps),
            ]
            for one in rows[:PAGE]
        ],
        None, _("How each trading date went from the ticks of the day to history, step by step."),
    )  # fmt: skip


def backups(asked: Asked) -> Listing:
    rows = BackupRun.objects.order_by("-pk")
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before[0])
    found = list(rows[: PAGE + 1])
    return Listing(
        _("Backups"),
        [
            Column(_("name"), text=True), Column(_("kind"), text=True), Column(_("state"), text=True),
            Column(_("bytes")), Column(_("started at")), Column(_("ended at")), Column(_("restored and compared at")),
            Column(_("tables")), Column(_("rows compared")), Column(_("copied elsewhere at")),
        ],
        [_backup(one) for one in found[:PAGE]],
        str(found[PAGE - 1].pk) if len(found) > PAGE else None,
        _("Each backup, and whether it was restored beside the original and compared with it."),
    )  # fmt: skip


def _backup(one: BackupRun) -> list[str]:
    told: dict[str, Any] = backup_shown(one) or {}
    compared = one.verified_at is not None
    return [
        one.name, one.get_kind_display(), one.get_state_display(), number(one.bytes), moment(one.started_at),
        moment(one.ended_at), moment(one.verified_at), number(told["tables"]) if compared else DASH,
        number(told["rows"]) if compared else DASH, moment(one.copied_at),
    ]  # fmt: skip


def dropped(asked: Asked) -> Listing:
    rows = DroppedDay.objects.order_by("-trade_date", "kind")
    if asked["kind"]:
        rows = rows.filter(kind=asked["kind"])
    return Listing(
        _("Dropped days"),
        [
            Column(_("trading date")), Column(_("kind"), text=True), Column(_("rows")), Column(_("times")),
            Column(_("last dropped at")),
        ],
        [
            [
                one.trade_date.isoformat(), one.get_kind_display(), number(one.rows), number(one.times),
                moment(one.dropped_at),
            ]
            for one in rows[:PAGE]
        ],
        None, _("What was removed because it was past its time."),
    )  # fmt: skip
