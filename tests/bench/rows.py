"""The rows that the terminals send, as arrays: what the ceilings and the peers are given."""

from __future__ import annotations

import datetime
import time

import numpy as np

from marketdata.types import decoding, tick_arrays
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from tests.bench import load

TERMINALS = 20
SYMBOLS_EACH = 50
BATCH_ROWS = 1_000
STATEMENT_ROWS = 5_000
_SEOUL = datetime.timedelta(hours=9)
_SOURCE = 5


def symbols() -> list[list[str]]:
    """The codes of each terminal."""
    return [[f"{terminal:02d}{number:04d}" for number in range(SYMBOLS_EACH)] for terminal in range(TERMINALS)]


def today() -> datetime.date:
    """The trading date of the rows."""
    return (datetime.datetime.now(datetime.UTC) + _SEOUL).date()


def statements(count: int, *, first_batch: int, rows: int = STATEMENT_ROWS) -> list[Ticks]:
    """`count` times `rows` rows, terminal after terminal as they arrive; `rows` is a multiple of BATCH_ROWS."""
    templates = []
    day = (today() - datetime.date(1970, 1, 1)).days
    for index, codes in enumerate(symbols()):
        payload, _ = load.batch(codes, BATCH_ROWS, index)
        ticks = decoding.from_wire(bytes(payload), source_id=_SOURCE, batch=1).ticks
        ticks.trade_date = np.full(len(ticks), day, np.int32)
        templates.append(ticks)
    spread = np.arange(BATCH_ROWS)
    start_us = time.time_ns() // 1000
    made = []
    for first in range(0, count * (rows // BATCH_ROWS), rows // BATCH_ROWS):
        parts = []
        for sent in range(first, first + rows // BATCH_ROWS):
            part = templates[sent % TERMINALS].take(spread)
            part.time_us = start_us + sent * BATCH_ROWS + spread
            part.tick_id = (((first_batch + sent) << TICK_BITS) + spread).astype(np.int64)
            parts.append(part)
        made.append(tick_arrays.concatenate(parts))
    return made
