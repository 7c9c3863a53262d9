"""Trading days that are over, stored in bulk as they lie when the rollover is done: ticks in their day's partition of
history, minute and daily candles, the ledger, the state of the day. To be imported once Django is set up."""

from __future__ import annotations

import datetime
import http.client
import json
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import django
import numpy as np
from django.db import connections

from analytics.series import candles
from api.auth import authentication
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Claim
from marketdata.maintenance import rollover
from marketdata.models import IngestBatch, IngestBatchDay, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import DAILY, HISTORY, MINUTES, TEMP
from marketdata.types import checksums, units
from marketdata.types.tick_arrays import PRICE_UNIT, SIZE_UNIT, TICK_BITS, Ticks, batch_number, empty
from terminals import wire
from tests.bench import rows
from tests.bench.scale.history import DAY_ROWS, FEED, MOST, SYMBOLS
from tests.bench.stack import Stack

_HIGHEST_STREAM = 1_000 + MOST // DAY_ROWS
_OURS = (batch_number(1_001, 1), batch_number(_HIGHEST_STREAM, 2**32 - 1))
_BATCH_ROWS = 1_000
_STATEMENT_ROWS = 25_000
_SOURCE = 5
MINUTES_TRADED = 80  # of a symbol's day: ten trades in each
LOADERS = 2
TOLD_EVERY_S = 15.0
_TABLES = (HISTORY, MINUTES, DAILY, "ingest_batch", "ingest_batch_day")


