"""What stands around rows: lists, pages and their tokens, by symbol or of one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from api.rest.response_schemas.errors import Error


def pages(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """Lists by symbol, and the token of the next page."""
    fields: dict[str, Any] = {
        name: serializers.DictField(child=item(many=True)),
        "next_page_token": serializers.CharField(allow_null=True),
    }
    return inline_serializer(f"{item.__name__}sBySymbol", fields)


def page(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """One symbol's list, and the token of the next page."""
    fields: dict[str, Any] = {
        "symbol": serializers.CharField(),
        name: item(many=True),
        "next_page_token": serializers.CharField(allow_null=True),
    }
    return inline_serializer(f"{item.__name__}sOfSymbol", fields)


def also_csv(content: Any) -> dict[Any, Any]:
    """Answers with a page as JSON, or as CSV for who asks for that."""
    told = "a header, the rows, and `# N rows`; the token of the next page is in `X-Next-Page-Token`"
    return {
        (200, "application/json"): content,
        (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, told),
        ("4XX", "application/json"): Error,
    }


def by_symbol(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """One thing of each symbol."""
    return inline_serializer(f"{item.__name__}BySymbol", {name: serializers.DictField(child=item())})


def of_symbol(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """The one thing of a symbol."""
    return inline_serializer(f"{item.__name__}OfOne", {"symbol": serializers.CharField(), name: item()})


def listed(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """A list, and the token of the next page."""
    fields: dict[str, Any] = {name: item(many=True), "next_page_token": serializers.CharField(allow_null=True)}
    return inline_serializer(f"{item.__name__}s", fields)
