"""Commits ticks as a worker does: claim row, ledger by trading date, ticks and candles in one transaction."""

from __future__ import annotations

import datetime

import numpy as np

from analytics import candles
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Claim
from marketdata.storage import Storage
from marketdata.storage.base import EPOCH_DATE, TEMP
from marketdata.types import checksums
from marketdata.types.ticks import TICK_BITS, Ticks


def commit(store: Storage, ticks: Ticks) -> None:
    """All batches that `ticks` has rows of."""
    store.ensure_partitions({EPOCH_DATE + datetime.timedelta(days=day) for day in np.unique(ticks.trade_date).tolist()})
    batch = ticks.tick_id >> TICK_BITS
    claims = []
    for number, count in zip(*(part.tolist() for part in np.unique(batch, return_counts=True)), strict=True):
        times = ticks.time_us[batch == number]
        now_us = batch_ledger.now_us()
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
