"""Three trading days, and their rollover as the tests of it look at it."""

import datetime
from io import StringIO

from django.core.management import call_command
from django.db import connection

from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import HISTORY
from marketdata.types import checksums
from marketdata.types.units import day_of
from tests.upkeep import Clock, seoul

MONDAY = datetime.date(2026, 3, 16)
TUESDAY = datetime.date(2026, 3, 17)
WEDNESDAY = datetime.date(2026, 3, 18)


def run_at(text: str) -> list[datetime.date]:
    return rollover.run_due(clock=Clock(text))


def noted(run: RolloverRun) -> checksums.Figure:
    """What the run wrote down of its day."""
    return checksums.Figure(run.rows or 0, run.checksum or 0)


def state_of(date: datetime.date) -> str:
    return RolloverRun.objects.get(trade_date=date).state


def ledger_and_history(date: datetime.date) -> tuple[checksums.Figure, checksums.Figure]:
    return batch_ledger.day_figure(date), checksums.total(storage().tick_figures(date, tables=[HISTORY]).values())


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("rollover", *arguments, stdout=out)
    return out.getvalue()


def seoul_us(text: str) -> int:
    """A moment of Seoul in microseconds UTC."""
    return int(seoul(text).timestamp() * 1e6)


def stored_date(date: datetime.date) -> datetime.date | int:
    """A trading date as the tables hold it."""
    return day_of(date) if connection.vendor == "sqlite" else date
