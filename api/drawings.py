"""What people draw on charts, as the API takes and shows it. Each belongs to one person, who alone reads and changes
it, logged in or by a key of his own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers
from rest_framework.request import Request

from api.rest import errors, jsontext
from api.rest.fields import TimestampField
from api.rest.queries import Query
from api.rest.timestamps import Timestamp
from marketdata.models import ApiKey, Drawing, Symbol
from marketdata.models.reference import SYMBOL_PATTERN
from marketdata.types.tick_arrays import PRICE_UNIT, decimal_text
from terminals import wire

MOST_OF_SYMBOL, MOST = 100, 2_000
TONES = 8
MOST_POINTS = 10  # that are looked at; how many a kind has, _POINTS says
_POINTS = {Drawing.Kind.LEVEL: 1, Drawing.Kind.TREND: 2, Drawing.Kind.BOX: 2, Drawing.Kind.NOTE: 1}


class DrawingsQuery(Query):
    symbol = serializers.RegexField(SYMBOL_PATTERN, required=False, help_text="default: those of all symbols")


class Point(serializers.Serializer[Any]):
    t = TimestampField(required=False, help_text="RFC-3339 with an offset; none of a level")
    p = serializers.DecimalField(18, 8, help_text="price")


class Content(serializers.Serializer[Any]):
    """What can be changed of a drawing."""

    kind = serializers.ChoiceField(choices=Drawing.Kind.values)
    points: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=Point(), max_length=MOST_POINTS, help_text="one of a level or a note, two of a trend or a box"
    )
    text = serializers.CharField(required=False, default="", allow_blank=True, max_length=120)
    tone = serializers.IntegerField(required=False, default=1, min_value=1, max_value=TONES, help_text="its colour")

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(map(str, data.keys() - self.fields.keys())) if isinstance(data, dict) else []
        if unknown:
            told = _("is unknown; there are {names}").format(names=", ".join(self.fields))
            raise serializers.ValidationError(dict.fromkeys(unknown, told))
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`points` become the columns of the model. ValidationError for ones that do not fit the kind."""
        kind, points = attrs["kind"], attrs.pop("points")
        if len(points) != _POINTS[kind]:
            told = _("a {kind} has {points}").format(kind=kind, points=_POINTS[kind])
            raise serializers.ValidationError({"points": told})
        if kind == Drawing.Kind.NOTE and not attrs["text"]:
            raise serializers.ValidationError({"text": _("a note has a text")})
        timed = kind != Drawing.Kind.LEVEL
        if any(("t" in one) != timed for one in points):
            told = _("each has a time t") if timed else _("a level has no time: leave t away")
            raise serializers.ValidationError({"points": told})
        if any(timed and one["t"].day is not None for one in points):
            raise serializers.ValidationError({"points": _("t is a time with an offset, not a date")})
        first, last = points[0], points[-1]
        attrs["time_us"], attrs["price"] = _place(first)
        attrs["end_us"], attrs["end_price"] = _place(last) if len(points) > 1 else (None, None)
        return attrs


class NewContent(Content):
    symbol = serializers.RegexField(SYMBOL_PATTERN)

    def validate_symbol(self, code: str) -> str:
        """UnknownSymbol unless it is registered."""
        if not Symbol.objects.filter(code=code).exists():
            raise errors.UnknownSymbol(_("not registered: {symbol}").format(symbol=code))
        return code


def _place(point: dict[str, Any]) -> tuple[int | None, int]:
    time: Timestamp | None = point.get("t")
    return time.time_us if time is not None else None, int(point["p"] * PRICE_UNIT)


def read(content: type[Content], request: Request) -> dict[str, Any]:
    """The checked body of a request. ValidationError names each place that is wrong, as points.0.p."""
    body = content(data=request.data)
    if not body.is_valid():
        raise serializers.ValidationError(dict(_flat(body.errors)))
    return dict(body.validated_data)


def _flat(detail: Any, name: str = "") -> Iterator[tuple[str, list[str]]]:
    if isinstance(detail, list) and all(isinstance(one, str) for one in detail):
        yield name.replace("non_field_errors", "request"), detail
        return
    for key, inner in detail.items() if isinstance(detail, dict) else enumerate(detail):
        yield from _flat(inner if isinstance(inner, dict | list) else [inner], f"{name}.{key}" if name else str(key))


def owner(request: Request) -> AbstractUser:
    """Whose drawings a request is about. PermissionDenied for who is no person: a visitor, a client, its key."""
    asking: Any = request.user
    who = asking.user if isinstance(asking, ApiKey) else asking
    if not isinstance(who, AbstractUser):
        raise exceptions.PermissionDenied(_("drawings belong to a person: log in, or use a key of your own"))
    return who


def author(request: Request) -> AbstractUser:
    """The same of who changes them. PermissionDenied for keys, too, which read and nothing else."""
    asking: Any = request.user
    if isinstance(asking, ApiKey):
        raise exceptions.PermissionDenied(_("a key reads drawings; who is logged in changes them"))
    return owner(request)


def of(person: AbstractUser) -> QuerySet[Drawing]:
    """Those of one person."""
    return Drawing.objects.filter(user_id=person.pk)


def add(person: AbstractUser, fields: dict[str, Any]) -> Drawing:
    """One more. Unprocessable where there are as many as there may be."""
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=person.pk)  # two at the same moment are counted both
        if of(person).filter(symbol=fields["symbol"]).count() >= MOST_OF_SYMBOL:
            told = _("there are {most} drawings of it: delete one first").format(most=MOST_OF_SYMBOL)
            raise errors.Unprocessable({"symbol": told})
        if of(person).count() >= MOST:
            raise errors.Unprocessable({"symbol": _("you have {most:,} drawings: delete some first").format(most=MOST)})
        return Drawing.objects.create(user_id=person.pk, **fields)


def shown(one: Drawing) -> dict[str, Any]:
    """A drawing as the API shows it."""
    points = [_point(one.time_us, one.price)]
    if one.end_price is not None:
        points.append(_point(one.end_us, one.end_price))
    return {
        "id": one.pk, "symbol": one.symbol, "kind": one.kind, "points": points, "text": one.text, "tone": one.tone,
    }  # fmt: skip


def _point(time_us: int | None, price: int) -> dict[str, Any]:
    of_time = {} if time_us is None else {"t": jsontext.time(time_us)}
    return {**of_time, "p": msgspec.Raw(decimal_text(price, wire.PRICE_SCALE).encode())}
