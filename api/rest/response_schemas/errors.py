"""What an answer is that refuses."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Error(serializers.Serializer[Any]):
    """And `errors`, texts by field, where fields are wrong."""

    code = serializers.IntegerField()
    message = serializers.CharField()
    request_id = serializers.CharField()


class UdfError(Error):
    """As the charting library reads it."""

    s = serializers.ChoiceField(choices=["error"])
    errmsg = serializers.CharField()
