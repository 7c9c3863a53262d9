"""Statistics: of one symbol by trading date, in pages; of symbols as they stand; of the market."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.series import day_statistics, timeframes, trading_days
from analytics.series.day_statistics import DayStatistics
from analytics.statistics import market as statistics_of_market
from api import market
from api import statistics as newest_statistics
from api.auth import access
from api.rest import errors, feeds, jsontext, paging, response_schemas, series, tables
from api.rest.paging import Series
from api.rest.queries import CorrelationQuery, MarketStatsQuery, MarketSymbolsQuery, NewestStatsQuery, StatsQuery
from api.rest.timestamps import EARLIEST_US
from api.views import bars as bars_view
from marketdata.realtime import stats
from marketdata.types.daily_bars import DailyBars


def told_of(one: Series, days: DailyBars) -> list[DayStatistics]:
    """The statistics of daily candles in either order."""
    if not len(days):
        return []
    earliest_us = timeframes.midnight_us(int(days.trade_date.min()), one.timezone)
    before = paging.read_days(
        replace(one, first_us=EARLIEST_US, last_us=earliest_us - 1), after=None, limit=1, ascending=False
    ).found  # fmt: skip
    return day_statistics.of_days(days, int(before.close[0]) if len(before) else None)


class StatsView(APIView):
    """Statistics of one symbol by trading date: its daily candles, and what follows from them."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="stats_of_symbol", parameters=[StatsQuery],
        responses=response_schemas.also_csv(response_schemas.StatsOfSymbol),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        query = StatsQuery.read(request)
        one = series.of(symbol, query)
        page = paging.read_days(
            one, after=series.after(query, paging.STATS, [symbol]), limit=query["limit"],
            ascending=query["sort"] == "asc",
        )  # fmt: skip
        token = paging.encode_token(page.next, paging.STATS) if page.next else None
        told, now_us = told_of(one, page.found), time.time_ns() // 1000
        bars = trading_days.as_bars(page.found, one.timezone)
        if tables.wanted(request):
            rows = bars_view.rows(one, bars, timeframes.DAY, now_us) if told else []
            return tables.page(tables.STATS, tables.stats(rows, told), token, {})
        texts = bars_view.text_of(one, bars, timeframes.DAY, now_us) if told else []
        members = [f"{bar},{jsontext.day_statistics(one)}" for bar, one in zip(texts, told, strict=True)]
        newest = newest_statistics.of_series([one]).get(one.symbol)
        return Response(
            {
                "symbol": symbol, "stats": msgspec.Raw(jsontext.array(members)), "next_page_token": token,
                "newest": None if newest is None else newest_statistics.text(newest),
            }
        )  # fmt: skip


class NewestStatsView(APIView):
    """The newest statistics of several symbols; of one that has none there is nothing."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="newest_stats", parameters=[NewestStatsQuery],
        responses=response_schemas.also_csv(response_schemas.by_symbol("stats", response_schemas.NewestStats)),
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        query = NewestStatsQuery.read(request)
        chosen = series.known(query["symbols"], query)
        found = newest_statistics.of_series(chosen.found)
        if tables.wanted(request):
            rows = newest_statistics.rows([found[symbol] for symbol in sorted(found)])
            return tables.page(newest_statistics.COLUMNS, rows, None, chosen.headers)
        shown = {symbol: newest_statistics.text(one) for symbol, one in found.items()}
        return Response({"stats": shown}, headers=chosen.headers)


def _feed_of(query: dict[str, Any]) -> str:
    """The feed of which the market is asked for. UnknownFeed; FeedForbidden; NoData when no symbol is collected."""
    name = query.get("feed", feeds.PRIMARY)
    feed = feeds.most_collected() if name == feeds.PRIMARY else feeds.resolve(name) or feeds.most_collected()
    if feed is None:
        raise errors.NoData(_("no symbol is collected"))
    access.require([feed])
    return feed


class MarketStatsView(APIView):
    """The newest statistics of all symbols of a feed together."""

    @extend_schema(
        operation_id="market_stats", parameters=[MarketStatsQuery],
        responses={200: response_schemas.MarketStats, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Errors: UnknownFeed; NoData when there are none of the feed."""
        feed = _feed_of(MarketStatsQuery.read(request))
        found = newest_statistics.newest(feed, [stats.MARKET]).get(stats.MARKET)
        if found is None:
            raise errors.NoData(_("no statistics of {feed} yet").format(feed=feed))
        return Response(newest_statistics.text(found))


class CorrelationView(APIView):
    """How symbols of somebody's choice move together."""

    @extend_schema(
        operation_id="market_correlation", parameters=[CorrelationQuery],
        responses={200: response_schemas.Correlation, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Errors: UnknownFeed, FeedForbidden. Symbols that are not registered are left out."""
        query = CorrelationQuery.read(request)
        chosen = series.known(query["symbols"], query)
        pairs = [(one.symbol, one.feed) for one in chosen.found]
        now = datetime.datetime.now(datetime.UTC)
        return Response(statistics_of_market.correlation(pairs, now), headers=chosen.headers)


class MarketSymbolsView(APIView):
    """Where each symbol of a feed stands on the newest trading date, and the sums of each group of them."""

    @extend_schema(
        operation_id="market_symbols", parameters=[MarketSymbolsQuery],
        responses={200: response_schemas.MarketSymbols, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Errors: UnknownFeed; NoData when no symbol of the feed has statistics."""
        query = MarketSymbolsQuery.read(request)
        feed = _feed_of(query)
        found = market.board(feed).answer(query.get("since"))
        if found is None:
            raise errors.NoData(_("no statistics of {feed} yet").format(feed=feed))
        return Response(found)
