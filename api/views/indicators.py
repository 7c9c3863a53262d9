"""Indicators of one symbol's candles, in pages, and which there are."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import indicators
from api.indicators import IndicatorsQuery
from api.rest import jsontext, paging, response_schemas, series, tables
from api.rest.queries import NoQuery
from api.views import bars as bars_view


class IndicatorsView(APIView):
    """Which indicators there are, with their parameters and the names of their values."""

    @extend_schema(
        operation_id="indicators",
        responses={200: response_schemas.INDICATORS, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        NoQuery.read(request)
        return Response({"indicators": indicators.described()})


class SymbolIndicatorsView(APIView):
    """Indicators of one symbol, at each candle that bars give for the same parameters."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="indicators_of_symbol", parameters=[IndicatorsQuery],
        responses=response_schemas.also_csv(response_schemas.INDICATORS_OF_SYMBOL),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        query = IndicatorsQuery.read(request)
        one, chosen = series.of(symbol, query), query["name"]
        kind = f"indicators/{bars_view.kind_of(query)}"
        page = indicators.read(bars_view.question([one], [symbol], query, kind), chosen)
        token = paging.encode_token(page.next, kind) if page.next else None
        told = bars_view.standing(one, page.bars, query["timeframe"], time.time_ns() // 1000)
        if tables.wanted(request):
            columns, rows = tables.indicators(one, page.bars, page.values, closed=told.closed, gap=told.gap)
            return tables.page(columns, rows, token, {})
        texts = jsontext.indicators(page.bars, page.values, closed=told.closed, gap=told.gap)
        parameters = {indicator.name: params for indicator, params in chosen}
        content: dict[str, Any] = {
            "symbol": symbol,
            "parameters": parameters,
            "indicators": msgspec.Raw(jsontext.array(texts)),
            "next_page_token": token,
        }
        return Response(content)
