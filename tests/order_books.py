"""Order books one by one, as a test says them, and as the columns that are stored."""

from collections.abc import Sequence

import numpy as np

from marketdata.storage import Storage
from marketdata.types import tick_arrays
from marketdata.types.order_books import OrderBook, json_arrays
from marketdata.types.records import BOOK_FIGURES, BookColumns, Content
from marketdata.types.tick_arrays import ABSENT, Ticks
from terminals import wire


def store(store: Storage, books: Sequence[OrderBook]) -> int:
    """Store order books, given one by one and all of one source, with what is theirs by feed; how many were new."""
    feeds = dict.fromkeys(one.feed for one in books)
    return store.store_books(_book_columns([one for one in books if one.feed == feed]) for feed in feeds)


def _book_columns(books: Sequence[OrderBook]) -> tuple[Ticks, BookColumns]:
    symbols = list(dict.fromkeys(one.symbol for one in books))
    ticks = tick_arrays.empty(books[0].feed, books[0].source_id, len(books), symbols)
    ticks.symbol[:] = [symbols.index(one.symbol) for one in books]
    for name in ("time_us", "tick_id", "trade_date"):
        getattr(ticks, name)[:] = [getattr(one, name) for one in books]
    sides = {side: np.full((len(books), wire.BOOK_LEVELS, 2), ABSENT, np.int64) for side in ("bids", "asks")}
    for row, book in enumerate(books):
        for side, columns in sides.items():
            for level, (price, size) in enumerate(getattr(book, side)):
                columns[row, level] = [
                    wire.numbers.read(price, wire.PRICE_SCALE)[0], wire.numbers.read(size, wire.SIZE_SCALE)[0],
                ]  # fmt: skip
    numbers = {
        name: np.array([ABSENT if getattr(one, name) is None else getattr(one, name) for one in books], np.int64)
        for name in BOOK_FIGURES
    }
    return ticks, BookColumns(**sides, **numbers)


def one_by_one(ticks: Ticks, columns: Content) -> list[OrderBook]:
    """The books of these columns one by one."""
    assert isinstance(columns, BookColumns)
    sides = [
        json_arrays(side[:, :, at], scale)
        for side in (columns.bids, columns.asks)
        for at, scale in enumerate((wire.PRICE_SCALE, wire.SIZE_SCALE))
    ]
    return [
        OrderBook.of(
            symbol=ticks.symbols[ticks.symbol[row]], feed=ticks.feed, source_id=ticks.source_id,
            time_us=int(ticks.time_us[row]), tick_id=int(ticks.tick_id[row]), trade_date=int(ticks.trade_date[row]),
            columns=[side[row] for side in sides],
            **{name: None if (value := int(getattr(columns, name)[row])) == ABSENT else value for name in BOOK_FIGURES},
        )
        for row in range(len(ticks))
    ]  # fmt: skip
