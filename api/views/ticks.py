"""Pages of ticks of one kind, as the views of trades and quotes answer them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from api.rest import conditional, jsontext, paging, series, tables
from api.rest.exports import Batch, Column
from api.rest.paging import Series, TickPage
from marketdata.types.tick_arrays import Ticks
from terminals import wire


@dataclass(frozen=True, slots=True)
class _Shape:
    """How ticks of a kind are written: as JSON, and as rows of a table."""

    kind: wire.Kind
    text_of: Callable[[Ticks], list[str]]
    columns: tuple[Column, ...]
    rows: Callable[[Series, Ticks], Batch]


_SHAPES = {
    paging.TRADES: _Shape(wire.Kind.TRADE, jsontext.trades, tables.TRADES, tables.trades),
    paging.QUOTES: _Shape(wire.Kind.QUOTE, jsontext.quotes, tables.QUOTES, tables.quotes),
}


def of_many(request: Request, resource: str, query: dict[str, Any]) -> HttpResponse:
    """A page of `paging.TRADES` or `paging.QUOTES` of the symbols of a query. BadToken if the token belongs to another
    question."""
    chosen = series.known(query["symbols"], query)
    page, token = _read(resource, chosen.found, query["symbols"], query)
    if tables.wanted(request):
        return _as_csv(resource, page, token, chosen.headers)
    content: dict[str, Any] = {resource: _texts(resource, page), "next_page_token": token}
    return conditional.page(request, content, chosen.found, chosen.headers)


def of_one(request: Request, resource: str, symbol: str, query: dict[str, Any]) -> HttpResponse:
    """As `of_many`, of the symbol that the path names."""
    found = [series.of(symbol, query)]
    page, token = _read(resource, found, [symbol], query)
    if tables.wanted(request):
        return _as_csv(resource, page, token, {})
    content: dict[str, Any] = {
        "symbol": symbol,
        resource: _texts(resource, page).get(symbol, []),
        "next_page_token": token,
    }
    return conditional.page(request, content, found)


def _read(
    resource: str, found: list[Series], symbols: list[str], query: dict[str, Any]
) -> tuple[TickPage, str | None]:  # fmt: skip
    page = paging.read_ticks(
        found, _SHAPES[resource].kind, after=series.after(query, resource, symbols),
        limit=query["limit"], ascending=query["sort"] == "asc",
    )  # fmt: skip
    return page, paging.encode_token(page.next, resource) if page.next else None


def _texts(resource: str, page: TickPage) -> dict[str, msgspec.Raw]:
    text_of = _SHAPES[resource].text_of
    return {one.symbol: msgspec.Raw(jsontext.array(text_of(ticks))) for one, ticks in page.found}


def _as_csv(resource: str, page: TickPage, token: str | None, headers: dict[str, str]) -> HttpResponse:
    shape = _SHAPES[resource]
    rows = [row for one, ticks in page.found for row in shape.rows(one, ticks)]
    return tables.page(shape.columns, rows, token, headers)
