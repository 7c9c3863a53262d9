import datetime
import re

from hypothesis import given
from hypothesis import strategies as st

from marketdata.storage.mariadb import partitions
from marketdata.storage.periods import DAY, MONTH

Bounds = list[tuple[datetime.date | None, str]]
EMPTY: Bounds = [(None, "pmax")]
_date = st.dates(datetime.date(2025, 11, 1), datetime.date(2026, 4, 30))


def apply(bounds: Bounds, statement: str | None) -> Bounds:
    """What the database would have after the statement; it may only replace one partition by others."""
    if statement is None:
        return bounds
    match = re.fullmatch(r"ALTER TABLE t REORGANIZE PARTITION (\w+) INTO \((.*)\)", statement)
    assert match is not None
    pieces = re.findall(r"PARTITION (\w+) VALUES LESS THAN \((?:'([\d-]+)'|MAXVALUE)\)", match[2])
    made: Bounds = [(datetime.date.fromisoformat(date) if date else None, name) for name, date in pieces]
    at = [name for _, name in bounds].index(match[1])
    assert made[-1][0] == bounds[at][0], "the whole range of the old partition, no more and no less"
    return [*bounds[:at], *made, *bounds[at + 1 :]]


def home(bounds: Bounds, date: datetime.date) -> str:
    return next(name for bound, name in bounds if bound is None or date < bound)


@given(st.lists(_date, max_size=25), st.sampled_from([DAY, MONTH]))
def test_dates_in_any_order_get_a_partition_each_and_what_is_there_is_never_split(dates, period):
    bounds = EMPTY

    for date in dates:
        start, end = period(date)
        full = {home(bounds, other): period(other) for other in dates[: dates.index(date)]}
        bounds = apply(bounds, partitions.split("t", bounds, start, end))
        assert all(home(bounds, first) == name for name, (first, _) in full.items())

    uppers = [bound for bound, _ in bounds[:-1]]
    assert uppers == sorted(uppers)  # type: ignore[type-var]  # only the last bound is None
    assert len({name for _, name in bounds}) == len(bounds)
    assert bounds[-1] == (None, "pmax")
    for date in dates:
        start, end = period(date)
        assert home(bounds, start) == home(bounds, end - datetime.timedelta(days=1)) == f"p{start:%Y%m%d}"
        assert home(bounds, end) != home(bounds, start)


@given(_date, st.sampled_from([DAY, MONTH]))
def test_a_date_that_has_its_partition_needs_nothing(date, period):
    start, end = period(date)
    bounds = apply(EMPTY, partitions.split("t", EMPTY, start, end))

    assert partitions.split("t", bounds, start, end) is None


def test_a_period_begins_with_its_first_day_and_ends_before_the_next():
    day = datetime.date

    assert DAY(day(2026, 2, 28)) == (day(2026, 2, 28), day(2026, 3, 1))
    assert MONTH(day(2026, 2, 28)) == (day(2026, 2, 1), day(2026, 3, 1))
    assert MONTH(day(2025, 12, 31)) == (day(2025, 12, 1), day(2026, 1, 1))
