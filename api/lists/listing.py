"""What a list is asked for and what it shows, and how numbers and times stand in it. Which lists there are is in
`api.lists.registry`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from api.rest.fields import MOST_NUMBER, DayField
from api.rest.queries import Query
from api.rest.timestamps import EARLIEST_US, LATEST_US
from marketdata.models.reference import FEED_PATTERN, PLAIN_PATTERN, SYMBOL_PATTERN
from marketdata.types.units import DAY_US, SEOUL, day_of
from terminals import wire

PAGE = 100
DASH = "–"


class ListQuery(Query):
    """What an address may ask of a list; each takes what it knows of it."""

    date = DayField(required=False)
    feed = serializers.RegexField(FEED_PATTERN, required=False)
    symbol = serializers.RegexField(SYMBOL_PATTERN, required=False)
    reason = serializers.CharField(required=False, max_length=200)
    code = serializers.RegexField(PLAIN_PATTERN, required=False, max_length=32)
    since = serializers.ChoiceField(choices=["hour", "day", "week"], required=False)
    late = serializers.ChoiceField(choices=["0", "1"], required=False)
    price = serializers.DecimalField(max_digits=19, decimal_places=8, required=False, min_value=Decimal(0))
    kind = serializers.ChoiceField(choices=["ticks", "minutes", "ledger"], required=False)
    before = serializers.RegexField(r"\A[0-9]{1,19}(\.[0-9]{1,19})?\Z", required=False)

    def validate_date(self, date: datetime.date) -> datetime.date:
        if not EARLIEST_US // DAY_US <= day_of(date) <= LATEST_US // DAY_US:
            raise serializers.ValidationError(_("must be a date (2026-11-20)"))
        return date

    def validate_before(self, key: str) -> str:
        if any(int(part) > MOST_NUMBER for part in key.split(".")):
            raise serializers.ValidationError(_("is not one that a list gave"))
        return key


@dataclass(frozen=True, slots=True)
class Asked:
    """`query` as ListQuery has it; `feeds` that may be read, None for all."""

    query: dict[str, Any]
    feeds: list[str] | None
    now: datetime.datetime

    def __getitem__(self, name: str) -> Any:
        return self.query.get(name)

    @property
    def of_feeds(self) -> list[str] | None:
        """The feeds of which rows are shown: those that may be read, of them the one that was asked for."""
        named = self.query.get("feed")
        if named is None:
            return self.feeds
        return [named] if self.feeds is None or named in self.feeds else []

    @property
    def before(self) -> tuple[int, int] | None:
        """The key of the last row of the page before."""
        if "before" not in self.query:
            return None
        first, _dot, second = self.query["before"].partition(".")
        return int(first), int(second or 0)


@dataclass(frozen=True, slots=True)
class Column:
    """`text` for words, which stand at the left; numbers stand at the right."""

    title: Promise | str
    text: bool = False


@dataclass(slots=True)
class Listing:
    """A page of a list, the newest first. `older` is the key from which the next page goes on; `words` say what the
    list is; `chart` is the address of the symbol's, of a list of one."""

    title: Promise | str
    columns: Sequence[Column]
    rows: list[list[str]] = field(default_factory=list)
    older: str | None = None
    words: Promise | str = ""
    chart: str = ""


def number(value: int | Decimal | None) -> str:
    return DASH if value is None else f"{value:,}"


def decimal(text: str | None) -> str:
    """An exact decimal as it is stored."""
    return DASH if text is None else f"{Decimal(text):,f}"


def exact(value: int | None, scale: int) -> str:
    """A scaled integer."""
    return DASH if value is None else decimal(wire.numbers.write(value, scale))


def moment(at: datetime.datetime | None) -> str:
    """To the second, in Seoul."""
    return DASH if at is None else f"{at.astimezone(SEOUL):%Y-%m-%d %H:%M:%S}"


SYMBOL, FEED = Column(_("symbol"), text=True), Column(_("feed"), text=True)
BATCH, CLIENT = Column(_("batch"), text=True), Column(_("client"), text=True)
