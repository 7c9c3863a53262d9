"""TradingView's UDF protocol at `/udf`: whatever a charting library asks for, in its own shapes. `/udf/FEED` is the
same for one feed; without it each symbol has its primary one."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.translation import gettext
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.series import timeframes
from analytics.series.timeframes import DateFrame, Timeframe
from api import newest
from api.rest import errors, languages, response_schemas, series
from api.rest.fields import MOST_SYMBOLS, WholeNumberField
from api.rest.paging import Series
from api.rest.queries import Query
from api.rest.timestamps import EARLIEST_US, LATEST_US
from api.udf import history, marks, quotes, symbol_info
from api.views.symbols import search
from marketdata.calendar.feed_hours import VENUES
from marketdata.models import Market, Symbol

GROUP_MOST = 5_000
_US = 1_000_000
_SECONDS = re.compile(r"-?[0-9]{1,11}", re.ASCII)
_ANY = {200: OpenApiTypes.OBJECT, "4XX": response_schemas.UdfError}


class ResolutionField(serializers.ChoiceField):
    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(symbol_info.RESOLUTIONS), **options)

    def to_internal_value(self, data: Any) -> Any:
        return timeframes.parse(symbol_info.RESOLUTIONS[super().to_internal_value(data)])


class SecondsField(serializers.IntegerField):
    """Seconds since 1970; the library also asks for times before that year."""

    def to_internal_value(self, data: Any) -> int:
        if not _SECONDS.fullmatch(str(data)):
            raise serializers.ValidationError(gettext("must be whole seconds since 1970"))
        return super().to_internal_value(data)


class TickerQuery(Query):
    symbol = serializers.CharField(max_length=40, help_text="a code, also behind its market: MARKET:CODE")
    currencyCode = serializers.CharField(required=False, max_length=8, help_text="accepted; prices are as they came")  # noqa: N815 - the protocol's name
    unitId = serializers.CharField(required=False, max_length=8, help_text="accepted; prices are as they came")  # noqa: N815


class _SpanQuery(TickerQuery):
    resolution = ResolutionField(help_text="minutes, or 1D, 1W, 1M, …")
    to = SecondsField(help_text="seconds since 1970")

    def get_fields(self) -> dict[str, Any]:
        """With `from`, which is no name in Python."""
        return {**super().get_fields(), "from": SecondsField(help_text="seconds since 1970, included")}


class HistoryQuery(_SpanQuery):
    countback = WholeNumberField(
        required=False, min_value=1, help_text="so many bars before `to`, whatever `from` says"
    )


class MarksQuery(_SpanQuery):
    pass


class SearchQuery(Query):
    query = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    type = serializers.ChoiceField(choices=["", *symbol_info.TYPES], required=False, default="")
    exchange = serializers.CharField(required=False, allow_blank=True, default="", max_length=16)
    limit = WholeNumberField(required=False, default=30, min_value=1, max_value=1000)


class QuotesQuery(Query):
    symbols = serializers.CharField(help_text=f"at most {MOST_SYMBOLS}, separated by commas")


class GroupQuery(Query):
    group = serializers.CharField(max_length=16, help_text="a market")


class UdfView(APIView):
    """Errors have the library's shape, and the HTTP status and the language that they have everywhere. What a person
    reads on the chart is in `reader`, the language of the pages."""

    reader: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.reader = translation.get_language() or settings.LANGUAGE_CODE
        with languages.told_in(request):
            return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if response.status_code >= 400:
            told = response.data or {}
            response.data = {"s": "error", "errmsg": str(told.get("message", "")), **told}
        return response


def _symbols(names: list[str]) -> dict[str, Symbol]:
    """The registered symbols of names as the library writes them; one that is not registered is left out."""
    codes = {name: name.rpartition(":")[2] for name in names}
    rows = Symbol.objects.select_related("market").filter(code__in={*names, *codes.values()})
    known = {symbol.code: symbol for symbol in rows}
    found: dict[str, Symbol] = {}
    for name, code in codes.items():
        exchange = name.rpartition(":")[0].upper()
        if name in known:
            found[name] = known[name]
        elif code in known and exchange in (known[code].market_id, *VENUES.values()):
            found[name] = known[code]
    return found


def _symbol(name: str) -> Symbol:
    """One registered symbol. UnknownSymbol."""
    found = _symbols([name])
    if not found:
        raise errors.UnknownSymbol(gettext("not registered: {symbol}").format(symbol=name))
    return found[name]


def _all_series(symbols: Iterable[Symbol], feed: str | None) -> list[Series]:
    """The series of symbols, in the feed of the address or the primary ones. As `series.known`."""
    return series.known([symbol.code for symbol in symbols], {"feed": feed}).found


def _series(symbol: Symbol, feed: str | None) -> Series:
    """As `_all_series`, of one symbol."""
    return _all_series([symbol], feed)[0]


class ConfigView(UdfView):
    """What this server can do."""

    @extend_schema(operation_id="udf_config", parameters=[], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        markets = Market.objects.order_by("code").values_list("code", "name")
        return Response(
            {
                "supports_search": True,
                "supports_group_request": False,
                "supports_marks": True,
                "supports_timescale_marks": True,
                "supports_time": True,
                "supported_resolutions": symbol_info.SUPPORTED,
                "exchanges": [{"value": "", "name": "*", "desc": "*"}]
                + [{"value": code, "name": code, "desc": name} for code, name in markets],
                "symbols_types": [{"name": "*", "value": ""}]
                + [{"name": name, "value": name} for name in symbol_info.TYPES],
                "currency_codes": ["KRW", "USD"],
            }
        )


class TimeView(UdfView):
    """The server's clock, in seconds since 1970, as plain text."""

    @extend_schema(operation_id="udf_time", parameters=[], responses={(200, "text/plain"): OpenApiTypes.INT})
    def get(self, request: Request, feed: str | None = None) -> HttpResponse:
        return HttpResponse(str(int(time.time())), content_type="text/plain")


