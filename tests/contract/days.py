"""Days of trades in a database, and how much of them is seen."""

import datetime

from marketdata.types.units import day_of
from tests import builders
from tests.market import DAY_US, NINE_US

DAY = datetime.date(2026, 3, 16)
NEXT = datetime.date(2026, 3, 17)
DAYS = day_of(DAY)


def quiet(_: str) -> None:
    pass


def trades(number: int, *, day: datetime.date = DAY, seq: int = 1, **fields):
    """Trades of two symbols, a second apart."""
    return builders.trades(number, seq=seq, start_us=NINE_US + (day - DAY).days * DAY_US, **fields)
