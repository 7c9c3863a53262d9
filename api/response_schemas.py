"""The shapes of answers, for the OpenAPI schema only: views write them from arrays."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers


class Bar(serializers.Serializer[Any]):
    t = serializers.DateTimeField(help_text="open time")
    o = serializers.DecimalField(18, 8, coerce_to_string=False)
    h = serializers.DecimalField(18, 8, coerce_to_string=False)
    l = serializers.DecimalField(18, 8, coerce_to_string=False)  # noqa: E741 - the dialect's name
    c = serializers.DecimalField(18, 8, coerce_to_string=False)
    v = serializers.DecimalField(18, 4, coerce_to_string=False)
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


class Trade(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    p = serializers.DecimalField(18, 8, coerce_to_string=False)
    s = serializers.DecimalField(18, 4, coerce_to_string=False)
    x = serializers.CharField(help_text="feed")
    i = serializers.IntegerField(help_text="tick id, unique and in the order of arrival")
    c = serializers.ListField(child=serializers.CharField(), help_text="no_size: the source gave no size")
    z = serializers.CharField(allow_blank=True)
    tks = serializers.ChoiceField(choices=["B", "S", "-"], help_text="who took: buyer, seller, unknown")


class Symbol(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    market = serializers.CharField()
    timezone = serializers.CharField()
    feed = serializers.CharField(help_text="primary feed")
    active = serializers.BooleanField()


class Symbols(serializers.Serializer[Any]):
    symbols = Symbol(many=True)
    next_page_token = serializers.CharField(allow_null=True)


class Error(serializers.Serializer[Any]):
    """And `errors`, texts by field, where fields are wrong."""

    code = serializers.IntegerField()
    message = serializers.CharField()
    request_id = serializers.CharField()


class Ticket(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")


class Status(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    counters = serializers.DictField(child=serializers.IntegerField())
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
