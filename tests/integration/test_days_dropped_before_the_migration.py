"""A database whose retention dropped days while nothing remembered that: the migration notes what is gone."""

import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from analytics.series import candles
from marketdata.maintenance import dropped
from marketdata.models import DroppedDay, RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import MINUTES
from marketdata.types.checksums import Figure
from tests import market
from tests.market import NINE_US

pytestmark = pytest.mark.usefixtures("database_without_tables")

WHOLE, DROPPED, LATE, FORGOTTEN = (datetime.date(2026, month, 16) for month in (6, 3, 4, 5))
THEN = datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)


def of_before(name: str) -> Any:
    """A model as it was."""
    executor = MigrationExecutor(connection)
    return executor.loader.project_state([("marketdata", "0007_markets_that_never_close")]).apps.get_model(
        "marketdata", name
    )


def done(date: datetime.date, *, rows: int, checksum: int, **fields: Any) -> None:
    of_before("RolloverRun").objects.create(
        trade_date=date, state="done", rows=rows, checksum=checksum, daily=2, done_at=THEN, **fields
    )


def ledger(date: datetime.date, *figures: Figure) -> None:
    for batch, figure in enumerate(figures, start=1):
        of_before("IngestBatchDay").objects.create(
            batch=date.month << 32 | batch, trade_date=date, rows=figure.rows, checksum=figure.checksum
        )


def test_what_was_dropped_before_is_remembered_from_the_migration_on(monkeypatch):
    call_command("migrate", "marketdata", "0007", verbosity=0)
    done(WHOLE, rows=3, checksum=30)
    ledger(WHOLE, Figure(3, 30))
    storage().ensure_partitions([WHOLE], (MINUTES,))
    with storage().transaction(), monkeypatch.context() as patched:
        patched.setattr(type(storage()), "note_finished", lambda *_: None)  # a later migration makes its table
        day = (WHOLE - datetime.date(1970, 1, 1)).days
        storage().merge_minutes(candles.build(market.ticks([{"time_us": NINE_US, "trade_date": day}])))
    done(DROPPED, rows=3, checksum=30, dropped_at=THEN)
    ledger(DROPPED, Figure(1, 10), Figure(2, 20))
    # One tick came late, and the difference to the ledger was accepted by itself.
    done(LATE, rows=1, checksum=7, accepted="-3 rows, -30: dropped when its time was over")
    ledger(LATE, Figure(3, 30), Figure(1, 7))
    done(FORGOTTEN, rows=5, checksum=50, dropped_at=THEN)
    ledger(FORGOTTEN, Figure(1, 10))

    call_command("migrate", verbosity=0)

    assert dropped.kinds(WHOLE) == frozenset()
    assert dropped.kinds(DROPPED) == dropped.kinds(LATE) == {"ticks", "minutes"}
    assert dropped.kinds(FORGOTTEN) == {"ticks", "minutes", "ledger"}
    marks = {(mark.trade_date, str(mark.kind)): (mark.rows, mark.checksum) for mark in DroppedDay.objects.all()}
    assert (marks[DROPPED, "ticks"], marks[LATE, "ticks"]) == ((3, 30), (3, 30))
    assert (marks[FORGOTTEN, "ticks"], marks[FORGOTTEN, "ledger"]) == ((5, 50), (4, 40))
    assert [dropped.expected(date) for date in (WHOLE, DROPPED, LATE, FORGOTTEN)] == [
        Figure(3, 30),
        Figure(),
        Figure(1, 7),
        Figure(),
    ]
    assert RolloverRun.objects.get(trade_date=LATE).accepted == ""
    assert dropped.without_candles([WHOLE, DROPPED, LATE, FORGOTTEN]) == {DROPPED, LATE, FORGOTTEN}
