"""Where symbols stand, as the charting library's watch list shows it: last price, best bid and ask, change to the close
of the day before (adjusted for splits and the like), the day so far."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from analytics.series import adjustment, factors, trading_days
from analytics.series.adjustment import Factor
from analytics.series.snapshots import State
from api import newest
from api.rest.paging import Series
from marketdata.models import Symbol
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import ABSENT, Ticks, decimal_text
from terminals import wire


def values(known: Sequence[tuple[Symbol, Series]], now: datetime.datetime) -> dict[str, dict[str, Any]]:
    """A quote's values by symbol code; what is not known is left out."""
    symbols = {one.symbol: symbol for symbol, one in known}
    shares = {one.symbol: (one.market, one.held) for _, one in known}
    split = factors.in_force(shares, "split", int(now.timestamp()) * 1_000_000)
    told: dict[str, dict[str, Any]] = {}
    for some, state in newest.states([one for _, one in known], now):
        for one in some:
            symbol = symbols[one.symbol]
            told[one.symbol] = {
                "short_name": one.symbol,
                "exchange": symbol.market_id,
                "description": symbol.name or symbol.name_en or one.symbol,
                **_figures(state, one, split.get(one.symbol, ())),
            }
    return told


def _figures(state: State, one: Series, split: Sequence[Factor]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    trade, days = state.trades.get(one.symbol), state.days.get(one.symbol)
    for name, best in zip(("bid", "ask"), _best(state.quotes.get(one.symbol)), strict=True):
        if best is not None:
            told[name] = _number(best)
    price = trade.price if trade is not None else None
    if days is not None:
        bars = trading_days.as_bars(days, one.timezone)
        price = int(bars.close[0]) if price is None else price
        for name, column in (("open_price", bars.open), ("high_price", bars.high), ("low_price", bars.low)):
            told[name] = _number(int(column[0]))
        told["volume"] = _number(int(bars.volume[0]), wire.SIZE_SCALE)
        before = adjustment.close_before(days, split)
        if before is not None:
            told |= {"prev_close_price": _number(before), "ch": _number(price - before)}
            if before:
                told["chp"] = round(Decimal(100 * (price - before)) / abs(before), 2)
    if price is not None:
        told["lp"] = _number(price)
    return told


def _best(quote: Ticks | OrderBook | None) -> tuple[int | None, int | None]:
    """The best bid and ask in 1e-8; None where nobody is."""
    if quote is None:
        return None, None
    if isinstance(quote, Ticks):
        bid, ask = int(quote.bid[0]), int(quote.ask[0])
        return (None if bid == ABSENT else bid), (None if ask == ABSENT else ask)
    bid_of, ask_of = (
        int(Decimal(side[0][0]).scaleb(wire.PRICE_SCALE)) if side else None for side in (quote.bids, quote.asks)
    )
    return bid_of, ask_of


def _number(value: int, scale: int = wire.PRICE_SCALE) -> msgspec.Raw:
    return msgspec.Raw(decimal_text(value, scale).encode())
