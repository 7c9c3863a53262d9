"""How good the data of trading dates is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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
    name_en = serializers.CharField(allow_blank=True)
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
