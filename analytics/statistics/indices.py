"""Which index stands for the market of a symbol, so that its beta is to that: the one of the setting, or else one that
is collected (category `index`), or told as events, and has the name of the share's market."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from marketdata.models import Symbol
from marketdata.types import told_indices
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
    """An index: what it is called, without what may stand beside a name, and its primary feed. One that is told as
    events has daily closes alone (`analytics.series.index_closes`), of no feed."""

    code: str
    names: tuple[str, ...]
    market: str
    feed: str
    is_told: bool = False


def read(chosen: str, told: Collection[str] = ()) -> list[Index]:
    """What betas may be to, in the order of codes: the `chosen` one alone, whatever it is, or with "" every active
    index; behind them those of the indices `told` as events."""
    rows = Symbol.objects.filter(code=chosen) if chosen else Symbol.objects.filter(category=INDEX, is_active=True)
    collected = [
        Index(code, _names(code, name, name_en), market, feed)
        for code, name, name_en, market, feed in rows.order_by("code").values_list(
            "code", "name", "name_en", "market_id", "primary_feed"
        )
    ]
    return collected + [
        Index(code, _names(code, name), told_indices.MARKET, "", is_told=True)
        for code, name in told_indices.NAMES.items()
        if code in told and chosen in ("", code)
    ]


def _names(*names: str) -> tuple[str, ...]:
    return tuple(_BESIDE.sub("", one.casefold()) for one in names)


def has_one(category: str) -> bool:
    """Whether a symbol of this category is compared with an index where none is chosen: shares and funds are."""
    return is_share(category) or category in FUNDS


def of_symbol(category: str, market: str, found: Sequence[Index], *, chosen: str) -> Index | None:
    """The one for a symbol of this category (`category_of`) and market: the chosen one; else of its market the index
    that has the name of the category, then one with a number behind it (KOSPI 200), then one of no such name: what is
    made of such an index (its volatility, its inverse) moves otherwise. None for what has none (`has_one`), and where
    there is none."""
    if chosen:
        return found[0] if found else None
    if not has_one(category):
        return None
    mine = _NAMES.get(category, _NAMES[_FIRST])
    every = [name for names in _NAMES.values() for name in names]
    here = [one for one in found if one.market == market]
    exact = (one for one in here if set(one.names) & set(mine))
    number = re.compile(rf"(?:{'|'.join(mine)})[0-9]+")
    numbered = (one for one in here if any(number.fullmatch(called) for called in one.names))
    other = (one for one in here if not any(name in called for name in every for called in one.names))
    return next((one for choice in (exact, numbered, other) for one in choice), None)
