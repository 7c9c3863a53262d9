"""Registered symbols: looked up by code, or searched by code and name."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat, Upper
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import initials
from api.rest import errors, paging, response_schemas
from api.rest.queries import NoQuery, SymbolsQuery
from marketdata.models import Symbol
from marketdata.storage import TickKey

_KIND = "symbols"


# As the API shows a symbol, by the model's columns: instances of it would cost several times the rest of an answer.
_SHOWN = {
    "symbol": "code", "name": "name", "name_en": "name_en", "market": "market_id", "timezone": "market__timezone",
    "feed": "primary_feed", "active": "is_active",
}  # fmt: skip


def shown(symbols: QuerySet[Symbol]) -> list[dict[str, Any]]:
    """Symbols as the API shows them."""
    return [dict(zip(_SHOWN, row, strict=True)) for row in symbols.values_list(*_SHOWN.values())]


def search(symbols: QuerySet[Symbol], word: str) -> QuerySet[Symbol]:
    """Those whose code or name has the word in it; consonants stand for the syllables that begin with them."""
    # Not icontains: a binary collation would tell upper from lower case.
    symbols = symbols.annotate(capitals=Upper(Concat("code", Value(" "), "name", Value(" "), "name_en")))
    pattern = initials.pattern(word.upper())
    if pattern is None:
        return symbols.filter(capitals__contains=word.upper())
    return symbols.filter(capitals__iregex=pattern)  # not regex, which on MariaDB compares bytes, not letters


class SymbolsView(APIView):
    """Registered symbols in the order of their codes."""

    @extend_schema(
        operation_id="symbols",
        parameters=[SymbolsQuery],
        responses={200: response_schemas.Symbols, "4XX": response_schemas.Error},
    )
    def get(self, request: Request) -> Response:
        query = SymbolsQuery.read(request)
        rows = Symbol.objects.order_by("code")
        if query.get("search"):
            rows = search(rows, query["search"])
        if query.get("symbols"):
            rows = rows.filter(code__in=query["symbols"])
        if query.get("market"):
            rows = rows.filter(market_id=query["market"])
        if query.get("category"):
            rows = rows.filter(category__in=query["category"])
        if query.get("feed"):
            rows = rows.filter(primary_feed=query["feed"])
        if query["active"] is not None:
            rows = rows.filter(is_active=query["active"])
        if query.get("page_token"):
            rows = rows.filter(code__gt=self._after(query["page_token"]))
        found = shown(rows[: query["limit"] + 1])
        more = len(found) > query["limit"]
        found = found[: query["limit"]]
        token = paging.encode_token(TickKey(found[-1]["symbol"], 0), _KIND) if more else None
        return Response({"symbols": found, "next_page_token": token})

    def _after(self, token: str) -> str:
        try:
            return paging.decode_token(token, _KIND, None).symbol
        except paging.BadTokenError as error:
            raise errors.BadToken(str(error)) from error


class SymbolView(APIView):
    """One registered symbol."""

    @extend_schema(operation_id="symbol", responses={200: response_schemas.Symbol, "4XX": response_schemas.Error})
    def get(self, request: Request, code: str) -> Response:
        NoQuery.read(request)
        found = shown(Symbol.objects.filter(code=code))
        if not found:
            raise errors.UnknownSymbol(_("not registered: {symbol}").format(symbol=code))
        return Response(found[0])
