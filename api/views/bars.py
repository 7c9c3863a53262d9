"""Candles of one symbol or several, of any width, in pages."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.series import candle_texts, timeframes
from analytics.series.timeframes import DateFrame, Timeframe
from analytics.series.trading_days import Dates
from api import newest
from api.rest import conditional, jsontext, paging, ready, renderers, response_schemas, series, tables
from api.rest.exports import Batch
from api.rest.paging import BarPage, Series
from api.rest.queries import BarsQuery, LatestQuery, SymbolBarsQuery, SymbolLatestQuery
from api.rest.ready import Question, Stretch
from api.views import latest
from api.views.latest import Shown
from marketdata.calendar.trading_calendar import Session
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Int64, Mask
from marketdata.types.units import DAY_US
from marketdata.vendors import minutes


@dataclass(frozen=True, slots=True)
class Standing:
    """Of candles: which are closed, in which something was lost and, where that was asked for, which are a vendor's."""

    closed: Mask
    gap: Mask
    vendor: Mask | None


def standing(
    one: Series,
    bars: Bars,
    timeframe: Timeframe | DateFrame,
    now_us: int,
    *,
    fill: bool = False,
    lost: list[tuple[int, int]] | None = None,
) -> Standing:
    """What is told of candles beside their figures. `lost` is what `gaps` of their time told; whose they are is found
    out with `fill`."""
    starts, ends = spans(one, bars, timeframe)
    if lost is None:
        lost = gaps(one, int(starts.min()), int(ends.max())) if len(bars) else []
    vendor = None
    if fill:
        stretches = one.codes(int(starts.min()), int(ends.max())) if len(bars) else []
        of_codes = [minutes.times(code, one.feed, first, last) for code, first, last in stretches]
        theirs = np.concatenate([starts[:0], *of_codes])
        vendor = np.searchsorted(theirs, starts) < np.searchsorted(theirs, ends)
    return Standing(ends <= now_us, touched(starts, ends, lost), vendor)


def text_of(
    one: Series,
    bars: Bars,
    timeframe: Timeframe | DateFrame,
    now_us: int,
    *,
    fill: bool = False,
    lost: list[tuple[int, int]] | None = None,
) -> list[str]:
    """The members of candles' objects; parameters as of `standing`."""
    told = standing(one, bars, timeframe, now_us, fill=fill, lost=lost)
    return candle_texts.bars(bars, closed=told.closed, gap=told.gap, vendor=told.vendor)


def rows(
    one: Series, bars: Bars, timeframe: Timeframe | DateFrame, now_us: int, *, fill: bool = False
) -> Batch:  # fmt: skip
    """Candles as rows of `tables.BARS`; parameters as of `standing`."""
    told = standing(one, bars, timeframe, now_us, fill=fill)
    return tables.bars(one, bars, closed=told.closed, gap=told.gap, vendor=told.vendor)


