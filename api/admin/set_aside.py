"""What lies aside: refused rows and batches that could not be processed, with who sent them and why, found by that, and
judged again by a worker."""

from __future__ import annotations

import datetime
import json
from abc import abstractmethod
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import BigIntegerField, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, Length
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from analytics.quality import days
from api import refusals
from api.admin import asking
from api.admin.site import ReadOnly
from marketdata.management import options
from marketdata.models import (
    Client,
    DeadLetter,
    Feed,
    IngestBatch,
    IngestReject,
    IngestRequeue,
    IngestStream,
    RolloverRun,
    Source,
)
from marketdata.types import reject_reasons
from marketdata.types.tick_arrays import SEQ_BITS

MOST_STREAMS = 300  # the newest of a client or a source, by which its batches are found
MOST_REJECTS_READ = 10_000  # as many as a list has (`api.admin.site.MOST_LISTED`)
_PAYLOAD_SHOWN, _DATES_OFFERED = 256, 10
SPANS = {"hour": datetime.timedelta(hours=1), "day": datetime.timedelta(days=1), "week": datetime.timedelta(days=7)}


def number_of(batch: int) -> str:
    """A batch as stream/seq."""
    return f"{batch >> SEQ_BITS}/{batch & ((1 << SEQ_BITS) - 1)}"


class OfBatches(ReadOnly):
    """Rows that belong to a batch, which is shown and found as stream/seq."""

    search_fields: ClassVar[tuple[str, ...]] = ("=batch",)
    search_help_text = _("Search by batch as it is shown, such as 3/1042.")

    @admin.display(description=_("batch"), ordering="batch")
    def number(self, row: Any) -> str:
        return number_of(row.batch)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The batches that are named, and whatever else is said as everywhere."""
        numbers, rest = [], []
        for word in search_term.split():
            try:
                numbers.append(options.batch(word))
            except ArgumentTypeError:
                rest.append(word)
        found = queryset.filter(batch__in=numbers) if numbers else queryset
        return super().get_search_results(request, found, " ".join(rest) if numbers else search_term)


class _OfStreams(admin.SimpleListFilter):
    """A filter by what is known of the streams that batches belong to."""

    @abstractmethod
    def chosen(self, value: str) -> QuerySet[IngestStream]:
        """The streams of a value."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(_within(self.chosen(value)))


def _within(streams: QuerySet[IngestStream]) -> Q:
    """That a batch is of the newest MOST_STREAMS of these, in a condition that an index answers."""
    numbers = sorted(streams.order_by("-pk").values_list("pk", flat=True)[:MOST_STREAMS])
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number:
            spans[-1][1] = number + 1
        else:
            spans.append([number, number + 1])
    where = Q(pk__in=[])
    for first, end in spans:
        where |= Q(batch__gte=first << SEQ_BITS, batch__lt=end << SEQ_BITS)
    return where


class ByClient(_OfStreams):
    """By who sent a batch."""

    title, parameter_name = _("client"), "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        names = Client.objects.filter(may_send=True).order_by("name").values_list("name", flat=True)[:200]
        return [(name, name) for name in names]

    def chosen(self, value: str) -> QuerySet[IngestStream]:
        return IngestStream.objects.filter(client__name=value)


class BySource(_OfStreams):
    """By what its sender reads."""

    title, parameter_name = _("source"), "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(code, code) for code in Source.objects.order_by("code").values_list("code", flat=True)]

    def chosen(self, value: str) -> QuerySet[IngestStream]:
        return IngestStream.objects.filter(client__source__code=value)


class Within(admin.SimpleListFilter):
    """By how long ago it was refused."""

    title, parameter_name = _("refused within"), "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("hour", _("an hour")), ("day", _("a day")), ("week", _("a week"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = SPANS.get(self.value() or "")
        return queryset if span is None else self.newer(queryset, timezone.now() - span)

    def newer(self, rows: QuerySet[Any], since: datetime.datetime) -> QuerySet[Any]:
        """What is not older."""
        return rows.filter(created_at__gte=since)


