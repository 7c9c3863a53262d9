"""Who fills the limit of those who have not said who they are turns himself away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.limits.unauthenticated import Unauthenticated, caller


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("8.8.8.8 reason=ok", "unknown"),
        ("A" * 4000, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_caller_is_an_address_or_a_network_and_never_any_text(address, one):
    assert caller(address) == one


def test_the_oldest_of_an_address_gives_way_to_its_newest():
    crowd: Unauthenticated[object] = Unauthenticated(most=10, most_of_caller=2)

    gone = [crowd.enter(number, "192.0.2.1") for number in range(4)]

    assert gone == [None, None, 0, 1]
    assert len(crowd) == 2


def test_a_single_connection_is_not_turned_away_by_addresses_that_hold_many():
    crowd: Unauthenticated[object] = Unauthenticated(most=6, most_of_caller=3)
    crowd.enter("reader", "192.0.2.1")

    for number in range(100):
        crowd.enter(number, f"198.51.100.{number % 4}")

    assert "reader" in crowd
    assert len(crowd) == 6


def test_an_address_of_many_callers_has_no_limit_of_its_own():
    crowd: Unauthenticated[object] = Unauthenticated(most=5, most_of_caller=1)

    gone = [crowd.enter(number, "127.0.0.1", shared=True) for number in range(6)]

    assert gone == [None] * 5 + [0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.booleans())))
def test_the_limits_hold_whatever_comes_and_goes(steps):
    crowd: Unauthenticated[object] = Unauthenticated(most=8, most_of_caller=4)
    inside = {}
    for address, number, enters in steps:
        one = (address, number)
        if enters and one not in inside:
            inside[one] = address
            gone = crowd.enter(one, f"192.0.2.{address}")
            inside = {name: kept for name, kept in inside.items() if name != gone}
        elif not enters:
            crowd.leave(one)
            inside.pop(one, None)
        assert len(crowd) == len(inside) <= 8
        assert all(list(inside.values()).count(name) <= 4 for name in inside.values())
        assert all(one in crowd for one in inside)
