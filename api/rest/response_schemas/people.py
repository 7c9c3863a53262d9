"""What people keep for themselves: drawings, watch lists, tickets of their logins."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from api.rest.response_schemas.reference import Asset


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


class WatchlistHead(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account_id = serializers.UUIDField(help_text="stands for the person")
    name = serializers.CharField()
    created_at, updated_at = serializers.DateTimeField(), serializers.DateTimeField()
    symbols = serializers.ListField(child=serializers.CharField(), help_text="codes in the order of the list")


class Watchlist(WatchlistHead):
    assets = Asset(many=True, help_text="what is registered of them")


class Ticket(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")
