"""The shapes of answers, for the OpenAPI schema only: views write them from arrays."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from analytics.indicators import registry


class Bar(serializers.Serializer[Any]):
    t = serializers.DateTimeField(help_text="open time")
    o = serializers.DecimalField(18, 8, coerce_to_string=False)
    h = serializers.DecimalField(18, 8, coerce_to_string=False)
    l = serializers.DecimalField(18, 8, coerce_to_string=False)  # noqa: E741 - the dialect's name
    c = serializers.DecimalField(18, 8, coerce_to_string=False)
    v = serializers.DecimalField(18, 6, coerce_to_string=False)
    n = serializers.IntegerField(help_text="trades")
    vw = serializers.DecimalField(
        18, 8, coerce_to_string=False, allow_null=True, help_text="volume-weighted average price"
    )
    x = serializers.BooleanField(help_text="closed: its time is over by the wall clock")
    rev = serializers.IntegerField(help_text="corrections of its minutes")
    td = serializers.DateField(help_text="trading date; the newest one of a candle of several")
    gap = serializers.IntegerField(help_text="1 when a terminal reported rows lost in its time")
    src = serializers.ChoiceField(
        choices=["naru", "kis"], required=False, help_text="with gaps=fill: kis where a minute of it is the vendor's"
    )


class DayStats(Bar):
    """A daily candle, and what follows from it."""

    turnover = serializers.DecimalField(36, 14, coerce_to_string=False, help_text="price times size of all trades")
    high = serializers.DecimalField(18, 8, coerce_to_string=False, help_text="of all trades of the date")
    low = serializers.DecimalField(18, 8, coerce_to_string=False, help_text="of all trades of the date")
    last = serializers.DecimalField(18, 8, coerce_to_string=False, help_text="the last price of the date")
    regularVolume = serializers.DecimalField(18, 6, coerce_to_string=False)  # noqa: N815 - as the dialect writes names
    tradeSize = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True)  # noqa: N815
    prevClose = serializers.DecimalField(18, 8, coerce_to_string=False, allow_null=True)  # noqa: N815
    change = serializers.DecimalField(18, 8, coerce_to_string=False, allow_null=True)
    changeRate = serializers.DecimalField(  # noqa: N815
        18, 4, coerce_to_string=False, allow_null=True, help_text="per cent of the close before, rounded down"
    )
    volatility = serializers.DecimalField(
        18, 8, coerce_to_string=False, allow_null=True, help_text="of the range: ln(h / l) / sqrt(4 ln 2)"
    )


def _price(**more: Any) -> serializers.DecimalField:
    return serializers.DecimalField(18, 8, coerce_to_string=False, allow_null=True, **more)


def _size(**more: Any) -> serializers.DecimalField:
    return serializers.DecimalField(26, 6, coerce_to_string=False, allow_null=True, **more)


def _share(told: str) -> serializers.FloatField:
    return serializers.FloatField(allow_null=True, help_text=told)


_YEARLY = "of 20 trading dates, by the year of 252"


class NewestStats(serializers.Serializer[Any]):
    """A symbol on its newest trading date; earlier ones are adjusted for splits, stock dividends and rights."""

    t = serializers.DateTimeField(help_text="everything that was committed before is in it")
    symbol = serializers.CharField()
    feed = serializers.CharField()
    td = serializers.DateField()
    open = _price(help_text="the first price of the date")
    last, prevClose, change = _price(), _price(), _price()  # noqa: N815 - as the dialect writes names
    changeRate = serializers.DecimalField(18, 4, coerce_to_string=False, allow_null=True)  # noqa: N815
    return1d, return5d = _share("logarithmic"), _share("logarithmic")
    return20d, return60d = _share("logarithmic"), _share("logarithmic")
    volatilityClose = _share(f"standard deviation of daily logarithmic returns {_YEARLY}")  # noqa: N815
    volatilityParkinson = _share(f"by ranges, {_YEARLY}")  # noqa: N815
    volatilityGarmanKlass = _share(f"by open, high, low and close, {_YEARLY}")  # noqa: N815
    volatilityIntraday = _share("of the date alone, by its minutes' closes")  # noqa: N815
    beta = _share("to the symbol of STATS_INDEX, over 60 daily returns")
    volume = _size()
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    trades = serializers.IntegerField()
    vwap = _price()
    vwapDeviation = _share("of the last price: last / vwap - 1")  # noqa: N815
    volumeRatio = _share("by the mean of the 20 dates before, up to the same minute")  # noqa: N815
    upVolume, downVolume = _size(help_text="taken by buyers"), _size(help_text="by sellers")  # noqa: N815
    flow = _share("(up - down) / (up + down)")
    tradeSizes = serializers.ListField(  # noqa: N815
        child=serializers.IntegerField(), allow_null=True,
        help_text="trades of less than 10, 100, 1,000, 10,000, 100,000 shares, and larger ones",
    )  # fmt: skip
    spread = _price(help_text="best ask less best bid")
    spreadShare = _share("of their mean")  # noqa: N815
    bidDepth, askDepth = _size(help_text="of all levels"), _size(help_text="of all levels")  # noqa: N815
    imbalance = _share("(bid - ask) / (bid + ask) of the depths")


class StatsOfSymbol(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    stats = DayStats(many=True)
    next_page_token = serializers.CharField(allow_null=True)
    newest = NewestStats(allow_null=True)


class _MarketSymbol(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    changeRate = serializers.DecimalField(18, 4, coerce_to_string=False, allow_null=True)  # noqa: N815
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)


class _Correlation(serializers.Serializer[Any]):
    symbols = serializers.ListField(child=serializers.CharField())
    days = serializers.IntegerField()
    matrix = serializers.ListField(child=serializers.ListField(child=serializers.FloatField(allow_null=True)))


class MarketStats(serializers.Serializer[Any]):
    """All symbols of a feed that traded on its newest trading date."""

    t = serializers.DateTimeField(help_text="of the newest of the symbols' statistics that are in it, or later")
    feed = serializers.CharField()
    td = serializers.DateField()
    symbols, advancing = serializers.IntegerField(), serializers.IntegerField()
    declining, unchanged = serializers.IntegerField(), serializers.IntegerField()
    breadth = _share("(advancing - declining) / all whose change is known")
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    upVolume, downVolume = _size(), _size()  # noqa: N815
    gainers, losers, mostTraded = _MarketSymbol(many=True), _MarketSymbol(many=True), _MarketSymbol(many=True)  # noqa: N815
    correlation = _Correlation()


class _MarketSums(serializers.Serializer[Any]):
    symbols, advancing = serializers.IntegerField(), serializers.IntegerField()
    declining, unchanged = serializers.IntegerField(), serializers.IntegerField()
    breadth = _share("(advancing - declining) / all whose change is known")
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    upVolume, downVolume = _size(), _size()  # noqa: N815
    meanChange = _share("mean of the changes in per cent, each symbol alike")  # noqa: N815
    weightedChange = _share("the same, weighted by traded value")  # noqa: N815


class _MarketGroup(_MarketSums):
    market, category = serializers.CharField(), serializers.CharField()


class _MarketRow(serializers.Serializer[Any]):
    symbol, name = serializers.CharField(), serializers.CharField()
    name_en, market, category = serializers.CharField(), serializers.CharField(), serializers.CharField()
    open, last, change = _price(), _price(), _price()
    changeRate = serializers.DecimalField(18, 4, coerce_to_string=False, allow_null=True)  # noqa: N815
    volume = _size()
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    trades = serializers.IntegerField()


class MarketSymbols(serializers.Serializer[Any]):
    """The symbols of a feed that traded on its newest trading date."""

    feed = serializers.CharField()
    td = serializers.DateField()
    t = serializers.DateTimeField(help_text="of the newest of the symbols' statistics")
    mark = serializers.CharField(allow_null=True, help_text="for `since` of the next request")
    whole = serializers.BooleanField(help_text="`symbols` has all of them: what was known before counts no more")
    all = _MarketSums()
    groups = _MarketGroup(many=True, help_text="by market and category")
    symbols = _MarketRow(many=True, help_text="all of them, or those that changed since the mark")
    gone = serializers.ListField(
        child=serializers.CharField(), help_text="symbols that have nothing to tell any more since the mark"
    )


class IndicatorRow(serializers.Serializer[Any]):
    """With the values of the indicators that were asked for, null where history is short."""

    t = serializers.DateTimeField(help_text="open time of the candle")
    x = serializers.BooleanField(help_text="the candle is closed: its time is over by the wall clock")
    td = serializers.DateField(help_text="trading date; the newest one of a candle of several")
    gap = serializers.IntegerField(help_text="1 when a terminal reported rows lost in the candle's time")

    def get_fields(self) -> Any:
        values = [name for indicator in registry.ALL for name in indicator.outputs]
        return super().get_fields() | {name: serializers.FloatField(required=False, allow_null=True) for name in values}


class IndicatorParameter(serializers.Serializer[Any]):
    name = serializers.CharField()
    default = serializers.FloatField()
    least = serializers.FloatField()
    most = serializers.FloatField()
    whole = serializers.BooleanField(help_text="whether it is a whole number")
    about = serializers.CharField()


class Indicator(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    overlay = serializers.BooleanField(help_text="drawn over the candles; else in a pane of its own")
    parameters = IndicatorParameter(many=True)
    inputs = serializers.ListField(child=serializers.CharField(), help_text="what of candles it is made of")
    values = serializers.ListField(child=serializers.CharField(), help_text="the names of its values")
    ascending = serializers.ListField(
        child=serializers.CharField(), help_text="two parameters of which the first must be the smaller, or none"
    )
    warm_up = serializers.IntegerField(help_text="candles before the first with every value, by default")


class Trade(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    p = serializers.DecimalField(18, 8, coerce_to_string=False)
    s = serializers.DecimalField(18, 6, coerce_to_string=False)
    x = serializers.CharField(help_text="feed")
    i = serializers.IntegerField(help_text="tick id, unique and in the order of arrival")
    c = serializers.ListField(child=serializers.CharField(), help_text="no_size: the source gave no size")
    z = serializers.CharField(allow_blank=True)
    tks = serializers.ChoiceField(choices=["B", "S", "-"], help_text="who took: buyer, seller, unknown")


class LatestTrade(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    p = serializers.DecimalField(18, 8, coerce_to_string=False)
    s = serializers.DecimalField(18, 6, coerce_to_string=False)
    x = serializers.CharField(help_text="feed")
    i = serializers.IntegerField(help_text="tick id")
    c = serializers.ListField(child=serializers.CharField(), help_text="no_size: the source gave no size")
    z = serializers.CharField(allow_blank=True)


class Quote(serializers.Serializer[Any]):
    """And `as`, the size at the ask."""

    t = serializers.DateTimeField()
    bx = serializers.CharField(help_text="feed")
    bp = serializers.DecimalField(18, 8, coerce_to_string=False, help_text="best bid; 0 with size 0: nobody")
    bs = serializers.DecimalField(18, 6, coerce_to_string=False)
    ax = serializers.CharField(help_text="feed")
    ap = serializers.DecimalField(18, 8, coerce_to_string=False, help_text="best ask; 0 with size 0: nobody")
    c = serializers.ListField(
        child=serializers.CharField(), help_text="book: the best level of an order book, where a feed has no quotes"
    )
    z = serializers.CharField(allow_blank=True)


class Level(serializers.Serializer[Any]):
    p = serializers.DecimalField(18, 8, coerce_to_string=False)
    s = serializers.DecimalField(18, 6, coerce_to_string=False)


class OrderBook(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    x = serializers.CharField(help_text="feed")
    i = serializers.IntegerField(help_text="its id, unique and in the order of arrival")
    b = Level(many=True, help_text="bids, best first, at most ten")
    a = Level(many=True, help_text="asks, best first, at most ten")
    bt = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True, help_text="size of all bids")
    at = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True, help_text="size of all asks")
    ep = serializers.DecimalField(
        18, 8, coerce_to_string=False, allow_null=True, help_text="price at which an auction would end"
    )
    es = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True, help_text="size at that price")
    cv = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True, help_text="volume of the day so far")
    mp = serializers.DecimalField(18, 8, coerce_to_string=False, allow_null=True, help_text="middle of the book")


class DayFigures(serializers.Serializer[Any]):
    """The day so far as a polled snapshot told it; what it did not tell is left out."""

    t = serializers.DateTimeField()
    td = serializers.DateField(help_text="trading date")
    p = serializers.DecimalField(18, 8, coerce_to_string=False)
    o = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)
    h = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)
    l = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)  # noqa: E741 - the dialect's name
    prevClose = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)  # noqa: N815 - the dialect's way
    upperLimit = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)  # noqa: N815
    lowerLimit = serializers.DecimalField(18, 8, coerce_to_string=False, required=False)  # noqa: N815
    changeRate = serializers.DecimalField(18, 8, coerce_to_string=False, required=False, help_text="per cent")  # noqa: N815
    v = serializers.DecimalField(18, 6, coerce_to_string=False, required=False)
    value = serializers.DecimalField(18, 2, coerce_to_string=False, required=False)


class Snapshot(serializers.Serializer[Any]):
    """What there is nothing of is left out."""

    latestTrade = LatestTrade(required=False)  # noqa: N815 - the dialect's names
    latestQuote = Quote(required=False)  # noqa: N815
    minuteBar = Bar(required=False)  # noqa: N815
    dailyBar = Bar(required=False)  # noqa: N815
    prevDailyBar = Bar(required=False)  # noqa: N815
    dayFigures = DayFigures(required=False)  # noqa: N815


class SymbolSnapshot(Snapshot):
    symbol = serializers.CharField()


class Symbol(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    market = serializers.CharField()
    timezone = serializers.CharField()
    feed = serializers.CharField(help_text="primary feed")
    active = serializers.BooleanField()


class DrawingPoint(serializers.Serializer[Any]):
    t = serializers.DateTimeField(required=False, help_text="none of a level")
    p = serializers.DecimalField(18, 8, coerce_to_string=False)


class Drawing(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    kind = serializers.CharField(help_text="level, trend, box or note")
    points = DrawingPoint(many=True)
    text = serializers.CharField(allow_blank=True)
    tone = serializers.IntegerField()


class Drawings(serializers.Serializer[Any]):
    drawings = Drawing(many=True)


class Event(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    i = serializers.IntegerField()
    type = serializers.CharField()
    x = serializers.CharField(help_text="feed")
    S = serializers.CharField(allow_blank=True, help_text="symbol, where it is of one")
    body = serializers.DictField(help_text="what the source told")


class Gap(serializers.Serializer[Any]):
    """And `from` and `to`, both included."""

    i = serializers.IntegerField()
    x = serializers.CharField(help_text="feed")
    S = serializers.CharField(allow_blank=True, help_text="empty: of the whole feed")
    rows = serializers.IntegerField(help_text="how many rows are missing, as far as that is known")
    missing = serializers.DecimalField(
        18, 6, coerce_to_string=False, allow_null=True, help_text="the volume that is missing"
    )
    td = serializers.DateField(allow_null=True, help_text="trading date")
    reason = serializers.CharField()
    told_at = serializers.DateTimeField()


class Correction(serializers.Serializer[Any]):
    """With `tick`, `i`, `reason` and `order` of a trade taken back, `bar` of a candle."""

    type = serializers.ChoiceField(choices=["void", "late", "vendor"])
    t = serializers.DateTimeField(required=False)
    S = serializers.CharField(help_text="symbol")
    x = serializers.CharField(help_text="feed")
    at = serializers.DateTimeField(required=False, help_text="when it was corrected")


class Stretch(serializers.Serializer[Any]):
    """And `from` and `to`: its first and its last minute."""

    state = serializers.ChoiceField(choices=["ahead", "quiet", "halted", "gap", "missing"])
    minutes = serializers.IntegerField()


class QualityGap(serializers.Serializer[Any]):
    """And `from` and `to`, both included."""

    i = serializers.IntegerField()
    S = serializers.CharField(allow_blank=True, help_text="empty: of the whole feed")
    rows = serializers.IntegerField()
    missing = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True)
    reason = serializers.CharField()


class SeriesQuality(serializers.Serializer[Any]):
    """A trading date of a symbol on a feed (docs/quality.md)."""

    date = serializers.DateField()
    symbol = serializers.CharField()
    feed = serializers.CharField()
    market = serializers.CharField(allow_blank=True)
    grade = serializers.ChoiceField(choices=["A", "B", "C", "D"])
    because = serializers.ListField(child=serializers.CharField(), help_text="why the grade is no A, the worst first")
    final = serializers.BooleanField(help_text="computed after the day was rolled over")
    received = serializers.IntegerField(help_text="rows that were judged")
    stored = serializers.IntegerField()
    repeated = serializers.IntegerField(help_text="refused because they were there already")
    rejected = serializers.IntegerField(help_text="rows refused")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="refused rows by reason")
    late = serializers.IntegerField(help_text="rows that came after the day was sealed")
    voided = serializers.IntegerField()
    gaps = serializers.IntegerField()
    missing = serializers.IntegerField(help_text="rows that gaps name")
    missing_volume = serializers.DecimalField(18, 6, coerce_to_string=False, help_text="shares that gaps name")
    gap_s = serializers.FloatField(help_text="how long gaps last, together")
    session = serializers.IntegerField(help_text="minutes of continuous trading that could have had a tick")
    present = serializers.IntegerField(help_text="those that have one")
    expected = serializers.IntegerField(allow_null=True, help_text="those that have one on a usual day")
    lost = serializers.IntegerField(help_text="those of gaps, and of silences longer than is usual")
    coverage = serializers.FloatField(allow_null=True, help_text="1 - lost / session; null: no session is known")
    compared = serializers.IntegerField(help_text="minutes that another feed of the venue has, too")
    differing = serializers.IntegerField(help_text="those whose closes differ by more than a tick")
    compared_with = serializers.CharField(allow_null=True)
    clock_offset_ms = serializers.FloatField(allow_null=True, help_text="the greatest one of the terminal that day")
    minutes_from = serializers.DateTimeField(required=False, allow_null=True)
    minutes = serializers.CharField(
        required=False,
        help_text="a letter each: p tick, q quiet, m missing, g gap, h halted, a ahead, - no session",
    )
    stretches = Stretch(many=True, required=False, help_text="minutes of the session without a tick")
    gap_list = QualityGap(many=True, required=False)


class QualitySeries(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    feed = serializers.CharField()
    market = serializers.CharField(allow_blank=True)
    grades = serializers.CharField(help_text="a letter for each of `dates`, - where there is none")


class QualityMap(serializers.Serializer[Any]):
    """The series with the worst grades first."""

    dates = serializers.ListField(child=serializers.DateField())
    counts = serializers.ListField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="of each of `dates`: series by grade"
    )
    series = QualitySeries(many=True)
    total = serializers.IntegerField(help_text="series of all pages")
    next_page_token = serializers.CharField(allow_null=True)


class Quality(serializers.Serializer[Any]):
    date = serializers.DateField()
    symbol = serializers.CharField(allow_null=True)
    state = serializers.CharField(allow_blank=True, help_text="how far the rollover of the day is")
    received = serializers.IntegerField(allow_null=True, help_text="rows of the batches of the day")
    stored = serializers.IntegerField()
    repeated = serializers.IntegerField(allow_null=True, help_text="rows that were there already")
    rejected = serializers.IntegerField(help_text="rows refused")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="refused rows by reason")
    late = serializers.IntegerField(allow_null=True, help_text="rows that came after the day was sealed")
    gaps = serializers.IntegerField()
    missing = serializers.IntegerField(help_text="rows that gaps name")
    voided = serializers.IntegerField(help_text="rows taken back")
    cut = serializers.BooleanField(help_text="more rows were refused than were looked at")
    grade = serializers.ChoiceField(choices=["A", "B", "C", "D"])
    because = serializers.ListField(child=serializers.CharField(), help_text="why the grade is no A")
    counts = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="how many series have which grade; of a whole date"
    )
    feeds = SeriesQuality(many=True, required=False, help_text="each feed of a symbol, with its minutes")


class Clock(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    is_open = serializers.BooleanField(help_text="whether the regular session is held now")
    next_open = serializers.DateTimeField(help_text="the next opening of a regular session")
    next_close = serializers.DateTimeField(help_text="the next closing of a regular session")
    market = serializers.CharField()
    phase = serializers.CharField(allow_null=True, help_text="what is held now at the market's own venue")
    trading = serializers.BooleanField(help_text="whether trades may be printed now at any venue")
    next_phase = serializers.CharField(allow_null=True, help_text="what is held after the phase of now; null: closed")
    next_phase_at = serializers.DateTimeField(allow_null=True, help_text="when it begins; null: nothing is known")


class CalendarDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    open = serializers.CharField(help_text="HH:MM, regular session, local time")
    close = serializers.CharField(help_text="HH:MM, regular session, local time")
    session_open = serializers.CharField(help_text="HHMM, first trading at any venue, local time")
    session_close = serializers.CharField(help_text="HHMM, last trading at any venue, local time")
    open_at = serializers.DateTimeField()
    close_at = serializers.DateTimeField()
    certain = serializers.BooleanField(help_text="false where it is a guess by weekday or custom")
    reason = serializers.CharField(allow_blank=True, help_text="why the day is not an ordinary one")


class Asset(serializers.Serializer[Any]):
    """And `class`, which is us_equity."""

    id = serializers.UUIDField()
    exchange = serializers.CharField(allow_blank=True, help_text="empty; see market")
    symbol = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=["active", "inactive"])
    tradable = serializers.BooleanField()
    marginable = serializers.BooleanField()
    shortable = serializers.BooleanField()
    easy_to_borrow = serializers.BooleanField()
    fractionable = serializers.BooleanField()
    attributes = serializers.ListField(child=serializers.CharField())
    market = serializers.CharField()
    category = serializers.CharField(allow_blank=True)


class WatchlistHead(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account_id = serializers.UUIDField(help_text="stands for the person")
    name = serializers.CharField()
    created_at, updated_at = serializers.DateTimeField(), serializers.DateTimeField()
    symbols = serializers.ListField(child=serializers.CharField(), help_text="codes in the order of the list")


class Watchlist(WatchlistHead):
    assets = Asset(many=True, help_text="what is registered of them")


Meanings = OpenApiResponse({"type": "object", "additionalProperties": {"type": "string"}}, "what each word means")


class ActiveStock(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    volume = serializers.DecimalField(18, 6, coerce_to_string=False)
    trade_count = serializers.IntegerField()


class MostActives(serializers.Serializer[Any]):
    most_actives = ActiveStock(many=True)
    last_updated = serializers.DateTimeField()


class Mover(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    percent_change = serializers.DecimalField(18, 4, coerce_to_string=False)
    change = serializers.DecimalField(18, 8, coerce_to_string=False)
    price = serializers.DecimalField(18, 8, coerce_to_string=False)


class Movers(serializers.Serializer[Any]):
    gainers = Mover(many=True)
    losers = Mover(many=True)
    market_type = serializers.CharField()
    last_updated = serializers.DateTimeField()


class CorporateAction(serializers.Serializer[Any]):
    """And what the dialect tells of its type, `symbol` or `source_symbol` and `rate`; and `source` of the notice."""

    id = serializers.UUIDField()
    ex_date = serializers.DateField()
    process_date = serializers.DateField(help_text="the ex-date")
    old_rate = serializers.DecimalField(15, 6, coerce_to_string=False)
    new_rate = serializers.DecimalField(15, 6, coerce_to_string=False)


class CorporateActions(serializers.Serializer[Any]):
    corporate_actions = serializers.DictField(
        child=CorporateAction(many=True), help_text="by type: forward_splits, cash_dividends and so on"
    )
    next_page_token = serializers.CharField(allow_null=True)


class Symbols(serializers.Serializer[Any]):
    symbols = Symbol(many=True)
    next_page_token = serializers.CharField(allow_null=True)


class Error(serializers.Serializer[Any]):
    """And `errors`, texts by field, where fields are wrong."""

    code = serializers.IntegerField()
    message = serializers.CharField()
    request_id = serializers.CharField()


class UdfError(Error):
    """As the charting library reads it."""

    s = serializers.ChoiceField(choices=["error"])
    errmsg = serializers.CharField()


class Ticket(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")


class Status(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    counters = serializers.DictField(child=serializers.IntegerField())
    refused = serializers.DictField(child=serializers.IntegerField(), help_text="rows refused, by reason")
    feeds = serializers.ListField(child=serializers.DictField())
    queues = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    commit_ms = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    ingest = serializers.ListField(child=serializers.DictField())
    redis = serializers.BooleanField()
    upkeep = serializers.DictField()
    sources = serializers.ListField(
        child=serializers.DictField(),
        help_text="what sources told of themselves in their last `vendor_status`, by the terminal's name",
    )


class StatusUpkeep(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    trading_day = serializers.DateField()
    next_rollover = serializers.DateTimeField(help_text="when that of the trading day is due")
    rollovers = serializers.ListField(child=serializers.DictField(), help_text="the newest, each with its `steps`")
    backup = serializers.DictField(allow_null=True, help_text="the newest, however it ended")
    verified_backup = serializers.DictField(allow_null=True, help_text="the newest that was restored and compared")
    disks = serializers.ListField(child=serializers.DictField(), help_text="of the machine that answers, in bytes")
    retention = serializers.ListField(child=serializers.DictField())
    rejects = serializers.DictField(help_text="rows refused within a day, by reason")
    dead_letters = serializers.DictField(child=serializers.IntegerField(), help_text="within a day, by code")
    gaps = serializers.DictField(help_text="of the trading day")
    coverage = serializers.DictField(allow_null=True, help_text="minutes of the session in which terminals sent")


class OperationAsked(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="of the audit log")
    at = serializers.DateTimeField()
    by = serializers.CharField()
    work = serializers.CharField()
    text = serializers.CharField(help_text="what was asked")
    outcome = serializers.CharField(help_text="`asked`, `in progress`, or how it ended")
    going = serializers.BooleanField(help_text="whether it waits or is being done")
    lost = serializers.BooleanField(help_text="whether nobody does it any more: it may be asked for again")


class OperationAnswer(serializers.Serializer[Any]):
    new = serializers.BooleanField(help_text="false: this one, asked before, still waits or is being done")
    asked = OperationAsked()


class OperationAlarm(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    code = serializers.CharField()
    subject = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    texts = serializers.DictField(help_text="the message in other languages")
    since = serializers.DateTimeField()
    seen = serializers.DateTimeField(help_text="when it was found last")
    count = serializers.IntegerField(help_text="how often it was found")
    acknowledged = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(allow_blank=True)
    cleared = serializers.DateTimeField(allow_null=True)
    cleared_by = serializers.CharField(allow_blank=True, help_text="empty: it was found mended")


class OperationTurn(serializers.Serializer[Any]):
    name = serializers.CharField()
    task = serializers.CharField()
    enabled = serializers.BooleanField()
    every = serializers.CharField()
    last = serializers.DateTimeField(allow_null=True, help_text="as beat wrote it down, up to some minutes ago")
    next = serializers.DateTimeField(allow_null=True, help_text="null: it is off, or will not be again")
    overdue = serializers.BooleanField(help_text="whether it should have run by now: does beat?")
    runs = serializers.IntegerField()


class Operations(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    dead_letters = serializers.ListField(child=serializers.DictField(), help_text="the newest 100")
    dead_letter_count = serializers.IntegerField()
    rejects = serializers.DictField(help_text="of the newest 10,000 refused rows: `rows`, `cut`, `reasons`")
    rollovers = serializers.ListField(child=serializers.DictField(), help_text="the newest")
    backups = serializers.ListField(child=serializers.DictField(), help_text="the newest")
    alarms = OperationAlarm(many=True, help_text="that are not cleared")
    cleared = OperationAlarm(many=True, help_text="that were within a day, newest first")
    timetable = OperationTurn(many=True)
    asked = OperationAsked(many=True, help_text="the newest, those by command among them")


class _Figures(serializers.DictField):
    """Numbers by name, one for each point; null where there was none to tell."""

    child = serializers.ListField(child=serializers.FloatField(allow_null=True))


class StatusHistory(serializers.Serializer[Any]):
    t = serializers.DateTimeField(help_text="now")
    resolution = serializers.CharField()
    step_s = serializers.IntegerField(help_text="seconds from point to point; some may be missing")
    times = serializers.ListField(child=serializers.DateTimeField(), help_text="begin of each point, oldest first")
    figures = _Figures(help_text="of the whole pipeline")
    queues = _Figures(help_text="messages waiting, by queue")
    rejected = _Figures(help_text="rows refused a second, by reason")
    terminal = _Figures(allow_null=True, help_text="of the terminal that was asked for")


class ReceivedRow(serializers.Serializer[Any]):
    """And what else the terminal gave: `side`, `price`, `size`, `bid`, `ask`, `bid_size`, `ask_size`, `cum_volume`,
    `seq`."""

    received = serializers.DateTimeField(help_text="when its batch came")
    batch = serializers.CharField(help_text="stream/seq, as in the ledger")
    feed = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    time = serializers.DateTimeField(allow_null=True)
    kind = serializers.CharField()


class ReceivedRows(serializers.Serializer[Any]):
    client = serializers.CharField()
    rows = ReceivedRow(many=True)


class _LatestEvent(serializers.Serializer[Any]):
    feed = serializers.CharField()
    client = serializers.CharField(help_text="who sent it")
    time = serializers.DateTimeField(allow_null=True)
    kind = serializers.CharField()
    price = serializers.DecimalField(18, 8, coerce_to_string=False, allow_null=True)
    size = serializers.DecimalField(18, 6, coerce_to_string=False, allow_null=True)


class LatestSeries(_LatestEvent):
    symbol = serializers.CharField()
    owner = serializers.CharField(allow_null=True, help_text="the client that the symbol belongs to in the feed")
    rows = serializers.IntegerField(help_text="ticks in the window")


class LatestTick(_LatestEvent):
    side = serializers.CharField(allow_blank=True)


class LatestSent(serializers.Serializer[Any]):
    series = LatestSeries(many=True)
    total = serializers.IntegerField(help_text="how many series there are")
    owners = serializers.BooleanField(help_text="false while the database does not answer: owners are null")
    silent = serializers.ListField(child=serializers.CharField(), help_text="ingest servers that did not answer")
    ticks = LatestTick(many=True, required=False)


def pages(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """Lists by symbol, and the token of the next page."""
    fields: dict[str, Any] = {
        name: serializers.DictField(child=item(many=True)),
        "next_page_token": serializers.CharField(allow_null=True),
    }
    return inline_serializer(f"{item.__name__}sBySymbol", fields)


def page(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """One symbol's list, and the token of the next page."""
    fields: dict[str, Any] = {
        "symbol": serializers.CharField(),
        name: item(many=True),
        "next_page_token": serializers.CharField(allow_null=True),
    }
    return inline_serializer(f"{item.__name__}sOfSymbol", fields)


