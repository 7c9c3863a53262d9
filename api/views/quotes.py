"""Quotes of one symbol or several, in pages."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import paging, response_schemas, series
from api.serializers import QuotesQuery, SymbolQuotesQuery
from api.views import ticks


class QuotesView(APIView):
    """Quotes of several symbols; `next_page_token` is null on the last page."""

    @extend_schema(
        operation_id="quotes", parameters=[QuotesQuery],
        responses={200: response_schemas.pages("quotes", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = QuotesQuery.read(request)
        chosen = series.known(query["symbols"], query)
        shown, token = ticks.read(paging.QUOTES, chosen.found, query["symbols"], query)
        return Response({"quotes": shown, "next_page_token": token}, headers=chosen.headers)


class SymbolQuotesView(APIView):
    """Quotes of one symbol."""

    @extend_schema(
        operation_id="quotes_of_symbol", parameters=[SymbolQuotesQuery],
        responses={200: response_schemas.page("quotes", response_schemas.Quote), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        query = SymbolQuotesQuery.read(request)
        shown, token = ticks.read(paging.QUOTES, [series.of(symbol, query)], [symbol], query)
        return Response({"symbol": symbol, "quotes": shown.get(symbol, []), "next_page_token": token})
