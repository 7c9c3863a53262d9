"""Minute candles from ticks: pure arithmetic on arrays. Only trades count, and only those in which something changed
hands; merging with what is stored happens in the database."""

from __future__ import annotations

import numpy as np

from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars, believable, empty, sums
from marketdata.types.tick_arrays import ABSENT, PRICE_UNIT, SIZE_UNIT, Int64, Ticks, symbol_ranks, trades
from marketdata.types.units import MINUTE_US

_SAFE = float(2**62)
_BITS = 63  # of an integer that is not negative


def build(ticks: Ticks, *, now_us: int | None = None, late_after_us: int = 0) -> Bars:
    """The candles these ticks make, sorted by symbol and minute.

    With `now_us` a candle whose minute had ended more than `late_after_us` before carries rev=1, which the database
    adds to the revision of the stored one: these ticks came after the candle had closed. A trade without a size counts
    in `n` and the prices, with volume 0; one of size 0 counts for nothing. SumTooLargeError if volume or traded value
    of a candle reach MOST.
    """
    counted = trades(ticks)
    if not counted.all():
        ticks = ticks.take(counted)
    if not len(ticks):
        return empty(ticks.feed)
    order = _order(ticks)
    symbol, time_us, tick_id = ticks.symbol[order], ticks.time_us[order], ticks.tick_id[order]
    price, size, trade_date = ticks.price[order], ticks.size[order], ticks.trade_date[order]
    size = np.where(size == ABSENT, 0, size)
    minute = time_us // MINUTE_US

    changes = (symbol[1:] != symbol[:-1]) | (minute[1:] != minute[:-1]) | (trade_date[1:] != trade_date[:-1])
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    last = np.concatenate([first[1:], [len(order)]]) - 1
    value, value_frac = _traded_value(price, size, first)
    volume = sums(size, first)
    opened = minute[first] * MINUTE_US
    late = np.zeros(len(first), np.int64)
    if now_us is not None:
        late = (opened + MINUTE_US + late_after_us < now_us).astype(np.int64)
    made = Bars(
        feed=ticks.feed,
        symbols=ticks.symbols,
        symbol=symbol[first],
        time_us=opened,
        trade_date=trade_date[first],
        open=price[first],
        high=np.maximum.reduceat(price, first),
        low=np.minimum.reduceat(price, first),
        close=price[last],
        volume=volume,
        value=value,
        value_frac=value_frac,
        n=last - first + 1,
        rev=late,
        open_time=time_us[first],
        open_id=tick_id[first],
        close_time=time_us[last],
        close_id=tick_id[last],
    )
    return believable(made)


def _order(ticks: Ticks) -> Int64:
    """Where the rows lie by (symbol, trading date, time, tick_id), by stable sorts from the last of these to the first.
    Terminals send in order of time; then only the symbols are left, which are counted and not compared."""
    time_us, tick_id = ticks.time_us, ticks.tick_id
    earlier = (time_us[:-1] < time_us[1:]) | ((time_us[:-1] == time_us[1:]) & (tick_id[:-1] < tick_id[1:]))
    order: Int64 = np.arange(len(ticks)) if earlier.all() else _by_time(time_us, tick_id)
    dates = ticks.trade_date[order]
    if (dates[:-1] > dates[1:]).any():
        order = order[np.argsort(dates, kind="stable")]
    return order[np.argsort(symbol_ranks(ticks)[order], kind="stable")]


def _by_time(time_us: Int64, tick_id: Int64) -> Int64:
    """The places of the rows by (time, tick_id).

    Time and place share one integer, for numpy sorts plain integers in an eighth of the time that `lexsort` takes for
    places by two keys; rows of one microsecond are put in order of tick_id afterwards.
    """
    bits = (len(time_us) - 1).bit_length()
    begin = int(time_us.min())
    if (int(time_us.max()) - begin).bit_length() + bits > _BITS:
        return np.lexsort((tick_id, time_us))
    key = ((time_us - begin) << bits) | np.arange(len(time_us))
    key.sort()
    order: Int64 = key & ((1 << bits) - 1)
    same = (key[1:] >> bits) == (key[:-1] >> bits)
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        order[tied] = rows[np.lexsort((tick_id[rows], time_us[rows]))]
    return order


def _traded_value(price: Int64, size: Int64, first: Int64) -> tuple[Int64, Int64]:
    """Sums of price x size per group as (whole, 1e-14ths), exact; Python integers where 64 bits could overflow. A sum
    beyond MOST stays there."""
    whole, part = np.divmod(price, PRICE_UNIT)
    rows = float(np.diff(first, append=len(price)).max())  # of the largest group: no sum has more terms
    largest = float(size.max())
    farthest = float(max(whole.max(), -whole.min()))
    if farthest * largest * rows < _SAFE and float(part.max()) * largest * rows < _SAFE / 2:
        of_whole = np.add.reduceat(whole * size, first)  # in 1e-6
        of_part = np.add.reduceat(part * size, first)  # in 1e-14
        carried, rest = np.divmod(of_whole, SIZE_UNIT)
        extra, fraction = np.divmod(rest * PRICE_UNIT + of_part, VALUE_UNIT)
        return carried + extra, fraction
    products = np.add.reduceat(price.astype(object) * size.astype(object), first)
    pairs = [divmod(int(total), VALUE_UNIT) for total in products]
    bounded = [min(max(whole_part, -MOST), MOST) for whole_part, _ in pairs]
    return np.array(bounded, np.int64), np.array([pair[1] for pair in pairs], np.int64)
