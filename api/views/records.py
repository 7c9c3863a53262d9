"""What happened beside the ticks: events of a market, gaps, and what was corrected afterwards; in pages by key."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.series import timeframes
from api.auth import access
from api.rest import errors, feeds, jsontext, paging, response_schemas, series
from api.rest.queries import MOST_INDEX_DAYS, CorrectionsQuery, EventsQuery, GapsQuery
from api.rest.timestamps import EARLIEST_US, LATEST_US
from api.views import bars as bars_view
from marketdata.models import Feed, Gap, VendorMinute, VoidedTick
from marketdata.storage import TickKey, storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import decimal_text
from marketdata.types.units import DAY_US
from terminals import wire

TIMEZONE = "Asia/Seoul"  # of dates in `start` and `end` where no symbol gives one
Rows = list[dict[str, Any]]


def bounds(query: dict[str, Any]) -> tuple[int, int]:
    """First and last time asked for, in microseconds, both included. Unprocessable if they are the wrong way round."""
    start, end = query.get("start"), query.get("end")
    first_us = start.first_us(TIMEZONE) if start else EARLIEST_US
    last_us = end.last_us(TIMEZONE) if end else LATEST_US
    if first_us > last_us:
        raise errors.Unprocessable({"start": gettext("is after end")})
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


@dataclass(frozen=True, slots=True)
class Shares:
    """Of which shares rows of first_us <= time < end_us are wanted: (symbol as it was asked for, code, first and end in
    which it was the share's); None for all. `headers` are the answer's."""

    first_us: int
    end_us: int
    stretches: list[tuple[str, str, int, int]] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def asked(cls, query: dict[str, Any], first_us: int, last_us: int) -> Shares:
        """Those that a request names, between two times, both included."""
        if not query.get("symbols"):
            return cls(first_us, last_us + 1)
        known = series.shares(query["symbols"], {"asof": query.get("asof")})
        stretches = [(one.symbol, *part) for one in known.found for part in one.codes(first_us, last_us + 1)]
        return cls(first_us, last_us + 1, stretches, known.headers)

    @property
    def codes(self) -> list[tuple[str, int, int]] | None:
        """As storage asks for them."""
        return None if self.stretches is None else [(code, first, end) for _, code, first, end in self.stretches]

    def rows(self, first: str, last: str, *, also: Sequence[str] = ()) -> Q:
        """Rows of these shares whose first and last time is in these columns, and those of the codes `also`."""
        if self.stretches is None:
            return Q()
        found, whole = Q(), [*also]
        for _, code, first_us, end_us in self.stretches:
            if (first_us, end_us) == (self.first_us, self.end_us):
                whole.append(code)
            else:
                found |= Q(("symbol", code), (f"{first}__lt", end_us), (f"{last}__gte", first_us))
        return found | Q(symbol__in=whole)

    def name(self, code: str, first_us: int, last_us: int) -> str:
        """The symbol by which the share was asked for that had this code then."""
        return next((
            symbol for symbol, of, from_us, end_us in self.stretches or ()
            if of == code and first_us < end_us and last_us >= from_us
        ), code)  # fmt: skip


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


def _event(one: MarketEvent, shares: Shares) -> dict[str, Any]:
    return {
        "t": jsontext.time(one.time_us), "i": one.event_id, "type": one.kind, "x": one.feed,
        "S": shares.name(one.symbol, one.time_us, one.time_us), "body": one.body,
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
        if "index" in query:
            furthest_us = first_us + MOST_INDEX_DAYS * DAY_US - 1
            if "end" in query and last_us > furthest_us:
                too_far = gettext("is more than {most} days after start").format(most=MOST_INDEX_DAYS)
                raise errors.Unprocessable({"end": too_far})
            last_us = min(last_us, furthest_us)
        after, shares = _after(query, asked), Shares.asked(query, first_us, last_us)
        found = storage().read_events(
            first_us, last_us + 1, limit=query["limit"] + 1, kinds=[query["type"]] if "type" in query else None,
            codes=shares.codes, feeds=names, index=query.get("index"), newest=newest,
            after=None if after is None else (after.time_us, after.tick_id),
        )  # fmt: skip
        if newest:
            found.reverse()
        more = len(found) > query["limit"]
        found = found[: query["limit"]]
        token = _token((found[-1].time_us, found[-1].event_id), asked) if more else None
        told = {"events": [_event(one, shares) for one in found], "next_page_token": token}
        return Response(told, headers=shares.headers)


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
        shares = Shares.asked(query, first_us, last_us)
        rows = Gap.objects.filter(
            shares.rows("from_us", "to_us", also=[""]), from_us__lte=last_us, to_us__gte=first_us
        )  # fmt: skip
        if names is not None:
            rows = rows.filter(feed__in=names)
        if query.get("reason"):  # not startswith: SQLite would take capitals and small letters for the same
            rows = rows.annotate(begins=Left("reason", len(query["reason"]))).filter(begins=query["reason"])
        found, token = _page(rows, query, question("gaps", query))
        told = {"gaps": [_gap(one, shares) for one in found], "next_page_token": token}
        return Response(told, headers=shares.headers)


def _gap(one: Gap, shares: Shares) -> dict[str, Any]:
    return {
        "i": one.pk, "x": one.feed, "S": shares.name(one.symbol, one.from_us, one.to_us),
        "from": jsontext.time(one.from_us), "to": jsontext.time(one.to_us),
        "rows": one.rows, "missing": number(one.missing, wire.SIZE_SCALE),
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
            return _late(query, asked)
        first_us, last_us = bounds(query)
        names, shares = readable(request, query), Shares.asked(query, first_us, last_us)
        void = query["type"] == "void"
        time = "time_us" if void else "minute_us"
        rows: QuerySet[Any] = (
            VoidedTick.objects.select_related("order") if void else VendorMinute.objects.filter(rev__gt=0)
        )
        rows = rows.filter(shares.rows(time, time), **{f"{time}__gte": first_us, f"{time}__lte": last_us})
        if names is not None:
            rows = rows.filter(feed__in=names)
        page, token = _page(rows, query, asked)
        shown = [_void(one) if void else _vendor(one) for one in page]
        for one, told in zip(page, shown, strict=True):
            told["S"] = shares.name(one.symbol, getattr(one, time), getattr(one, time))
        return Response({"corrections": shown, "next_page_token": token}, headers=shares.headers)


def _void(one: VoidedTick) -> dict[str, Any]:
    given = json.loads(one.record)
    return {
        "type": "void", "t": jsontext.time(one.time_us), "x": one.feed, "i": one.tick_id,
        "tick": {name: given[name] for name in ("kind", "price", "size") if name in given},
        "reason": one.order.reason, "at": one.order.created_at, "order": one.order_id,
    }  # fmt: skip


def _vendor(one: VendorMinute) -> dict[str, Any]:
    prices = {name[0]: number(getattr(one, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")}
    return {
        "type": "vendor", "t": jsontext.time(one.minute_us), "x": one.feed, "src": one.vendor,
        "rev": one.rev, "at": one.fetched_at, "bar": {**prices, "v": number(one.volume, wire.SIZE_SCALE)},
    }  # fmt: skip


def _late(query: dict[str, Any], asked: str) -> Response:
    """Minute candles with a revision; a page that read many without one is short and has a token."""
    if not query.get("symbols"):
        raise errors.Unprocessable({"symbols": gettext("late changes are told of named symbols")})
    symbols = query["symbols"]
    known = series.known(symbols, query)
    page = paging.read_bars(
        known.found, timeframes.MINUTE, after=series.after(query, asked, symbols),
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
    token = paging.encode_token(page.next, asked) if page.next else None
    return Response({"corrections": shown, "next_page_token": token}, headers=known.headers)
