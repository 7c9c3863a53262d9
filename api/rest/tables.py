"""What a resource is as a table: its columns, and the rows of what was read. Exports and pages as CSV share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.http import HttpResponse
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request

from analytics.features.rows import Rows
from analytics.indicators.rolling import Float64
from analytics.series import candle_texts
from analytics.series.day_statistics import DayStatistics
from api.rest import exports, jsontext
from api.rest.exports import Batch, Column
from api.rest.jsontext import Flags
from api.rest.paging import Series
from api.rest.renderers import CSVRenderer, JSONRenderer
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import ABSENT, Int64, Ticks, decimal_text
from terminals import wire

NEXT_PAGE = "X-Next-Page-Token"
"""The header of a page as CSV that has the token of the next one; the last page has none."""
RENDERERS = (JSONRenderer, BrowsableAPIRenderer, CSVRenderer)
"""Of views whose pages are CSV for who asks for that."""


def _columns(*names: str, kind: str, places: int = 0) -> tuple[Column, ...]:
    return tuple(Column(name, kind, places) for name in names)


def _prices(*names: str) -> tuple[Column, ...]:
    return _columns(*names, kind="decimal", places=wire.PRICE_SCALE)


def _sizes(*names: str) -> tuple[Column, ...]:
    return _columns(*names, kind="decimal", places=wire.SIZE_SCALE)


_SERIES = _columns("symbol", "feed", kind="text")
_TIME = Column("time", "time")
_ID = Column("id", "integer")
_TAKER = ("", "B", "S")  # by wire.Side: unknown, buyer, seller
_LEVELS = range(1, wire.BOOK_LEVELS + 1)


def _texts(values: Int64, scale: int) -> list[Any]:
    """Exact text of numbers, empty where one is absent."""
    return [None if value == ABSENT else decimal_text(value, scale) for value in values.tolist()]


def _text(value: int | None, scale: int) -> str | None:
    return None if value is None else decimal_text(value, scale)


def _times(times_us: Int64) -> list[str]:
    return [f"{text}Z" for text in candle_texts.times(times_us)]


def trades(one: Series, ticks: Ticks) -> Batch:
    columns = (
        _times(ticks.time_us), _texts(ticks.price, wire.PRICE_SCALE), _texts(ticks.size, wire.SIZE_SCALE),
        [_TAKER[side] for side in ticks.side.tolist()], ticks.tick_id.tolist(),
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def quotes(one: Series, ticks: Ticks) -> Batch:
    columns = (
        _times(ticks.time_us), _texts(ticks.bid, wire.PRICE_SCALE), _texts(ticks.bid_size, wire.SIZE_SCALE),
        _texts(ticks.ask, wire.PRICE_SCALE), _texts(ticks.ask_size, wire.SIZE_SCALE), ticks.tick_id.tolist(),
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def bars(one: Series, found: Bars, *, closed: Flags, gap: Flags, vendor: Flags | None) -> Batch:
    """Flags as of `candle_texts.bars`; whose a candle is is told of each."""
    prices = [_texts(getattr(found, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")]
    averages = [_text(value, wire.PRICE_SCALE) for value in candle_texts.average_prices(found)]
    sources = np.zeros(len(found), np.bool_) if vendor is None else vendor
    columns = (
        _times(found.time_us), *prices, _texts(found.volume, wire.SIZE_SCALE), found.n.tolist(), averages,
        found.rev.tolist(), candle_texts.dates(found.trade_date), closed.astype(np.int8).tolist(),
        gap.astype(np.int8).tolist(), [candle_texts.SOURCES[flag] for flag in sources.tolist()],
    )  # fmt: skip
    return [(one.symbol, one.feed, *row) for row in zip(*columns, strict=True)]


def indicators(
    one: Series, found: Bars, values: Mapping[str, Float64], *, closed: Flags, gap: Flags
) -> tuple[tuple[Column, ...], Batch]:
    """The columns of candles' indicators, and their rows."""
    columns = (
        *_SERIES, _TIME, *_columns(*values, kind="decimal", places=jsontext.APPROXIMATE_SCALE),
        Column("trading_date", "date"), Column("closed", "integer"), Column("gap", "integer"),
    )  # fmt: skip
    cells = (
        _times(found.time_us), *(jsontext.approximate(of_one) for of_one in values.values()),
        candle_texts.dates(found.trade_date), closed.astype(np.int8).tolist(), gap.astype(np.int8).tolist(),
    )  # fmt: skip
    return columns, [(one.symbol, one.feed, *row) for row in zip(*cells, strict=True)]


