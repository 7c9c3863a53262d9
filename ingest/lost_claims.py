"""Batches whose claim row is gone from the ledger, while what they stored by trading date is still noted there: the
claim is made again from what came again. Ticks of theirs that were voided since stay voided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ingest.batch_decoding import TickGroup
from marketdata import alarms
from marketdata.ledger import batch_ledger, set_aside
from marketdata.ledger import voided as voided_ticks
from marketdata.ledger.batch_ledger import Claim
from marketdata.maintenance import dropped
from marketdata.storage import storage
from marketdata.storage.base import TEMP
from marketdata.types import checksums, tick_arrays
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS, Ticks
from marketdata.types.units import date_of

Reject = tuple[int, int, str, str]
"""Batch, row, reasons, record."""
Categories = Callable[[list[str]], Mapping[str, str]]


def restore(
    claims: Sequence[Claim],
    days: Mapping[tuple[int, int], Figure],
    groups: Sequence[TickGroup],
    *,
    rejects: Mapping[int, Sequence[Reject]],
    categories: Categories,
) -> None:
    """Of these batches, claim those again that were committed before and have lost their claim row.

    `days` is what the batches would store now, by (batch, days since 1970), `rejects` what is refused of each, and
    `categories` gives those of symbols. Where `days` is what is noted and what was voided, ticks, rows of stock_prices
    and rejects that are gone as well are stored; no candles are merged, for these were committed with the rest. A batch
    with another content gets a claim that this content does not fit, so it is set aside like any that comes again
    changed.
    """
    lost = batch_ledger.unclaimed_days(claim.batch for claim in claims)
    for claim in claims:
        noted = lost.get(claim.batch)
        if noted is None:
            continue
        voided = voided_ticks.of_batch(claim.batch)
        first = _together([noted, *(checksums.by_batch(part, part.tick_id >> TICK_BITS) for part in voided)])
        same = first == {key: figure for key, figure in days.items() if key[0] == claim.batch}
        again = replace(
            claim,
            stored=checksums.total(noted.values()).rows,
            checksum=claim.checksum if same else _another(claim.checksum),
        )
        try:
            with storage().transaction():
                batch_ledger.claim([again])
                ticks, prices = _load_missing(groups, claim.batch, voided, categories) if same else (0, 0)
                if same:
                    set_aside.keep_rejects(rejects.get(claim.batch, ()))
        except batch_ledger.AlreadyClaimedError:
            continue  # another worker was faster
        _tell(claim.batch, same, ticks, prices)


def _together(parts: Iterable[Mapping[tuple[int, int], Figure]]) -> dict[tuple[int, int], Figure]:
    found: dict[tuple[int, int], Figure] = {}
    for part in parts:
        for key, figure in part.items():
            found[key] = found.get(key, Figure()) + figure
    return {key: figure for key, figure in found.items() if figure.rows}


def _another(checksum: int) -> int:
    """A checksum that is not this one: that of the first content is not known any more."""
    return max(checksum ^ 1, batch_ledger.GIVEN_UP + 2)


def _tell(batch: int, same: bool, ticks: int, prices: int) -> None:
    became = (
        format_lazy(
            _(
                "It came again with the same content and is in the ledger again, with {ticks:,} ticks that were gone as"
                " well and {prices:,} rows of stock_prices"
            ),
            ticks=ticks, prices=prices,
        )
        if same
        else _("It came again with another content, which is kept as a dead letter")
    )  # fmt: skip
    alarms.raise_alarm(
        "claim_restored",
        format_lazy(
            _(
                "batch {stream}/{seq}: its row of ingest_batch was gone, its rows of ingest_batch_day were not."
                " {became}. Who deleted rows of the ledger?"
            ),
            stream=batch >> SEQ_BITS,
            seq=batch & batch_ledger.SEQ_MASK,
            became=became,
        ),
        subject=f"stream {batch >> SEQ_BITS}",
    )


def _load_missing(
    groups: Iterable[TickGroup], batch: int, voided: Sequence[Ticks], categories: Categories
) -> tuple[int, int]:
    """Store what is neither stored nor voided of a batch's ticks and of what its snapshots tell of their day; how many
    each were."""
    missed = [tick_id for part in voided for tick_id in part.tick_id.tolist()]
    stored = told = 0
    for group in groups:
        ticks = group.ticks.take(group.ticks.tick_id >> TICK_BITS == batch)
        ticks = ticks.take(~np.isin(ticks.tick_id, missed))
        stored += _load_missing_ticks(ticks)
        prices = tick_arrays.with_day(ticks)
        if prices is not None:  # those that are there are left alone
            told += storage().load_prices(prices, categories(prices.symbols))
    return stored, told


def _load_missing_ticks(ticks: Ticks) -> int:
    """Store those that are not there, without the dates that retention dropped; how many."""
    dates = {day: date_of(day) for day in tick_arrays.trading_dates(ticks)}
    gone = [day for day, date in dates.items() if dropped.ticks_gone(date)]
    ticks = ticks.take(~np.isin(ticks.trade_date, gone))
    there: list[int] = []
    for index in np.unique(ticks.symbol).tolist():
        times = ticks.time_us[ticks.symbol == index]
        found = storage().read_ticks(ticks.symbols[index], ticks.feed, int(times.min()), int(times.max()) + 1)
        there += found.tick_id.tolist()
    missing = ticks.take(~np.isin(ticks.tick_id, there))
    return storage().load(TEMP, missing) if len(missing) else 0
