"""Ticks, order books, prices and events to look at: lists of what is stored, the newest first, a page at a time down
the key, which costs as much however large a table is. The admin cannot list their tables itself: a row has a key of
several columns, and each database its own types."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from api.admin.set_aside import number_of
from api.admin.site import moment
from api.auth import access
from marketdata.models.reference import FEED_PATTERN, PLAIN_PATTERN, SYMBOL_PATTERN
from marketdata.storage import storage
from marketdata.storage.base import TickKey
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import TICK_BITS, Ticks, decimal_text
from terminals import wire

PAGE = 50
LOOKED_AT = 2_000  # events of a page, of which those of a symbol or a feed are shown
_EVER_US = 1 << 62
Row = list[str]


class Choice(forms.Form):
    """What is looked for; times are Seoul's."""

    symbol = forms.RegexField(SYMBOL_PATTERN, label=_("symbol"), max_length=24, strip=True)
    feed = forms.RegexField(FEED_PATTERN, label=_("feed"), max_length=16, strip=True)
    until = forms.DateTimeField(label=_("until"), required=False)
    at_us = forms.IntegerField(required=False, min_value=0, max_value=_EVER_US, widget=forms.HiddenInput)
    row_id = forms.IntegerField(required=False, min_value=0, max_value=_EVER_US, widget=forms.HiddenInput)


