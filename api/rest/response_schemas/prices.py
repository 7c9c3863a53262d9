"""Trades, quotes, order books, and where a symbol stands."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from api.rest.response_schemas.candles import Bar


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
