"""What happened beside the ticks: events of a market, gaps, and what was corrected afterwards; in pages by key."""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.db.models.functions import Left
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import timeframes
from api import access, errors, feeds, jsontext, paging, response_schemas, series
from api.serializers import CorrectionsQuery, EventsQuery, GapsQuery
from api.timestamps import EARLIEST_US, LATEST_US
from api.views import bars as bars_view
from marketdata.models import Feed, Gap, VendorMinute, VoidedTick
from marketdata.storage import TickKey, storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.ticks import decimal_text
from terminals import wire

TIMEZONE = "Asia/Seoul"  # of dates in `start` and `end` where no symbol gives one
Rows = list[dict[str, Any]]


def bounds(query: dict[str, Any]) -> tuple[int, int]:
    """First and last time asked for, in microseconds, both included. Unprocessable if they are the wrong way round."""
    start, end = query.get("start"), query.get("end")
    first_us = start.first_us(TIMEZONE) if start else EARLIEST_US
    last_us = end.last_us(TIMEZONE) if end else LATEST_US
    if first_us > last_us:
        raise errors.Unprocessable({"start": "is after end"})
    return first_us, last_us


def readable(request: Request, query: dict[str, Any]) -> list[str] | None:
    """The feeds of which rows may be told, None for all. UnknownFeed, and FeedForbidden for one that was asked for."""
    named = feeds.resolve(query["feed"]) if query.get("feed") else None
    if named is not None:
        access.require([named])
        return [named]
    if access.may_read(request.user, access.ALL_FEEDS):
        return None
    names = Feed.objects.order_by("name").values_list("name", flat=True)
    return [name for name in names if access.may_read(request.user, name)]


def question(resource: str, query: dict[str, Any]) -> str:
    """The name under which a page token of this question is good: the resource, and what narrows it."""
    narrowed = {name: str(value) for name, value in sorted(query.items()) if name not in ("limit", "page_token")}
    return f"{resource}-{zlib.crc32(json.dumps(narrowed).encode()):08x}"


def number(value: int | None, scale: int) -> msgspec.Raw | None:
    """A scaled integer as an exact JSON number."""
    return None if value is None else msgspec.Raw(decimal_text(value, scale).encode())


def _after(query: dict[str, Any], asked: str) -> TickKey | None:
    return series.after(query, asked, [""])


def _token(key: tuple[int, int] | None, asked: str) -> str | None:
    return None if key is None else paging.encode_token(TickKey("", *key), asked)


def _page(rows: QuerySet[Any], query: dict[str, Any], asked: str) -> tuple[list[Any], str | None]:
    """At most `limit` rows of a table in the order of its key, behind the page before; and the token of the next."""
    after, ascending = _after(query, asked), query["sort"] == "asc"
    rows = rows.order_by("pk" if ascending else "-pk")
    if after is not None:
        rows = rows.filter(pk__gt=after.tick_id) if ascending else rows.filter(pk__lt=after.tick_id)
    found = list(rows[: query["limit"] + 1])
    more = len(found) > query["limit"]
    found = found[: query["limit"]]
    return found, _token((0, found[-1].pk), asked) if more else None


def event(one: MarketEvent) -> dict[str, Any]:
    """An event as the API tells it."""
    return {
        "t": jsontext.time(one.time_us), "i": one.event_id, "type": one.kind, "x": one.feed, "S": one.symbol,
        "body": one.body,
    }  # fmt: skip


