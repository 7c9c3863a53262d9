"""Which stretch of trading dates a partition holds: a day or a month. Pure arithmetic on dates."""

from __future__ import annotations

import datetime
from collections.abc import Callable

Period = Callable[[datetime.date], tuple[datetime.date, datetime.date]]
Place = tuple[str, str, str, str]
"""Host, port, database and table whose partitions a process remembers."""


def DAY(date: datetime.date) -> tuple[datetime.date, datetime.date]:  # noqa: N802 - a constant that happens to compute
    """The trading date itself: [date, date + 1)."""
    return date, date + datetime.timedelta(days=1)


def MONTH(date: datetime.date) -> tuple[datetime.date, datetime.date]:  # noqa: N802 - as DAY
    """The date's month: [first, first of the next)."""
    first = date.replace(day=1)
    return first, (first + datetime.timedelta(days=32)).replace(day=1)
