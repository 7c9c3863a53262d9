"""Messages as Arrow IPC streams (pyarrow): one record batch of one symbol, its schema with it. Prices are int64 in
1e-8, sizes int64 in 1e-6, times microseconds UTC."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from fanout.messages import DAY, TIMEFRAME, VERSION, Page, sizes, values
from marketdata.realtime.feed import CANCELLED
from marketdata.realtime.stats import Statistics
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT, KIND_NAMES, SIDE_NAMES, TICK_BITS, Int64, Ticks

_DAY = (
    *("open", "high", "low", "close", "last", "volume"),
    *("regular_open", "regular_high", "regular_low", "regular_volume"),
)
_NUMBERS = ("price", "size", "bid", "bid_size", "ask", "ask_size", "cum_volume", "seq")


def _stream(columns: dict[str, pa.Array], about: dict[str, object]) -> bytes:
    batch = pa.record_batch(columns).replace_schema_metadata(
        {"v": str(VERSION), **{name: str(value) for name, value in about.items()}}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _given(values: Int64) -> pa.Array:
    return pa.array(values, mask=values == ABSENT)


def _common(ticks: Ticks, part: Int64, offsets: Int64) -> dict[str, pa.Array]:
    return {
        "time_us": pa.array(ticks.time_us[part]),
        "trade_date": pa.array(ticks.trade_date[part]).cast(pa.date32()),
        "side": pa.array([SIDE_NAMES[side] for side in ticks.side[part].tolist()]),
        "offset": pa.array(offsets),
    }


def _about(page: Page, part: Int64) -> dict[str, object]:
    return {
        "symbol": page.ticks.symbols[page.ticks.symbol[part[0]]], "feed": page.ticks.feed, "epoch": page.epoch,
        "committed_us": page.committed_us, "source": page.ticks.source_id,
    }  # fmt: skip


def rows(page: Page, part: Int64, offsets: Int64) -> bytes:
    """What was stored of a batch and symbol."""
    ticks = page.ticks
    kinds = [KIND_NAMES[kind] if kind < len(KIND_NAMES) else "" for kind in ticks.kind[part].tolist()]
    columns = {
        "row": pa.array(ticks.tick_id[part] & ((1 << TICK_BITS) - 1)),
        "kind": pa.array(kinds),
        **_common(ticks, part, offsets),
        **{name: _given(getattr(ticks, name)[part]) for name in _NUMBERS},
    }
    return _stream(columns, _about(page, part) | {"batch": int(ticks.tick_id[part[0]]) >> TICK_BITS})


def trades(page: Page, part: Int64, offsets: Int64) -> bytes:
    """Trades of a symbol, and those that were taken back."""
    ticks = page.ticks
    columns = {
        "type": pa.array(np.where(ticks.kind[part] == CANCELLED, "cancel", "trade").tolist()),
        "id": pa.array(ticks.tick_id[part]),
        "batch": pa.array(ticks.tick_id[part] >> TICK_BITS),
        **_common(ticks, part, offsets),
        "price": pa.array(ticks.price[part]),
        "size": pa.array(sizes(ticks.size[part])),
    }
    return _stream(columns, _about(page, part))


def bar(bars: Bars, at: int) -> bytes:
    """A minute candle; its traded value is decimal text."""
    one = bars.take(slice(at, at + 1))
    columns = {
        "time_us": pa.array(one.time_us),
        "trade_date": pa.array(one.trade_date).cast(pa.date32()),
        **{name: pa.array(getattr(one, name)) for name in ("open", "high", "low", "close", "volume")},
        "value": pa.array(values(one)),
        "trades": pa.array(one.n),
        "rev": pa.array(one.rev),
        "removed": pa.array([False]),
    }
    return _stream(columns, {"symbol": bars.symbols[bars.symbol[at]], "feed": bars.feed, "timeframe": TIMEFRAME})


def day(symbol: str, feed: str, date: datetime.date, begins_us: int, bars: DailyBars | None) -> bytes:
    """A daily candle; without one, that there is none any more. Its traded value is decimal text."""
    columns = {"time_us": pa.array([begins_us]), "trade_date": pa.array([date])}
    if bars is not None:
        columns |= {name: _given(getattr(bars, name)) for name in _DAY}
        columns |= {"value": pa.array(values(bars)), "trades": pa.array(bars.n)}
    columns["removed"] = pa.array([bars is None])
    return _stream(columns, {"symbol": symbol, "feed": feed, "timeframe": DAY})


def removed(symbol: str, feed: str, minute_us: int) -> bytes:
    """A candle that is no more."""
    columns = {"time_us": pa.array([minute_us]), "removed": pa.array([True])}
    return _stream(columns, {"symbol": symbol, "feed": feed, "timeframe": TIMEFRAME})


def statistics(one: Statistics, feed: str) -> bytes:
    """A result, which is JSON here as well."""
    columns = {"revision": pa.array([one.revision]), "statistics": pa.array([bytes(one.body).decode()])}
    return _stream(columns, {"symbol": one.symbol, "feed": feed})
