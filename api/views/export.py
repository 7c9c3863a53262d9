"""Whole ranges of a resource as one file, sent while it is read."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
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

from api import exports, jsontext, paging, response_schemas, series
from api.exports import Batch, Column
from api.paging import Series
from api.renderers import ArrowRenderer, CSVRenderer, ParquetRenderer
from api.serializers import ExportQuery
from marketdata.storage import TickKey
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.ticks import ABSENT, Int64, Ticks, decimal_text
from terminals import wire

PAGE_ROWS = 10_000
BUSY_S = 30  # what Retry-After says while too many exports run
Read = Callable[[list[Series], dict[str, Any]], Iterator[Batch]]


def _columns(*names: str, kind: str, places: int = 0) -> tuple[Column, ...]:
    return tuple(Column(name, kind, places) for name in names)


def _prices(*names: str) -> tuple[Column, ...]:
    return _columns(*names, kind="decimal", places=wire.PRICE_SCALE)


def _sizes(*names: str) -> tuple[Column, ...]:
    return _columns(*names, kind="decimal", places=wire.SIZE_SCALE)


_SERIES = _columns("symbol", "feed", kind="text")
_TIME = Column("time", "time")
_ID = Column("id", "integer")
_LEVELS = range(1, wire.BOOK_LEVELS + 1)


def _texts(values: Int64, scale: int) -> list[Any]:
    """Exact text of numbers, empty where one is absent."""
    return [None if value == ABSENT else decimal_text(value, scale) for value in values.tolist()]


def _times(times_us: Int64) -> list[str]:
    return [f"{text}Z" for text in jsontext.times(times_us)]


def _trades(one: Series, ticks: Ticks) -> Batch:
    columns = (
        _times(ticks.time_us), _texts(ticks.price, wire.PRICE_SCALE), _texts(ticks.size, wire.SIZE_SCALE),
        [jsontext.TAKER[side] for side in ticks.side.tolist()], ticks.tick_id.tolist(),
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def _quotes(one: Series, ticks: Ticks) -> Batch:
    columns = (
        _times(ticks.time_us), _texts(ticks.bid, wire.PRICE_SCALE), _texts(ticks.bid_size, wire.SIZE_SCALE),
        _texts(ticks.ask, wire.PRICE_SCALE), _texts(ticks.ask_size, wire.SIZE_SCALE), ticks.tick_id.tolist(),
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def _bars(one: Series, bars: Bars) -> Batch:
    prices = [_texts(getattr(bars, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")]
    averages = [
        None if value is None else decimal_text(value, wire.PRICE_SCALE) for value in jsontext.average_prices(bars)
    ]
    columns = (
        _times(bars.time_us), *prices, _texts(bars.volume, wire.SIZE_SCALE), bars.n.tolist(), averages,
        bars.rev.tolist(), jsontext.dates(bars.trade_date),
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def _book(one: Series, book: OrderBook) -> list[Any]:
    levels = [
        part
        for side in (book.bids, book.asks)
        for level in (*side, *[(None, None)] * (wire.BOOK_LEVELS - len(side)))
        for part in level
    ]
    return [one.symbol, book.feed, *_times_of(book.time_us), *levels, book.tick_id]


def _times_of(time_us: int) -> list[str]:
    return [jsontext.time(time_us)]


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
    after: TickKey | None = None
    while True:
        page = paging.read_bars(found, query["timeframe"], after=after, limit=PAGE_ROWS, ascending=True)
        yield [row for one, bars in page.found for row in _bars(one, bars)]
        after = page.next
        if after is None:
            return


def _of_books(found: list[Series], _query: dict[str, Any]) -> Iterator[Batch]:
    for one in sorted(found, key=lambda one: one.symbol):
        after: TickKey | None = None
        while True:
            page = paging.read_books(one, after=after, limit=PAGE_ROWS // 10, ascending=True)
            yield [_book(one, book) for book in page.found]
            after = page.next
            if after is None:
                break


_BOOK = tuple(
    column
    for side in ("bid", "ask")
    for level in _LEVELS
    for column in (*_prices(f"{side}_price_{level}"), *_sizes(f"{side}_size_{level}"))
)
RESOURCES: dict[str, tuple[tuple[Column, ...], Read]] = {
    "trades": (
        (*_SERIES, _TIME, *_prices("price"), *_sizes("size"), Column("taker"), _ID),
        _of_ticks(wire.Kind.TRADE, _trades),
    ),
    "quotes": (
        (*_SERIES, _TIME, *_prices("bid"), *_sizes("bid_size"), *_prices("ask"), *_sizes("ask_size"), _ID),
        _of_ticks(wire.Kind.QUOTE, _quotes),
    ),
    "bars": (
        (
            *_SERIES, _TIME, *_prices("open", "high", "low", "close"), *_sizes("volume"), Column("trades", "integer"),
            *_prices("vwap"), Column("revision", "integer"), Column("trading_date", "date"),
        ),
        _of_bars,
    ),
    "orderbooks": ((*_SERIES, _TIME, *_BOOK, _ID), _of_books),
}  # fmt: skip


class ExportView(APIView):
    """One file of all rows between `start` and `end`: CSV, Parquet or an Arrow stream, as `Accept` or `format` says."""

    renderer_classes = (CSVRenderer, ParquetRenderer, ArrowRenderer)

    @extend_schema(
        operation_id="export", parameters=[ExportQuery],
        responses={
            (200, exports.CSV): OpenApiResponse(OpenApiTypes.STR, "a header, the rows, and `# N rows`"),
            (200, exports.PARQUET): OpenApiTypes.BINARY,
            (200, exports.ARROW): OpenApiTypes.BINARY,
            "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request, resource: str) -> HttpResponseBase:
        """Errors: Http404 for another resource, Throttled while too many exports run."""
        if resource not in RESOURCES:
            raise Http404
        columns, read = RESOURCES[resource]
        query = ExportQuery.read(request)
        chosen = series.known(query["symbols"], query)
        content_type = request.accepted_renderer.media_type
        try:
            exports.slots.take(settings.EXPORT_AT_ONCE)
        except exports.Busy as error:
            raise exceptions.Throttled(BUSY_S, str(error)) from error
        content = exports.WRITERS[content_type](columns, read(chosen.found, query), settings.EXPORT_MAX_ROWS)
        response = _File(content, is_async=isinstance(request._request, ASGIRequest), content_type=content_type)
        name = f"{resource}.{exports.NAMES[content_type]}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        for header, value in chosen.headers.items():
            response[header] = value
        return response


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
