import datetime
import zoneinfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.calendar import trading_dates
from marketdata.types.units import moment_of

SEOUL = {"timezone": "Asia/Seoul", "shift_s": 0}
CHICAGO = {"timezone": "America/Chicago", "shift_s": 7 * 3600}
EPOCH = datetime.date(1970, 1, 1)


def at(text: str) -> int:
    """Microseconds of an instant written with its offset."""
    moment = datetime.datetime.fromisoformat(text)
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def dates(*times_us: int, **market: object) -> list[str]:
    found = trading_dates.trade_dates(np.array(times_us, np.int64), **market)  # type: ignore[arg-type]  # as keywords
    return [(EPOCH + datetime.timedelta(days=int(day))).isoformat() for day in found]


def by_hand(time_us: int, *, timezone: str, shift_s: int) -> str:
    """The definition, one instant at a time."""
    moment = moment_of(time_us)
    local = moment.astimezone(zoneinfo.ZoneInfo(timezone)).replace(tzinfo=None)
    return (local + datetime.timedelta(seconds=shift_s)).date().isoformat()


@pytest.mark.parametrize(
    ("time", "date"),
    [
        ("2026-03-16T08:00:00+09:00", "2026-03-16"),
        ("2026-03-16T00:00:00+09:00", "2026-03-16"),
        ("2026-03-15T23:59:59.999999+09:00", "2026-03-15"),
        ("2026-03-15T15:00:00+00:00", "2026-03-16"),
        ("2026-03-16T20:00:00+09:00", "2026-03-16"),
    ],
)
def test_a_trading_date_in_korea_is_the_local_date(time, date):
    assert dates(at(time), **SEOUL) == [date]


@pytest.mark.parametrize(
    ("time", "date"),
    [
        ("2023-12-25T17:00:00-06:00", "2023-12-26"),  # Globex opens for the next date
        ("2023-12-25T16:59:59.999999-06:00", "2023-12-25"),
        ("2023-12-26T15:59:59-06:00", "2023-12-26"),
        # Clocks go forward on 2026-03-08 at 02:00 and back on 2026-11-01 at 02:00.
        ("2026-03-07T17:00:00-06:00", "2026-03-08"),
        ("2026-03-08T17:00:00-05:00", "2026-03-09"),
        ("2026-03-08T16:59:59.999999-05:00", "2026-03-08"),
        ("2026-11-01T17:00:00-06:00", "2026-11-02"),
        ("2026-11-01T16:59:59.999999-06:00", "2026-11-01"),
        ("2026-10-31T17:00:00-05:00", "2026-11-01"),
    ],
)
def test_a_trading_date_in_chicago_begins_at_five_in_the_evening_whatever_the_clock_does(time, date):
    assert dates(at(time), **CHICAGO) == [date]


_edges = [at("2026-03-08T08:00:00+00:00"), at("2026-11-01T07:00:00+00:00"), at("2026-03-16T00:00:00+09:00"), 0]
_time = st.one_of(
    st.integers(-(10**15), 4 * 10**15),
    st.sampled_from(_edges).flatmap(lambda edge: st.integers(edge - 40 * 3_600_000_000, edge + 40 * 3_600_000_000)),
)


@given(st.lists(_time, max_size=8), st.sampled_from([SEOUL, CHICAGO]))
def test_many_instants_at_once_have_the_dates_they_have_one_by_one(times, market):
    assert dates(*times, **market) == [by_hand(time, **market) for time in times]


def test_a_time_nobody_can_have_meant_has_some_date_and_no_error():
    found = trading_dates.trade_dates(np.array([-(2**63), 2**63 - 1, 0], np.int64), timezone="Asia/Seoul", shift_s=0)

    assert len(found) == 3


def test_no_time_has_no_date():
    assert dates(**SEOUL) == []
