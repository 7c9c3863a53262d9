"""The ledger to read: batches, refused rows with their record, batches that could not be processed, gaps."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api.admin.site import ReadOnly, moment
from marketdata.models import DeadLetter, Gap, IngestBatch, IngestReject, IngestStream

_PAYLOAD_SHOWN = 256


def _number(batch: int) -> str:
    """A batch as stream/seq."""
    return f"{batch >> 32}/{batch & 0xFFFFFFFF}"


@admin.register(IngestStream)
class StreamAdmin(ReadOnly):
    list_display = ("id", "client", "epoch", "created_at")
    list_filter = ("client",)
    search_fields = ("client__name", "epoch")


@admin.register(IngestBatch)
class BatchAdmin(ReadOnly):
    list_display = ("number", "feed", "state", "rows", "stored", "rejected", "received", "committed", "waited")
    list_filter = ("state", "feed")
    ordering = ("-committed_us",)
    search_fields = ("=batch",)
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

    @admin.display(description=_("배치 batch"), ordering="batch")
    def number(self, batch: IngestBatch) -> str:
        return _number(batch.batch)

    @admin.display(description=_("수신 received"), ordering="received_us")
    def received(self, batch: IngestBatch) -> str:
        return moment(batch.received_us)

    @admin.display(description=_("커밋 committed"), ordering="committed_us")
    def committed(self, batch: IngestBatch) -> str:
        return moment(batch.committed_us)

    @admin.display(description=_("지연 ms waited, ms"))
    def waited(self, batch: IngestBatch) -> str:
        return f"{(batch.committed_us - batch.received_us) / 1000:.1f}"

    @admin.display(description=_("첫 틱 first tick"))
    def first(self, batch: IngestBatch) -> str:
        return moment(batch.first_us)

    @admin.display(description=_("마지막 틱 last tick"))
    def last(self, batch: IngestBatch) -> str:
        return moment(batch.last_us)


@admin.register(IngestReject)
class RejectAdmin(ReadOnly):
    list_display = ("number", "idx", "reasons", "short", "created_at")
    ordering = ("-id",)
    search_fields = ("reasons", "record", "=batch")
    fields = ("number", "idx", "reasons", "whole", "created_at")

    @admin.display(description=_("배치 batch"), ordering="batch")
    def number(self, reject: IngestReject) -> str:
        return _number(reject.batch)

    @admin.display(description=_("행 row"))
    def short(self, reject: IngestReject) -> str:
        return reject.record[:100]

    @admin.display(description=_("행 row"))
    def whole(self, reject: IngestReject) -> str:
        try:
            text = json.dumps(json.loads(reject.record), ensure_ascii=False, indent=2)
        except ValueError:
            text = reject.record
        return format_html("<pre>{}</pre>", text)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly):
    list_display = ("number", "code", "error", "size", "created_at")
    list_filter = ("code",)
    ordering = ("-id",)
    fields = ("number", "code", "error", "checksum", "size", "begin", "created_at")

    @admin.display(description=_("배치 batch"), ordering="batch")
    def number(self, letter: DeadLetter) -> str:
        return _number(letter.batch)

    @admin.display(description=_("바이트 bytes"))
    def size(self, letter: DeadLetter) -> int:
        return len(letter.payload)

    @admin.display(description=_("내용 앞부분 payload, its begin"))
    def begin(self, letter: DeadLetter) -> str:
        shown = bytes(letter.payload[:_PAYLOAD_SHOWN])
        lines = [
            f"{at:04x}  {shown[at : at + 16].hex(' '):<48} "
            + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in shown[at : at + 16])
            for at in range(0, len(shown), 16)
        ]
        return format_html("<pre>{}</pre>", "\n".join(lines))


@admin.register(Gap)
class GapAdmin(ReadOnly):
    list_display = ("feed", "begins", "ends", "rows", "reason", "created_at")
    list_filter = ("feed",)
    ordering = ("-id",)
    fields = ("feed", "begins", "ends", "rows", "reason", "created_at")

    @admin.display(description=_("부터 from"), ordering="from_us")
    def begins(self, gap: Gap) -> str:
        return moment(gap.from_us)

    @admin.display(description=_("까지 to"), ordering="to_us")
    def ends(self, gap: Gap) -> str:
        return moment(gap.to_us)
