"""The symbols that traded and moved most, in the dialect's shape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.statistics import screener
from analytics.statistics.screener import Standing, Standings
from api.auth import access
from api.rest import errors, jsontext, response_schemas
from api.rest.queries import MostActivesQuery, MoversQuery
from terminals import wire


def _decimal(value: int | None, places: int) -> Decimal:
    return Decimal(value or 0).scaleb(-places)


def _readable(request: Request, known: Standings) -> list[Standing]:
    """Those whose feed may be read by whoever asks."""
    feeds = {feed: access.may_read(request.user, feed) for feed in {one.feed for one in known.found}}
    return [one for one in known.found if feeds[one.feed]]


def _mover(one: Standing) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "percent_change": _decimal(one.percent, 4),
        "change": _decimal(one.change, wire.PRICE_SCALE),
        "price": _decimal(one.price, wire.PRICE_SCALE),
    }


class MostActivesView(APIView):
    """The symbols that traded most on the newest trading date."""

    @extend_schema(
        operation_id="most_actives", parameters=[MostActivesQuery],
        responses={200: response_schemas.MostActives, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = MostActivesQuery.read(request)
        known = screener.standings()
        most = screener.most_active(_readable(request, known), by_trades=query["by"] == "trades", top=query["top"])
        rows = [
            {"symbol": one.symbol, "volume": _decimal(one.volume, wire.SIZE_SCALE), "trade_count": one.trades}
            for one in most
        ]
        return Response({"most_actives": rows, "last_updated": jsontext.time(known.read_us)})


class MoversView(APIView):
    """The symbols that rose and fell most since the close of the day before."""

    @extend_schema(
        operation_id="movers", parameters=[MoversQuery],
        responses={200: response_schemas.Movers, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, market: str) -> Response:
        """Errors: NoProduct for another market than stocks."""
        query = MoversQuery.read(request)
        if market != "stocks":
            raise errors.NoProduct(_("this product has no {what} data").format(what=market))
        known = screener.standings()
        gainers, losers = screener.movers(_readable(request, known), top=query["top"])
        return Response(
            {
                "gainers": [_mover(one) for one in gainers], "losers": [_mover(one) for one in losers],
                "market_type": market, "last_updated": jsontext.time(known.read_us),
            }
        )  # fmt: skip
