"""Where symbols stand: last trade, last minute, the newest trading date and the one before."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import msgspec
import redis
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import timeframes
from api import jsontext, paging, response_schemas, series
from api.paging import Series
from api.serializers import SnapshotsQuery
from api.timestamps import EARLIEST_US
from api.views.bars import text_of
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.types.minute_bars import Bars
from marketdata.types.ticks import decimal_text
from terminals import wire


def _object(members: str) -> msgspec.Raw:
    return msgspec.Raw(f"{{{members}}}".encode())


def _latest(found: list[Series]) -> dict[tuple[str, str], dict[str, Any]]:
    """The last trade of each series: as Redis has it, and of the database where Redis is away or has none."""
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        for feed in sorted({one.feed for one in found}):
            rows = live_state.latest(feed, [one.symbol for one in found if one.feed == feed])
            kept |= {(symbol, feed): row for symbol, row in rows.items()}
    except redis.RedisError:
        kept = {}
    absent = {(one.symbol, one.feed) for one in found} - kept.keys()
    for trade in storage().newest_trades(sorted({symbol for symbol, _feed in absent})) if absent else ():
        if (trade.symbol, trade.feed) in absent:
            kept[trade.symbol, trade.feed] = asdict(trade)
    return kept


def _latest_trade(one: Series, kept: dict[str, Any]) -> msgspec.Raw:
    price, size = decimal_text(kept["price"], wire.PRICE_SCALE), decimal_text(kept["size"] or 0, wire.SIZE_SCALE)
    return _object(
        f'"t":"{jsontext.time(kept["time_us"])}","p":{price},"s":{size},"x":"{one.feed}","i":{kept["tick_id"]},"c":[],"z":""'
    )


def snapshot(one: Series, kept: dict[str, Any] | None, days: Bars, now_us: int) -> dict[str, msgspec.Raw]:
    """One symbol's snapshot, given its newest days; what there is nothing of is left out."""
    shown: dict[str, msgspec.Raw] = {}
    if kept is not None:
        shown["latestTrade"] = _latest_trade(one, kept)
    minute = paging.read_bars([one], timeframes.MINUTE, after=None, limit=1, ascending=False).found
    if minute:
        shown["minuteBar"] = _object(text_of(one, minute[0][1], timeframes.MINUTE, now_us)[0])
    for name, text in zip(("dailyBar", "prevDailyBar"), text_of(one, days, timeframes.DAY, now_us), strict=False):
        shown[name] = _object(text)
    return shown


class SnapshotsView(APIView):
    """The state of several symbols."""

    @extend_schema(
        operation_id="snapshots", parameters=[SnapshotsQuery],
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, "by symbol: latestTrade, minuteBar, dailyBar, prevDailyBar"),
            "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = SnapshotsQuery.read(request)
        chosen = series.known(query["symbols"], query)
        found = [replace(one, first_us=EARLIEST_US) for one in chosen.found]
        kept = _latest(found)
        now_us = time.time_ns() // 1000
        return Response(
            {
                one.symbol: snapshot(one, kept.get((one.symbol, one.feed)), days, now_us)
                for one, days in paging.newest_days(found, 2)
            },
            headers=chosen.headers,
        )
