"""Which symbols and sources are registered and by which rules they trade; kept in memory and asked for again when one
is missing."""

from __future__ import annotations

import datetime
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import QuerySet

from marketdata.models import Client, Market, Source, Symbol
from marketdata.models.reference import SYMBOL_PATTERN
from marketdata.types.categories import UNKNOWN, category_of
from marketdata.types.units import day_of
from terminals import wire

log = logging.getLogger(__name__)


class PriceLimits(NamedTuple):
    """The lowest and the highest price (1e-8) of a symbol on one trading date, in days since 1970."""

    lower: int
    upper: int
    day: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What validation needs to know of a symbol."""

    is_active: bool
    timezone: str
    trade_date_shift_s: int
    market: str = ""
    nonpositive_prices: bool = False
    category: str = UNKNOWN
    limits: PriceLimits | None = None


class Directory:
    """Rules by symbol. Everything is read again after `keep_s`; missing symbols are asked for, and only they, at most
    every `retry_s`."""

    def __init__(
        self, *, keep_s: float = 30.0, retry_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s, self._retry_s, self._clock = keep_s, retry_s, clock
        self._rules: dict[str, Rules] = {}
        self._max_age_s: dict[int, int | None] = {}
        self._read_at = self._asked_at = float("-inf")
        self._sources: dict[int, str] = {}

    def find(self, codes: Iterable[str]) -> dict[str, Rules]:
        """The rules of those codes that are registered."""
        codes = list(codes)
        now = self._clock()
        if now - self._read_at > self._keep_s:
            self._read()
        elif now - self._asked_at > self._retry_s:
            missing = [code for code in codes if code not in self._rules]
            if missing:
                self._asked_at = now
                self._ask(missing)
        return {code: self._rules[code] for code in codes if code in self._rules}

    def categories(self, codes: Iterable[str]) -> dict[str, str]:
        """The category of those codes that are registered."""
        return {code: rules.category for code, rules in self.find(codes).items()}

    def max_age_s(self, source_id: int) -> int | None:
        """How old an event of this source may be when it arrives, in seconds; None for any age. KeyError: no such
        source."""
        if self._clock() - self._read_at > self._keep_s or source_id not in self._max_age_s:
            self._read()
        return self._max_age_s[source_id]

    def source(self, source_id: int) -> str:
        """The code of a source, its number if it is not known."""
        return self._sources.get(source_id, str(source_id))

    @staticmethod
    def can_register(code: str, market: str) -> bool:
        """Whether this can be the code of a symbol of the market."""
        return re.fullmatch(SYMBOL_PATTERN, code) is not None and _may_be(code, market)

    def register(self, codes: Iterable[str], market: str, feed: str, client: Client | None = None) -> None:
        """Add those of `codes` that can be codes of `market`, which must exist; those already registered stay as they
        are."""
        if not Market.objects.filter(code=market).exists():
            return
        new = [
            Symbol(code=code, market_id=market, primary_feed=feed, registered_by=client)
            for code in codes
            if self.can_register(code, market)
        ]
        Symbol.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
        self._ask([symbol.code for symbol in new])

    def _read(self) -> None:
        self._rules = self._found(Symbol.objects.all())
        sources = list(Source.objects.values_list("id", "max_age_s", "code"))
        self._max_age_s = {number: max_age_s for number, max_age_s, _ in sources}
        self._sources = {number: code for number, _, code in sources}
        self._read_at = self._asked_at = self._clock()

    def _ask(self, codes: list[str]) -> None:
        for start in range(0, len(codes), 500):
            self._rules |= self._found(Symbol.objects.filter(code__in=codes[start : start + 500]))

    @staticmethod
    def _found(symbols: QuerySet[Symbol]) -> dict[str, Rules]:
        rows = symbols.values_list(
            "code", "is_active", "market__timezone", "market__trade_date_shift_s", "market_id",
            "market__nonpositive_prices", "category",
            "is_in_liquidation",  # then prices are free
            "lower_limit", "upper_limit", "limits_on",
        )  # fmt: skip
        return {
            code: Rules(
                active,
                timezone,
                shift,
                market,
                below,
                category_of(category, market=market, timezone=timezone),
                None if is_free else _limits(lower, upper, date),
            )
            for code, active, timezone, shift, market, below, category, is_free, lower, upper, date in rows
        }


def _limits(lower: int | None, upper: int | None, date: datetime.date | None) -> PriceLimits | None:
    if lower is None or upper is None or date is None:
        return None
    return PriceLimits(lower, upper, day_of(date))


def _may_be(code: str, market: str) -> bool:
    try:
        wire.codes.check_code(code, market)
    except wire.codes.CodeError:
        log.warning("symbol not registered market=%s code=%r: no code of that market", market, code)
        return False
    return True
