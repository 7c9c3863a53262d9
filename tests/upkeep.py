"""Days of ticks for tests of the upkeep, committed as a worker commits them: claim, ledger by date, ticks, candles."""

import datetime
import itertools

from marketdata.storage import storage
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import day_of
from tests import builders
from tests.market import DAY_US, MINUTE_US, NINE_US

FIRST = datetime.date(2026, 3, 16)
_seqs = itertools.count(1)


def commit(date: datetime.date, rows: int = 4, *, committed_us: int | None = None, **fields: int) -> Ticks:
    """A batch of that trading date in the database, as if a terminal had sent it: trades of two symbols from nine in
    Seoul on, a minute apart."""
    start_us = NINE_US + (date - FIRST).days * DAY_US
    fields = {"trade_date": day_of(date), **fields}
    ticks = builders.trades(rows, seq=next(_seqs), start_us=start_us, step_us=MINUTE_US, **fields)
    builders.commit(storage(), ticks, committed_us=committed_us)
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
