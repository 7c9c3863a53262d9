"""Lists of one symbol: its trading dates, of which its statistics are made, and its order books."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from api.admin.site import moment as to_the_microsecond
from api.lists.listing import DASH, PAGE, Asked, Column, Listing, decimal, exact, number
from api.rest import errors, paging, series
from api.rest.jsontext import PERCENT_SCALE, VOLATILITY_SCALE
from api.rest.paging import Series
from api.views.stats import told_of
from marketdata.storage import TickKey
from marketdata.types.order_books import Levels
from marketdata.types.units import date_of
from terminals import wire


def _series(asked: Asked) -> Series:
    """Errors: Unprocessable without a symbol; those of `api.rest.series.of`."""
    if not asked["symbol"]:
        raise errors.Unprocessable({"symbol": str(_("is needed here"))})
    return series.of(asked["symbol"], {name: asked[name] for name in ("feed",) if asked[name]})


def _after(asked: Asked, one: Series) -> TickKey | None:
    return None if asked.before is None else TickKey(one.symbol, *asked.before)


def days(asked: Asked) -> Listing:
    """The trading dates of a symbol, as they were traded."""
    one = _series(asked)
    page = paging.read_days(one, after=_after(asked, one), limit=PAGE, ascending=False)
    found, rows = page.found, []
    for place, told in enumerate(told_of(one, found)):
        volume, trades = int(found.volume[place]), int(found.n[place])
        rows.append([
            date_of(int(found.trade_date[place])).isoformat(),
            *(exact(int(getattr(found, name)[place]), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")),
            exact(told.change, wire.PRICE_SCALE),
            DASH if told.percent is None else f"{exact(told.percent, PERCENT_SCALE)} %",
            exact(volume, wire.SIZE_SCALE), exact(told.turnover, wire.VALUE_SCALE), number(trades),
            DASH if not volume else f"{Decimal(told.turnover) / volume / 10**8:,.2f}",
            DASH if told.volatility is None else f"{Decimal(told.volatility) / 10 ** (VOLATILITY_SCALE - 2):,.2f} %",
        ])  # fmt: skip
    return Listing(
        _title(one, _("Trading dates")),
        [
            Column(_("trading date")), Column(_("open")), Column(_("high")), Column(_("low")), Column(_("close")),
            Column(_("change")), Column(_("change, %")), Column(_("volume")), Column(_("traded value")),
            Column(_("trades")), Column(_("VWAP")), Column(_("volatility of its range")),
        ],
        rows, _older(page.next),
        _("Returns, volatility, beta and what volume is usual are of these dates; prices are as they were traded."),
        _chart(one),
    )  # fmt: skip


def books(asked: Asked) -> Listing:
    """The newest order books of a symbol, with what lay at one price where one is asked for."""
    one = _series(asked)
    page = paging.read_books(one, after=_after(asked, one), limit=PAGE, ascending=False)
    price: Decimal | None = asked["price"]
    what = _("Order books") if price is None else _("Order books, at {price}").format(price=f"{price.normalize():,f}")
    at_price = [] if price is None else [Column(_("bid at the price")), Column(_("ask at the price"))]
    rows = []
    for book in page.found:
        (bid, bid_size), (ask, ask_size) = (side[0] if side else (None, None) for side in (book.bids, book.asks))
        spread = None if bid is None or ask is None else f"{Decimal(ask) - Decimal(bid):f}"
        rows.append([
            to_the_microsecond(book.time_us),
            *([] if price is None else [_lying(side, price) for side in (book.bids, book.asks)]),
            decimal(bid_size), decimal(bid), decimal(ask), decimal(ask_size), decimal(spread),
            *(exact(total, wire.SIZE_SCALE) for total in (book.bid_total, book.ask_total)),
            exact(book.expected_price, wire.PRICE_SCALE), exact(book.expected_size, wire.SIZE_SCALE),
        ])  # fmt: skip
    return Listing(
        _title(one, what),
        [
            Column(_("time")), *at_price, Column(_("best bid size")), Column(_("best bid")), Column(_("best ask")),
            Column(_("best ask size")), Column(_("spread")), Column(_("all bids")), Column(_("all asks")),
            Column(_("expected price")), Column(_("expected size")),
        ],
        rows, _older(page.next), _("Each order book that was stored, the newest first."), _chart(one),
    )  # fmt: skip


def _lying(side: Levels, price: Decimal) -> str:
    """The size at a price of one side of a book."""
    return decimal(next((size for at, size in side if Decimal(at) == price), None))


def _chart(one: Series) -> str:
    return f"{reverse('page')}?{urlencode({'feed': one.feed, 'symbol': one.symbol, 'timeframe': '1Min'})}"


def _title(one: Series, what: object) -> str:
    return f"{what} · {one.symbol} · {one.feed}"


def _older(key: TickKey | None) -> str | None:
    return None if key is None else f"{key.time_us}.{key.tick_id}"
