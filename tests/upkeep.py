"""Days of ticks for tests of the upkeep, committed as a worker commits them: claim, ledger by date, ticks, candles."""

import datetime
import itertools

import numpy as np

from analytics import candles
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Claim
from marketdata.storage import storage
from marketdata.storage.base import EPOCH_DATE, TEMP
from marketdata.types import checksums
from marketdata.types.ticks import TICK_BITS, Ticks, batch_number
from tests import market
from tests.market import DAY_US, NINE_US, price

FIRST = datetime.date(2026, 3, 16)
_seqs = itertools.count(1)


def day_ticks(date: datetime.date, rows: int = 4, *, seq: int, **fields: int) -> Ticks:
    """Trades of two symbols from nine in Seoul on, a minute apart."""
    start = NINE_US + (date - FIRST).days * DAY_US
    return market.ticks(
        [
            {
                "symbol": ("005930", "000660")[at % 2],
                "time_us": start + at * 60_000_000,
                "tick_id": batch_number(1, seq) << TICK_BITS | at,
                "price": price(str(70_000 + at)),
                "trade_date": (date - EPOCH_DATE).days,
                **fields,
            }
            for at in range(rows)
        ]
    )


def commit(date: datetime.date, rows: int = 4, *, committed_us: int | None = None, **fields: int) -> Ticks:
    """A batch of that trading date in the database, as if a terminal had sent it."""
    seq = next(_seqs)
    ticks, number = day_ticks(date, rows, seq=seq, **fields), batch_number(1, seq)
    now = batch_ledger.now_us() if committed_us is None else committed_us
    claim = Claim(
        batch=number, state="stored", feed="krx", rows=rows, stored=rows, rejected=0, checksum=number,
        first_us=int(ticks.time_us[0]), last_us=int(ticks.time_us[-1]), received_us=now, committed_us=now,
    )  # fmt: skip
    storage().ensure_partitions([date])
    with storage().transaction():
        batch_ledger.claim([claim])
        batch_ledger.claim_days(checksums.by_batch(ticks, np.full(rows, number, np.int64)))
        storage().load(TEMP, ticks)
        storage().merge_minutes(candles.build(ticks))
    return ticks


class Clock:
    """The time that a test says it is."""

    def __init__(self, text: str) -> None:
        self.now = seoul(text)

    def __call__(self) -> datetime.datetime:
        return self.now


def seoul(text: str) -> datetime.datetime:
    """A moment written as people in Seoul write it: 2026-03-17 08:05."""
    return datetime.datetime.fromisoformat(f"{text}+09:00").astimezone(datetime.UTC)
