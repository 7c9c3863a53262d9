"""Order books of one symbol in pages, and the newest of several."""

from __future__ import annotations

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import newest
from api.rest import conditional, jsontext, paging, response_schemas, series, tables
from api.rest.paging import Series
from api.rest.queries import LatestQuery, OrderBooksQuery, SymbolLatestQuery
from api.views import latest
from api.views.latest import Shown


def _newest(found: list[Series]) -> Shown:
    kept = newest.books(found)
    texts = jsontext.books(list(kept.values()))
    return {symbol: msgspec.Raw(jsontext.single(text)) for symbol, text in zip(kept, texts, strict=True)}


class OrderBooksView(APIView):
    """Order books of one symbol; `next_page_token` is null on the last page."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="orderbooks_of_symbol", parameters=[OrderBooksQuery],
        responses=response_schemas.also_csv(response_schemas.page("orderbooks", response_schemas.OrderBook)),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        query = OrderBooksQuery.read(request)
        one = series.of(symbol, query)
        page = paging.read_books(
            one, after=series.after(query, paging.BOOKS, [symbol]),
            limit=query["limit"], ascending=query["sort"] == "asc",
        )  # fmt: skip
        token = paging.encode_token(page.next, paging.BOOKS) if page.next else None
        if tables.wanted(request):
            return tables.page(tables.BOOKS, [tables.book(one, book) for book in page.found], token, {})
        shown = msgspec.Raw(jsontext.array(jsontext.books(page.found)))
        content = {"symbol": symbol, "orderbooks": shown, "next_page_token": token}
        return conditional.page(request, content, [one])


class LatestOrderBooksView(APIView):
    """The newest order book of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_orderbooks", parameters=[LatestQuery],
        responses={
            200: response_schemas.by_symbol("orderbooks", response_schemas.OrderBook), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return latest.of_many(request, "orderbooks", _newest)


class SymbolLatestOrderBookView(APIView):
    """The newest order book of one symbol."""

    @extend_schema(
        operation_id="latest_orderbook_of_symbol", parameters=[SymbolLatestQuery],
        responses={
            200: response_schemas.of_symbol("orderbook", response_schemas.OrderBook), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        return latest.of_one(request, symbol, "orderbook", "order book", _newest)
