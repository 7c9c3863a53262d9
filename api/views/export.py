"""Whole ranges of a resource as one file, sent while it is read."""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from api.auth import access, logins, sessions
from api.rest import exports, paging, response_schemas, series, tables
from api.rest.exports import Batch, Column
from api.rest.paging import Series
from api.rest.queries import BarsExportQuery, ExportQuery
from api.rest.renderers import ArrowRenderer, CSVRenderer, JSONRenderer, ParquetRenderer
from api.rest.series import Known
from api.views import bars as bars_view
from marketdata.storage import TickKey
from marketdata.types.tick_arrays import Ticks
from terminals import wire

PAGE_ROWS = 10_000
PAGE_BOOKS = 1_000  # read at a time; a book is a row of 45 columns
CHECK_EVERY_S = 15.0  # how often a running export asks whether its reader may still read
BUSY_S = 30  # what Retry-After says while too many exports run
Read = Callable[[list[Series], dict[str, Any]], Iterator[Batch]]

RENDERERS = (CSVRenderer, ParquetRenderer, ArrowRenderer)
RESPONSES = {
    (200, exports.CSV): OpenApiResponse(OpenApiTypes.STR, "a header, the rows, and `# N rows`"),
    (200, exports.PARQUET): OpenApiTypes.BINARY,
    (200, exports.ARROW): OpenApiTypes.BINARY,
    ("4XX", JSONRenderer.media_type): response_schemas.Error,
}
"""What a view that answers with `sent` declares."""


def _of_ticks(kind: wire.Kind, rows: Callable[[Series, Ticks], Batch]) -> Read:
    def read(found: list[Series], _query: dict[str, Any]) -> Iterator[Batch]:
        after: TickKey | None = None
        while True:
            page = paging.read_ticks(found, kind, after=after, limit=PAGE_ROWS, ascending=True)
            yield [row for one, ticks in page.found for row in rows(one, ticks)]
            after = page.next
            if after is None:
                return

    return read


def _of_bars(found: list[Series], query: dict[str, Any]) -> Iterator[Batch]:
    asked = bars_view.whole(found, query, limit=PAGE_ROWS)
    while True:
        page, rows = bars_view.rows_of(asked)
        yield rows
        if page.next is None:
            return
        asked = replace(asked, after=page.next)


def _of_books(found: list[Series], _query: dict[str, Any]) -> Iterator[Batch]:
    for one in sorted(found, key=lambda one: one.symbol):
        after: TickKey | None = None
        while True:
            page = paging.read_books(one, after=after, limit=PAGE_BOOKS, ascending=True)
            yield [tables.book(one, book) for book in page.found]
            after = page.next
            if after is None:
                break


RESOURCES: dict[str, tuple[tuple[Column, ...], Read, type[ExportQuery]]] = {
    "trades": (tables.TRADES, _of_ticks(wire.Kind.TRADE, tables.trades), ExportQuery),
    "quotes": (tables.QUOTES, _of_ticks(wire.Kind.QUOTE, tables.quotes), ExportQuery),
    "bars": (tables.BARS, _of_bars, BarsExportQuery),
    "orderbooks": (tables.BOOKS, _of_books, ExportQuery),
}
"""Of each resource its columns, what reads it, and its parameters."""


class ExportView(APIView):
    """One file of all rows between `start` and `end`: CSV, Parquet or an Arrow stream, as `Accept` or `format` says."""

    renderer_classes = RENDERERS

    @extend_schema(
        operation_id="export", parameters=[BarsExportQuery],
        description="All rows as a file. `timeframe`, `adjustment`, `session` and `gaps` are of bars alone.",
        responses=RESPONSES,
    )  # fmt: skip
    def get(self, request: Request, resource: str) -> HttpResponseBase:
        """Errors: Http404 for another resource, Throttled while too many exports run."""
        if resource not in RESOURCES:
            raise Http404
        columns, read, parameters = RESOURCES[resource]
        query = parameters.read(request)
        chosen = series.known(query["symbols"], query)
        return sent(request, resource, columns, read(chosen.found, query), chosen)


def sent(
    request: Request, name: str, columns: tuple[Column, ...], batches: Iterator[Batch], chosen: Known
) -> HttpResponseBase:
    """The rows of what was chosen as a file, in the form that was asked for. Throttled while too many exports run."""
    content_type = request.accepted_renderer.media_type
    try:
        exports.slots.take(settings.EXPORT_AT_ONCE)
    except exports.Busy as error:
        raise exceptions.Throttled(BUSY_S, str(error)) from error
    allowed = _while_allowed(batches, request, {one.feed for one in chosen.found})
    content = exports.WRITERS[content_type](columns, allowed, settings.EXPORT_MAX_ROWS)
    response = _File(content, is_async=isinstance(request._request, ASGIRequest), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}.{exports.NAMES[content_type]}"'
    for header, value in chosen.headers.items():
        response[header] = value
    return response


def _while_allowed(batches: Iterator[Batch], request: Request, feeds: set[str]) -> Iterator[Batch]:
    """The same, as long as whoever asked may read these feeds, by the key or login with which he asked: an export takes
    as long as its reader likes. Cut afterwards."""
    name, session = access.name_of(request.user), sessions.of_request(request)
    looked_at = time.monotonic()
    for batch in batches:
        if time.monotonic() - looked_at >= CHECK_EVERY_S:
            who = access.named([name]).get(name)
            is_over = session != "" and logins.living([session]).get(session) != name[1]
            if is_over or not all(access.may_read(who, feed) for feed in feeds):
                raise exports.Cut("this key or login may no longer read")
            looked_at = time.monotonic()
        yield batch


class _File(StreamingHttpResponse):
    """An export, which gives its place to the next one once, however it ends: Django closes no response that broke off,
    and one whose caller went away before it began is never sent."""

    def __init__(self, content: Iterator[bytes], *, is_async: bool, content_type: str) -> None:
        self._free = weakref.finalize(self, exports.slots.free)
        sent = _until_end(content, self._free)
        super().__init__(_steps(sent) if is_async else sent, content_type=content_type)

    def close(self) -> None:
        super().close()
        self._free()


def _until_end(content: Iterator[bytes], free: Callable[[], object]) -> Iterator[bytes]:
    try:
        yield from content
    finally:
        free()


async def _steps(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same, each step on the request's own thread with its database connection."""
    step = sync_to_async(lambda: next(content, None), thread_sensitive=True)
    while (part := await step()) is not None:
        yield part
