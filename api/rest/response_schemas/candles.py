"""Candles, and the indicators of candles."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import inline_serializer
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
