"""Arrays as JSON text, exact to the digit and quickly: a thousand candles are a few thousand pieces of text, never
objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.indicators.rolling import Float64
from analytics.series.candle_texts import dates, decimals, times
from analytics.series.day_statistics import DayStatistics
from marketdata.storage.base import Latest
from marketdata.types.day_figures import DAY_VALUE_SCALE
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import Levels, OrderBook
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import ABSENT, Ticks, decimal_text
from terminals import wire

Flags = npt.NDArray[np.bool_]

TAKER = ("-", "B", "S")  # by wire.Side: unknown, buyer, seller
ZERO_SIZE = "zero_size"  # the condition of a print at which nothing changed hands; it counts for no candle
PERCENT_SCALE = 4  # of changes in per cent
VOLATILITY_SCALE = 8
APPROXIMATE_SCALE = 8  # of what is computed in floating point
OF_BOOK = "book"  # the condition of a quote that is the best level of an order book
NO_SIZE = "no_size"  # the condition of a trade whose source gave no size; its "s" is 0


def time(time_us: int) -> str:
    """One time, to the microsecond."""
    return times(np.array([time_us], np.int64))[0] + "Z"


def indicators(found: Bars, values: Mapping[str, Float64], *, closed: Flags, gap: Flags) -> list[str]:
    """The members of the objects of candles' indicators, whose values are arrays by name."""
    columns = [
        times(found.time_us, "s"), [("false", "true")[flag] for flag in closed.tolist()], dates(found.trade_date),
        gap.astype(np.int8).tolist(),
    ]  # fmt: skip
    texts = [
        [f',"{name}":{"null" if text is None else text}' for text in approximate(of_one)]
        for name, of_one in values.items()
    ]
    told = ["".join(row) for row in zip(*texts, strict=True)]
    return [f'"t":"{t}Z","x":{x},"td":"{td}","gap":{g}{rest}' for t, x, td, g, rest in zip(*columns, told, strict=True)]


def approximate(values: Float64) -> list[str | None]:
    """Floating-point values as text of numbers with up to APPROXIMATE_SCALE places; None for what is no number."""
    rounded = np.round(values, APPROXIMATE_SCALE) + 0.0  # no -0
    return [
        f"{value:.{APPROXIMATE_SCALE}f}".rstrip("0").removesuffix(".") if np.isfinite(value) else None
        for value in rounded.tolist()
    ]


def trades(found: Ticks) -> list[str]:
    """The members of each trade's object, without braces. `z`, the tape, is a word of American markets and stays
    empty."""
    absent = found.size == ABSENT
    sizes = decimals(np.where(absent, 0, found.size), wire.SIZE_SCALE)
    plain = bool((found.size > 0).all())
    conditions = ["[]"] * len(found) if plain else [_conditions(condition(size)) for size in found.size.tolist()]
    columns: Sequence[Sequence[Any]] = (
        times(found.time_us), decimals(found.price, wire.PRICE_SCALE), sizes, found.tick_id.tolist(), conditions,
        [TAKER[side] for side in found.side.tolist()],
    )  # fmt: skip
    feed = found.feed
    return [
        f'"t":"{t}Z","p":{p},"s":{s},"x":"{feed}","i":{i},"c":{c},"z":"","tks":"{k}"'
        for t, p, s, i, c, k in zip(*columns, strict=True)
    ]


def condition(size: int) -> str:
    """What is unusual about a trade of this size, "" if nothing is."""
    return NO_SIZE if size == ABSENT else ZERO_SIZE if size == 0 else ""


def quotes(found: Ticks) -> list[str]:
    """The members of each quote's object, without braces; a side that is not there is 0, as the dialect wants it."""
    columns: Sequence[Sequence[Any]] = (
        times(found.time_us),
        *(
            decimals(np.where(values == ABSENT, 0, values), scale)
            for values, scale in (
                (found.bid, wire.PRICE_SCALE), (found.bid_size, wire.SIZE_SCALE),
                (found.ask, wire.PRICE_SCALE), (found.ask_size, wire.SIZE_SCALE),
            )
        ),
    )  # fmt: skip
    feed = found.feed
    return [
        f'"t":"{t}Z","bx":"{feed}","bp":{bp},"bs":{bs},"ax":"{feed}","ap":{ap},"as":{a},"c":[],"z":""'
        for t, bp, bs, ap, a in zip(*columns, strict=True)
    ]


