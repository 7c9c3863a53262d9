"""Trades of one symbol or several, in pages."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from api.rest import paging, response_schemas, tables
from api.rest.queries import SymbolTradesQuery, TradesQuery
from api.views import ticks


class TradesView(APIView):
    """Trades of several symbols; `next_page_token` is null on the last page."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="trades", parameters=[TradesQuery],
        responses=response_schemas.also_csv(response_schemas.pages("trades", response_schemas.Trade)),
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        return ticks.of_many(request, paging.TRADES, TradesQuery.read(request))


class SymbolTradesView(APIView):
    """Trades of one symbol."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="trades_of_symbol", parameters=[SymbolTradesQuery],
        responses=response_schemas.also_csv(response_schemas.page("trades", response_schemas.Trade)),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        return ticks.of_one(request, paging.TRADES, symbol, SymbolTradesQuery.read(request))
