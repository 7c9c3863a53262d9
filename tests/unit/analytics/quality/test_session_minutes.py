"""Which minutes of a session are lost, and which are only quiet; on days with unusual hours, too."""

import datetime
from itertools import pairwise

import numpy as np
import pytest

from analytics.quality import session_minutes
from analytics.quality.session_minutes import PARTS, Minutes, State
from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Base, Calendar, Override, Session
from marketdata.types.units import MINUTE_US

KRX = Calendar(trading_calendar.base("KRX"), {})
REGULAR = PARTS.index(Session.REGULAR)
DAY = datetime.date(2026, 3, 16)
START = 29_560_320 * MINUTE_US  # 2026-03-16 09:00 in Seoul


def seoul(time_us):
    return (datetime.datetime(1970, 1, 1, 9) + datetime.timedelta(microseconds=time_us)).strftime("%H:%M")


def stretches(minutes):
    """(first minute, end, part) in Seoul's time."""
    edges = [0, *(np.flatnonzero(np.diff(minutes.part)) + 1).tolist(), len(minutes)]
    return [
        (
            seoul(minutes.start_us + first * MINUTE_US),
            seoul(minutes.start_us + end * MINUTE_US),
            PARTS[minutes.part[first]].value,
        )
        for first, end in pairwise(edges)
        if end > first and minutes.part[first] >= 0
    ]


@pytest.mark.parametrize(
    ("date", "venue", "expected"),
    [
        ("2026-03-16", "KRX", [("09:00", "15:20", "regular")]),
        (
            "2026-03-16",
            "NXT",
            [("08:00", "08:50", "pre"), ("09:00", "15:20", "regular"), ("15:40", "20:00", "after")],
        ),
        (
            "2026-03-16",
            None,
            [("08:00", "08:50", "pre"), ("09:00", "15:20", "regular"), ("15:40", "20:00", "after")],
        ),
        ("2026-09-14", "KRX", [("09:00", "15:20", "regular"), ("16:00", "20:00", "after")]),
        ("2023-01-02", "KRX", [("10:00", "15:20", "regular")]),  # the first trading day of a year
        ("2026-11-19", "KRX", [("10:00", "16:20", "regular"), ("17:00", "20:00", "after")]),  # an hour later
        ("2027-01-01", "KRX", []),  # a holiday
        ("2026-03-14", "KRX", []),  # a Saturday
        ("2025-03-03", "NXT", []),  # before there was an NXT
    ],
)
def test_the_minutes_of_a_session_are_those_in_which_trades_may_come_at_any_moment(date, venue, expected):
    assert stretches(session_minutes.of_session(KRX, datetime.date.fromisoformat(date), venue)) == expected


def test_a_half_day_has_half_a_session():
    half = Override(is_open=True, regular_close=datetime.time(12, 30))
    minutes = session_minutes.of_session(Calendar(trading_calendar.base("KRX"), {DAY: half}), DAY, "KRX")

    assert stretches(minutes) == [("09:00", "12:20", "regular")]


def test_a_market_without_hours_has_no_session_unless_it_never_closes():
    never = Calendar(Base(market="COIN", days={}, hours=[]), {}, open_on_weekends=True)

    assert len(session_minutes.of_session(never, DAY, "COIN")) == 0
    assert len(session_minutes.of_session(never, DAY, "COIN", always=True)) == 1440


def judged(present, *, usual=None, gap=(), halted=(), until=None):
    """The states of a regular session of as many minutes as `present` has letters, as letters; p is a minute with a
    tick."""
    minutes = Minutes(START, np.full(len(present), REGULAR, np.int8))
    marked = np.zeros((2, len(present)), np.bool_)
    marked[0, list(gap)], marked[1, list(halted)] = True, True
    states = session_minutes.judge(
        minutes,
        np.array([letter == "p" for letter in present]),
        gap=marked[0],
        halted=marked[1],
        until_us=START + (len(present) if until is None else until) * MINUTE_US,
        usual={} if usual is None else {REGULAR: usual},
    )
    letters = {State.OFF: "-", State.AHEAD: "a", State.PRESENT: "p", State.QUIET: "q", State.HALTED: "h"}
    return "".join({**letters, State.GAP: "g", State.MISSING: "m"}[State(state)] for state in states.tolist())


def test_a_share_that_trades_each_minute_misses_three_but_not_two():
    busy = "p" * 200

    assert judged(busy + ".." + busy, usual=0.999) == busy + "qq" + busy
    assert judged(busy + "..." + busy, usual=0.999) == busy + "mmm" + busy


def test_a_share_that_seldom_trades_misses_nothing_in_hours_without_a_trade():
    seldom = ("p" + "." * 39) * 5 + "." * 180

    assert "m" not in judged(seldom, usual=0.03)


def test_what_is_usual_half_of_the_time_is_missed_after_twenty_minutes():
    half = "p." * 100

    assert "m" not in judged(half + "." * 18, usual=0.5)
    assert judged(half + "." * 25, usual=0.5).endswith("m" * 25)


def test_a_calmer_day_than_usual_is_judged_by_its_own_pace():
    calm = "p........." * 38

    assert "m" not in judged(calm, usual=0.97)


def test_a_day_without_any_tick_is_missed_only_where_that_is_unusual():
    assert judged("." * 380, usual=0.97) == "m" * 380
    assert judged("." * 380, usual=0.02) == "q" * 380
    assert judged("." * 380) == "-" * 380


def test_a_series_without_a_past_is_expected_from_its_first_tick_on_once_there_is_enough_of_it():
    assert judged("." * 100 + "p" * 100 + "." * 10) == "-" * 100 + "p" * 100 + "m" * 10
    assert judged("." * 100 + "p" * 10 + "." * 10) == "-" * 100 + "p" * 10 + "q" * 10


def test_gaps_halts_and_what_is_ahead_are_no_silence():
    told = judged("p" * 100 + "." * 20, usual=0.999, gap=range(100, 105), halted=range(105, 110), until=112)

    assert told == "p" * 100 + "ggggg" + "hhhhh" + "qq" + "a" * 8
    assert judged("pp", gap=[0]) == "pp"  # a tick in a minute with a gap is a tick


def test_counts_leave_out_what_is_halted_and_ahead():
    minutes = Minutes(START, np.array([REGULAR] * 6 + [session_minutes.NONE], np.int8))
    states = np.array([2, 3, 4, 5, 6, 1, 2], np.int8)

    assert session_minutes.counts(minutes, states) == {"regular": [1, 4]}


def test_the_usual_share_is_the_median_of_three_days_or_more():
    days = [{"regular": [100, 400]}, {"regular": [300, 400]}, {"regular": [200, 200], "after": [1, 4]}]

    assert session_minutes.usual_shares(days) == {REGULAR: 0.75}
    assert session_minutes.usual_shares(days[:2]) == {}


def test_stretches_cover_the_minutes_that_they_touch():
    minutes = Minutes(START, np.full(5, REGULAR, np.int8))

    assert minutes.covered([(START + 59_999_999, START + MINUTE_US)]).tolist() == [True, True, False, False, False]
    assert minutes.covered([(0, START - 1)]).tolist() == [False] * 5
    assert minutes.covered([(0, 1 << 62)]).tolist() == [True] * 5
    assert minutes.places(np.array([START - 1, START, START + 5 * MINUTE_US])).tolist() == [0]
