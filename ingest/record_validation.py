"""Which order books and events can be believed: what `ingest.validation` is for ticks. Knows no database or clock."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ingest.validation import GREATEST_PRICE, GREATEST_SIZE, Faults, Recency, judge_places, mark
from marketdata.calendar import trading_dates
from marketdata.reference.symbols import Rules
from marketdata.types.records import BOOK_FIGURES, BookColumns, Content, EventRows
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, NO_DATE, Int64, Mask, Ticks
from terminals import wire

SEOUL = "Asia/Seoul"
"""Whose date an event is given that is of no symbol, and so of no market: the day of the rollover."""


def judge(
    ticks: Ticks,
    content: Content,
    faults: Faults,
    *,
    rules: Mapping[str, Rules],
    captured_us: Int64,
    recency: Recency,
) -> None:
    """Add each row's faults to `faults`, which begin as those found while decoding, set the trading dates in `ticks`
    and take out of `content` what says nothing. `captured_us` as in `ingest.validation.judge`."""
    if isinstance(content, EventRows):
        dateless = (ticks.symbol < 0) & (ticks.trade_date == NO_DATE)
        if dateless.any():
            dates = trading_dates.trade_dates(ticks.time_us, timezone=SEOUL, shift_s=0)
            ticks.trade_date = np.where(dateless, dates, ticks.trade_date)
    below = judge_places(ticks, faults, rules=rules, captured_us=captured_us, recency=recency)
    if isinstance(content, EventRows):
        faults &= ~np.uint64(Fault.SYMBOL_MISSING)  # an event may be of a whole market
    else:
        _judge_books(content, faults, below)


_RISING = np.array([[-1], [1]])
"""What prices are multiplied with so that each level's is above that of the one before, of bids and of asks."""


def _judge_books(books: BookColumns, faults: Faults, below: Mask) -> None:
    """Levels at which nobody is are taken out first: of size 0, or of price 0 where that is none. A bid above the best
    ask is no fault: in an auction books cross."""
    levels = _without_nobody(np.stack((books.bids, books.asks), axis=1), below)
    books.bids, books.asks = levels[:, 0], levels[:, 1]
    prices, sizes = levels[..., 0], levels[..., 1]
    with_price, with_size = prices != ABSENT, sizes != ABSENT
    given, sides = with_price & with_size, (1, 2)
    half = (with_price != with_size).any(axis=sides)
    mark(faults, half, Fault.LEVEL_INCOMPLETE, unless=Fault.PRICE_OUT_OF_RANGE | Fault.SIZE_OUT_OF_RANGE)
    _judge_prices(prices.reshape(len(prices), -1), faults, below)
    mark(faults, (given & (sizes < 0)).any(axis=sides), Fault.SIZE_NEGATIVE)
    mark(faults, (given & (sizes > GREATEST_SIZE)).any(axis=sides), Fault.SIZE_OUT_OF_RANGE)
    rising = prices * _RISING
    worse = (rising[:, :, 1:] < rising[:, :, :-1]) & given[:, :, 1:] & given[:, :, :-1]
    mark(faults, worse.any(axis=sides), Fault.BOOK_UNORDERED)
    for name, scale in BOOK_FIGURES.items():
        values = getattr(books, name)
        if (values == ABSENT).all():
            continue
        if scale == wire.PRICE_SCALE:
            none = (values == 0) & ~below  # what a source says where there is no such price
            if none.any():
                values = np.where(none, ABSENT, values)
                setattr(books, name, values)
            _judge_prices(values[:, np.newaxis], faults, below)
        else:
            mark(faults, (values < 0) & (values != ABSENT), Fault.SIZE_NEGATIVE)


def _judge_prices(prices: Int64, faults: Faults, below: Mask) -> None:
    """Prices of the shape (rows, any)."""
    given = prices != ABSENT
    mark(faults, ((prices <= 0) & given).any(axis=1) & ~below, Fault.PRICE_NOT_POSITIVE)
    far = (prices > GREATEST_PRICE) | ((prices < -GREATEST_PRICE) & below[:, np.newaxis])
    mark(faults, (far & given).any(axis=1), Fault.PRICE_OUT_OF_RANGE)


def _without_nobody(levels: Int64, below: Mask) -> Int64:
    """The levels at which somebody is, moved up to where nobody was. One that says only half stays, to be refused.
    `levels` are of the shape (rows, sides, levels, 2)."""
    prices, sizes = levels[..., 0], levels[..., 1]
    nobody = (sizes == 0) | ((prices == 0) & ~(below[:, np.newaxis, np.newaxis] & (sizes > 0)))
    absent = (prices == ABSENT) & (sizes == ABSENT)
    if not nobody.any() and not (absent[..., :-1] & ~absent[..., 1:]).any():
        return levels
    empty = nobody | absent
    order = np.argsort(empty, axis=2, kind="stable")
    moved = np.take_along_axis(np.where(empty[..., np.newaxis], ABSENT, levels), order[..., np.newaxis], axis=2)
    return moved.astype(np.int64, copy=False)
