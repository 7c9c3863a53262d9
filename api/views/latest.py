"""The newest trade and quote of symbols, and how the newest of anything is answered, of several symbols and of one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import newest
from api.rest import errors, jsontext, response_schemas, series
from api.rest.paging import Series
from api.rest.queries import LatestQuery, SymbolLatestQuery

Shown = dict[str, msgspec.Raw]
"""One thing of each symbol that has it, as ready text."""
Read = Callable[[list[Series]], Shown]


def of_many(request: Request, name: str, read: Read) -> Response:
    """The newest of each of the symbols in a query that has one."""
    query = LatestQuery.read(request)
    chosen = series.known(query["symbols"], query)
    return Response({name: read(chosen.found)}, headers=chosen.headers)


def of_one(request: Request, symbol: str, name: str, what: str, read: Read) -> Response:
    """The newest of the symbol that the path names. NoData if there is none; `what` says of what."""
    one = series.of(symbol, SymbolLatestQuery.read(request))
    shown = read([one])
    if one.symbol not in shown:
        raise errors.NoData(_("no {what} of {symbol} on {feed}").format(what=what, symbol=one.symbol, feed=one.feed))
    return Response({"symbol": symbol, name: shown[one.symbol]})


def _trades(found: list[Series]) -> Shown:
    kept = newest.trades(found)
    return {symbol: msgspec.Raw(jsontext.single(jsontext.latest_trade(one))) for symbol, one in kept.items()}


def _quotes(found: list[Series]) -> Shown:
    kept = newest.quotes(found)
    return {symbol: msgspec.Raw(jsontext.single(jsontext.latest_quote(one))) for symbol, one in kept.items()}


class LatestTradesView(APIView):
    """The newest trade of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_trades", parameters=[LatestQuery],
        responses={
            200: response_schemas.by_symbol("trades", response_schemas.LatestTrade), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return of_many(request, "trades", _trades)


class LatestQuotesView(APIView):
    """The newest quote of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_quotes", parameters=[LatestQuery],
        responses={200: response_schemas.by_symbol("quotes", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return of_many(request, "quotes", _quotes)


class SymbolLatestTradeView(APIView):
    """The newest trade of one symbol."""

    @extend_schema(
        operation_id="latest_trade_of_symbol", parameters=[SymbolLatestQuery],
        responses={
            200: response_schemas.of_symbol("trade", response_schemas.LatestTrade), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        return of_one(request, symbol, "trade", "trade", _trades)


class SymbolLatestQuoteView(APIView):
    """The newest quote of one symbol."""

    @extend_schema(
        operation_id="latest_quote_of_symbol", parameters=[SymbolLatestQuery],
        responses={200: response_schemas.of_symbol("quote", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        return of_one(request, symbol, "quote", "quote", _quotes)
