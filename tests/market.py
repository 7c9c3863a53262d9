"""Ticks for tests, and candles made from them by hand: one by one, in decimals, with none of the code they check."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from marketdata.types import day_figures, tick_arrays
from marketdata.types.day_figures import DAY_SCALES
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT, NO_DATE, TICK_BITS, Ticks
from tests.candle import Candle

SNAPSHOT = 3
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
NINE_US = 1_773_619_200_000_000  # 2026-03-16 09:00 in Seoul, a Monday
TRADE = 1

Row = Mapping[str, Any]


def ticks(rows: Sequence[Row], *, feed: str = "krx", source_id: int = 4) -> Ticks:
    """Ticks from rows that name only what they give; a trade of 70,000 won at nine unless told otherwise."""
    symbols = list(dict.fromkeys(row.get("symbol", "005930") for row in rows))
    made = tick_arrays.empty(feed, source_id, len(rows), symbols)
    for index, row in enumerate(rows):
        given = {"kind": TRADE, "time_us": NINE_US, "tick_id": tick_id(1, index), **row}
        if given["kind"] == TRADE:
            given = {"price": price("70000"), "size": size("1"), **given}
        made.symbol[index] = symbols.index(given.pop("symbol", "005930"))
        for name, value in given.items():
            if name in DAY_SCALES:
                made.day = day_figures.absent(len(rows)) if made.day is None else made.day
                getattr(made.day, name)[index] = value
            else:
                getattr(made, name)[index] = value
        if made.trade_date[index] == NO_DATE:
            made.trade_date[index] = (int(made.time_us[index]) + 9 * 3_600_000_000) // DAY_US
    return made


def tick_id(seq: int, row: int, *, stream: int = 1) -> int:
    """The id of row `row` of batch `seq`."""
    return tick_arrays.batch_number(stream, seq) << TICK_BITS | row


def price(text: str) -> int:
    """A price as the arrays hold it."""
    return int(Decimal(text).scaleb(8))


def size(text: str) -> int:
    """A size as the arrays hold it."""
    return int(Decimal(text).scaleb(6))


def rows_of(given: Ticks) -> list[dict[str, Any]]:
    """Ticks as dictionaries, every column and the symbol's code; for comparing."""
    columns = {name: getattr(given, name).tolist() for name in tick_arrays.COLUMNS}
    columns["symbol"] = [given.symbols[index] if index >= 0 else None for index in columns["symbol"]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def candles_by_hand(given: Iterable[Ticks]) -> list[Candle]:
    """The candles of all these ticks together."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in [row for part in given for row in rows_of(part)]:
        if row["kind"] == TRADE and row["size"] != 0:
            groups.setdefault((row["symbol"], row["time_us"] // MINUTE_US * MINUTE_US), []).append(row)
    with localcontext(prec=80):
        return sorted(_candle(symbol, minute_us, rows) for (symbol, minute_us), rows in groups.items())


def _candle(symbol: str, minute_us: int, rows: list[dict[str, Any]]) -> Candle:
    ordered = sorted(rows, key=lambda row: (row["time_us"], row["tick_id"]))
    prices = [Decimal(row["price"]).scaleb(-8) for row in ordered]
    sizes = [Decimal(0 if row["size"] == ABSENT else row["size"]).scaleb(-6) for row in ordered]
    return Candle(
        symbol=symbol,
        minute_us=minute_us,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum(sizes, Decimal(0)),
        value=sum((price * size for price, size in zip(prices, sizes, strict=True)), Decimal(0)),
        n=len(rows),
    )


def candles(bars: Bars) -> list[Candle]:
    """Candles from arrays, in plain decimals, sorted."""

    def number(name: str, row: int, scale: int = 0) -> Decimal:
        return Decimal(int(getattr(bars, name)[row])).scaleb(-scale)

    with localcontext(prec=80):
        return sorted(
            Candle(
                symbol=bars.symbols[bars.symbol[row]],
                minute_us=int(bars.time_us[row]),
                open=number("open", row, 8),
                high=number("high", row, 8),
                low=number("low", row, 8),
                close=number("close", row, 8),
                volume=number("volume", row, 6),
                value=number("value", row) + number("value_frac", row, 14),
                n=int(bars.n[row]),
            )
            for row in range(len(bars))
        )


def same(left: Ticks, right: Ticks) -> bool:
    """Whether two sets of ticks agree in every column of every row, in order."""
    return rows_of(left) == rows_of(right)


def shuffled(given: Ticks, order: Sequence[int]) -> Ticks:
    """The same ticks in another order."""
    return given.take(np.array(order, np.int64))
