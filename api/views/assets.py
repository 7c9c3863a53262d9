"""Registered symbols as the dialect's assets, and what the letters in its ticks mean."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors, jsontext, response_schemas
from api.rest.queries import AssetsQuery, MetaQuery, NoQuery
from marketdata.models import Feed, Symbol

EQUITY = "us_equity"
"""The dialect's word for whatever is no option and no coin; the enumerations of its clients know no other."""
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:naru:symbol")
_FIELDS = ("code", "name", "market_id", "category", "is_active")
CONDITIONS = {
    "trade": {
        jsontext.NO_SIZE: "the source gave no size; `s` is 0",
        jsontext.ZERO_SIZE: "nothing changed hands; it counts for no candle",
    },
    "quote": {jsontext.OF_BOOK: "the best level of an order book, where a feed has no quotes"},
}


def shown(symbols: QuerySet[Symbol]) -> list[dict[str, Any]]:
    """Symbols as assets. Nothing can be traded here; `exchange` is empty, for the dialect's clients take only its own
    exchanges, and `market` is ours."""
    return [
        {
            "id": str(uuid.uuid5(_IDS, code)), "class": EQUITY, "exchange": "", "symbol": code, "name": name,
            "status": "active" if active else "inactive", "tradable": False, "marginable": False, "shortable": False,
            "easy_to_borrow": False, "fractionable": False, "attributes": [], "market": market, "category": category,
        }
        for code, name, market, category, active in symbols.values_list(*_FIELDS)
    ]  # fmt: skip


class AssetsView(APIView):
    """Every registered symbol, in the order of the codes."""

    @extend_schema(
        operation_id="assets", parameters=[AssetsQuery],
        responses={200: response_schemas.Asset(many=True), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = AssetsQuery.read(request)
        if query.get("asset_class", EQUITY) != EQUITY:
            return Response([])
        rows = Symbol.objects.order_by("code")
        if query.get("status"):
            rows = rows.filter(is_active=query["status"] == "active")
        if query.get("exchange"):
            rows = rows.filter(market_id=query["exchange"])
        return Response(shown(rows))


class AssetView(APIView):
    """One registered symbol."""

    @extend_schema(
        operation_id="asset",
        responses={200: response_schemas.Asset, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, code: str) -> Response:
        NoQuery.read(request)
        found = shown(Symbol.objects.filter(code=code))
        if not found:
            raise errors.UnknownSymbol(_("not registered: {symbol}").format(symbol=code))
        return Response(found[0])


class ConditionsView(APIView):
    """What the conditions of ticks mean."""

    @extend_schema(
        operation_id="conditions", parameters=[MetaQuery],
        responses={200: response_schemas.Meanings, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, ticktype: str) -> Response:
        """Errors: Http404 for another type than trade and quote."""
        MetaQuery.read(request)
        if ticktype not in CONDITIONS:
            raise Http404
        return Response(CONDITIONS[ticktype])


class ExchangesView(APIView):
    """What `x` of a trade and `bx` and `ax` of a quote may be: the feeds that are or were written."""

    @extend_schema(
        operation_id="exchanges",
        responses={200: response_schemas.Meanings, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        NoQuery.read(request)
        return Response({name: f"feed {name}" for name in Feed.objects.order_by("name").values_list("name", flat=True)})
