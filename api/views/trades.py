"""Trades of one symbol or several, in pages."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import paging, response_schemas, series
from api.serializers import SymbolTradesQuery, TradesQuery
from api.views import ticks


class TradesView(APIView):
    """Trades of several symbols; `next_page_token` is null on the last page."""

    @extend_schema(
        operation_id="trades", parameters=[TradesQuery],
        responses={200: response_schemas.pages("trades", response_schemas.Trade), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = TradesQuery.read(request)
        chosen = series.known(query["symbols"], query)
        shown, token = ticks.read(paging.TRADES, chosen.found, query["symbols"], query)
        return Response({"trades": shown, "next_page_token": token}, headers=chosen.headers)


class SymbolTradesView(APIView):
    """Trades of one symbol."""

    @extend_schema(
        operation_id="trades_of_symbol", parameters=[SymbolTradesQuery],
        responses={200: response_schemas.page("trades", response_schemas.Trade), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        query = SymbolTradesQuery.read(request)
        shown, token = ticks.read(paging.TRADES, [series.of(symbol, query)], [symbol], query)
        return Response({"symbol": symbol, "trades": shown.get(symbol, []), "next_page_token": token})
