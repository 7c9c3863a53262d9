"""The parameters in the address of each resource, checked; the OpenAPI schema is made from them."""

from __future__ import annotations

import functools
from typing import Any, Self

from django.http import QueryDict
from django.utils import translation
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request

from analytics.series import timeframes
from api import market
from api.rest import errors, series, timestamps
from api.rest.fields import (
    ACTION_TYPES,
    LISTED,
    MOST_NUMBER,
    ActionTypesField,
    AsOfField,
    CategoriesField,
    CurrencyField,
    DayField,
    IdsField,
    SymbolsField,
    TimeframeField,
    TimestampField,
    WholeNumberField,
)
from api.rest.timestamps import Timestamp
from marketdata.calendar.trading_calendar import Session
from marketdata.models import AlertRule
from marketdata.models.reference import FEED_PATTERN, PLAIN_PATTERN, SYMBOL_PATTERN
from marketdata.realtime import inspection, pipeline_history
from marketdata.reference import corporate_actions
from marketdata.types import told_indices
from marketdata.types.units import DAY_US

OURS = ("format",)  # REST framework's own: which renderer


def _listed(given: QueryDict) -> QueryDict:
    """Parameters in which `symbols[]=A&symbols[]=B` is `symbols=A,B`: so axios writes a list, and with it the dialect's
    client for Node of major 3."""
    if LISTED not in given:
        return given
    told = given.copy()
    told.appendlist(LISTED.removesuffix("[]"), ",".join(told.pop(LISTED)))
    return told


class Query(serializers.Serializer[Any]):
    """Query parameters. One that is not known, or given twice, is an error that names what is allowed."""

    @classmethod
    def read(cls, request: Request, **more: str) -> dict[str, Any]:
        """The checked parameters of a request. UnknownParameter, Problem for one that is given twice, and REST
        framework's ValidationError say what is wrong with them."""
        allowed, params = cls._allowed(), _listed(request.query_params)
        for name, values in params.lists():
            if name not in allowed and name not in OURS:
                told = _("unknown parameter {name!r}; allowed are {names}")
                raise errors.UnknownParameter(told.format(name=name, names=", ".join(allowed)))
            if len(values) > 1:
                raise errors.Problem(_("{name} is given {times} times").format(name=name, times=len(values)))
        given = {name: params[name] for name in params if name in allowed}
        return dict(cls._checker(translation.get_language()).run_validation({**given, **more}))

    @classmethod
    @functools.cache
    def _checker(cls, language: str | None) -> Self:
        """One for all requests, for its fields keep nothing of what they check and to make them takes ten times as long
        as to check. One for each language, for some of their messages stay in the first that they were told in."""
        made = cls()
        made.fields  # noqa: B018 - makes them, before two threads come
        return made

    @classmethod
    @functools.cache
    def _allowed(cls) -> list[str]:
        """The names of the parameters, in order."""
        return sorted(cls().fields)


class SeriesQuery(Query):
    """What names a part of some series, be it read in pages or as a whole."""

    start = TimestampField(required=False, help_text=f"first time, included: {timestamps.RIGHT}")
    end = TimestampField(
        required=False, help_text="last time, included; a date means its whole day in the symbol's market"
    )
    feed = serializers.RegexField(FEED_PATTERN, required=False, help_text="default: the primary feed of each symbol")
    asof = AsOfField()
    currency = CurrencyField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start"), attrs.get("end")
        if (
            isinstance(start, Timestamp)
            and isinstance(end, Timestamp)
            and start.first_us("UTC") > end.last_us("UTC") + DAY_US
        ):
            raise errors.Unprocessable({"start": _("is after end")})
        return attrs


class RangeQuery(SeriesQuery):
    limit = WholeNumberField(required=False, default=1000, min_value=1, max_value=10_000)
    page_token = serializers.CharField(required=False, max_length=200, help_text="next_page_token of the page before")
    sort = serializers.ChoiceField(choices=["asc", "desc"], required=False, default="asc")


