"""Quotes of one symbol or several, in pages."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from api.rest import paging, response_schemas, tables
from api.rest.queries import QuotesQuery, SymbolQuotesQuery
from api.views import ticks


class QuotesView(APIView):
    """Quotes of several symbols; `next_page_token` is null on the last page."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="quotes", parameters=[QuotesQuery],
        responses=response_schemas.also_csv(response_schemas.pages("quotes", response_schemas.Quote)),
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        return ticks.of_many(request, paging.QUOTES, QuotesQuery.read(request))


class SymbolQuotesView(APIView):
    """Quotes of one symbol."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="quotes_of_symbol", parameters=[SymbolQuotesQuery],
        responses=response_schemas.also_csv(response_schemas.page("quotes", response_schemas.Quote)),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        return ticks.of_one(request, paging.QUOTES, symbol, SymbolQuotesQuery.read(request))
