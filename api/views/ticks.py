"""Pages of ticks of one kind, as the views of trades and quotes answer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from api import jsontext, paging, series
from api.paging import Series
from marketdata.types.ticks import Ticks
from terminals import wire

Shown = tuple[dict[str, msgspec.Raw], str | None]
"""Items by symbol as ready text, and the token of the next page."""
_TEXTS: dict[str, tuple[wire.Kind, Callable[[Ticks], list[str]]]] = {
    paging.TRADES: (wire.Kind.TRADE, jsontext.trades),
    paging.QUOTES: (wire.Kind.QUOTE, jsontext.quotes),
}


def read(resource: str, found: list[Series], symbols: list[str], query: dict[str, Any]) -> Shown:
    """A page of `paging.TRADES` or `paging.QUOTES`. BadToken if the token belongs to another question."""
    kind, text_of = _TEXTS[resource]
    page = paging.read_ticks(
        found, kind, after=series.after(query, resource, symbols),
        limit=query["limit"], ascending=query["sort"] == "asc",
    )  # fmt: skip
    shown = {one.symbol: msgspec.Raw(jsontext.array(text_of(ticks))) for one, ticks in page.found}
    return shown, paging.encode_token(page.next, resource) if page.next else None
