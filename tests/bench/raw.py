"""The ceiling: the same rows into the same table by LOAD DATA alone, text made ahead, one connection, a commit a
statement."""

from __future__ import annotations

import time

import numpy as np

from marketdata.storage import storage
from marketdata.storage.mariadb.load_data import LoadFile
from marketdata.types import ticks as ticks_module
from marketdata.types.ticks import Ticks
from tests.bench import load

STATEMENT_ROWS = 5_000


def statements(
    symbols: list[list[str]], *, batch_rows: int, count: int, day: int, start_us: int, first_batch: int
) -> list[Ticks]:
    """`count` statements' worth of the rows the terminals send, terminal after terminal as they arrive."""
    templates = []
    for index, codes in enumerate(symbols):
        payload, _ = load.batch(codes, batch_rows, index)
        ticks = ticks_module.from_wire(bytes(payload), source_id=5, batch=1).ticks
        ticks.trade_date = np.full(len(ticks), day, np.int32)
        templates.append(ticks)
    made = []
    sent = 0
    for _ in range(count):
        parts: list[Ticks] = []
        while sum(len(part) for part in parts) < STATEMENT_ROWS:
            part = templates[sent % len(templates)]
            part = part.take(np.arange(len(part)))
            part.time_us = start_us + sent * batch_rows + np.arange(len(part))
            part.tick_id = (((first_batch + sent) << 13) + np.arange(len(part))).astype(np.int64)
            parts.append(part)
            sent += 1
        made.append(ticks_module.concatenate(parts))
    return made


def measure(ticks: list[Ticks]) -> float:
    """Rows a second of loading these statements, committing each."""
    backend = storage()
    backend.ensure_partitions([])
    files = [LoadFile(part) for part in ticks]
    try:
        started = time.perf_counter()
        for part, file in zip(ticks, files, strict=True):
            with backend.transaction():
                if file.load(backend.connection, "temp_market_data") != len(part):
                    raise RuntimeError("LOAD DATA stored fewer rows than it was given")
        seconds = time.perf_counter() - started
    finally:
        for file in files:
            file.close()
    return sum(len(part) for part in ticks) / seconds
