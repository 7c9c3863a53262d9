"""Lists of the ledger: batches, what was refused, what lies aside whole, what is missing, what was taken back. The
content of refused rows and what errors say is for people who operate, in the administration."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from analytics.quality import days
from api import refusals
from api.admin.set_aside import MOST_REJECTS_READ, SPANS, number_of
from api.admin.site import moment as to_the_microsecond
from api.lists.listing import (
    BATCH,
    CLIENT,
    DASH,
    FEED,
    PAGE,
    SYMBOL,
    Asked,
    Column,
    Listing,
    decimal,
    exact,
    moment,
    number,
)
from marketdata.ledger import gap_reasons
from marketdata.models import DeadLetter, Gap, IngestBatch, IngestReject, IngestStream, VoidedTick
from marketdata.types.tick_arrays import SEQ_BITS
from terminals import wire

MOST_LETTERS_READ = 1_000
MOST_BATCHES_READ = 50_000  # for one page of some feeds: no index has a feed, and one may have sent nothing for weeks


def _clients(batches: Iterable[int]) -> dict[int, str]:
    """Who sent, by stream."""
    streams = {batch >> SEQ_BITS for batch in batches}
    return dict(IngestStream.objects.filter(pk__in=streams).values_list("pk", "client__name"))


def _feeds(batches: Iterable[int]) -> dict[int, str]:
    return dict(IngestBatch.objects.filter(pk__in=set(batches)).values_list("pk", "feed"))


def _span(asked: Asked) -> datetime.datetime | None:
    return asked.now - SPANS[asked["since"]] if asked["since"] else None


def _page(rows: QuerySet[Any], asked: Asked) -> tuple[list[Any], str | None]:
    """PAGE rows in the order of their key, the newest first, and where the next page begins."""
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before[0])
    found = list(rows.order_by("-pk")[: PAGE + 1])
    return found[:PAGE], str(found[PAGE - 1].pk) if len(found) > PAGE else None


def _edge(rows: QuerySet[IngestBatch]) -> int | None:
    """When the batch behind the newest MOST_BATCHES_READ of these was committed; None where there is none."""
    times = rows.order_by("-committed_us").values_list("committed_us", flat=True)
    return next(iter(times[MOST_BATCHES_READ : MOST_BATCHES_READ + 1]), None)


def batches(asked: Asked) -> Listing:
    """The newest batches, of some feeds those among MOST_BATCHES_READ of all, behind which the next page goes on; of a
    trading date those that stored ticks of it, `late` the ones after it was sealed."""
    rows = IngestBatch.objects.all()
    words: Any = _("Each batch that a terminal sent, from its receipt to its commit.")
    since, edge_us = _span(asked), None
    if since is not None:
        rows = rows.filter(committed_us__gte=int(since.timestamp() * 1e6))
    if asked.before is not None:
        committed_us, batch = asked.before
        rows = rows.filter(Q(committed_us__lt=committed_us) | Q(batch__lt=batch), committed_us__lte=committed_us)
    if asked.of_feeds and asked["date"] is None:
        edge_us = _edge(rows)
        rows = rows if edge_us is None else rows.filter(committed_us__gte=edge_us)
    if asked.of_feeds is not None:
        rows = rows.filter(feed__in=asked.of_feeds)
    if asked["date"] is not None:
        late = None if asked["late"] is None else asked["late"] == "1"
        rows = days.storing(asked["date"], rows, late=late)
        words = _("Batches that stored ticks of the trading date.")
        if late:
            words = _("Batches that stored ticks of the trading date after it was sealed.")
    found = list(rows.order_by("-committed_us", "-batch")[: PAGE + 1])
    shown, clients = found[:PAGE], _clients(one.batch for one in found)
    older = None if edge_us is None else f"{edge_us}.0"
    if len(found) > PAGE:
        older = f"{shown[-1].committed_us}.{shown[-1].batch}"
    return Listing(
        _("Batches"),
        [
            BATCH, CLIENT, FEED, Column(_("state"), text=True), Column(_("rows")), Column(_("stored rows")),
            Column(_("refused rows")), Column(_("received")), Column(_("committed")), Column(_("waited, ms")),
        ],
        [
            [
                number_of(one.batch), clients.get(one.batch >> SEQ_BITS, DASH), one.feed, one.get_state_display(),
                number(one.rows), number(one.stored), number(one.rejected), to_the_microsecond(one.received_us),
                to_the_microsecond(one.committed_us), f"{(one.committed_us - one.received_us) / 1000:,.1f}",
            ]
            for one in shown
        ],
        older, words,
    )  # fmt: skip


def refused(asked: Asked) -> Listing:
    """Refused rows without their content: of a trading date as the page of quality counts them, else of the newest
    MOST_REJECTS_READ."""
    rows = IngestReject.objects.all()
    if asked["date"] is not None:
        rows = days.rejects(asked["date"], rows)
    else:
        edge = list(rows.order_by("-pk").values_list("pk", flat=True)[MOST_REJECTS_READ : MOST_REJECTS_READ + 1])
        rows = rows.filter(pk__gt=edge[0]) if edge else rows
    since = _span(asked)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    if asked["reason"]:
        rows = rows.filter(days.of_reason(asked["reason"]))
    if asked["symbol"]:
        read = rows.filter(record__contains=asked["symbol"]).order_by("-pk").values_list("pk", "record")
        mine = [pk for pk, record in read[:MOST_REJECTS_READ] if days.symbol_of(record) == asked["symbol"]]
        rows = IngestReject.objects.filter(pk__in=mine)
    if asked.of_feeds is not None:
        rows = rows.filter(batch__in=IngestBatch.objects.filter(feed__in=asked.of_feeds).values("batch"))
    shown, older = _page(rows.defer("record"), asked)
    clients, of_feeds = _clients(one.batch for one in shown), _feeds(one.batch for one in shown)
    return Listing(
        _("Refused rows"),
        [
            BATCH, CLIENT, FEED, Column(_("place in the batch")), Column(_("reasons"), text=True),
            Column(_("meaning"), text=True), Column(_("refused at")),
        ],
        [
            [
                number_of(one.batch), clients.get(one.batch >> SEQ_BITS, DASH), of_feeds.get(one.batch, DASH),
                number(one.idx), one.reasons, refusals.words(one.reasons), moment(one.created_at),
            ]
            for one in shown
        ],
        older, _("Rows that were not stored, and why. What they said is for people who operate."),
    )  # fmt: skip


def letters(asked: Asked) -> Listing:
    """Whole batches that lie aside, of the newest MOST_LETTERS_READ."""
    rows = DeadLetter.objects.defer("payload", "error").order_by("-pk")
    since = _span(asked)
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    if asked["code"]:
        rows = rows.filter(code=asked["code"])
    found = list(rows[:MOST_LETTERS_READ])
    clients, of_feeds = _clients(one.batch for one in found), _feeds(one.batch for one in found)
    if asked.of_feeds is not None:
        found = [one for one in found if of_feeds.get(one.batch) in asked.of_feeds]
    return Listing(
        _("Dead letters"),
        [
            BATCH, CLIENT, FEED, Column(_("code"), text=True), Column(_("meaning"), text=True),
            Column(_("refused at")),
        ],
        [
            [
                number_of(one.batch), clients.get(one.batch >> SEQ_BITS, DASH), of_feeds.get(one.batch, DASH), one.code,
                refusals.words(one.code), moment(one.created_at),
            ]
            for one in found
        ],
        None, _("Whole batches that could not be stored. People who operate may let them be judged again."),
    )  # fmt: skip


def gaps(asked: Asked) -> Listing:
    """What is known to be missing; of a symbol also what is missing of its whole feed."""
    rows = Gap.objects.all()
    if asked["date"] is not None:
        rows = rows.filter(trade_date=asked["date"])
    if asked.of_feeds is not None:
        rows = rows.filter(feed__in=asked.of_feeds)
    if asked["symbol"]:
        rows = rows.filter(symbol__in=[asked["symbol"], ""])
    if asked["reason"]:
        rows = rows.filter(reason=asked["reason"])
    shown, older = _page(rows, asked)
    return Listing(
        _("Gaps"),
        [
            FEED, SYMBOL, Column(_("from")), Column(_("to")), Column(_("missing rows")), Column(_("missing volume")),
            Column(_("trading date")), Column(_("reason"), text=True), Column(_("told at")),
        ],
        [
            [
                one.feed, one.symbol or str(_("all")), to_the_microsecond(one.from_us), to_the_microsecond(one.to_us),
                number(one.rows), exact(one.missing, wire.SIZE_SCALE),
                DASH if one.trade_date is None else one.trade_date.isoformat(), gap_reasons.words(one.reason),
                moment(one.created_at),
            ]
            for one in shown
        ],
        older, _("What is known to be missing, as it was told. Without a symbol it is of the whole feed."),
    )  # fmt: skip


def voided(asked: Asked) -> Listing:
    """Ticks that were taken back."""
    rows = VoidedTick.objects.select_related("order")
    for name, column in (("date", "trade_date"), ("symbol", "symbol")):
        if asked[name]:
            rows = rows.filter(**{column: asked[name]})
    if asked.of_feeds is not None:
        rows = rows.filter(feed__in=asked.of_feeds)
    shown, older = _page(rows, asked)
    return Listing(
        _("Ticks taken back"),
        [
            SYMBOL, FEED, Column(_("trading date")), Column(_("time")), Column(_("price")), Column(_("size")),
            Column(_("reason"), text=True), Column(_("ordered at")),
        ],
        [
            [
                one.symbol, one.feed, one.trade_date.isoformat(), to_the_microsecond(one.time_us),
                *_price_and_size(one.record), one.order.reason, moment(one.order.created_at),
            ]
            for one in shown
        ],
        older, _("They count in no candle and no sum any more."),
    )  # fmt: skip


def _price_and_size(record: str) -> Sequence[str]:
    told = json.loads(record)
    return [decimal(told.get(name)) for name in ("price", "size")]
