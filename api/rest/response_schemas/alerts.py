"""Alert rules, their targets, and what they found."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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


class AlertCount(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="counted up to 1,000")
    more = serializers.BooleanField(help_text="whether there are more than were counted")


class AlertTarget(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    shown = serializers.CharField(help_text="the address without what is secret of it")
    enabled = serializers.BooleanField()
    owner = serializers.CharField()
    created_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True, help_text="when something arrived there last")
    failed_at = serializers.DateTimeField(
        allow_null=True, help_text="when an attempt failed last; after `delivered_at`: it does not work now"
    )
    error = serializers.CharField(allow_blank=True, help_text="what failed then")
    texts = serializers.DictField(child=serializers.CharField(), help_text="the error in other languages than English")
    secret = serializers.CharField(required=False, help_text="in the answer that makes a webhook, and never again")


class AlertTargets(serializers.Serializer[Any]):
    targets = AlertTarget(many=True)


class AlertTest(serializers.Serializer[Any]):
    delivered = serializers.BooleanField()
    error = serializers.CharField()
