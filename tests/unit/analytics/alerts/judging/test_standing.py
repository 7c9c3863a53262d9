"""What is measured of silence, absence and alarms, at moments that are arguments."""

import pytest

from analytics.alerts.judging.episodes import ARMED, Measured, State
from analytics.alerts.judging.standing import absence, alarm, silence_s

SECOND = 1_000_000
MORNING, AFTERNOON = (100 * SECOND, 200 * SECOND), (300 * SECOND, 400 * SECOND)


@pytest.mark.parametrize(
    ("last_s", "now_s", "silent"),
    [
        (150, 160.9, 10),
        (None, 160, 60),  # since trading began
        (50, 160, 60),  # of before it began
        (150, 200, 0),  # its end is not part of it
        (150, 250, 0),
        (150, 310, 10),  # the pause between does not count
        (161, 160, 0),  # a clock that is ahead
        (None, 50, 0),
    ],
)
def test_a_market_is_silent_only_while_it_trades(last_s, now_s, silent):
    last_us = None if last_s is None else last_s * SECOND

    assert silence_s(last_us, [MORNING, AFTERNOON], int(now_s * SECOND)) == silent


def test_what_was_told_as_absent_stays_so_when_since_when_is_forgotten():
    now_us = 100 * SECOND

    assert absence(None, 30, State(1, True, 5), now_us) == Measured(0, 0, 0)
    assert absence(now_us - 29 * SECOND, 30, ARMED, now_us).last == 29
    assert absence(now_us, 30, State(1, True, 5), now_us).last == 30
    assert absence(now_us, 30, State(1, False, 5), now_us).last == 0
    assert absence(now_us - 90 * SECOND, 30, State(1, True, 5), now_us).last == 90


@pytest.mark.parametrize(
    ("raised_us", "is_active", "state", "measured"),
    [
        (10, True, ARMED, Measured(1, 1, 1)),  # when the rule is made
        (60, True, ARMED, Measured(1, 1, 0)),
        (60, True, State(1, True, 70), Measured(1, 1, 1)),
        (60, False, State(1, True, 70), Measured(0, 0, 0)),
        (80, True, State(1, True, 70), Measured(1, 1, 0)),  # it was over and is back
        (80, False, State(1, False, 70), Measured(0, 1, 0)),  # it came and went
        (40, False, ARMED, Measured(0, 0, 0)),  # before there was the rule
    ],
)
def test_an_alarm_that_came_and_went_between_two_looks_is_seen(raised_us, is_active, state, measured):
    assert alarm(raised_us, is_active=is_active, state=state, changed_us=50) == measured