def gaps(one: Series, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """When something of a series was lost, under whichever code: (from, to), both included."""
    stretches = one.codes(start_us, end_us)
    return [gap for code, first, last in stretches for some in series.gaps(one.feed, code, first, last) for gap in some]


def touched(starts: Int64, ends: Int64, gaps: list[tuple[int, int]]) -> Mask:
    """Which candles one of the gaps (from, to; both included) lies in. Candles do not overlap."""
    if not gaps:
        return np.zeros(len(starts), np.bool_)
    order = np.argsort(starts)
    first = np.searchsorted(ends[order], [from_us for from_us, _ in gaps], side="right")
    behind = np.searchsorted(starts[order], [to_us for _, to_us in gaps], side="right")
    crossed = first < behind
    steps = np.zeros(len(starts) + 1, np.int64)  # +1 where a gap begins, -1 behind its end
    np.add.at(steps, first[crossed], 1)
    np.add.at(steps, behind[crossed], -1)
    touched = np.empty(len(starts), np.bool_)
    touched[order] = np.cumsum(steps[:-1]) > 0
    return touched


def spans(one: Series, bars: Bars, timeframe: Timeframe | DateFrame) -> tuple[Int64, Int64]:
    """When each candle's time begins and ends, in microseconds UTC."""
    if isinstance(timeframe, Timeframe):
        return bars.time_us, timeframe.ends(bars.time_us, one.timezone)
    return timeframes.date_spans(bars, timeframe, one.timezone, one.shift_s)


_RECENT_US = 14 * DAY_US  # gaps of candles no older than this are asked for together


def by_symbol(bars: Bars) -> dict[str, Bars]:
    """Candles of which there is one of a symbol."""
    made = {}
    for row, index in enumerate(bars.symbol.tolist()):
        one = bars.take(slice(row, row + 1))
        one.symbols, one.symbol = [bars.symbols[index]], np.zeros(1, np.int32)
        made[bars.symbols[index]] = one
    return made


def texts_of(
    some: list[Series], bars: dict[str, Bars], timeframe: Timeframe | DateFrame, now_us: int
) -> dict[str, list[str]]:
    """The members of the candles of each series of a feed, written together."""
    known = [(one, bars[one.symbol]) for one in some if one.symbol in bars]
    parts = [(one, mine, *spans(one, mine, timeframe)) for one, mine in known]
    if not parts:
        return {}
    ends = np.concatenate([end for *_, end in parts])
    newest_us = int(ends.max())
    recent = [part for part in parts if int(part[2].min()) >= newest_us - _RECENT_US]
    since_us = min((int(part[2].min()) for part in recent), default=newest_us)
    together = series.gaps_of(some[0].feed, [one.symbol for one, *_ in recent], since_us, newest_us) if recent else {}
    whole = together.get("", [])
    flags = []
    for one, _, starts, own in parts:
        first_us = int(starts.min())
        alone = one.held or first_us < newest_us - _RECENT_US
        lost = gaps(one, first_us, int(own.max())) if alone else whole + together.get(one.symbol, [])
        flags.append(touched(starts, own, lost))
    written = candle_texts.bars(
        minute_bars.concatenate([one for _, one, *_ in parts]), closed=ends <= now_us, gap=np.concatenate(flags)
    )
    texts, at = {}, 0
    for one, mine, *_ in parts:
        texts[one.symbol], at = written[at : at + len(mine)], at + len(mine)
    return texts


def kind_of(query: dict[str, Any]) -> str:
    """Which candles a page's token belongs to: those of another part of the day lie elsewhere."""
    name, session = query["timeframe"].name, query["session"]
    return name if session == "all" else f"{name}/{session}"


def question(found: list[Series], symbols: list[str], query: dict[str, Any], kind: str) -> Question:
    """What is asked for by the parameters of bars; `kind` is what the page's token belongs to. BadToken if the one
    given belongs to something else."""
    page = whole(found, query, limit=query["limit"])
    return replace(page, after=series.after(query, kind, symbols), ascending=query["sort"] == "asc")


def whole(found: list[Series], query: dict[str, Any], *, limit: int) -> Question:
    """The first page of all candles that are asked for by the parameters of bars, oldest first."""
    return Question(
        series=tuple(found),
        timeframe=query["timeframe"],
        after=None,
        limit=limit,
        ascending=True,
        fill=query.get("gaps") == "fill",
        session=None if query["session"] == "all" else Session(query["session"]),
    )


MANY, ONE = "many", "one"  # the forms of a page: candles by symbol, and those of a symbol


def _respond(request: Request, asked: Question, form: str, kind: str, headers: dict[str, str]) -> HttpResponse:
    """A page: the bytes that were sent before where it is finished and still holds, else made now. CSV is always made
    now."""
    if tables.wanted(request):
        return _as_csv(asked, kind, headers)
    on = ready.basis(asked)
    kept = ready.pages.find(form, asked, on, gaps)
    body = kept.body if kept is not None else b""
    if kept is None:
        body, page, stretches = _read(asked, form, kind, on.dates)
        if ready.is_finished(asked, page, stretches, time.time_ns() // 1000):
            kept = ready.pages.keep(form, asked, body, on, stretches)
    if kept is None:
        return Response(msgspec.Raw(body), headers=headers)
    return conditional.answer(request, body, kept.etag, headers)


def rows_of(asked: Question) -> tuple[BarPage, Batch]:
    """A page, and its candles as rows of `tables.BARS`."""
    page, now_us = _page(asked), time.time_ns() // 1000
    return page, [row for one, bars in page.found for row in rows(one, bars, asked.timeframe, now_us, fill=asked.fill)]


def _as_csv(asked: Question, kind: str, headers: dict[str, str]) -> HttpResponse:
    page, found = rows_of(asked)
    return tables.page(tables.BARS, found, _token(page, kind), headers)


def _page(asked: Question, known: Dates | None = None) -> BarPage:
    return paging.read_bars(
        asked.series, asked.timeframe, after=asked.after,
        limit=asked.limit, ascending=asked.ascending, fill=asked.fill, session=asked.session, known=known,
    )  # fmt: skip


def _token(page: BarPage, kind: str) -> str | None:
    return paging.encode_token(page.next, kind) if page.next else None


def _read(asked: Question, form: str, kind: str, known: Dates | None) -> tuple[bytes, BarPage, tuple[Stretch, ...]]:
    """(the page as JSON, what was read, the time of its candles with their gaps)."""
    page, now_us = _page(asked, known), time.time_ns() // 1000
    shown: dict[str, msgspec.Raw] = {}
    stretches = []
    for one, bars in page.found:
        starts, ends = spans(one, bars, asked.timeframe)
        start_us, end_us = int(starts.min()), int(ends.max())
        lost = gaps(one, start_us, end_us)
        texts = text_of(one, bars, asked.timeframe, now_us, fill=asked.fill, lost=lost)
        shown[one.symbol] = msgspec.Raw(jsontext.array(texts))
        stretches.append(Stretch(one, start_us, end_us, tuple(lost)))
    token = _token(page, kind)
    if form == MANY:
        content: dict[str, Any] = {"bars": shown, "next_page_token": token}
    else:
        (one,) = asked.series
        content = {"symbol": one.symbol, "bars": shown.get(one.symbol, []), "next_page_token": token}
    return renderers.encode(content), page, tuple(stretches)


class BarsView(APIView):
    """Candles of several symbols; `next_page_token` is null on the last page."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="bars", parameters=[BarsQuery],
        responses=response_schemas.also_csv(response_schemas.pages("bars", response_schemas.Bar)),
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        query = BarsQuery.read(request)
        chosen = series.known(query["symbols"], query)
        kind = kind_of(query)
        asked = question(chosen.found, query["symbols"], query, kind)
        return _respond(request, asked, MANY, kind, chosen.headers)


class SymbolBarsView(APIView):
    """Candles of one symbol."""

    renderer_classes = tables.RENDERERS

    @extend_schema(
        operation_id="bars_of_symbol", parameters=[SymbolBarsQuery],
        responses=response_schemas.also_csv(response_schemas.page("bars", response_schemas.Bar)),
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> HttpResponse:
        query = SymbolBarsQuery.read(request)
        kind = kind_of(query)
        asked = question([series.of(symbol, query)], [symbol], query, kind)
        return _respond(request, asked, ONE, kind, {})


def _latest(found: list[Series]) -> Shown:
    """The newest minute candle of each series that has one, open or closed."""
    texts: dict[str, list[str]] = {}
    now_us = time.time_ns() // 1000
    for some, bars in newest.minutes(found):
        texts |= texts_of(some, by_symbol(bars), timeframes.MINUTE, now_us)
    return {one.symbol: msgspec.Raw(jsontext.single(*texts[one.symbol])) for one in found if one.symbol in texts}


class LatestBarsView(APIView):
    """The newest minute candle of several symbols; of one that has none there is nothing."""

    @extend_schema(
        operation_id="latest_bars", parameters=[LatestQuery],
        responses={200: response_schemas.by_symbol("bars", response_schemas.Bar), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return latest.of_many(request, "bars", _latest)


class SymbolLatestBarView(APIView):
    """The newest minute candle of one symbol."""

    @extend_schema(
        operation_id="latest_bar_of_symbol", parameters=[SymbolLatestQuery],
        responses={200: response_schemas.of_symbol("bar", response_schemas.Bar), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, symbol: str) -> Response:
        return latest.of_one(request, symbol, "bar", "candle", _latest)
