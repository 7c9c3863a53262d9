"""Symbols, assets, corporate actions and the calendar."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class Symbol(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    market = serializers.CharField()
    timezone = serializers.CharField()
    feed = serializers.CharField(help_text="primary feed")
    active = serializers.BooleanField()


class Clock(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    is_open = serializers.BooleanField(help_text="whether the regular session is held now")
    next_open = serializers.DateTimeField(help_text="the next opening of a regular session")
    next_close = serializers.DateTimeField(help_text="the next closing of a regular session")
    market = serializers.CharField()
    venue = serializers.CharField(allow_null=True, help_text="whose phases these are; null: of any of its venues")
    phase = serializers.CharField(allow_null=True, help_text="what is held now at the venue; null: closed")
    trading = serializers.BooleanField(help_text="whether trades may be printed now; without `feed` at any venue")
    continuous = serializers.BooleanField(
        help_text="whether they may come at any moment, as they do not in an auction; false where hours are not known"
    )
    silence_s = serializers.FloatField(
        allow_null=True, help_text="without a trade for so long something is wrong; null: silence says nothing now"
    )
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


Meanings = OpenApiResponse({"type": "object", "additionalProperties": {"type": "string"}}, "what each word means")


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
