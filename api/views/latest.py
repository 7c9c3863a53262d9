"""The newest trade and quote of symbols."""

from __future__ import annotations

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import latest
from api import errors, jsontext, response_schemas, series
from api.paging import Series
from api.serializers import LatestQuery, SymbolLatestQuery

Shown = dict[str, msgspec.Raw]
"""One thing of each symbol that has it, as ready text."""


def _trades(found: list[Series]) -> Shown:
    kept = latest.trades([(one.symbol, one.feed) for one in found])
    return {symbol: msgspec.Raw(jsontext.single(jsontext.latest_trade(one))) for (symbol, _), one in kept.items()}


def _quotes(found: list[Series]) -> Shown:
    pairs = [(one.symbol, one.feed) for one in found]
    kept = latest.quotes(pairs, latest.trades(pairs))
    return {symbol: msgspec.Raw(jsontext.single(jsontext.latest_quote(one))) for (symbol, _), one in kept.items()}


def the_one(shown: Shown, one: Series, what: str) -> msgspec.Raw:
    """What there is of one symbol; NoData if there is nothing."""
    if one.symbol not in shown:
        raise errors.NoData(f"no {what} of {one.symbol} on {one.feed}")
    return shown[one.symbol]


class LatestTradesView(APIView):
    """The newest trade of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_trades", parameters=[LatestQuery],
        responses={
            200: response_schemas.by_symbol("trades", response_schemas.LatestTrade), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = LatestQuery.read(request)
        chosen = series.known(query["symbols"], query)
        return Response({"trades": _trades(chosen.found)}, headers=chosen.headers)


class LatestQuotesView(APIView):
    """The newest quote of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_quotes", parameters=[LatestQuery],
        responses={200: response_schemas.by_symbol("quotes", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = LatestQuery.read(request)
        chosen = series.known(query["symbols"], query)
        return Response({"quotes": _quotes(chosen.found)}, headers=chosen.headers)


class SymbolLatestTradeView(APIView):
    """The newest trade of one symbol."""

    @extend_schema(
        operation_id="latest_trade_of_symbol", parameters=[SymbolLatestQuery],
        responses={
            200: response_schemas.of_symbol("trade", response_schemas.LatestTrade), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        one = series.of(symbol, SymbolLatestQuery.read(request))
        return Response({"symbol": symbol, "trade": the_one(_trades([one]), one, "trade")})


class SymbolLatestQuoteView(APIView):
    """The newest quote of one symbol."""

    @extend_schema(
        operation_id="latest_quote_of_symbol", parameters=[SymbolLatestQuery],
        responses={200: response_schemas.of_symbol("quote", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        one = series.of(symbol, SymbolLatestQuery.read(request))
        return Response({"symbol": symbol, "quote": the_one(_quotes([one]), one, "quote")})
