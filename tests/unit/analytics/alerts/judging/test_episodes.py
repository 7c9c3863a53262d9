"""An episode: when it begins, when it is over, and what may not begin yet."""

import datetime

import pytest

from analytics.alerts.judging.conditions import Direction
from analytics.alerts.judging.episodes import ARMED, Measured, State, is_quiet, judge, pack, quiet_s, unpack

ABOVE, BELOW, CROSSING = Direction.ABOVE, Direction.BELOW, Direction.CROSSING


def walk(direction, *looks, level=100, band=0, pause_us=0, state=ARMED, step_us=1):
    """(episodes that began, episodes that are over) of each look; a look is a value, or (last, high, low)."""
    found = []
    for at, look in enumerate(looks):
        seen = Measured(*look) if isinstance(look, tuple) else Measured(look, look, look)
        step = judge(direction, level, band, state, seen, now_us=(at + 1) * step_us, pause_us=pause_us)
        state = step.state
        found.append((list(step.began), list(step.over)))
    return found


def test_a_level_fires_when_it_is_reached_and_again_only_after_the_value_was_below_the_band():
    assert walk(ABOVE, 99, 100, 101, 95, 90, 100, 89, 100, band=10) == [
        ([], []), ([1], []), ([], []), ([], []), ([], []), ([], []), ([], [1]), ([2], []),
    ]  # fmt: skip


def test_without_a_band_one_step_back_is_enough_and_the_level_itself_is_no_step_back():
    assert walk(ABOVE, 100, 100, 99, 100) == [([1], []), ([], []), ([], [1]), ([2], [])]


def test_below_is_above_the_other_way_round():
    assert walk(BELOW, 101, 100, 105, 110, 111, 100, band=10) == [
        ([], []), ([1], []), ([], []), ([], []), ([], [1]), ([2], []),
    ]  # fmt: skip
    assert walk(BELOW, (120, 130, 99)) == [([1], [1])]


def test_what_is_beyond_the_level_and_back_within_one_look_is_an_episode():
    assert walk(ABOVE, (90, 120, 90), (90, 90, 90), 100) == [([1], [1]), ([], []), ([2], [])]


def test_what_is_back_and_beyond_again_within_one_look_is_another_episode():
    assert walk(ABOVE, 100, (101, 101, 98)) == [([1], []), ([2], [1])]


def test_within_the_pause_nothing_begins_and_what_is_still_true_waits_for_its_end():
    state = State(3, False, 1_000)

    early = judge(ABOVE, 100, 0, state, Measured(105, 105, 105), now_us=1_499, pause_us=500)
    gone = judge(ABOVE, 100, 0, state, Measured(95, 105, 95), now_us=1_499, pause_us=500)
    later = judge(ABOVE, 100, 0, state, Measured(105, 105, 105), now_us=1_500, pause_us=500)

    assert (early.state, early.began, early.waits_until_us) == (state, (), 1_500)
    assert (gone.state, gone.began, gone.waits_until_us) == (state, (), None)
    assert (later.state, later.began) == (State(4, True, 1_500), (4,))


def test_the_first_episode_waits_for_no_pause():
    assert walk(ABOVE, 100, pause_us=10**9) == [([1], [])]


def test_a_crossing_fires_either_way_but_not_for_the_side_on_which_the_value_is_found():
    assert walk(CROSSING, 120, 101, 95, 89, 105, 110, band=10) == [
        ([], []), ([], []), ([], []), ([1], [1]), ([], []), ([2], [2]),
    ]  # fmt: skip
    assert walk(CROSSING, 90, 100, 99, pause_us=100) == [([], []), ([1], [1]), ([], [])]


@pytest.mark.parametrize(
    ("start", "end", "quiet", "loud"),
    [
        ("22:00", "07:00", ["22:00", "23:59", "00:00", "06:59"], ["07:00", "12:00", "21:59"]),
        ("12:00", "13:00", ["12:00", "12:59"], ["11:59", "13:00", "00:00"]),
        ("09:00", "09:00", [], ["09:00", "00:00"]),
    ],
)
def test_quiet_hours_may_go_across_midnight(start, end, quiet, loud):
    first, last = datetime.time.fromisoformat(start), datetime.time.fromisoformat(end)

    assert all(is_quiet(first, last, datetime.time.fromisoformat(at)) for at in quiet)
    assert not any(is_quiet(first, last, datetime.time.fromisoformat(at)) for at in loud)
    assert not is_quiet(None, None, datetime.time(3))


@pytest.mark.parametrize(
    ("at", "seconds"),
    [("21:59:59", 0), ("22:00:00", 9 * 3600), ("23:59:59", 7 * 3600 + 1), ("00:00:00", 7 * 3600), ("06:59:59.5", 0.5),
     ("07:00:00", 0)],
)  # fmt: skip
def test_quiet_hours_across_midnight_last_until_their_end(at, seconds):
    start, end = datetime.time(22), datetime.time(7)

    assert quiet_s(start, end, datetime.time.fromisoformat(at)) == seconds
    assert quiet_s(None, None, datetime.time.fromisoformat(at)) == 0


def test_a_state_is_packed_and_found_again():
    for state in (ARMED, State(3, True, 17), State(4, False, 10**16)):
        assert unpack(pack(state)) == state
    assert unpack(None) == ARMED


def test_a_clock_that_goes_back_prolongs_no_pause():
    hour = 3_600_000_000
    before = State(1, False, 10 * hour)

    step = judge(ABOVE, 100, 0, before, Measured(100, 100, 100), now_us=8 * hour, pause_us=60_000_000)
    assert step.waits_until_us == 8 * hour + 60_000_000
    later = judge(ABOVE, 100, 0, step.state, Measured(100, 100, 100), now_us=8 * hour + 60_000_000, pause_us=60_000_000)
    assert later.began == (2,)
