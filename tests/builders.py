"""Trades of two symbols, and ticks committed as a worker does it, for every suite that needs a day with content."""

from __future__ import annotations

import numpy as np

from analytics.series import candles
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Claim
from marketdata.storage import Storage
from marketdata.storage.base import TEMP
from marketdata.types import checksums
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import date_of
from tests import market
from tests.market import NINE_US, price, tick_id

SYMBOLS = ("005930", "000660")


def trades(
    count: int, *, seq: int = 1, stream: int = 1, start_us: int = NINE_US, step_us: int = 1_000_000, **fields: int
) -> Ticks:
    """Batch `seq` of a stream: trades of SYMBOLS in turn, `step_us` apart from `start_us` on, the first at 70,000 won
    and each a won dearer. `fields` are columns that all rows have alike."""
    return market.ticks(
        [
            {
                "symbol": SYMBOLS[at % 2],
                "time_us": start_us + at * step_us,
                "tick_id": tick_id(seq, at, stream=stream),
                "price": price(str(70_000 + at)),
                **fields,
            }
            for at in range(count)
        ]
    )


def commit(store: Storage, ticks: Ticks, *, committed_us: int | None = None) -> None:
    """Commit all batches that `ticks` has rows of: claim rows, ledger by trading date, ticks and candles in one
    transaction. `committed_us` is now unless given."""
    store.ensure_partitions({date_of(day) for day in np.unique(ticks.trade_date).tolist()})
    batch = ticks.tick_id >> TICK_BITS
    claims = []
    for number, count in zip(*(part.tolist() for part in np.unique(batch, return_counts=True)), strict=True):
        times = ticks.time_us[batch == number]
        now_us = batch_ledger.now_us() if committed_us is None else committed_us
        claims.append(
            Claim(
                batch=number, state="stored", feed=ticks.feed, rows=count, stored=count, rejected=0,
                checksum=number % 997, first_us=int(times.min()), last_us=int(times.max()),
                received_us=now_us, committed_us=now_us,
            )
        )  # fmt: skip
    with store.transaction():
        batch_ledger.claim(claims)
        batch_ledger.claim_days(checksums.by_batch(ticks, batch))
        store.load(TEMP, ticks)
        store.merge_minutes(candles.build(ticks))
