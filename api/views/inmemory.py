"""What the ingest servers hold in memory: the newest ticks of a terminal, and what each terminal last sent of each
symbol. Served without the database to a key that was used lately."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.auth.authentication import KeyAuthentication, MayInspect, ReadsEverything
from api.rest import errors, jsontext, response_schemas
from api.rest.queries import InMemoryQuery
from marketdata.realtime import inspection

Answer = TypeVar("Answer")


class _InMemoryView(APIView):
    needs_no_database = True  # api.auth.authentication
    authentication_classes = (KeyAuthentication, SessionAuthentication)
    permission_classes = (MayInspect, ReadsEverything)


class RecentView(_InMemoryView):
    """The newest ticks of a connected terminal, oldest first, before they are judged."""

    @extend_schema(
        operation_id="recent", parameters=[InMemoryQuery],
        responses={200: response_schemas.ReceivedRows, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, client: str) -> Response:
        query = InMemoryQuery.read(request)
        found = _asked(lambda: inspection.recent(client, rows=query["limit"], symbol=query.get("symbol")))
        return Response({"client": client, "rows": inspection.shown_rows(found, jsontext.time)})


class LatestView(_InMemoryView):
    """What each terminal last sent of each symbol, and who owns it."""

    @extend_schema(
        operation_id="latest",
        parameters=[InMemoryQuery],
        responses={200: response_schemas.LatestSent, "4XX": response_schemas.Error},
    )
    def get(self, request: Request) -> Response:
        query = InMemoryQuery.read(request)
        found = _asked(lambda: inspection.latest(rows=query["limit"], symbol=query.get("symbol")))
        owners = inspection.owners_of(found.series)
        shown: dict[str, Any] = {
            "series": inspection.shown_series(found.series, owners, jsontext.time),
            "total": found.total, "owners": owners is not None, "silent": found.silent,
        }  # fmt: skip
        if "symbol" in query:
            shown["ticks"] = inspection.shown_ticks(found.rows, jsontext.time)
        return Response(shown)


def _asked(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except inspection.NotConnected as error:
        told = _("{client} is not connected; connected are: {names}")
        raise errors.NotConnected(told.format(client=error.client, names=error.connected)) from error
    except inspection.NoAnswer as error:
        raise errors.Unavailable(str(error)) from error
