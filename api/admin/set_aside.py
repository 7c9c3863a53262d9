"""What lies aside: refused rows and batches that could not be processed, with who sent them and why, found by that, and
judged again by a worker."""

from __future__ import annotations

import datetime
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import BigIntegerField, CharField, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, Length
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api import refusals
from api.admin import asking
from api.admin.site import ReadOnly
from marketdata.models import Client, DeadLetter, IngestBatch, IngestReject, IngestRequeue, IngestStream, Source
from marketdata.types import reject_reasons
from marketdata.types.tick_arrays import SEQ_BITS

MOST_STREAMS = 300  # the newest of a client or a source, by which its batches are found
_PAYLOAD_SHOWN = 256
_SPANS = {"hour": datetime.timedelta(hours=1), "day": datetime.timedelta(days=1), "week": datetime.timedelta(days=7)}


def number_of(batch: int) -> str:
    """A batch as stream/seq."""
    return f"{batch >> SEQ_BITS}/{batch & ((1 << SEQ_BITS) - 1)}"


class _OfBatch(admin.SimpleListFilter):
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


class _Client(_OfBatch):
    title, parameter_name = _("client"), "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        names = Client.objects.filter(may_send=True).order_by("name").values_list("name", flat=True)[:200]
        return [(name, name) for name in names]

    def chosen(self, value: str) -> QuerySet[IngestStream]:
        return IngestStream.objects.filter(client__name=value)


class _Source(_OfBatch):
    title, parameter_name = _("source"), "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(code, code) for code in Source.objects.order_by("code").values_list("code", flat=True)]

    def chosen(self, value: str) -> QuerySet[IngestStream]:
        return IngestStream.objects.filter(client__source__code=value)


class _Since(admin.SimpleListFilter):
    title, parameter_name = _("refused within"), "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("hour", _("an hour")), ("day", _("a day")), ("week", _("a week"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = _SPANS.get(self.value() or "")
        return queryset if span is None else queryset.filter(created_at__gte=timezone.now() - span)


class _Reason(admin.SimpleListFilter):
    title, parameter_name = _("reason"), "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(word, f"{word} · {refusals.ROWS[word]}") for word in reject_reasons.names(~0)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = self.value()
        if word is None:
            return queryset
        # One of the words, not a part of one.
        alone, begins = Q(reasons=word), Q(reasons__startswith=f"{word} ")
        return queryset.filter(alone | begins | Q(reasons__endswith=f" {word}") | Q(reasons__contains=f" {word} "))


class _SetAside(ReadOnly):
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

    @admin.display(description=_("batch"), ordering="batch")
    def number(self, row: Any) -> str:
        return number_of(row.batch)

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
    list_filter = (_Since, _Client, _Source, _Reason)
    search_fields = ("reasons", "record", "=batch")
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
    list_filter = ("code", _Since, _Client, _Source)
    search_fields = ("=batch", "error")
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
class RequeueAdmin(ReadOnly):
    list_display = ("created_at", "number", "asked_by", "selection", "judged", "stored", "announced")
    list_filter = ("asked_by",)
    ordering = ("-id",)
    fields = list_display

    @admin.display(description=_("batch"), ordering="batch")
    def number(self, requeue: IngestRequeue) -> str:
        return number_of(requeue.batch)
