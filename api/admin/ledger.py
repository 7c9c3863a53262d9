"""The ledger to read: streams, batches, what was voided, gaps. What was refused is in `api.admin.set_aside`."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from typing import Any

import redis
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from analytics import voids
from analytics.quality import days
from api.admin.asking import MOST_BATCHES, AskingPages, ask, may, refuse
from api.admin.set_aside import ByClient, BySource, OfBatches, OfDate, Within
from api.admin.site import ReadOnly, moment
from marketdata.calendar import feed_hours
from marketdata.ledger import gap_reasons
from marketdata.maintenance import leases
from marketdata.models import (
    Gap,
    IngestBatch,
    IngestStream,
    VendorMinute,
    VoidedTick,
    VoidOrder,
)
from marketdata.storage import StorageError
from marketdata.types.units import MINUTE_US
from marketdata.vendors import gap_minutes
from terminals import wire

log = logging.getLogger(__name__)

MOST_NAMED = 10  # dates and symbols in the audit of what was asked


@admin.register(IngestStream)
class StreamAdmin(ReadOnly):
    list_display = ("id", "client", "epoch", "created_at")
    list_filter = ("client",)
    search_fields = ("client__name", "epoch")


@admin.register(VoidOrder)
class VoidOrderAdmin(ReadOnly):
    list_display = ("id", "created_at", "reason", "ordered_by", "selection", "done_at", "restored_at")
    ordering = ("-id",)
    actions = ("restore",)

    @admin.action(description=_("Put back what was voided"), permissions=("change_order",))
    def restore(self, request: HttpRequest, chosen: QuerySet[VoidOrder]) -> None:
        for order in chosen:
            count = _carried_out(self, request, lambda order=order: voids.restore(order, by=str(request.user)))  # type: ignore[misc]
            if count is not None:
                self.log_change(request, order, f"restored {count} ticks")
                text = _("%(count)d ticks put back.") % {"count": count}
                self.message_user(request, text, messages.SUCCESS)

    def has_change_order_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("marketdata.change_voidorder")


@admin.register(VoidedTick)
class VoidedTickAdmin(ReadOnly):
    list_display = ("order", "symbol", "feed", "trade_date", "time", "record")
    list_filter = ("feed",)
    list_select_related = ("order",)
    ordering = ("-order", "time_us")
    search_fields = ("=symbol",)

    @admin.display(description=_("time"), ordering="time_us")
    def time(self, tick: VoidedTick) -> str:
        return moment(tick.time_us)


def _carried_out(page: ReadOnly, request: HttpRequest, job: Callable[[], int]) -> int | None:
    """What a job of voiding answers; None and a message if it cannot be done now."""
    try:
        count = job()
    except (voids.NothingChosen, voids.NotDone, StorageError, leases.LeaseHeld, leases.LeaseLost) as error:
        page.message_user(request, str(error), messages.ERROR)
        return None
    try:
        voids.announce()
    except redis.RedisError:
        log.info("subscribers are told of voided ticks later")  # by analytics.tasks.finish_voids
    return count


class _CommittedWithin(Within):
    """By how long ago the ledger had it."""

    title = _("committed within")

    def newer(self, rows: QuerySet[Any], since: datetime.datetime) -> QuerySet[Any]:
        return rows.filter(committed_us__gte=int(since.timestamp() * 1_000_000))


class _OfDate(OfDate):
    """Of which ticks of a trading date were stored. The last filter: it looks among the rows of the others."""

    def of(self, date: datetime.date, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        late = {"0": False, "1": True}.get(request.GET.get("late", ""))
        return days.storing(date, rows, late=late)


class _Late(admin.SimpleListFilter):
    """Before or after its trading date was sealed, where one is chosen; the filter of dates does it."""

    title, parameter_name = _("lateness"), "late"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        if "date" not in request.GET:
            return []
        return [("1", _("after the date was sealed")), ("0", _("before the date was sealed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


@admin.register(IngestBatch)
class BatchAdmin(OfBatches):
    actions = ("void",)
    list_display = ("number", "feed", "state", "rows", "stored", "rejected", "received", "committed", "waited")
    list_filter = (_CommittedWithin, ByClient, BySource, "state", "feed", _Late, _OfDate)
    ordering = ("-committed_us",)
    fields = (
        "number",
        "batch",
        "feed",
        "state",
        "rows",
        "stored",
        "rejected",
        "checksum",
        "first",
        "last",
        "received",
        "committed",
    )

    @admin.action(description=_("Void the ticks of these batches"), permissions=("void",))
    def void(self, request: HttpRequest, chosen: QuerySet[IngestBatch]) -> None:
        selection, by = voids.of_batches(chosen), str(request.user)

        def job() -> int:
            return voids.void(selection, reason="chosen in the admin", by=by).ticks

        count = _carried_out(self, request, job)
        if count is not None:
            for batch in chosen:
                self.log_change(request, batch, "ticks voided")
            text = _("%(count)d ticks voided.") % {"count": count}
            self.message_user(request, text, messages.SUCCESS)

    def has_void_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("marketdata.add_voidorder")

    @admin.display(description=_("received"), ordering="received_us")
    def received(self, batch: IngestBatch) -> str:
        return moment(batch.received_us)

    @admin.display(description=_("committed"), ordering="committed_us")
    def committed(self, batch: IngestBatch) -> str:
        return moment(batch.committed_us)

    @admin.display(description=_("waited, ms"))
    def waited(self, batch: IngestBatch) -> str:
        return f"{(batch.committed_us - batch.received_us) / 1000:.1f}"

    @admin.display(description=_("first tick"))
    def first(self, batch: IngestBatch) -> str:
        return moment(batch.first_us)

    @admin.display(description=_("last tick"))
    def last(self, batch: IngestBatch) -> str:
        return moment(batch.last_us)


@admin.register(Gap)
class GapAdmin(AskingPages):
    works = ("repair",)
    list_display = ("feed", "symbol", "begins", "ends", "rows", "volume", "trade_date", "why", "told", "created_at")
    list_filter = ("feed", "trade_date")
    search_fields = ("symbol__exact",)
    ordering = ("-id",)
    fields = (
        "feed", "symbol", "begins", "ends", "rows", "volume", "trade_date", "reason", "meaning", "told", "created_at",
    )  # fmt: skip
    actions = ("fetch_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Gap]:
        of_symbol = VendorMinute.objects.filter(symbol=OuterRef("symbol"), feed=OuterRef("feed"))
        within = of_symbol.filter(minute_us__gt=OuterRef("from_us") - MINUTE_US, minute_us__lte=OuterRef("to_us"))
        rows: QuerySet[Any] = super().get_queryset(request)
        known: QuerySet[Gap] = rows.annotate(vendors=Exists(within))
        return known

    @admin.action(description=_("Fetch again: ask KIS for its bars of these minutes"), permissions=("ask",))
    def fetch_again(self, request: HttpRequest, chosen: QuerySet[Gap]) -> None:
        """Of the feeds that KIS has bars of, and of trades: the newest MOST_BATCHES of the gaps."""
        rows = gap_minutes.fetchable(chosen).order_by("-pk")[:MOST_BATCHES]
        found = {(date.isoformat(), gap.symbol) for gap in rows for date in gap_minutes.dates(gap)}
        lost = sorted(found)[-MOST_BATCHES:]
        if not lost:
            feeds = ", ".join(feed_hours.VENUES)
            refuse(self, request, _("KIS has bars of trades alone, of the feeds %(feeds)s.") % {"feeds": feeds})
            return
        named = [f"{date}/{symbol or gap_minutes.EVERY}" for date, symbol in lost]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        ask(self, request, "repair", " ".join(named[:MOST_NAMED]) + more, lost=[list(one) for one in lost])

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return may(request)

    @admin.display(description=_("reason"), ordering="reason")
    def why(self, gap: Gap) -> str:
        return gap_reasons.words(gap.reason)

    @admin.display(description=_("meaning"))
    def meaning(self, gap: Gap) -> str:
        return gap_reasons.words(gap.reason)

    @admin.display(description=_("told by KIS"), boolean=True)
    def told(self, gap: Any) -> bool | None:
        return bool(gap.vendors) if gap.symbol else None

    @admin.display(description=_("from"), ordering="from_us")
    def begins(self, gap: Gap) -> str:
        return moment(gap.from_us)

    @admin.display(description=_("to"), ordering="to_us")
    def ends(self, gap: Gap) -> str:
        return moment(gap.to_us)

    @admin.display(description=_("missing volume"), ordering="missing")
    def volume(self, gap: Gap) -> str:
        return "" if gap.missing is None else wire.numbers.write(gap.missing, wire.SIZE_SCALE)
