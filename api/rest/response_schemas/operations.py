"""The pipeline: its status and history, what operators may ask for, what ingest servers received."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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
    fanout = serializers.DictField(
        allow_null=True,
        help_text="how far the topics of another broker are behind, by feed; null without one (`EVENT_BUS`)",
    )


class StatusUpkeep(serializers.Serializer[Any]):
    t = serializers.DateTimeField()
    trading_day = serializers.DateField()
    next_rollover = serializers.DateTimeField(help_text="when that of the trading day is due")
    rollovers = serializers.ListField(
        child=serializers.DictField(),
        help_text="the newest, each with its `steps`, `error` and `texts`, the error in other languages",
    )
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
    texts = serializers.DictField(help_text="the outcome in other languages")
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
    every = serializers.CharField(help_text="how often, or when, in English words")
    every_texts = serializers.DictField(help_text="the same in other languages")
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
    copies = serializers.DictField(allow_null=True, help_text="how they stand in the other place; null without one")
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
