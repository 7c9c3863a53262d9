"""Pages of trades and candles: where one ended, and reading the next. A token is opaque to the caller and checked
when it comes back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analytics import timeframes
from analytics.timeframes import Timeframe
from marketdata import bars as bars_module
from marketdata.bars import Bars
from marketdata.storage import TickKey, storage
from marketdata.ticks import Ticks
from terminals import wire

CHUNK = 12_000
MOST_MINUTES = 240_000  # read for one page of wide candles; a page may then be shorter than its limit, with a token
TRADES = "trades"
_GREATEST_US = 253_402_300_799_999_999


class BadTokenError(ValueError):
    """The page token is none of ours, or belongs to another question."""


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol in one feed, between two times (the last one included), in a market's time zone."""

    symbol: str
    feed: str
    timezone: str
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class TradePage:
    found: list[tuple[Series, Ticks]]
    next: TickKey | None


@dataclass(frozen=True, slots=True)
class BarPage:
    found: list[tuple[Series, Bars]]
    next: TickKey | None


def encode_token(key: TickKey, kind: str) -> str:
    """Where a page ended, as one word."""
    text = f"{key.symbol}|{kind}|{key.time_us}|{key.tick_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, kind: str, symbols: Sequence[str] | None) -> TickKey:
    """The inverse of `encode_token`; BadTokenError unless it is a token of the same question."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        symbol, of_kind, time_us, tick_id = text.split("|")
        key = TickKey(symbol, int(time_us), int(tick_id))
    except (binascii.Error, ValueError) as error:
        raise BadTokenError("page_token is not one that this API gave") from error
    foreign = of_kind != kind or (symbols is not None and symbol not in symbols)
    if foreign or abs(key.time_us) > _GREATEST_US or not 0 <= key.tick_id < 1 << 63:
        raise BadTokenError("page_token belongs to another request: repeat the first one's parameters")
    return key


def _remaining(
    series: Sequence[Series], after: TickKey | None, ascending: bool
) -> Iterator[tuple[Series, TickKey | None]]:
    ordered = sorted(series, key=lambda one: one.symbol, reverse=not ascending)
    for one in ordered:
        if after is None or one.symbol == after.symbol:
            yield one, after
        elif (one.symbol > after.symbol) == ascending:
            yield one, None


def read_trades(series: Sequence[Series], *, after: TickKey | None, limit: int, ascending: bool) -> TradePage:
    """At most `limit` trades, symbol after symbol in the order asked for, each in the order of time."""
    found: list[tuple[Series, Ticks]] = []
    left = limit
    for one, key in _remaining(series, after, ascending):
        ticks = storage().read_ticks(
            one.symbol, one.feed, one.first_us, one.last_us + 1,
            kind=int(wire.Kind.TRADE), after=key, limit=left + 1, ascending=ascending,
        )  # fmt: skip
        more = len(ticks) > left
        if more:
            ticks = ticks.take(np.arange(left))
        if len(ticks):
            found.append((one, ticks))
            left -= len(ticks)
        if more:
            last, rows = found[-1]
            return TradePage(found, TickKey(last.symbol, int(rows.time_us[-1]), int(rows.tick_id[-1])))
    return TradePage(found, None)


def read_bars(
    series: Sequence[Series], timeframe: Timeframe, *, after: TickKey | None, limit: int, ascending: bool
) -> BarPage:
    """At most `limit` whole candles, symbol after symbol in the order asked for, each in the order of time."""
    found: list[tuple[Series, Bars]] = []
    last: TickKey | None = after
    left, minutes = limit, MOST_MINUTES
    for one, key in _remaining(series, after, ascending):
        if left <= 0 or minutes <= 0:
            if _any_left(one, timeframe, ascending):
                return BarPage(found, last)
            continue
        bars, more, used = _read_series(one, timeframe, key, left, minutes, ascending)
        minutes -= used
        if len(bars):
            found.append((one, bars))
            left -= len(bars)
            last = TickKey(one.symbol, int(bars.time_us[-1]))
        if more:
            return BarPage(found, last)
    return BarPage(found, None)


def _bounds(one: Series, timeframe: Timeframe, after: TickKey | None, ascending: bool) -> tuple[int, int]:
    """The minutes [start, end) of the candles that open within the series' times and lie beyond `after`."""
    start = timeframe.start(one.first_us, one.timezone)
    if start < one.first_us:
        start = timeframe.end(one.first_us, one.timezone)
    end = timeframe.end(one.last_us, one.timezone)
    if after is not None and ascending:
        start = max(start, timeframe.end(after.time_us, one.timezone))
    elif after is not None:
        end = min(end, timeframe.start(after.time_us, one.timezone))
    return start, end


def _any_left(one: Series, timeframe: Timeframe, ascending: bool) -> bool:
    start, end = _bounds(one, timeframe, None, ascending)
    return start < end and len(storage().read_minutes(one.symbol, one.feed, start, end, limit=1)) > 0


def _read_series(
    one: Series, timeframe: Timeframe, after: TickKey | None, limit: int, minutes: int, ascending: bool
) -> tuple[Bars, bool, int]:
    """(candles in the order asked for, whether there are more, minute candles read)."""
    start, end = _bounds(one, timeframe, after, ascending)
    # One candle more than wanted: the last one read may not be whole, and tells that there is more.
    wanted = min((limit + 1) * timeframe.most_minutes, max(minutes, 2 * timeframe.most_minutes))
    parts: list[Bars] = []
    used, exhausted = 0, start >= end
    while not exhausted and used < wanted:
        size = min(CHUNK, wanted - used)
        if parts:  # go on with the last minute read: it may have a second candle, of another trading date
            minute = int(parts[-1].time_us[-1])
            parts[-1] = parts[-1].take(parts[-1].time_us != minute)
            start, end = (minute, end) if ascending else (start, minute + 1)
        chunk = storage().read_minutes(one.symbol, one.feed, start, end, limit=size, ascending=ascending)
        used += len(chunk)
        exhausted = len(chunk) < size
        if len(chunk):
            parts.append(chunk)
    if not parts:
        return bars_module.empty(one.feed), False, used
    minutes_read = _joined(parts)
    bars = timeframes.widen(minutes_read if ascending else _reversed(minutes_read), timeframe, one.timezone)
    if not ascending:
        bars = _reversed(bars)
    if not exhausted and len(bars) > 1:
        bars = bars.take(np.arange(len(bars) - 1))
    more = not exhausted or len(bars) > limit
    return bars.take(np.arange(min(limit, len(bars)))), more, used


def _reversed(bars: Bars) -> Bars:
    return bars.take(np.arange(len(bars))[::-1])


def _joined(parts: list[Bars]) -> Bars:
    """Candles of the same symbol after each other."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in bars_module.COLUMNS}
    return Bars(feed=parts[0].feed, symbols=parts[0].symbols, **columns)
