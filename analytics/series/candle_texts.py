"""Candles as the text of the JSON in which they are told by REST, the stream and the cache tables alike: exact to the
digit and quickly, a thousand candles are a few thousand pieces of text, never objects. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.tick_arrays import Int32, Int64, Mask, decimal_text, decimal_texts
from terminals import wire

SOURCES = ("naru", "kis")  # whose candles are: ours, the vendor's


def decimals(values: Int64, scale: int) -> list[Any]:
    """Scaled integers as what is to stand in JSON: whole numbers where nothing has a fraction, otherwise text of
    numbers."""
    whole, part = np.divmod(values, 10**scale)
    if not part.any():
        listed: list[Any] = whole.tolist()
        return listed
    return list(decimal_texts(values, scale))


def times(times_us: Int64, unit: Literal["s", "us"] = "us") -> list[str]:
    """RFC-3339 in UTC: to the second for candles, to the microsecond for ticks."""
    text: list[str] = np.datetime_as_string(times_us.astype("datetime64[us]"), unit=unit).tolist()
    return text


def dates(days: Int32) -> list[str]:
    """Trading dates as 2026-03-16."""
    distinct, places = np.unique(days, return_inverse=True)  # mostly one or two
    text: list[str] = np.datetime_as_string(distinct.astype("datetime64[D]")).tolist()
    return [text[place] for place in places.tolist()]


def average_prices(bars: Bars) -> list[int | None]:
    """Volume-weighted average prices in 1e-8, rounded half up; None for a candle without volume."""
    averages, volumes = _averages(bars), bars.volume.tolist()
    if averages is not None:
        return [average if volume else None for average, volume in zip(averages.tolist(), volumes, strict=True)]
    return [
        ((value * VALUE_UNIT + part) * 2 + volume) // (2 * volume) if volume else None
        for value, part, volume in zip(bars.value.tolist(), bars.value_frac.tolist(), volumes, strict=True)
    ]


def _averages(bars: Bars) -> Int64 | None:
    """`average_prices` as an array, with anything where there is no volume; None where 64 bits would not do.

    A long division: 1e14 times the value by the volume, in digits of 10,000, so that no product is beyond 1e4 volumes.
    """
    if not len(bars):
        return bars.volume
    volume = np.maximum(bars.volume, 1)
    largest = (np.abs(bars.value.astype(np.float64)) + 1) * VALUE_UNIT / volume
    if bars.volume.min() < 0 or volume.max() >= _MOST_DIVISOR or largest.max() >= _SAFE:
        return None
    average, rest = np.divmod(bars.value, volume)
    below = VALUE_UNIT
    for digits in (10_000, 10_000, 10_000, VALUE_UNIT // 10**12):
        below //= digits
        more, rest = np.divmod(rest * digits + bars.value_frac // below % digits, volume)
        average = average * digits + more
    rounded: Int64 = average + (2 * rest >= volume)
    return rounded


_MOST_DIVISOR, _SAFE = 9 * 10**14, float(2**62)


def _average_texts(found: Bars) -> list[str]:
    averages = _averages(found)
    if averages is None:
        return ["null" if v is None else decimal_text(v, wire.PRICE_SCALE) for v in average_prices(found)]
    texts = decimal_texts(averages, wire.PRICE_SCALE)
    return [text if volume else "null" for text, volume in zip(texts, found.volume.tolist(), strict=True)]


def bars(found: Bars, *, closed: Mask, gap: Mask | None = None, vendor: Mask | None = None) -> list[str]:
    """The members of each candle's object, without braces; `gap` and `src` (which are a vendor's) are left out where
    nobody asked."""
    prices = [decimals(getattr(found, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")]
    columns: Sequence[Sequence[Any]] = (
        times(found.time_us, "s"), *prices, decimals(found.volume, wire.SIZE_SCALE), found.n.tolist(),
        _average_texts(found),
        [("false", "true")[flag] for flag in closed.tolist()], found.rev.tolist(), dates(found.trade_date),
        [""] * len(found) if gap is None else [(',"gap":0', ',"gap":1')[flag] for flag in gap.tolist()],
        [""] * len(found) if vendor is None else [f',"src":"{SOURCES[flag]}"' for flag in vendor.tolist()],
    )  # fmt: skip
    return [
        f'"t":"{t}Z","o":{o},"h":{h},"l":{l},"c":{c},"v":{v},"n":{n},"vw":{vw},"x":{x},"rev":{rev},"td":"{td}"{g}{src}'
        for t, o, h, l, c, v, n, vw, x, rev, td, g, src in zip(*columns, strict=True)  # noqa: E741 - the dialect's own names
    ]