def feature_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a table of features whose values have these names."""
    return (
        *_SERIES, _TIME, Column("known_at", "time"), Column("trading_date", "date"),
        *_prices("open", "high", "low", "close"), *_sizes("volume"), Column("trades", "integer"),
        *(Column(name, "number") for name in names),
    )  # fmt: skip


def features(one: Series, times: Int64, known_us: Int64, found: Rows | None, width: int) -> Batch:
    """Rows of features, `width` columns each, at the times at which candles begin. Where the symbol has no candle, or
    one of which nothing can be told, its row has only the times."""
    heads = zip(_times(times), _times(known_us), strict=True)
    made: list[list[Any]] = [[one.symbol, one.feed, *head, *[None] * (width - 4)] for head in heads]
    if found is not None:
        bars = found.bars
        cells = (
            candle_texts.dates(bars.trade_date),
            *(_texts(getattr(bars, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")),
            _texts(bars.volume, wire.SIZE_SCALE), bars.n.tolist(),
            *([value if value == value else None for value in of_one.tolist()] for of_one in found.values.values()),
        )  # fmt: skip
        places = np.searchsorted(times, bars.time_us).tolist()
        for place, unknown, row in zip(places, found.unknown.tolist(), zip(*cells, strict=True), strict=True):
            if not unknown:
                made[place][4:] = row
    return made


def stats(of_bars: Batch, told: Sequence[DayStatistics]) -> Batch:
    """Rows of daily candles with the statistics of each."""
    return [
        (
            *bar, _text(one.turnover, wire.VALUE_SCALE),
            *(_text(price, wire.PRICE_SCALE) for price in (one.high, one.low, one.last)),
            *(_text(size, wire.SIZE_SCALE) for size in (one.regular_volume, one.trade_size)),
            *(_text(price, wire.PRICE_SCALE) for price in (one.previous_close, one.change)),
            _text(one.percent, jsontext.PERCENT_SCALE), _text(one.volatility, jsontext.VOLATILITY_SCALE),
        )
        for bar, one in zip(of_bars, told, strict=True)
    ]  # fmt: skip


def book(one: Series, found: OrderBook) -> list[Any]:
    levels = [
        part
        for side in (found.bids, found.asks)
        for level in (*side, *[(None, None)] * (wire.BOOK_LEVELS - len(side)))
        for part in level
    ]
    return [one.symbol, found.feed, jsontext.time(found.time_us), *levels, found.tick_id]


_BOOK = tuple(
    column
    for side in ("bid", "ask")
    for level in _LEVELS
    for column in (*_prices(f"{side}_price_{level}"), *_sizes(f"{side}_size_{level}"))
)
TRADES = (*_SERIES, _TIME, *_prices("price"), *_sizes("size"), Column("taker"), _ID)
QUOTES = (*_SERIES, _TIME, *_prices("bid"), *_sizes("bid_size"), *_prices("ask"), *_sizes("ask_size"), _ID)
BARS = (
    *_SERIES, _TIME, *_prices("open", "high", "low", "close"), *_sizes("volume"), Column("trades", "integer"),
    *_prices("vwap"), Column("revision", "integer"), Column("trading_date", "date"), Column("closed", "integer"),
    Column("gap", "integer"), Column("source"),
)  # fmt: skip
STATS = (
    *BARS, Column("turnover", "decimal", wire.VALUE_SCALE), *_prices("day_high", "day_low", "day_last"),
    *_sizes("regular_volume", "trade_size"), *_prices("previous_close", "change"),
    Column("change_rate", "decimal", jsontext.PERCENT_SCALE),
    Column("volatility", "decimal", jsontext.VOLATILITY_SCALE),
)  # fmt: skip
BOOKS = (*_SERIES, _TIME, *_BOOK, _ID)


def wanted(request: Request) -> bool:
    """Whether a page is to be CSV, by `Accept` or `format`."""
    return request.accepted_renderer.format == CSVRenderer.format


def page(columns: tuple[Column, ...], rows: Batch, token: str | None, headers: dict[str, str]) -> HttpResponse:
    """A page as CSV, in the form of an export; the token of the next one is in a header."""
    content = b"".join(exports.as_csv(columns, iter([rows]), len(rows)))
    return HttpResponse(content, exports.CSV, headers=headers | ({NEXT_PAGE: token} if token else {}))
