"""Statistics of symbols, of days and of the market."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.statistics import betas
from api.rest.response_schemas.candles import Bar


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
    beta = _share("to `betaIndex`, over 60 daily returns")
    betaIndex = serializers.CharField(  # noqa: N815
        required=False, allow_null=True,
        help_text="the symbol of STATS_INDEX, or an index of its market: one that is collected, or the code of one that"
        " KIS tells as events",
    )  # fmt: skip
    betaDates = serializers.IntegerField(  # noqa: N815
        required=False, help_text="dates on which both have a close, up to the 61 that it takes"
    )
    betaMissing = serializers.ChoiceField(  # noqa: N815
        list(betas.MISSING), required=False, allow_null=True,
        help_text="why there is none: " + "; ".join(f"`{word}` {why}" for word, why in betas.MISSING.items()),
    )  # fmt: skip
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


class Correlation(serializers.Serializer[Any]):
    """Pearson's, of daily returns: `matrix` by `symbols`, null where one of the two lacks a date."""

    symbols = serializers.ListField(child=serializers.CharField())
    days = serializers.IntegerField()
    matrix = serializers.ListField(child=serializers.ListField(child=serializers.FloatField(allow_null=True)))


class MarketStats(serializers.Serializer[Any]):
    """All symbols of a feed that traded on its newest trading date."""

    t = serializers.DateTimeField(help_text="of the newest of the symbols' statistics that are in it, or later")
    feed = serializers.CharField()
    td = serializers.DateField()
    symbols = serializers.IntegerField()
    shares = serializers.IntegerField(  # a worker of before, while an upgrade goes on, tells none
        required=False, help_text="of them; the counts are of these, of all symbols where there is none"
    )
    advancing, declining = serializers.IntegerField(), serializers.IntegerField()
    unchanged = serializers.IntegerField()
    breadth = _share("(advancing - declining) / all whose change is known")
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    upVolume, downVolume = _size(), _size()  # noqa: N815
    gainers, losers, mostTraded = _MarketSymbol(many=True), _MarketSymbol(many=True), _MarketSymbol(many=True)  # noqa: N815
    correlation = Correlation()


class _MarketSums(serializers.Serializer[Any]):
    symbols = serializers.IntegerField()
    shares = serializers.IntegerField(help_text="of them; the counts are of these, of all symbols where there is none")
    advancing, declining = serializers.IntegerField(), serializers.IntegerField()
    unchanged = serializers.IntegerField()
    breadth = _share("(advancing - declining) / all whose change is known")
    turnover = serializers.DecimalField(38, 14, coerce_to_string=False)
    upVolume, downVolume = _size(), _size()  # noqa: N815
    meanChange = _share("mean of the changes of the same in per cent, each alike")  # noqa: N815
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
