import pytest

pytest.importorskip("MySQLdb")

from tests.drill import __main__ as drill

GOOD = dict.fromkeys(drill.JUDGED, 0) | {"kills": 25, "rows_sent": 1000}


def test_a_drill_in_which_nothing_is_wrong_is_fine():
    assert drill.fine(GOOD)


@pytest.mark.parametrize("wrong", drill.JUDGED)
def test_one_thing_wrong_fails_the_drill(wrong):
    assert not drill.fine(GOOD | {wrong: 1})


def test_the_three_that_are_promised_are_judged():
    assert {"lost", "duplicated", "candle_mismatches"} <= set(drill.JUDGED)
