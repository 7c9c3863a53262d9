"""Which symbols and sources are registered and by which rules they trade; kept in memory and asked for again when one
is missing."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from marketdata.models import Market, Source, Symbol
from marketdata.models.reference import SYMBOL_PATTERN
from terminals import wire

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What validation needs to know of a symbol."""

    is_active: bool
    timezone: str
    trade_date_shift_s: int


class Directory:
    """Rules by symbol. Everything is read again after `keep_s`; a missing symbol is asked for at most every
    `retry_s`."""

    def __init__(
        self, *, keep_s: float = 30.0, retry_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s, self._retry_s, self._clock = keep_s, retry_s, clock
        self._rules: dict[str, Rules] = {}
        self._max_age_s: dict[int, int | None] = {}
        self._read_at = float("-inf")

    def find(self, codes: Iterable[str]) -> dict[str, Rules]:
        """The rules of those codes that are registered."""
        codes = list(codes)
        age = self._clock() - self._read_at
        if age > self._keep_s or (age > self._retry_s and any(code not in self._rules for code in codes)):
            self._read()
        return {code: self._rules[code] for code in codes if code in self._rules}

    def max_age_s(self, source_id: int) -> int | None:
        """How old an event of this source may be when it arrives, in seconds; None for any age. KeyError: no such
        source."""
        if self._clock() - self._read_at > self._keep_s or source_id not in self._max_age_s:
            self._read()
        return self._max_age_s[source_id]

    def register(self, codes: Iterable[str], market: str, feed: str) -> None:
        """Add those of `codes` that can be codes of `market`, which must exist; those already registered stay as they
        are."""
        if not Market.objects.filter(code=market).exists():
            return
        new = [
            Symbol(code=code, market_id=market, primary_feed=feed)
            for code in codes
            if re.fullmatch(SYMBOL_PATTERN, code) and _may_be(code, market)
        ]
        Symbol.objects.bulk_create(new, ignore_conflicts=True)
        self._read()

    def _read(self) -> None:
        rows = Symbol.objects.values_list("code", "is_active", "market__timezone", "market__trade_date_shift_s")
        self._rules = {code: Rules(active, timezone, shift) for code, active, timezone, shift in rows}
        self._max_age_s = dict(Source.objects.values_list("id", "max_age_s"))
        self._read_at = self._clock()


def _may_be(code: str, market: str) -> bool:
    try:
        wire.codes.check_code(code, market)
    except wire.codes.CodeError as error:
        log.warning("symbol not registered market=%s reason=%s", market, error)
        return False
    return True
