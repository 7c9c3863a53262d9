"""Statistics of one symbol by trading date, in pages."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import series_days, statistics, timeframes
from analytics.statistics import DayStatistics
from api import jsontext, paging, response_schemas, series, tables
from api.paging import Series
from api.serializers import StatsQuery
from api.timestamps import EARLIEST_US
from api.views import bars as bars_view
from marketdata.types.daily_bars import DailyBars


def _told(one: Series, days: DailyBars) -> list[DayStatistics]:
    """Of daily candles in either order."""
    if not len(days):
        return []
    earliest_us = timeframes.midnight_us(int(days.trade_date.min()), one.timezone)
    before = paging.read_days(
        replace(one, first_us=EARLIEST_US, last_us=earliest_us - 1), after=None, limit=1, ascending=False
    ).found  # fmt: skip
    return statistics.of_days(days, int(before.close[0]) if len(before) else None)


class StatsView(APIView):
    """Statistics of one symbol by trading date: its daily candles, and what follows from them."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="stats_of_symbol", parameters=[StatsQuery],
        responses=response_schemas.also_csv(response_schemas.page("stats", response_schemas.DayStats)),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        query = StatsQuery.read(request)
        one = series.of(symbol, query)
        page = paging.read_days(
            one, after=series.after(query, paging.STATS, [symbol]), limit=query["limit"],
            ascending=query["sort"] == "asc",
        )  # fmt: skip
        token = paging.encode_token(page.next, paging.STATS) if page.next else None
        told, now_us = _told(one, page.found), time.time_ns() // 1000
        bars = series_days.as_bars(page.found, one.timezone)
        if tables.wanted(request):
            rows = bars_view.rows(one, bars, timeframes.DAY, now_us) if told else []
            return tables.page(tables.STATS, tables.stats(rows, told), token, {})
        texts = bars_view.text_of(one, bars, timeframes.DAY, now_us) if told else []
        members = [f"{bar},{jsontext.day_statistics(one)}" for bar, one in zip(texts, told, strict=True)]
        return Response({"symbol": symbol, "stats": msgspec.Raw(jsontext.array(members)), "next_page_token": token})