def also_csv(content: Any) -> dict[Any, Any]:
    """Answers with a page as JSON, or as CSV for who asks for that."""
    told = "a header, the rows, and `# N rows`; the token of the next page is in `X-Next-Page-Token`"
    return {
        (200, "application/json"): content,
        (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, told),
        ("4XX", "application/json"): Error,
    }


def by_symbol(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """One thing of each symbol."""
    return inline_serializer(f"{item.__name__}BySymbol", {name: serializers.DictField(child=item())})


def of_symbol(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """The one thing of a symbol."""
    return inline_serializer(f"{item.__name__}OfOne", {"symbol": serializers.CharField(), name: item()})


def listed(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """A list, and the token of the next page."""
    fields: dict[str, Any] = {name: item(many=True), "next_page_token": serializers.CharField(allow_null=True)}
    return inline_serializer(f"{item.__name__}s", fields)


INDICATORS = inline_serializer("Indicators", {"indicators": Indicator(many=True)})
INDICATORS_OF_SYMBOL = inline_serializer(
    "IndicatorsOfSymbol",
    {
        "symbol": serializers.CharField(),
        "parameters": serializers.DictField(child=serializers.DictField(), help_text="those of each indicator"),
        "indicators": IndicatorRow(many=True),
        "next_page_token": serializers.CharField(allow_null=True),
    },
)


class AlertRule(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    parameters = serializers.DictField(help_text="of its kind; numbers as text")
    symbols = serializers.ListField(child=serializers.CharField())
    watchlist = serializers.CharField(allow_null=True)
    market = serializers.CharField(allow_null=True)
    feed = serializers.CharField(help_text="empty: the primary feed of each symbol")
    cooldown_s = serializers.IntegerField()
    quiet_from = serializers.CharField(allow_null=True)
    quiet_until = serializers.CharField(allow_null=True)
    enabled = serializers.BooleanField()
    targets = serializers.ListField(child=serializers.IntegerField())
    owner = serializers.CharField()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class AlertRules(serializers.Serializer[Any]):
    rules = AlertRule(many=True)


class Alert(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    rule = serializers.IntegerField(allow_null=True, help_text="null: the rule was deleted")
    name = serializers.CharField()
    kind = serializers.CharField()
    feed = serializers.CharField()
    symbol = serializers.CharField()
    value = serializers.CharField()
    message = serializers.CharField()
    texts = serializers.DictField(child=serializers.CharField(), help_text="the message in other languages")
    t = serializers.DateTimeField(help_text="when it happened")
    fired_at = serializers.DateTimeField()
    cleared_at = serializers.DateTimeField(allow_null=True, help_text="null: its condition still holds")
    quiet = serializers.BooleanField(help_text="it came in quiet hours, and was delivered to no target")
    owner = serializers.CharField()
    acknowledged_by = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)


class Alerts(serializers.Serializer[Any]):
    alerts = Alert(many=True)
    next_page_token = serializers.CharField(allow_null=True)


class AlertTarget(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    shown = serializers.CharField(help_text="the address without what is secret of it")
    enabled = serializers.BooleanField()
    owner = serializers.CharField()
    created_at = serializers.DateTimeField()
    secret = serializers.CharField(required=False, help_text="in the answer that makes a webhook, and never again")


class AlertTargets(serializers.Serializer[Any]):
    targets = AlertTarget(many=True)


class AlertTest(serializers.Serializer[Any]):
    delivered = serializers.BooleanField()
    error = serializers.CharField()