class SymbolInfoView(UdfView):
    """One symbol: hours, decimals, resolutions."""

    @extend_schema(operation_id="udf_symbol", parameters=[TickerQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        symbol = _symbol(TickerQuery.read(request)["symbol"])
        one = _series(symbol, feed)
        open_at = symbol_info.hours(symbol.market, one.feed, _now())
        return Response(symbol_info.described(symbol, one.feed, _latest_price(one), open_at))


def _latest_price(one: Series) -> int | None:
    trade = newest.trades([one]).get(one.symbol)
    return None if trade is None else trade.price


class GroupView(UdfView):
    """The symbols of a market as one table, for readers that load all of them at once."""

    @extend_schema(operation_id="udf_symbol_info", parameters=[GroupQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        group = GroupQuery.read(request)["group"].upper()
        market = Market.objects.filter(code=group).first()
        if market is None:
            raise errors.Unprocessable({"group": gettext("is no market")})
        rows = list(
            Symbol.objects.select_related("market")
            .filter(market_id=group, is_active=True)
            .order_by("code")[:GROUP_MOST]
        )
        found = _all_series(rows, feed)
        trades = newest.trades(found)
        open_at = {feed: symbol_info.hours(market, feed, _now()) for feed in {one.feed for one in found}}
        told = []
        for symbol, one in zip(rows, found, strict=True):
            trade = trades.get(one.symbol)
            price = None if trade is None else trade.price
            told.append(symbol_info.described(symbol, one.feed, price, open_at[one.feed]))
        return Response(
            {shown: [row[name] for row in told] for shown, name in _GROUP_COLUMNS.items()}
            | {"supported-resolutions": symbol_info.SUPPORTED}
        )


_GROUP_COLUMNS = {
    "symbol": "name", "description": "description", "exchange-listed": "listed_exchange", "exchange-traded": "exchange",
    "minmovement": "minmov", "pricescale": "pricescale", "has-intraday": "has_intraday", "has-daily": "has_daily",
    "has-weekly-and-monthly": "has_weekly_and_monthly", "type": "type", "ticker": "ticker", "timezone": "timezone",
    "session-regular": "session", "session-holidays": "session_holidays", "corrections": "corrections",
    "volume_precision": "volume_precision",
}  # fmt: skip


class SearchView(UdfView):
    """Symbols whose code or name has the text in it; those whose code begins with it come first."""

    @extend_schema(operation_id="udf_search", parameters=[SearchQuery], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, feed: str | None = None) -> Response:
        query = SearchQuery.read(request)
        word = query["query"].strip().upper().rpartition(":")[2]
        rows = (symbol_info.of_type(query["type"]) if query["type"] else Symbol.objects.all()).filter(is_active=True)
        if query["exchange"]:
            rows = rows.filter(market_id=query["exchange"].upper())
        rows = search(rows, word).order_by("code")
        return Response([self._shown(symbol) for symbol in _first(rows, word, query["limit"])])

    def _shown(self, symbol: Symbol) -> dict[str, Any]:
        return {
            "symbol": symbol.code,
            "full_name": f"{symbol.market_id}:{symbol.code}",
            "description": symbol.name or symbol.name_en or symbol.code,
            "exchange": symbol.market_id,
            "ticker": symbol.code,
            "type": symbol_info.type_of(symbol.category),
        }


def _first(rows: QuerySet[Symbol], word: str, limit: int) -> list[Symbol]:
    begun = list(rows.filter(code__startswith=word)[:limit])
    return begun + list(rows.exclude(code__startswith=word)[: limit - len(begun)])


class HistoryView(UdfView):
    """Bars of one symbol."""

    @extend_schema(operation_id="udf_history", parameters=[HistoryQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        query = HistoryQuery.read(request)
        one = _series(_symbol(query["symbol"]), feed)
        return Response(
            history.read(one, query["resolution"], from_s=query["from"], to_s=query["to"], count=query.get("countback"))
        )


class MarksView(UdfView):
    """Gaps and trades taken back, as marks at the bars they are in."""

    @extend_schema(operation_id="udf_marks", parameters=[MarksQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        one, resolution = _span(request, feed)
        with translation.override(self.reader):
            return Response(marks.columns(marks.on_bars(one, resolution) if one else []))


class TimescaleMarksView(UdfView):
    """What is known of the symbol itself: listing, new names, delisting."""

    @extend_schema(operation_id="udf_timescale_marks", parameters=[MarksQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        one, _ = _span(request, feed)
        with translation.override(self.reader):
            return Response(marks.on_times(one) if one else [])


def _span(request: Request, feed: str | None) -> tuple[Series | None, Timeframe | DateFrame]:
    """The series between the times asked for, both included; None if they hold nothing."""
    query = MarksQuery.read(request)
    first_us, last_us = query["from"] * _US, (query["to"] + 1) * _US - 1
    first_us, last_us = max(first_us, EARLIEST_US), min(last_us, LATEST_US)
    one = replace(_series(_symbol(query["symbol"]), feed), first_us=first_us, last_us=last_us)
    return (one if first_us <= last_us else None), query["resolution"]


class QuotesView(UdfView):
    """Where symbols stand: last price, change to the close of the day before, the day so far."""

    @extend_schema(operation_id="udf_quotes", parameters=[QuotesQuery], responses=_ANY)
    def get(self, request: Request, feed: str | None = None) -> Response:
        names = list(dict.fromkeys(QuotesQuery.read(request)["symbols"].split(",")))
        if len(names) > MOST_SYMBOLS:
            raise errors.Unprocessable(
                {"symbols": gettext("at most {most} symbols in one request").format(most=MOST_SYMBOLS)}
            )
        known = _symbols(names)
        told = quotes.values(list(zip(known.values(), _all_series(known.values(), feed), strict=True)), _now())
        return Response(
            {
                "s": "ok",
                "d": [
                    {"s": "ok", "n": name, "v": told[known[name].code]}
                    if name in known
                    else {"s": "error", "n": name, "errmsg": f"not registered: {name}"}
                    for name in names
                ],
            }
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