def latest_trade(trade: Latest) -> str:
    """The members of a last trade's object; who took is not kept of it."""
    word = condition(ABSENT if trade.size is None else trade.size)
    price, size = decimal_text(trade.price, wire.PRICE_SCALE), decimal_text(trade.size or 0, wire.SIZE_SCALE)
    return (
        f'"t":"{time(trade.time_us)}","p":{price},"s":{size},"x":"{trade.feed}","i":{trade.tick_id},'
        f'"c":{_conditions(word)},"z":""'
    )


def latest_quote(quote: Ticks | OrderBook) -> str:
    """The members of a last quote's object: of a tick, or of an order book's best level, which its condition tells."""
    if isinstance(quote, Ticks):
        return quotes(quote)[0]
    (bid, bid_size), (ask, ask_size) = (side[0] if side else ("0", "0") for side in (quote.bids, quote.asks))
    return (
        f'"t":"{time(quote.time_us)}","bx":"{quote.feed}","bp":{bid},"bs":{bid_size},"ax":"{quote.feed}","ap":{ask},'
        f'"as":{ask_size},"c":["{OF_BOOK}"],"z":""'
    )


def books(found: Sequence[OrderBook]) -> list[str]:
    """The members of each order book's object: levels as the dialect writes them, best first, and what the source told
    beside them (`null` where it did not)."""
    return [
        f'"t":"{at}Z","x":"{one.feed}","i":{one.tick_id},"b":{_levels(one.bids)},"a":{_levels(one.asks)},'
        + ",".join(
            f'"{name}":{_number(getattr(one, member), scale)}' for name, (member, scale) in _BOOK_FIGURES.items()
        )
        for at, one in zip(times(np.array([one.time_us for one in found], np.int64)), found, strict=True)
    ]


_BOOK_FIGURES = {
    "bt": ("bid_total", wire.SIZE_SCALE), "at": ("ask_total", wire.SIZE_SCALE),
    "ep": ("expected_price", wire.PRICE_SCALE), "es": ("expected_size", wire.SIZE_SCALE),
    "cv": ("cum_volume", wire.SIZE_SCALE), "mp": ("mid_price", wire.PRICE_SCALE),
}  # fmt: skip


def day_statistics(told: DayStatistics) -> str:
    """The members of a date's statistics, beside those of its candle."""
    figures = {
        "turnover": _number(told.turnover, wire.VALUE_SCALE), "high": _number(told.high, wire.PRICE_SCALE),
        "low": _number(told.low, wire.PRICE_SCALE), "last": _number(told.last, wire.PRICE_SCALE),
        "regularVolume": _number(told.regular_volume, wire.SIZE_SCALE),
        "tradeSize": _number(told.trade_size, wire.SIZE_SCALE),
        "prevClose": _number(told.previous_close, wire.PRICE_SCALE), "change": _number(told.change, wire.PRICE_SCALE),
        "changeRate": _number(told.percent, PERCENT_SCALE),
        "volatility": _number(told.volatility, VOLATILITY_SCALE),
    }  # fmt: skip
    return ",".join(f'"{name}":{text}' for name, text in figures.items())


def day_figures(told: StockPrice) -> str:
    """The members of what a polled snapshot told of a symbol's day; what it did not tell is left out."""
    figures = {name: _number(getattr(told, member), scale) for name, (member, scale) in _DAY_FIGURES.items()}
    given = [f'"{name}":{text}' for name, text in figures.items() if text != "null"]
    return f'"t":"{time(told.time_us)}","td":"{dates(np.array([told.trade_date], np.int32))[0]}",' + ",".join(given)


_DAY_FIGURES = {
    **{
        name: (member, wire.PRICE_SCALE)
        for name, member in {
            "p": "price", "o": "open", "h": "high", "l": "low", "prevClose": "prev_close",
            "upperLimit": "upper_limit", "lowerLimit": "lower_limit", "changeRate": "change_rate",
        }.items()
    },
    "v": ("volume", wire.SIZE_SCALE), "value": ("value", DAY_VALUE_SCALE),
}  # fmt: skip


def _levels(levels: Levels) -> str:
    return "[" + ",".join([f'{{"p":{price},"s":{size}}}' for price, size in levels]) + "]"


def _number(value: int | None, scale: int) -> str:
    return "null" if value is None else decimal_text(value, scale)


def _conditions(word: str) -> str:
    return f'["{word}"]' if word else "[]"


def single(members: str) -> bytes:
    """A JSON object from its members."""
    return f"{{{members}}}".encode()


def array(members: list[str]) -> bytes:
    """A JSON array of objects from their members."""
    return ("[{" + "},{".join(members) + "}]").encode() if members else b"[]"