class EventsView(APIView):
    """Events of the market in the order of time: statuses, VIs, indices and whatever else a source tells in JSON."""

    @extend_schema(
        operation_id="events", parameters=[EventsQuery],
        responses={200: response_schemas.listed("events", response_schemas.Event), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = EventsQuery.read(request)
        asked, names, newest = question(paging.EVENTS, query), readable(request, query), query["sort"] == "desc"
        first_us, last_us = bounds(query)
        after = _after(query, asked)
        found = storage().read_events(
            first_us, last_us + 1, limit=query["limit"] + 1, kind=query.get("type"),
            symbols=query.get("symbols", ()), feeds=names, newest=newest,
            after=None if after is None else (after.time_us, after.tick_id),
        )  # fmt: skip
        if newest:
            found.reverse()
        more = len(found) > query["limit"]
        found = found[: query["limit"]]
        token = _token((found[-1].time_us, found[-1].event_id), asked) if more else None
        return Response({"events": [event(one) for one in found], "next_page_token": token})


class GapsView(APIView):
    """What is known to be missing, in the order in which it was told."""

    @extend_schema(
        operation_id="gaps", parameters=[GapsQuery],
        responses={200: response_schemas.listed("gaps", response_schemas.Gap), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = GapsQuery.read(request)
        names = readable(request, query)
        first_us, last_us = bounds(query)
        rows = Gap.objects.filter(from_us__lte=last_us, to_us__gte=first_us)
        if names is not None:
            rows = rows.filter(feed__in=names)
        if query.get("symbols"):
            rows = rows.filter(symbol__in=["", *query["symbols"]])
        if query.get("reason"):  # not startswith: SQLite would take capitals and small letters for the same
            rows = rows.annotate(begins=Left("reason", len(query["reason"]))).filter(begins=query["reason"])
        found, token = _page(rows, query, question("gaps", query))
        return Response({"gaps": [_gap(one) for one in found], "next_page_token": token})


def _gap(one: Gap) -> dict[str, Any]:
    return {
        "i": one.pk, "x": one.feed, "S": one.symbol, "from": jsontext.time(one.from_us),
        "to": jsontext.time(one.to_us), "rows": one.rows, "missing": number(one.missing, wire.SIZE_SCALE),
        "td": one.trade_date, "reason": one.reason, "told_at": one.created_at,
    }  # fmt: skip


class CorrectionsView(APIView):
    """What was corrected afterwards: trades taken back (`void`), candles that late ticks changed (`late`), minute bars
    of a vendor that it told anew (`vendor`)."""

    @extend_schema(
        operation_id="corrections", parameters=[CorrectionsQuery],
        responses={
            200: response_schemas.listed("corrections", response_schemas.Correction), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Errors: Unprocessable for late candles without symbols."""
        query = CorrectionsQuery.read(request)
        asked = question("corrections", query)
        if query["type"] == "late":
            found, token = _late(query, asked)
            return Response({"corrections": found, "next_page_token": token})
        first_us, last_us = bounds(query)
        names = readable(request, query)
        void = query["type"] == "void"
        rows: QuerySet[Any] = (
            VoidedTick.objects.select_related("order").filter(time_us__gte=first_us, time_us__lte=last_us)
            if void
            else VendorMinute.objects.filter(rev__gt=0, minute_us__gte=first_us, minute_us__lte=last_us)
        )
        if names is not None:
            rows = rows.filter(feed__in=names)
        if query.get("symbols"):
            rows = rows.filter(symbol__in=query["symbols"])
        page, token = _page(rows, query, asked)
        shown = [_void(one) if void else _vendor(one) for one in page]
        return Response({"corrections": shown, "next_page_token": token})


def _void(one: VoidedTick) -> dict[str, Any]:
    given = json.loads(one.record)
    return {
        "type": "void", "t": jsontext.time(one.time_us), "S": one.symbol, "x": one.feed, "i": one.tick_id,
        "tick": {name: given[name] for name in ("kind", "price", "size") if name in given},
        "reason": one.order.reason, "at": one.order.created_at, "order": one.order_id,
    }  # fmt: skip


def _vendor(one: VendorMinute) -> dict[str, Any]:
    prices = {name[0]: number(getattr(one, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")}
    return {
        "type": "vendor", "t": jsontext.time(one.minute_us), "S": one.symbol, "x": one.feed, "src": one.vendor,
        "rev": one.rev, "at": one.fetched_at, "bar": {**prices, "v": number(one.volume, wire.SIZE_SCALE)},
    }  # fmt: skip


def _late(query: dict[str, Any], asked: str) -> tuple[Rows, str | None]:
    """Minute candles with a revision; a page that read many without one is short and has a token."""
    if not query.get("symbols"):
        raise errors.Unprocessable({"symbols": "late changes are told of named symbols"})
    symbols = query["symbols"]
    page = paging.read_bars(
        series.known(symbols, query).found, timeframes.MINUTE, after=series.after(query, asked, symbols),
        limit=query["limit"], ascending=query["sort"] == "asc",
    )  # fmt: skip
    shown: Rows = []
    for one, bars in page.found:
        changed = bars.take(bars.rev > 0)
        texts = bars_view.text_of(one, changed, timeframes.MINUTE, LATEST_US)
        shown += [
            {"type": "late", "S": one.symbol, "x": one.feed, "bar": msgspec.Raw(jsontext.single(text))}
            for text in texts
        ]
    return shown, paging.encode_token(page.next, asked) if page.next else None
