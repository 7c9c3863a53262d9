"""What the market told beside prices, and what is missing or was taken back."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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