class Archive:
    """Days from the newest session before today backwards."""

    def __init__(self) -> None:
        self.codes = [f"H{number:05d}" for number in range(SYMBOLS)]
        Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX", primary_feed=FEED) for code in self.codes])
        calendar = trading_dates.calendar("KRX")
        date, self._all = rows.today(), list[datetime.date]()
        for _ in range(MOST // DAY_ROWS):
            date = calendar.previous_session(date)
            self._all.append(date)
        self.dates: list[datetime.date] = []
        """What is there, oldest first."""
        self.seconds = 0.0

    @property
    def rows(self) -> int:
        return len(self.dates) * DAY_ROWS

    def rows_of(self) -> dict[str, int]:
        """By table, counted."""
        return {
            HISTORY: self.rows,
            MINUTES: int(storage()._query(f"SELECT COUNT(*) FROM {MINUTES} WHERE feed = %s", [FEED])[0][0]),
            DAILY: int(storage()._query(f"SELECT COUNT(*) FROM {DAILY}", [])[0][0]),
            "ingest_batch": IngestBatch.objects.count(),
            "ingest_batch_day": IngestBatchDay.objects.count(),
        }

    def fill(self, most: int) -> None:
        """Store older and older days until there are so many rows. RuntimeError when fewer were stored."""
        began, told = time.monotonic(), time.monotonic()
        places = range(len(self.dates), most // DAY_ROWS)
        storage().ensure_partitions([self._all[place] for place in places], (HISTORY, MINUTES, DAILY))
        connections.close_all()
        days = [(self.codes, self._all[place], place) for place in places]
        with get_context("spawn").Pool(LOADERS, initializer=django.setup) as pool:
            for date in pool.imap(_store, days):
                self.dates.insert(0, date)
                if time.monotonic() - told > TOLD_EVERY_S:
                    told = time.monotonic()
                    print(f"  {self.rows:,} rows after {told - began:.0f} s", flush=True)
        self.seconds += time.monotonic() - began

    def drop_to(self, most: int) -> None:
        """Drop the oldest days until there are no more than so many rows, and what the ledger has of them."""
        gone = self.dates[: len(self.dates) - most // DAY_ROWS]
        self.dates = self.dates[len(gone) :]
        storage().drop_days(HISTORY, gone)
        months = sorted({date.replace(day=1) for date in gone} - {date.replace(day=1) for date in self.dates})
        for table in (MINUTES, DAILY):
            storage().drop_days(table, months)
        first, last = batch_number(_stream(len(self._all) - 1), 1), batch_number(_stream(len(self.dates) - 1), 1)
        for model in (IngestBatchDay, IngestBatch):
            model.objects.filter(batch__gte=first, batch__lt=last)._raw_delete("default")
        RolloverRun.objects.filter(trade_date__in=gone).delete()


def _stream(place: int) -> int:
    """By which a day came. The newest has the highest, and is the first one stored: a terminal's is one more than any
    that is there, so none of theirs is a day's."""
    return _HIGHEST_STREAM - place


def _store(day: tuple[list[str], datetime.date, int]) -> datetime.date:
    """Store the day of a place in a process of its own. RuntimeError when fewer rows were stored than it has."""
    codes, date, place = day
    ticks = _day(codes, date, place)
    for first in range(0, len(ticks), _STATEMENT_ROWS):
        part = ticks.take(np.arange(first, min(first + _STATEMENT_ROWS, len(ticks))))
        with storage().transaction():
            if storage().load(HISTORY, part) != len(part):
                raise RuntimeError(f"{date}: fewer rows were stored than there are")
            storage().merge_minutes(candles.build(part))
    _claim(ticks)
    storage().build_daily(date, rollover.windows(date))
    now = datetime.datetime.now(datetime.UTC)
    RolloverRun.objects.create(
        trade_date=date, state=RolloverRun.State.DONE, expected=True, rows=len(ticks), done_at=now, moved_at=now
    )
    return date


def _day(codes: list[str], date: datetime.date, place: int) -> Ticks:
    """A day's trades, in the order of their key; always the same for the same arguments."""
    chance = np.random.default_rng(place)
    made = empty(FEED, _SOURCE, DAY_ROWS, codes)
    window = trading_dates.calendar("KRX").regular_window(date)
    if window is None:
        raise RuntimeError(f"{date} is no session")
    made.symbol[:] = np.sort(chance.integers(0, len(codes), DAY_ROWS))
    minutes = chance.integers(0, (window[1] - window[0]) // units.MINUTE_US, (len(codes), MINUTES_TRADED))
    chosen = minutes[made.symbol, chance.integers(0, MINUTES_TRADED, DAY_ROWS)]
    made.time_us[:] = window[0] + chosen * units.MINUTE_US + chance.integers(0, units.MINUTE_US, DAY_ROWS)
    order = np.lexsort((made.time_us, made.symbol))
    made.time_us[:] = made.time_us[order]
    made.kind[:] = wire.Kind.TRADE
    made.side[:] = chance.integers(1, 3, DAY_ROWS)
    made.price[:] = (50_000 + 100 * chance.integers(-50, 50, DAY_ROWS)) * PRICE_UNIT
    made.size[:] = chance.integers(1, 500, DAY_ROWS) * SIZE_UNIT
    made.seq[:] = np.arange(DAY_ROWS)
    made.trade_date[:] = units.day_of(date)
    row = np.arange(DAY_ROWS)
    made.tick_id[:] = (batch_number(_stream(place), 1) + row // _BATCH_ROWS << TICK_BITS) + row % _BATCH_ROWS
    return made


def _claim(ticks: Ticks) -> None:
    """What the ledger has of these rows."""
    now_us, batch = batch_ledger.now_us(), ticks.tick_id >> TICK_BITS
    claims = [
        Claim(
            batch=number, state="stored", feed=ticks.feed, rows=_BATCH_ROWS, stored=_BATCH_ROWS, rejected=0,
            checksum=1 + number % 997, first_us=int(ticks.time_us[0]), last_us=int(ticks.time_us[-1]),
            received_us=now_us, committed_us=now_us - units.DAY_US,
        )
        for number in np.unique(batch).tolist()
    ]  # fmt: skip
    with storage().transaction():
        batch_ledger.claim(claims)
        batch_ledger.claim_days(checksums.by_batch(ticks, batch))


def clear_today(stack: Stack) -> None:
    """Forget what the terminals sent: the day's ticks, their candles, and what the ledger has of them."""
    stack.rows_changed(f"TRUNCATE TABLE {TEMP}")
    stack.rows_changed(f"DELETE FROM {MINUTES} WHERE feed = 'sim'")
    for model in (IngestBatchDay, IngestBatch):
        model.objects.exclude(batch__range=_OURS)._raw_delete("default")


def table_bytes(stack: Stack) -> dict[str, int]:
    """What tables take of the disk, holes in their files left out."""
    if stack.name == "postgresql":
        asked = (
            "SELECT SUM(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.oid IN"
            " (SELECT relid FROM pg_partition_tree(%s::regclass))"
        )
        return {table: int(storage()._query(asked, [table])[0][0] or 0) for table in _TABLES}
    files = Path(stack.folder / stack.name / "data").rglob("*.ibd")
    found = dict.fromkeys(_TABLES, 0)
    for file in files:
        table = file.name.removesuffix(".ibd").lower().partition("#p#")[0]
        if table in found:
            found[table] += file.stat().st_blocks * 512
    return found


class Asked:
    """One connection to the web server, with a key that may read."""

    def __init__(self, stack: Stack) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", stack.web_port, timeout=60)
        self._headers = {authentication.KEY_HEADER: stack.key_id, authentication.SECRET_HEADER: stack.secret}

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def get(self, path: str) -> int:
        """How many rows the answer has. RuntimeError unless it is a good one."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
        told: dict[str, Any] = json.loads(text)
        found = told.get("trades") or told.get("bars") or told.get("snapshots") or told
        return len(found)
