"""The fields of parameters and bodies that REST framework has no kind of, and that OpenAPI is told of."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analytics.series import timeframes
from api.rest import series, timestamps
from marketdata.models.reference import SYMBOL_PATTERN
from marketdata.types import categories

MOST_SYMBOLS = 200
MOST_NUMBER = (1 << 63) - 1
"""Of a row."""
MOST_CATEGORIES = 20
LISTED = "symbols[]"
_SYMBOL = re.compile(SYMBOL_PATTERN)
_WHOLE = re.compile(r"[0-9]{1,9}")


@extend_schema_field(OpenApiTypes.STR)
class TimestampField(serializers.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return timestamps.parse(super().to_internal_value(data))
        except ValueError:
            raise serializers.ValidationError(_("must be {right}").format(right=timestamps.RIGHT)) from None


@extend_schema_field(OpenApiTypes.DATE)
class DayField(serializers.CharField):
    """A date, written as in `start` and `end`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return timestamps.parse_day(super().to_internal_value(data))
        except ValueError:
            raise serializers.ValidationError(_("must be a date (2026-11-20)")) from None


class AsOfField(DayField):
    """A date, or a hyphen."""

    def __init__(self) -> None:
        told = "the date on which a share bore the code (today); - reads what lies under the very code"
        super().__init__(required=False, help_text=told)

    def to_internal_value(self, data: Any) -> Any:
        return data if data == series.OFF else super().to_internal_value(data)


class CurrencyField(serializers.RegexField):
    """That of the symbol's market, if any."""

    def __init__(self) -> None:
        super().__init__(r"\A[A-Z]{3}\Z", required=False, help_text="that of the market; none is converted")


class WholeNumberField(serializers.IntegerField):
    """Digits 0 to 9 only. REST framework's own takes whatever Python's int() does: 1_000, 1000.0, full-width digits,
    blanks around."""

    def to_internal_value(self, data: Any) -> int:
        if not _WHOLE.fullmatch(str(data)):
            raise serializers.ValidationError(_("must be a whole number written with the digits 0 to 9 only"))
        return super().to_internal_value(data)


class LimitedListField(serializers.ListField):
    """At most `max_length` elements, which are counted before any is looked at: of each that is wrong is told."""

    def __init__(self, *, max_length: int, **options: Any) -> None:
        super().__init__(max_length=max_length, **options)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class SymbolsField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        codes = list(dict.fromkeys(code.strip() for code in super().to_internal_value(data).split(",")))
        wrong = [code for code in codes if not _SYMBOL.fullmatch(code)]
        if wrong:
            raise serializers.ValidationError(
                _("{code!r} is no symbol code; separate codes by commas").format(code=wrong[0])
            )
        if len(codes) > MOST_SYMBOLS:
            raise serializers.ValidationError(_("at most {most} symbols in one request").format(most=MOST_SYMBOLS))
        return codes


@extend_schema_field(OpenApiTypes.STR)
class CategoriesField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        words = list(dict.fromkeys(word.strip() for word in super().to_internal_value(data).split(",")))
        wrong = [word for word in words if not re.fullmatch(categories.PATTERN, word)]
        if wrong:
            raise serializers.ValidationError(
                _("{word!r} is no category: 1 to 16 of a-z, 0-9, _").format(word=wrong[0])
            )
        if len(words) > MOST_CATEGORIES:
            raise serializers.ValidationError(
                _("at most {most} categories in one request").format(most=MOST_CATEGORIES)
            )
        return words


@extend_schema_field(OpenApiTypes.STR)
class TimeframeField(serializers.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return timeframes.parse(super().to_internal_value(data))
        except timeframes.UnknownTimeframeError:
            told = _("unknown timeframe {text!r}; allowed are {names}")
            raise serializers.ValidationError(told.format(text=str(data), names=timeframes.ALLOWED)) from None


ACTION_TYPES = (
    "reverse_split", "forward_split", "unit_split", "cash_dividend", "stock_dividend", "spin_off", "cash_merger",
    "stock_merger", "stock_and_cash_merger", "redemption", "name_change", "worthless_removal", "rights_distribution",
)  # fmt: skip
"""Of corporate actions, as the dialect names them."""


@extend_schema_field(OpenApiTypes.STR)
class ActionTypesField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        names = list(dict.fromkeys(super().to_internal_value(data).split(",")))
        wrong = [name for name in names if name not in ACTION_TYPES]
        if wrong:
            raise serializers.ValidationError(
                _("{word!r} is none of {names}").format(word=wrong[0], names=", ".join(ACTION_TYPES))
            )
        return names


@extend_schema_field(OpenApiTypes.STR)
class IdsField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        try:
            ids = [uuid.UUID(text) for text in super().to_internal_value(data).split(",")]
        except ValueError:
            raise serializers.ValidationError(_("must be UUIDs separated by commas")) from None
        if len(ids) > MOST_SYMBOLS:
            raise serializers.ValidationError(_("at most {most} ids in one request").format(most=MOST_SYMBOLS))
        return ids
