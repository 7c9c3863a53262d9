"""What the topics say: arrays as messages, JSON or Arrow. Knows no broker, database or clock; docs/kafka.md has every
field.

A message is of one symbol, which is its key. In JSON a trade is a message of its own, so that ksqlDB and Kafka Connect
find columns; in Arrow it is a table of those that a symbol had in a commit. Numbers are exact: decimals in JSON, the
scaled integers in Arrow.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from marketdata.realtime.feed import CANCELLED
from marketdata.realtime.stats import Statistics
from marketdata.types import tick_arrays
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT, KIND_NAMES, SIDE_NAMES, TICK_BITS, Int64, Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

RAW, PROCESSED, CHART, STATISTICS = "raw_market_data", "processed-data", "chart-data", "statistics-data"
TOPICS = (RAW, PROCESSED, CHART, STATISTICS)
VERSION = 1
"""Of what messages look like. Fields are only added to it; what else changes is another version."""
MOST_ROWS = 2_000
"""Of a message. A batch has up to 5,000 rows, and so many of one symbol in JSON are longer than the megabyte that
librdkafka and brokers take unless told otherwise."""
TIMEFRAME, DAY = "1Min", "1Day"
Key = tuple[str, int]
"""Symbol and minute of a candle."""


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a topic (its name without the prefix), by its key."""

    topic: str
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Ticks of one feed and source in the order of commits. Those of the feed have offsets from `first` on in an epoch;
    those of the database have none: `epoch` is empty and `first` 0."""

    ticks: Ticks
    epoch: str
    first: int
    committed_us: int

    def offsets(self) -> Int64:
        """Of each row; 0 where it has none."""
        if not self.epoch:
            return np.zeros(len(self.ticks), np.int64)
        return np.arange(self.first, self.first + len(self.ticks), dtype=np.int64)


def of_page(page: Page, form: str) -> Iterator[Message]:
    """The messages of a page: first what was stored, then the trades, each in the order of the feed."""
    encode_rows, encode_trades = (_rows_json, _trades_json) if form == "json" else (_rows_arrow, _trades_arrow)
    yield from encode_rows(page)
    yield from encode_trades(page)


def of_bars(bars: Bars, form: str) -> Iterator[Message]:
    """A message of each minute candle, as it is now."""
    return _bars_json(bars) if form == "json" else _bars_arrow(bars)


def of_days(
    date: datetime.date, feed: str, begins_us: Mapping[str, int], bars: Mapping[str, DailyBars], form: str
) -> Iterator[Message]:
    """A message of the daily candle of a trading date of each of these symbols, as it is now; one that has none had
    one. `begins_us`: when that date begins where the symbol is traded."""
    for symbol, begin_us in begins_us.items():
        if form == "json":
            head = f'{_head(symbol, feed)},"timeframe":"{DAY}","time_us":{begin_us},"trade_date":"{date}"'
            text = f"{head},{_day_json(bars[symbol])}}}" if symbol in bars else f'{head},"removed":true}}'
            yield Message(CHART, symbol, text.encode())
        else:
            from fanout import tables

            yield Message(CHART, symbol, tables.day(symbol, feed, date, begin_us, bars.get(symbol)))


def removed(feed: str, keys: Iterable[Key], form: str) -> Iterator[Message]:
    """Of each candle that is no more: every trade of it was taken back."""
    for symbol, minute_us in keys:
        if form == "json":
            text = f'{_head(symbol, feed)},"timeframe":"{TIMEFRAME}","time_us":{minute_us},"removed":true}}'
            yield Message(CHART, symbol, text.encode())
        else:
            from fanout import tables

            yield Message(CHART, symbol, tables.removed(symbol, feed, minute_us))


def of_statistics(feed: str, found: Iterable[Statistics], form: str) -> Iterator[Message]:
    """A message of each result; that of the market as a whole has the empty key. `null`: there is nothing to tell any
    more."""
    for one in found:
        if form == "json":
            text = f'{_head(one.symbol, feed)},"revision":{one.revision},"statistics":'.encode()
            yield Message(STATISTICS, one.symbol, text + bytes(one.body) + b"}")
        else:
            from fanout import tables

            yield Message(STATISTICS, one.symbol, tables.statistics(one, feed))


def touched(ticks: Ticks) -> set[Key]:
    """The candles that these ticks are of, or were."""
    chosen = tick_arrays.trades(ticks) | (ticks.kind == CANCELLED)
    minutes = ticks.time_us[chosen] // MINUTE_US * MINUTE_US
    pairs = np.unique(np.column_stack([ticks.symbol[chosen], minutes]), axis=0)
    return {(ticks.symbols[symbol], minute) for symbol, minute in pairs.tolist() if symbol >= 0}


def groups(ticks: Ticks, chosen: Int64) -> Iterator[Int64]:
    """The chosen rows by symbol and batch, in the order in which each began, at most MOST_ROWS at a time; within one as
    they were."""
    if not len(chosen):
        return
    symbol, batch = ticks.symbol[chosen], ticks.tick_id[chosen] >> TICK_BITS
    order = np.lexsort((np.arange(len(chosen)), batch, symbol))
    new = (symbol[order][1:] != symbol[order][:-1]) | (batch[order][1:] != batch[order][:-1])
    parts = np.split(chosen[order], np.flatnonzero(new) + 1)
    for part in sorted(parts, key=lambda part: int(part[0])):
        yield from _pieces(part)


def _pieces(part: Int64) -> Iterator[Int64]:
    for start in range(0, len(part), MOST_ROWS):
        yield part[start : start + MOST_ROWS]


def stored_rows(ticks: Ticks) -> Int64:
    """Rows of the raw topic: all but what was taken back, which is no row."""
    return np.flatnonzero((ticks.kind != CANCELLED) & (ticks.symbol >= 0))


def trade_rows(ticks: Ticks) -> Int64:
    """Rows of the processed topic: trades that count, and those taken back."""
    chosen = tick_arrays.trades(ticks) | (ticks.kind == CANCELLED)
    return np.flatnonzero(chosen & (ticks.symbol >= 0))


def sizes(given: Int64) -> Int64:
    """Of trades: one without a size counts as 0, as it does in a candle."""
    return np.where(given == ABSENT, 0, given)


# --- JSON -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _head(symbol: str, feed: str) -> str:
    return f'{{"v":{VERSION},"symbol":{_quoted(symbol)},"feed":{_quoted(feed)}'


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))


def _texts(values: Int64, scale: int) -> list[str]:
    """Scaled integers as JSON numbers."""
    return list(tick_arrays.decimal_texts(values, scale))


_ROW_FIELDS = (
    *(("price", wire.PRICE_SCALE), ("bid", wire.PRICE_SCALE), ("ask", wire.PRICE_SCALE)),
    *(("size", wire.SIZE_SCALE), ("bid_size", wire.SIZE_SCALE), ("ask_size", wire.SIZE_SCALE)),
    *(("cum_volume", wire.SIZE_SCALE), ("seq", 0)),
)


def _rows_json(page: Page) -> Iterator[Message]:
    ticks, offsets = page.ticks, page.offsets()
    rows = [
        f'"row":{row},"kind":"{KIND_NAMES[kind]}","time_us":{time},"trade_date":"{_date(day)}"'
        for row, kind, time, day in zip(
            (ticks.tick_id & ((1 << TICK_BITS) - 1)).tolist(),
            np.where(ticks.kind < len(KIND_NAMES), ticks.kind, 0).tolist(),
            ticks.time_us.tolist(), ticks.trade_date.tolist(), strict=True,
        )
    ]  # fmt: skip
    for name, scale in _ROW_FIELDS:
        values: Int64 = getattr(ticks, name)
        given = np.flatnonzero(values != ABSENT)
        texts = values[given].tolist() if scale == 0 else _texts(values[given], scale)
        for at, text in zip(given.tolist(), texts, strict=True):
            rows[at] += f',"{name}":{text}'
    for at in np.flatnonzero((ticks.side > 0) & (ticks.side < len(SIDE_NAMES))).tolist():
        rows[at] += f',"side":"{SIDE_NAMES[ticks.side[at]]}"'
    for part in groups(ticks, stored_rows(ticks)):
        symbol, first, last = ticks.symbols[ticks.symbol[part[0]]], offsets[part[0]], offsets[part[-1]]
        text = (
            f'{_head(symbol, ticks.feed)},"source":{ticks.source_id},"batch":{int(ticks.tick_id[part[0]]) >> TICK_BITS}'
            f',"epoch":"{page.epoch}","offset":{first},"last_offset":{last},"committed_us":{page.committed_us},"rows":[{{'
            + "},{".join(rows[at] for at in part.tolist())
            + "}]}"
        )
        yield Message(RAW, symbol, text.encode())


def _trades_json(page: Page) -> Iterator[Message]:
    chosen = trade_rows(page.ticks)
    if not len(chosen):
        return
    ticks = page.ticks.take(chosen)
    heads = [_head(symbol, ticks.feed) for symbol in ticks.symbols]
    columns = (
        ticks.symbol.tolist(), (ticks.kind == CANCELLED).tolist(), ticks.tick_id.tolist(), ticks.time_us.tolist(),
        _texts(ticks.price, wire.PRICE_SCALE), _texts(sizes(ticks.size), wire.SIZE_SCALE), ticks.side.tolist(),
        ticks.trade_date.tolist(), page.offsets()[chosen].tolist(),
    )  # fmt: skip
    tail = f'"epoch":"{page.epoch}","committed_us":{page.committed_us}}}'
    for symbol, gone, tick_id, time_us, price, size, side, day, offset in zip(*columns, strict=True):
        text = (
            f'{heads[symbol]},"type":"{"cancel" if gone else "trade"}","id":{tick_id},"batch":{tick_id >> TICK_BITS}'
            f',"time_us":{time_us},"price":{price},"size":{size},"side":"{SIDE_NAMES[side]}"'
            f',"trade_date":"{_date(day)}","offset":{offset},{tail}'
        )
        yield Message(PROCESSED, ticks.symbols[symbol], text.encode())


def _bars_json(bars: Bars) -> Iterator[Message]:
    prices = [_texts(getattr(bars, name), wire.PRICE_SCALE) for name in ("open", "high", "low", "close")]
    columns = (
        bars.symbol.tolist(), bars.time_us.tolist(), bars.trade_date.tolist(), *prices,
        _texts(bars.volume, wire.SIZE_SCALE), values(bars), bars.n.tolist(), bars.rev.tolist(),
    )  # fmt: skip
    for symbol, time_us, day, *four, volume, value, n, rev in zip(*columns, strict=True):
        told = ",".join(f'"{name}":{text}' for name, text in zip(("open", "high", "low", "close"), four, strict=True))
        text = (
            f'{_head(bars.symbols[symbol], bars.feed)},"timeframe":"{TIMEFRAME}","time_us":{time_us}'
            f',"trade_date":"{_date(day)}",{told},"volume":{volume},"value":{value},"trades":{n},"rev":{rev}'
            ',"removed":false}'
        )
        yield Message(CHART, bars.symbols[symbol], text.encode())


_DAY_PRICES = ("open", "high", "low", "close", "last", "regular_open", "regular_high", "regular_low")
_DAY_SIZES = ("volume", "regular_volume")


def _day_json(bars: DailyBars) -> str:
    """The members of one daily candle; those of the regular session where it had a trade."""
    told = {
        **{name: (getattr(bars, name), wire.PRICE_SCALE) for name in _DAY_PRICES},
        **{name: (getattr(bars, name), wire.SIZE_SCALE) for name in _DAY_SIZES},
    }
    numbers = [f'"{name}":{_texts(found, scale)[0]}' for name, (found, scale) in told.items() if found[0] != ABSENT]
    return f'{",".join(numbers)},"value":{values(bars)[0]},"trades":{int(bars.n[0])},"removed":false'


def values(bars: Bars | DailyBars) -> Sequence[str]:
    """The traded value of each candle, exact."""
    digits = len(str(VALUE_UNIT)) - 1
    whole = zip(bars.value.tolist(), bars.value_frac.tolist(), strict=True)
    return [tick_arrays.decimal_text(value * VALUE_UNIT + part, digits) for value, part in whole]


# --- Arrow: pyarrow is loaded only where messages are of it -----------------------------------------------------------


def _rows_arrow(page: Page) -> Iterator[Message]:
    from fanout import tables

    offsets = page.offsets()
    for part in groups(page.ticks, stored_rows(page.ticks)):
        yield Message(RAW, page.ticks.symbols[page.ticks.symbol[part[0]]], tables.rows(page, part, offsets[part]))


def _trades_arrow(page: Page) -> Iterator[Message]:
    from fanout import tables

    offsets = page.offsets()
    ticks, chosen = page.ticks, trade_rows(page.ticks)
    order = chosen[np.argsort(ticks.symbol[chosen], kind="stable")]
    for rows in np.split(order, np.flatnonzero(np.diff(ticks.symbol[order])) + 1):
        for part in _pieces(rows):
            yield Message(PROCESSED, ticks.symbols[ticks.symbol[part[0]]], tables.trades(page, part, offsets[part]))


def _bars_arrow(bars: Bars) -> Iterator[Message]:
    from fanout import tables

    for at in range(len(bars)):
        yield Message(CHART, bars.symbols[bars.symbol[at]], tables.bar(bars, at))
