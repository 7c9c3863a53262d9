"""How good a trading date is, with its grade and why."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import quality
from analytics.quality import Quality
from api import access, errors, response_schemas, series, timestamps
from api.serializers import NoQuery, SymbolQualityQuery


def _shown(date: str, read: Callable[[Any], Quality]) -> dict[str, Any]:
    """NoData where nothing is known of the date, Http404 where it is none."""
    try:
        day = timestamps.parse_day(date)
    except ValueError as error:
        raise Http404 from error
    try:
        found = read(day)
    except LookupError as error:
        raise errors.NoData(str(error)) from error
    grade, because = found.grade()
    return {
        "date": found.date, "symbol": found.symbol or None, "state": found.state, "received": found.received,
        "stored": found.stored, "repeated": found.repeated, "rejected": found.rejected_rows, "reasons": found.rejected,
        "late": found.late, "gaps": found.gaps, "missing": found.missing, "voided": found.voided,
        "cut": found.partial, "grade": grade, "because": because,
    }  # fmt: skip


class QualityView(APIView):
    """Of all symbols and feeds, for whoever may read all of them."""

    @extend_schema(
        operation_id="quality",
        responses={200: response_schemas.Quality, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, date: str) -> Response:
        NoQuery.read(request)
        access.require([access.ALL_FEEDS])
        return Response(_shown(date, quality.of_date))


class SymbolQualityView(APIView):
    """Of one symbol, on all feeds."""

    @extend_schema(
        operation_id="quality_of_symbol", parameters=[SymbolQualityQuery],
        responses={200: response_schemas.Quality, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, date: str, symbol: str) -> Response:
        one = series.of(symbol, SymbolQualityQuery.read(request))
        access.require([access.ALL_FEEDS])

        def read(day: datetime.date) -> Quality:
            code = one.code_on(day)
            if code is None:
                raise LookupError(f"nothing is known of {symbol} on {day}")
            return replace(quality.of_symbol(day, code), symbol=symbol)

        return Response(_shown(date, read))
