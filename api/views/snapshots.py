"""Where symbols stand: last trade and quote, last minute, the newest trading date and the one before, and what a polled
snapshot told of the day."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import series_days, timeframes
from analytics.timeframes import DateFrame, Timeframe
from api import jsontext, newest, response_schemas, series
from api.paging import Series
from api.serializers import LatestQuery, SymbolLatestQuery
from api.views import bars as bars_view
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars

Snapshot = dict[str, msgspec.Raw]
RECENT_US = 14 * 86_400_000_000  # gaps of candles no older than this are asked for together


def read(found: Sequence[Series]) -> dict[str, Snapshot]:
    """The snapshot of each series; what there is nothing of is left out."""
    now_us = time.time_ns() // 1000
    shown: dict[str, Snapshot] = {}
    for some, state in newest.states(found, datetime.datetime.now(datetime.UTC)):
        minutes = _texts(some, _by_symbol(state.minutes), timeframes.MINUTE, now_us)
        days = {
            one.symbol: series_days.as_bars(state.days[one.symbol], one.timezone)
            for one in some
            if one.symbol in state.days
        }
        daily = _texts(some, days, timeframes.DAY, now_us)
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


def _by_symbol(bars: Bars) -> dict[str, Bars]:
    """Candles of which there is one of a symbol."""
    made = {}
    for row, index in enumerate(bars.symbol.tolist()):
        one = bars.take(slice(row, row + 1))
        one.symbols, one.symbol = [bars.symbols[index]], np.zeros(1, np.int32)
        made[bars.symbols[index]] = one
    return made


def _texts(
    some: list[Series], bars: dict[str, Bars], timeframe: Timeframe | DateFrame, now_us: int
) -> dict[str, list[str]]:
    """The members of the candles of each series of a feed, written together."""
    known = [(one, bars[one.symbol]) for one in some if one.symbol in bars]
    parts = [(one, mine, *bars_view.spans(one, mine, timeframe)) for one, mine in known]
    if not parts:
        return {}
    ends = np.concatenate([end for *_, end in parts])
    newest_us = int(ends.max())
    recent = [part for part in parts if int(part[2].min()) >= newest_us - RECENT_US]
    together = series.gaps_of(
        some[0].feed, [one.symbol for one, *_ in recent], min(int(part[2].min()) for part in recent), newest_us
    )
    whole = together.get("", [])
    flags = []
    for one, _, starts, own in parts:
        first_us = int(starts.min())
        alone = one.held or first_us < newest_us - RECENT_US
        lost = bars_view.gaps(one, first_us, int(own.max())) if alone else whole + together.get(one.symbol, [])
        flags.append(bars_view.touched(starts, own, lost))
    written = jsontext.bars(
        minute_bars.concatenate([one for _, one, *_ in parts]), closed=ends <= now_us, gap=np.concatenate(flags)
    )
    texts, at = {}, 0
    for one, mine, *_ in parts:
        texts[one.symbol], at = written[at : at + len(mine)], at + len(mine)
    return texts


class SnapshotsView(APIView):
    """The state of several symbols."""

    @extend_schema(
        operation_id="snapshots", parameters=[LatestQuery],
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, "by symbol, each as the snapshot of one symbol has it"),
            "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = LatestQuery.read(request)
        chosen = series.known(query["symbols"], query)
        return Response(read(chosen.found), headers=chosen.headers)


class SymbolSnapshotView(APIView):
    """The state of one symbol."""

    @extend_schema(
        operation_id="snapshot_of_symbol", parameters=[SymbolLatestQuery],
        responses={200: response_schemas.SymbolSnapshot, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        one = series.of(symbol, SymbolLatestQuery.read(request))
        return Response({"symbol": symbol, **read([one])[symbol]})
