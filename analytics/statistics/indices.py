"""Which symbol's days stand for the market of another one, so that its beta is to that: the one of the setting, or else
an index that is collected (category `index`) and has the name of the share's market."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from marketdata.models import Symbol
from marketdata.types.categories import FUNDS, INDEX, is_share

_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"kospi": ("kospi", "코스피"), "kosdaq": ("kosdaq", "코스닥"), "konex": ("konex", "코넥스")}
)
"""What the index of a market of the exchange is called, by category; what is of no such market (funds, and what nothing
is known of) goes by the first."""
_FIRST = "kospi"
_BESIDE = re.compile(r"\s|index|composite|지수|종합")
"""What may stand beside such a name: `KOSPI Index`, `코스피 종합지수`."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is collected: what it is called, without what may stand beside a name, and its primary feed."""

    code: str
    names: tuple[str, ...]
    market: str
    feed: str


def read(chosen: str) -> list[Index]:
    """What betas may be to, in the order of codes: the `chosen` symbol alone, whatever it is, or with "" every active
    index."""
    rows = Symbol.objects.filter(code=chosen) if chosen else Symbol.objects.filter(category=INDEX, is_active=True)
    return [
        Index(code, tuple(_BESIDE.sub("", one.casefold()) for one in (code, name, name_en)), market, feed)
        for code, name, name_en, market, feed in rows.order_by("code").values_list(
            "code", "name", "name_en", "market_id", "primary_feed"
        )
    ]


def of_symbol(category: str, market: str, found: Sequence[Index], *, chosen: str) -> Index | None:
    """The one for a symbol of this category (`category_of`) and market: the chosen one; else of its market the index
    that has the name of the category, then one with a number behind it (KOSPI 200), then one of no such name: what is
    made of such an index (its volatility, its inverse) moves otherwise. None for what is neither share nor fund, and
    where there is none."""
    if chosen:
        return found[0] if found else None
    if not is_share(category) and category not in FUNDS:
        return None
    mine = _NAMES.get(category, _NAMES[_FIRST])
    every = [name for names in _NAMES.values() for name in names]
    here = [one for one in found if one.market == market]
    exact = (one for one in here if set(one.names) & set(mine))
    number = re.compile(rf"(?:{'|'.join(mine)})[0-9]+")
    numbered = (one for one in here if any(number.fullmatch(called) for called in one.names))
    other = (one for one in here if not any(name in called for name in every for called in one.names))
    return next((one for choice in (exact, numbered, other) for one in choice), None)
