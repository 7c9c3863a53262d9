import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clocks import SAMPLES, ClockOffset, Trust, captured_at
from tests.market import NINE_US

S = 1_000_000
DAY = 86_400 * S
TRUST = Trust(longest_us=90 * DAY, tolerance_us=5 * S)


# --- how far a clock is off -------------------------------------------------------------------------------------------


def test_delay_on_the_way_makes_an_offset_look_smaller_so_the_greatest_of_the_last_ones_counts():
    clock = ClockOffset()
    for delay in (3 * S, 20_000, 900_000):
        clock.add(NINE_US + 7 * S, NINE_US + delay)

    assert clock.us == 7 * S - 20_000


def test_a_clock_that_was_set_is_known_after_a_few_messages():
    clock = ClockOffset()
    clock.add(NINE_US + 3600 * S, NINE_US)
    for _ in range(SAMPLES):
        clock.add(NINE_US, NINE_US)

    assert clock.us == 0


@pytest.mark.parametrize("said_us", [0, 1, 86_400 * S])
def test_what_is_no_clock_says_nothing(said_us):
    clock = ClockOffset()
    clock.add(said_us, NINE_US)

    assert clock.us is None


# --- when a batch was captured ----------------------------------------------------------------------------------------


def test_a_batch_that_comes_at_once_was_captured_when_it_came():
    assert captured_at(NINE_US - 4 * S, None, NINE_US, TRUST) == NINE_US


def test_a_batch_that_lay_in_a_spool_over_the_longest_holiday_was_captured_before_it():
    assert captured_at(NINE_US - 8 * DAY, 0, NINE_US, TRUST) == NINE_US - 8 * DAY


def test_a_clock_that_is_off_is_corrected():
    assert captured_at(NINE_US - 8 * DAY + 3600 * S, 3600 * S, NINE_US, TRUST) == NINE_US - 8 * DAY
    assert captured_at(NINE_US - 3600 * S, -3600 * S, NINE_US, TRUST) == NINE_US


@pytest.mark.parametrize("captured_us", [NINE_US + 6 * S, NINE_US + DAY, NINE_US - 91 * DAY, 0, 1, -(2**63), 2**63 - 1])
def test_what_cannot_be_is_not_believed_and_the_arrival_counts(captured_us):
    assert captured_at(captured_us, None, NINE_US, TRUST) == NINE_US


@given(st.integers(-(2**63), 2**63 - 1), st.none() | st.integers(-(2**62), 2**62))
def test_nothing_is_captured_after_it_came_or_longer_ago_than_a_spool_may_be_old(captured_us, offset_us):
    assert NINE_US - TRUST.longest_us <= captured_at(captured_us, offset_us, NINE_US, TRUST) <= NINE_US