class EventChoice(Choice):
    """Events are found by their time; the rest is left out of what is shown."""

    symbol = forms.RegexField(SYMBOL_PATTERN, label=_("symbol"), max_length=24, strip=True, required=False)
    feed = forms.RegexField(FEED_PATTERN, label=_("feed"), max_length=16, strip=True, required=False)
    kind = forms.RegexField(PLAIN_PATTERN, label=_("kind"), max_length=40, strip=True, required=False)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A list: who may see it, what can be chosen, its columns and its rows. `read` gives up to a page of rows before
    `until_us` and behind the key of the last one, and the key to go on from, if there may be more."""

    title: Any
    permission: str
    form: type[Choice]
    columns: tuple[Any, ...]
    read: Callable[[dict[str, Any], int, TickKey | None], tuple[list[Row], TickKey | None]]


def show(request: HttpRequest, name: str) -> HttpResponse:
    """The page of a table. Http404 if there is none of that name, PermissionDenied for whoever may not see it, or
    not read the feed."""
    table = TABLES.get(name)
    if table is None:
        raise Http404
    if not request.user.has_perm(table.permission):
        raise PermissionDenied
    form = table.form(request.GET or None)
    rows: list[Row] = []
    older = ""
    if form.is_valid():
        chosen = form.cleaned_data
        readable = functools.cache(functools.partial(access.may_read, request.user))
        if chosen["feed"] and not readable(chosen["feed"]):
            raise PermissionDenied
        chosen["readable"] = readable
        until: datetime.datetime | None = chosen["until"]
        after = None if chosen["at_us"] is None else TickKey(chosen["symbol"], chosen["at_us"], chosen["row_id"] or 0)
        rows, last = table.read(chosen, _EVER_US if until is None else int(until.timestamp() * 1_000_000), after)
        if last is not None:
            query = request.GET.copy()
            query["at_us"], query["row_id"] = str(last.time_us), str(last.tick_id)
            older = query.urlencode()
    shown = {"title": table.title, "form": form, "columns": table.columns, "rows": rows, "older": older}
    return TemplateResponse(request, "api/admin/stored.html", {**admin.site.each_context(request), **shown})


# --- the tables -------------------------------------------------------------------------------------------------------


def _price(value: int | None) -> str:
    return "–" if value is None else decimal_text(value, wire.PRICE_SCALE)


def _size(value: int | None) -> str:
    return "–" if value is None else decimal_text(value, wire.SIZE_SCALE)


def _ticks(chosen: dict[str, Any], until_us: int, after: TickKey | None) -> tuple[list[Row], TickKey | None]:
    found = storage().read_ticks(
        chosen["symbol"], chosen["feed"], 0, until_us, limit=PAGE, after=after, ascending=False
    )
    rows = [_tick_row(found, number) for number in range(len(found))]
    last = TickKey(chosen["symbol"], int(found.time_us[-1]), int(found.tick_id[-1])) if len(found) == PAGE else None
    return rows, last


def _tick_row(ticks: Ticks, number: int) -> Row:
    told = ticks.record(number)
    batch = int(ticks.tick_id[number]) >> TICK_BITS
    figures = ("price", "size", "bid", "ask", "cum_volume", "seq")
    return [
        moment(int(ticks.time_us[number])), str(told["kind"]), *(str(told.get(name, "–")) for name in figures),
        number_of(batch),
    ]  # fmt: skip


def _books(chosen: dict[str, Any], until_us: int, after: TickKey | None) -> tuple[list[Row], TickKey | None]:
    found = storage().read_books(
        chosen["symbol"], chosen["feed"], 0, until_us, limit=PAGE, after=after, ascending=False
    )
    return [_book_row(one) for one in found], _last(found)


def _book_row(book: OrderBook) -> Row:
    sides = (" · ".join(f"{price} × {size}" for price, size in side) for side in (book.bids, book.asks))
    return [moment(book.time_us), *sides, _size(book.bid_total), _size(book.ask_total), _price(book.expected_price)]


def _prices(chosen: dict[str, Any], until_us: int, after: TickKey | None) -> tuple[list[Row], TickKey | None]:
    found = storage().read_prices(
        chosen["symbol"], chosen["feed"], 0, until_us, limit=PAGE, after=after, ascending=False
    )
    return [_price_row(one) for one in found], _last(found)


def _price_row(told: StockPrice) -> Row:
    figures = (told.price, told.open, told.high, told.low, told.prev_close, told.change_rate)
    return [moment(told.time_us), told.category, *map(_price, figures), _size(told.volume)]


def _last(found: list[OrderBook] | list[StockPrice]) -> TickKey | None:
    return TickKey(found[-1].symbol, found[-1].time_us, found[-1].tick_id) if len(found) == PAGE else None


def _events(chosen: dict[str, Any], until_us: int, after: TickKey | None) -> tuple[list[Row], TickKey | None]:
    end_us = until_us if after is None else min(until_us, after.time_us + 1)
    read = storage().read_events(
        0, end_us, limit=LOOKED_AT, kinds=[chosen["kind"]] if chosen["kind"] else None, newest=True
    )
    rows: list[Row] = []
    for one in reversed(read):
        key = TickKey(one.symbol, one.time_us, one.event_id)
        if after is not None and (key.time_us, key.tick_id) >= (after.time_us, after.tick_id):
            continue
        if chosen["readable"](one.feed) and all(
            getattr(one, name) == chosen[name] for name in ("symbol", "feed") if chosen[name]
        ):
            rows.append(_event_row(one))
        if len(rows) == PAGE:
            return rows, key
    return rows, TickKey(read[0].symbol, read[0].time_us, read[0].event_id) if len(read) == LOOKED_AT else None


def _event_row(event: MarketEvent) -> Row:
    return [moment(event.time_us), event.kind, event.symbol, event.feed, json.dumps(event.body, ensure_ascii=False)]


TABLES = {
    "ticks": Table(
        title=_("Ticks"), permission="marketdata.view_marketdatatick", form=Choice, read=_ticks,
        columns=(_("time"), _("kind"), _("price"), _("size"), _("bid"), _("ask"), _("cumulative volume"),
                 _("number"), _("batch")),
    ),
    "order_books": Table(
        title=_("Order books"), permission="marketdata.view_orderbook", form=Choice, read=_books,
        columns=(_("time"), _("bids"), _("asks"), _("bid volume"),
                 _("ask volume"), _("expected price")),
    ),
    "stock_prices": Table(
        title=_("Stock prices"), permission="marketdata.view_stockprice", form=Choice, read=_prices,
        columns=(_("time"), _("category"), _("current price"), _("opening price"),
                 _("highest price"), _("lowest price"), _("previous close"),
                 _("change, %"), _("volume")),
    ),
    "market_events": Table(
        title=_("Market events"), permission="marketdata.view_marketevent", form=EventChoice, read=_events,
        columns=(_("time"), _("kind"), _("symbol"), _("feed"),
                 _("body")),
    ),
}  # fmt: skip