class TradesQuery(RangeQuery):
    symbols = SymbolsField(help_text="codes separated by commas")


class SymbolTradesQuery(RangeQuery):
    pass


class _Adjusted(Query):
    adjustment = serializers.ChoiceField(
        choices=[series.RAW, *corporate_actions.KINDS], required=False, default=series.RAW
    )


class _OfBars(_Adjusted, SeriesQuery):
    """Which candles of the series."""

    timeframe = TimeframeField(required=False, help_text=f"{timeframes.ALLOWED}; default 1Min")
    session = serializers.ChoiceField(
        choices=["all", *Session], required=False, default="all", help_text="only of this part of each trading day"
    )
    gaps = serializers.ChoiceField(
        choices=["fill"], required=False, help_text="show the vendor's bar where rows of ours were lost, and `src`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"timeframe": timeframes.MINUTE, **super().validate(attrs)}


class _Bars(_OfBars, RangeQuery):
    pass


class BarsQuery(_Bars):
    symbols = SymbolsField(help_text="codes separated by commas")


class SymbolBarsQuery(_Bars):
    pass


class QuotesQuery(TradesQuery):
    pass


class SymbolQuotesQuery(SymbolTradesQuery):
    pass


class OrderBooksQuery(RangeQuery):
    pass


class StatsQuery(RangeQuery):
    pass


class MarketStatsQuery(Query):
    feed = serializers.RegexField(
        FEED_PATTERN, required=False, help_text="default: the feed that most symbols have as their primary one"
    )


class MarketSymbolsQuery(MarketStatsQuery):
    since = serializers.RegexField(
        market.MARK, required=False, max_length=80, help_text="the mark of an earlier answer: only what changed since"
    )


class ExportQuery(SeriesQuery):
    symbols = SymbolsField(help_text="codes separated by commas")


class BarsExportQuery(_OfBars, ExportQuery):
    pass


class SymbolLatestQuery(Query):
    feed = serializers.RegexField(FEED_PATTERN, required=False, help_text="default: the primary feed of each symbol")
    asof = AsOfField()
    currency = CurrencyField()


class LatestQuery(SymbolLatestQuery):
    symbols = SymbolsField(help_text="codes separated by commas")


class SnapshotsQuery(_Adjusted, LatestQuery):
    pass


class SymbolSnapshotQuery(_Adjusted, SymbolLatestQuery):
    pass


class NewestStatsQuery(LatestQuery):
    pass


MOST_CORRELATED = 50


class CorrelationQuery(Query):
    symbols = SymbolsField(help_text=f"up to {MOST_CORRELATED} codes separated by commas")
    feed = serializers.RegexField(FEED_PATTERN, required=False, help_text="default: the primary feed of each symbol")

    def validate_symbols(self, codes: list[str]) -> list[str]:
        """ValidationError for more than are read for one answer."""
        if len(codes) > MOST_CORRELATED:
            raise serializers.ValidationError(_("at most {most} symbols in one request").format(most=MOST_CORRELATED))
        return codes


class SymbolsQuery(Query):
    search = serializers.CharField(
        required=False, max_length=80, help_text="part of a code or a name; consonants stand for syllables they begin"
    )
    market = serializers.CharField(required=False, max_length=8)
    symbols = SymbolsField(required=False, help_text="only these codes, separated by commas")
    category = CategoriesField(
        required=False, help_text="what symbols were registered as, such as index; several separated by commas"
    )
    feed = serializers.RegexField(FEED_PATTERN, required=False, help_text="primary feed")
    active = serializers.BooleanField(required=False, allow_null=True, default=None)
    limit = WholeNumberField(required=False, default=1000, min_value=1, max_value=10_000)
    page_token = serializers.CharField(required=False, max_length=200)


class RecordsQuery(Query):
    """Of resources that are not a series of one symbol; a date is the whole day in Seoul."""

    start = TimestampField(required=False, help_text=f"first time, included: {timestamps.RIGHT}")
    end = TimestampField(required=False, help_text="last time, included; a date means its whole day in Seoul")
    symbols = SymbolsField(required=False, help_text="codes separated by commas; default all")
    asof = AsOfField()
    feed = serializers.RegexField(FEED_PATTERN, required=False, help_text="default: every feed that you may read")
    limit = WholeNumberField(required=False, default=1000, min_value=1, max_value=10_000)
    page_token = serializers.CharField(required=False, max_length=200, help_text="next_page_token of the page before")
    sort = serializers.ChoiceField(choices=["asc", "desc"], required=False, default="asc")


INDEX = told_indices.EVENT
"""The type of events by which a source tells indices that are no symbols."""
MOST_INDEX_DAYS = 7
"""Of one index's events in one question: every body of that time is looked into."""


class EventsQuery(RecordsQuery):
    type = serializers.RegexField(
        PLAIN_PATTERN, required=False, max_length=32, help_text="only events of this type, such as vi"
    )
    index = serializers.CharField(
        required=False, max_length=32,
        help_text="only values of this index, such as 0001, by a source that tells indices as events of type index:"
        f" from `start` on, which is needed, to `end`, at most and by default {MOST_INDEX_DAYS} days later",
    )  # fmt: skip

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "index" not in attrs:
            return attrs
        if attrs.setdefault("type", INDEX) != INDEX:
            raise errors.Unprocessable({"type": _("is index, or left out, where index is given")})
        if "start" not in attrs:
            raise errors.Unprocessable({"start": _("is needed where index is given")})
        return attrs


class GapsQuery(RecordsQuery):
    reason = serializers.CharField(
        required=False, max_length=200, help_text="only gaps whose reason begins so, such as volume_hole"
    )


class CorrectionsQuery(RecordsQuery):
    type = serializers.ChoiceField(
        choices=["void", "late", "vendor"], required=False, default="void",
        help_text="trades taken back, candles that late ticks changed (of named symbols), a vendor's minutes told anew",
    )  # fmt: skip


MOST_DAYS = 7_400  # of a calendar in one answer: twenty years


class MarketQuery(Query):
    market = serializers.CharField(required=False, max_length=8, help_text="default KRX")


class ClockQuery(MarketQuery):
    feed = serializers.CharField(
        required=False, max_length=16, help_text="tell of its venue; default the market's own venue, and trading at any"
    )


class CalendarQuery(MarketQuery):
    start = DayField(required=False, help_text="first date, included; default the first of this year")
    end = DayField(required=False, help_text="last date, included; default the last of the year of `start`")
    date_type = serializers.CharField(required=False, max_length=16, help_text="accepted for the dialect's sake")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start"), attrs.get("end")
        if start is not None and end is not None and start > end:
            raise errors.Unprocessable({"start": _("is after end")})
        if start is not None and end is not None and (end - start).days > MOST_DAYS:
            raise errors.Unprocessable({"end": _("is more than {most} days after start").format(most=MOST_DAYS)})
        return attrs


class AssetsQuery(Query):
    status = serializers.ChoiceField(choices=["active", "inactive"], required=False)
    asset_class = serializers.CharField(required=False, max_length=16, help_text="us_equity, for all")
    exchange = serializers.CharField(required=False, max_length=16, help_text="a market of ours, such as KRX")
    attributes = serializers.CharField(required=False, max_length=200, help_text="accepted for the dialect's sake")


class MetaQuery(Query):
    tape = serializers.CharField(required=False, max_length=1, help_text="accepted for the dialect's sake")


class MostActivesQuery(Query):
    by = serializers.ChoiceField(choices=["volume", "trades"], required=False, default="volume")
    top = WholeNumberField(required=False, default=10, min_value=1, max_value=100)


class MoversQuery(Query):
    top = WholeNumberField(required=False, default=10, min_value=1, max_value=50)


class CorporateActionsQuery(Query):
    symbols = SymbolsField(required=False, help_text="codes separated by commas; default all")
    types = ActionTypesField(required=False, help_text=f"separated by commas: {', '.join(ACTION_TYPES)}; default all")
    ids = IdsField(required=False, help_text="only these, separated by commas")
    cusips = serializers.CharField(required=False, max_length=4096, help_text="none is known here: nothing has one")
    region = serializers.CharField(required=False, max_length=16, help_text="accepted for the dialect's sake")
    start = DayField(required=False, help_text="first ex-date, included; default no bound")
    end = DayField(required=False, help_text="last ex-date, included; default no bound")
    limit = WholeNumberField(required=False, default=1000, min_value=1, max_value=10_000)
    page_token = serializers.CharField(required=False, max_length=200, help_text="next_page_token of the page before")
    sort = serializers.ChoiceField(choices=["asc", "desc"], required=False, default="asc", help_text="by ex-date")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start"), attrs.get("end")
        if start is not None and end is not None and start > end:
            raise errors.Unprocessable({"start": _("is after end")})
        return attrs


class InMemoryQuery(Query):
    symbol = serializers.RegexField(SYMBOL_PATTERN, required=False, help_text="only this symbol")
    limit = WholeNumberField(required=False, default=100, min_value=1, max_value=inspection.MOST_ROWS)


class HistoryQuery(Query):
    resolution = serializers.ChoiceField(
        list(pipeline_history.RESOLUTIONS), default=pipeline_history.FINE.name,
        help_text="10Sec: the last two hours; 1Min: the last day",
    )  # fmt: skip
    start = TimestampField(required=False, help_text="no point before")
    terminal = serializers.CharField(
        required=False, max_length=64, help_text="the name of a terminal, whose own figures are given as well"
    )


MOST_QUALITY_DAYS = 400


class _Spoken(Query):
    lang = serializers.ChoiceField(
        choices=["en", "ko"], required=False, default="en", help_text="the language of `because`"
    )


class QualityOfDayQuery(_Spoken):
    pass


class SymbolQualityQuery(_Spoken):
    asof = AsOfField()


class _QualityDays(Query):
    start = DayField(required=False, help_text="first trading date, included; default 60 days before `end`")
    end = DayField(required=False, help_text="last trading date, included; default today in Seoul")
    symbols = SymbolsField(required=False, help_text="codes separated by commas, as they are stored")
    market = serializers.CharField(required=False, max_length=8)
    feed = serializers.RegexField(FEED_PATTERN, required=False)
    grade = serializers.RegexField(
        r"\A[ABCD](,[ABCD]){0,3}\Z", required=False, help_text="only of these grades, such as C,D"
    )
    page_token = serializers.CharField(required=False, max_length=200, help_text="next_page_token of the page before")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start"), attrs.get("end")
        if start is not None and end is not None and start > end:
            raise errors.Unprocessable({"start": _("is after end")})
        return attrs


class QualityQuery(_QualityDays, _Spoken):
    limit = WholeNumberField(required=False, default=1000, min_value=1, max_value=10_000)
    sort = serializers.ChoiceField(choices=["asc", "desc"], required=False, default="desc", help_text="by date")


class QualityMapQuery(_QualityDays):
    limit = WholeNumberField(required=False, default=100, min_value=1, max_value=1000, help_text="series")
    search = serializers.CharField(required=False, max_length=40, help_text="part of a symbol's code or name")


class NoQuery(Query):
    pass


class AlertCountQuery(Query):
    symbols = SymbolsField(required=False)
    kind = serializers.ChoiceField(choices=AlertRule.Kind.values, required=False)
    rule = WholeNumberField(required=False, min_value=1, max_value=MOST_NUMBER, help_text="number of a rule")
    open = serializers.BooleanField(required=False, help_text="whether the condition still holds")
    acknowledged = serializers.BooleanField(required=False)


class AlertsQuery(AlertCountQuery):
    limit = WholeNumberField(required=False, default=100, min_value=1, max_value=1_000)
    page_token = serializers.CharField(required=False, max_length=200, help_text="next_page_token of the page before")
