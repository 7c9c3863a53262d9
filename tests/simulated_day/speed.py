"""How fast frames of trades become rows, alone on a core."""

from __future__ import annotations

import datetime
import time

from terminals.sources.kis.frames import Reader, take_apart
from terminals.sources.kis.records import Converter
from terminals.sources.kis.volume_holes import VolumeHoles
from tests.simulators.kis import wire_records
from tests.simulators.kis.market import KST, Market

RECORDS = 100_000
A_FRAME = 4


def frames(records: int = RECORDS, *, a_frame: int = A_FRAME) -> list[str]:
    """Frames of H0STCNT0 of many stocks, so many records each."""
    market = Market(seed=1, symbols=200, nxt_share=0.0)
    at = datetime.datetime(2026, 11, 20, 9, 0, tzinfo=KST)
    made = []
    for number in range(records // a_frame):
        stock, moment = market.choose(), at + datetime.timedelta(milliseconds=number)
        values: list[str] = []
        for _ in range(a_frame):
            values += wire_records.trade(market.trade(stock, moment), stock, market.book(stock), width=47)
        made.append(f"0|H0STCNT0|{a_frame:03d}|{'^'.join(values)}")
    return made


def decode_per_s() -> int:
    """Records a second of CPU, from text to rows whose volumes were compared; the best of three."""
    texts, best = frames(), float("inf")
    for _ in range(3):
        reader, converter, holes = Reader(), Converter(), VolumeHoles()
        began = time.process_time()
        for text in texts:
            _encrypted, tr_id, count, payload = take_apart(text)
            made = converter.convert(reader.read(tr_id, count, payload), 1_795_000_000_000_000)
            holes.check(made.feed, made.rows)
        best = min(best, time.process_time() - began)
    return round(RECORDS / best)