class _Reason(admin.SimpleListFilter):
    title, parameter_name = _("reason"), "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(word, f"{word} · {refusals.ROWS[word]}") for word in reject_reasons.names(~0)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = self.value()
        return queryset if word is None else queryset.filter(days.of_reason(word))


class OfDate(admin.SimpleListFilter):
    """Of a trading date, as the page of quality counts them; offered are the last ones, any is taken."""

    title, parameter_name = _("trading date"), "date"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        last = RolloverRun.objects.order_by("-trade_date").values_list("trade_date", flat=True)[:_DATES_OFFERED]
        return _offered([date.isoformat() for date in last], request.GET.get("date"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = self.value()
        if text is None:
            return queryset
        try:
            return self.of(datetime.date.fromisoformat(text), request, queryset)
        except (ValueError, OverflowError):
            return queryset.none()

    def of(self, date: datetime.date, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of a date."""
        return days.rejects(date, rows)


class _OfFeed(admin.SimpleListFilter):
    title, parameter_name = _("feed"), "feed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in Feed.objects.order_by("name").values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[IngestReject]) -> QuerySet[IngestReject]:
        feed = self.value()
        mine = Exists(IngestBatch.objects.filter(pk=OuterRef("batch"), feed=feed))
        return queryset if feed is None else queryset.filter(mine)


class _OfSymbol(admin.SimpleListFilter):
    """Of a symbol that an address names, as the page of quality does. The last filter: it reads the rows of the others,
    the newest MOST_REJECTS_READ that have the code anywhere, and takes those whose symbol it is."""

    title, parameter_name = _("symbol"), "symbol"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return _offered([], request.GET.get("symbol"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[IngestReject]) -> QuerySet[IngestReject]:
        symbol = self.value()
        if symbol is None:
            return queryset
        having = queryset.filter(record__contains=symbol).order_by("-pk").values_list("pk", "record")
        read = having[:MOST_REJECTS_READ]
        return queryset.filter(pk__in=[pk for pk, record in read if days.symbol_of(record) == symbol])


def _offered(values: Sequence[str], chosen: str | None) -> list[tuple[str, str]]:
    """Choices of a filter, with the one that an address has."""
    return [(one, one) for one in (*values, *([chosen] if chosen and chosen not in values else []))]


class _SetAside(OfBatches):
    """Rows of a batch, with what the ledger knows of it."""

    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        stream = Cast(F("batch").bitrightshift(SEQ_BITS), BigIntegerField())
        streams = IngestStream.objects.filter(pk=OuterRef("stream"))
        batches = IngestBatch.objects.filter(pk=OuterRef("batch"))
        rows: QuerySet[Any] = super().get_queryset(request)
        known: QuerySet[Any] = rows.annotate(
            stream=stream,
            sent_by=Subquery(streams.values("client__name")[:1], output_field=CharField()),
            seen_by=Subquery(streams.values("client__source__code")[:1], output_field=CharField()),
            of_feed=Subquery(batches.values("feed")[:1], output_field=CharField()),
        )
        return known

    @admin.display(description=_("client"), empty_value="–")
    def client(self, row: Any) -> str | None:
        return str(row.sent_by) if row.sent_by else None

    @admin.display(description=_("source"), empty_value="–")
    def source(self, row: Any) -> str | None:
        return str(row.seen_by) if row.seen_by else None

    @admin.display(description=_("feed"), empty_value="–")
    def feed(self, row: Any) -> str | None:
        return str(row.of_feed) if row.of_feed else None

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return asking.may(request)

    def again(self, request: HttpRequest, batches: Iterable[int], code: str = "") -> None:
        """Ask a worker to judge what lies aside of these batches, of dead letters those with a code."""
        chosen = sorted(set(batches))[: asking.MOST_BATCHES]
        text = " ".join(["--code", code] if code else []) + "".join(f" --batch {number_of(one)}" for one in chosen)
        asking.ask(self, request, "requeue", text.strip(), batches=chosen, code=code)


@admin.register(IngestReject)
class RejectAdmin(_SetAside):
    list_display = ("number", "client", "source", "feed", "idx", "reasons", "short", "created_at")
    list_filter = (Within, ByClient, BySource, _Reason, OfDate, _OfFeed, _OfSymbol)
    search_fields = ("reasons", "record", "=batch")
    search_help_text = _("Search by batch as it is shown, such as 3/1042, or by what a row or its reasons say.")
    fields = ("number", "client", "source", "feed", "idx", "reasons", "meaning", "whole", "created_at")
    actions = ("judge_again",)

    @admin.action(description=_("Judge the refused rows of these batches again"), permissions=("ask",))
    def judge_again(self, request: HttpRequest, chosen: QuerySet[IngestReject]) -> None:
        self.again(request, chosen.order_by().values_list("batch", flat=True).distinct()[: asking.MOST_BATCHES])

    @admin.display(description=_("meaning"))
    def meaning(self, reject: IngestReject) -> str:
        return refusals.words(reject.reasons)

    @admin.display(description=_("row"))
    def short(self, reject: IngestReject) -> str:
        return reject.record[:100]

    @admin.display(description=_("row"))
    def whole(self, reject: IngestReject) -> str:
        try:
            text = json.dumps(json.loads(reject.record), ensure_ascii=False, indent=2)
        except ValueError:
            text = reject.record
        return format_html("<pre>{}</pre>", text)


@admin.register(DeadLetter)
class DeadLetterAdmin(_SetAside):
    list_display = ("number", "client", "source", "feed", "code", "error", "size", "again_possible", "created_at")
    list_filter = ("code", Within, ByClient, BySource)
    search_fields = ("=batch", "error")
    search_help_text = _("Search by batch as it is shown, such as 3/1042, or by what the error says.")
    fields = (
        "number",
        "client",
        "source",
        "feed",
        "code",
        "meaning",
        "error",
        "checksum",
        "size",
        "begin",
        "created_at",
    )
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A list reads no payloads, which may be large.
        rows: QuerySet[Any] = super().get_queryset(request).defer("payload")
        known: QuerySet[Any] = rows.annotate(bytes=Length("payload"))
        return known

    @admin.action(description=_("Retry"), permissions=("ask",))
    def retry(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> None:
        rows = chosen.order_by().filter(code__in=reject_reasons.LETTERS_AGAIN)
        told = list(rows.values_list("batch", "code")[: asking.MOST_BATCHES])
        if not told:
            asking.refuse(self, request, _("None of these can be stored after all: their numbers have other content."))
            return
        codes = {code for _batch, code in told}
        self.again(request, (batch for batch, _code in told), codes.pop() if len(codes) == 1 else "")

    @admin.display(description=_("meaning"))
    def meaning(self, letter: DeadLetter) -> str:
        return refusals.words(letter.code)

    @admin.display(description=_("can be retried"), boolean=True)
    def again_possible(self, letter: DeadLetter) -> bool:
        return letter.code in reject_reasons.LETTERS_AGAIN

    @admin.display(description=_("bytes"))
    def size(self, letter: Any) -> int:
        return int(letter.bytes)

    @admin.display(description=_("payload, its begin"))
    def begin(self, letter: DeadLetter) -> str:
        shown = bytes(letter.payload[:_PAYLOAD_SHOWN])
        lines = [
            f"{at:04x}  {shown[at : at + 16].hex(' '):<48} "
            + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in shown[at : at + 16])
            for at in range(0, len(shown), 16)
        ]
        return format_html("<pre>{}</pre>", "\n".join(lines))


@admin.register(IngestRequeue)
class RequeueAdmin(OfBatches):
    list_display = ("created_at", "number", "asked_by", "selection", "judged", "stored", "announced")
    list_filter = ("asked_by",)
    ordering = ("-id",)
    fields = list_display
