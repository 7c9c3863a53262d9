from collections import Counter

import pytest

from tests.drill import plan


@pytest.mark.parametrize("kills", [1, 3, 7, 10, 25, 100])
def test_there_are_as_many_kills_as_were_asked_for(kills):
    assert sum(strike.way == "kill" for strike in plan.strikes(kills, seed=1)) == kills


@pytest.mark.parametrize("seed", range(20))
def test_ten_kills_meet_every_kind_and_none_more_than_twice(seed):
    met = Counter(strike.kind for strike in plan.strikes(10, seed=seed) if strike.way == "kill")

    assert set(met) == set(plan.KINDS)
    assert max(met.values()) == 2


def test_a_long_drill_also_pauses_and_ends_politely():
    ways = Counter(strike.way for strike in plan.strikes(25, seed=4))

    assert ways == {"kill": 25, "pause": 3, "term": 3, "trouble": 6}


@pytest.mark.parametrize("seed", range(20))
def test_a_long_drill_meets_every_trouble(seed):
    met = {strike.kind for strike in plan.strikes(25, seed=seed) if strike.way == "trouble"}

    assert met == set(plan.TROUBLES)


def test_the_same_seed_is_the_same_drill_and_another_seed_another():
    assert list(plan.strikes(25, seed=4)) == list(plan.strikes(25, seed=4))
    assert list(plan.strikes(25, seed=4)) != list(plan.strikes(25, seed=5))


def test_blows_fall_between_three_tenths_and_two_and_a_half_seconds():
    assert all(0.3 <= strike.after_s <= 2.5 and 0 <= strike.pick < 1 for strike in plan.strikes(200, seed=2))


def test_what_is_not_there_is_not_killed():
    kinds = [kind for kind in plan.KINDS if kind != "web"]

    assert "web" not in {strike.kind for strike in plan.strikes(50, seed=2, kinds=kinds)}
