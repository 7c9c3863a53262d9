"""Where symbols stand: last trade and quote, last minute, the newest trading date and the one before, and what a polled
snapshot told of the day."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.series import adjustment, timeframes, trading_days
from api import newest
from api.rest import jsontext, response_schemas, series
from api.rest.paging import Series
from api.rest.queries import SnapshotsQuery, SymbolSnapshotQuery
from api.views import bars as bars_view

Snapshot = dict[str, msgspec.Raw]


def read(found: Sequence[Series]) -> dict[str, Snapshot]:
    """The snapshot of each series; what there is nothing of is left out. The day before is adjusted as the newest one
    sees it, which like all else is as it was traded."""
    now_us = time.time_ns() // 1000
    shown: dict[str, Snapshot] = {}
    for some, state in newest.states(found, datetime.datetime.now(datetime.UTC)):
        minutes = bars_view.texts_of(some, bars_view.by_symbol(state.minutes), timeframes.MINUTE, now_us)
        days = {
            one.symbol: trading_days.as_bars(adjustment.of_newest(state.days[one.symbol], one.factors), one.timezone)
            for one in some
            if one.symbol in state.days
        }
        daily = bars_view.texts_of(some, days, timeframes.DAY, now_us)
        for one in some:
            mine: dict[str, str] = {}
            if one.symbol in state.trades:
                mine["latestTrade"] = jsontext.latest_trade(state.trades[one.symbol])
            if one.symbol in state.quotes:
                mine["latestQuote"] = jsontext.latest_quote(state.quotes[one.symbol])
            mine |= zip(("minuteBar",), minutes.get(one.symbol, ()), strict=False)
            mine |= zip(("dailyBar", "prevDailyBar"), daily.get(one.symbol, ()), strict=False)
            if one.symbol in state.prices:
                mine["dayFigures"] = jsontext.day_figures(state.prices[one.symbol])
            shown[one.symbol] = {name: msgspec.Raw(jsontext.single(members)) for name, members in mine.items()}
    return shown


class SnapshotsView(APIView):
    """The state of several symbols."""

    @extend_schema(
        operation_id="snapshots", parameters=[SnapshotsQuery],
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, "by symbol, each as the snapshot of one symbol has it"),
            "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = SnapshotsQuery.read(request)
        chosen = series.known(query["symbols"], query)
        return Response(read(chosen.found), headers=chosen.headers)


class SymbolSnapshotView(APIView):
    """The state of one symbol."""

    @extend_schema(
        operation_id="snapshot_of_symbol", parameters=[SymbolSnapshotQuery],
        responses={200: response_schemas.SymbolSnapshot, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        one = series.of(symbol, SymbolSnapshotQuery.read(request))
        return Response({"symbol": symbol, **read([one])[symbol]})
