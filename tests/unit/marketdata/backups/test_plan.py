"""When a backup is due, what it builds on, and when it may go."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.backups import plan
from marketdata.backups.plan import BrokenChain, Known, Plan

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
# 05:00 in Seoul is 20:00 UTC of the day before.
FIVE = datetime.datetime(2026, 3, 15, 20, 0, tzinfo=datetime.UTC)
DAILY = Plan(time=datetime.time(5), every=DAY, full_every=7 * DAY, keep=30 * DAY)


def known(name: str, at: datetime.datetime, *, base: str = "", state: str = "verified", **other) -> Known:
    kind = "incremental" if base else "full"
    return Known(name=name, kind=kind, state=state, started_at=at, base=base, **{"position": "1", **other})


def week(days: int = 7, *, start: datetime.datetime = FIVE) -> list[Known]:
    """A full backup and an increment on each of the following days."""
    made = [known("b0", start)]
    made += [known(f"b{day}", start + day * DAY, base=f"b{day - 1}") for day in range(1, days)]
    return made


def test_the_first_backup_is_due_at_once():
    assert plan.due(FIVE, [], DAILY)


@pytest.mark.parametrize(("after", "due"), [(HOUR, False), (23 * HOUR, False), (24 * HOUR, True), (49 * HOUR, True)])
def test_a_backup_is_due_when_its_time_of_day_has_come_again(after, due):
    assert plan.due(FIVE + after, [known("b0", FIVE + HOUR / 2)], DAILY) is due


def test_a_backup_made_by_hand_before_the_time_of_day_does_not_replace_it():
    assert plan.due(FIVE, [known("b0", FIVE - HOUR)], DAILY)


def test_a_backup_that_failed_is_due_again():
    assert plan.due(FIVE + HOUR, [known("b0", FIVE, state="failed")], DAILY)


def test_a_backup_whose_archive_is_gone_is_due_again():
    assert plan.due(FIVE + HOUR, [known("b0", FIVE, has_archive=False)], DAILY)


@pytest.mark.parametrize(("every", "turns"), [(6, 4), (24, 1), (48, 0.5), (1, 24)])
def test_as_many_backups_are_due_in_a_day_as_the_plan_says(every, turns):
    each = Plan(time=datetime.time(5), every=every * HOUR, full_every=7 * DAY, keep=30 * DAY)
    made: list[Known] = []

    for hour in range(240):
        now = FIVE + hour * HOUR
        if plan.due(now, made, each):
            made.append(known(f"b{hour}", now))

    assert len(made) in (10 * turns, 10 * turns + 1)


def test_the_first_is_full_and_the_next_six_build_on_it_until_the_week_is_over():
    made: list[Known] = []

    for day in range(15):
        choice = plan.choose(FIVE + day * DAY + (day % 3) * HOUR, made, DAILY)
        made.append(known(f"b{day}", FIVE + day * DAY + (day % 3) * HOUR, base=choice.base.name if choice.base else ""))

    assert [one.name for one in made if one.kind == "full"] == ["b0", "b7", "b14"]


@pytest.mark.parametrize("state", ["stored", "failed", "running"])
def test_nothing_builds_on_a_backup_that_is_not_verified(state):
    made = [*week(3), known("b3", FIVE + 3 * DAY, base="b2", state=state)]

    assert plan.choose(FIVE + 4 * DAY, made, DAILY).kind == "full"


def test_a_backup_that_was_never_stored_breaks_no_chain():
    made = [*week(3), known("b3", FIVE + 3 * DAY, base="b2", state="failed", has_archive=False)]

    assert plan.choose(FIVE + 4 * DAY, made, DAILY).base == made[2]


def test_nothing_builds_on_a_backup_without_a_position():
    assert plan.choose(FIVE + DAY, [known("b0", FIVE, position="")], DAILY).kind == "full"


def test_a_hole_in_the_chain_makes_the_next_one_full():
    made = week(4)
    del made[1]

    choice = plan.choose(FIVE + 4 * DAY, made, DAILY)

    assert (choice.kind, choice.why) == ("full", "b1 is missing")


def test_a_chain_is_told_from_the_full_one_on():
    backups = {one.name: one for one in week(4)}

    assert [one.name for one in plan.chain("b2", backups)] == ["b0", "b1", "b2"]


def test_a_chain_that_bites_its_tail_is_broken():
    backups = {"a": known("a", FIVE, base="b"), "b": known("b", FIVE, base="a")}

    with pytest.raises(BrokenChain):
        plan.chain("a", backups)


def test_a_full_backup_stays_as_long_as_a_younger_one_needs_it():
    made = week(7)
    now = made[-1].started_at + 30 * DAY - HOUR

    assert plan.expired(now, made, DAILY) == []
    assert plan.expired(now + 2 * HOUR, [*made, known("new", now)], DAILY) == [f"b{day}" for day in range(6, -1, -1)]


def test_the_newest_verified_backup_stays_for_ever_with_its_chain():
    made = [*week(3), known("b3", FIVE + 3 * DAY, state="failed")]

    assert plan.expired(FIVE + 400 * DAY, made, DAILY) == ["b3"]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["verified", "stored", "failed"])), min_size=1, max_size=30),
    st.integers(0, 90),
)
def test_what_stays_can_always_be_restored(history, age):
    made: list[Known] = []
    for day, (full, state) in enumerate(history):
        base = "" if full or not made else made[-1].name
        made.append(known(f"b{day}", FIVE + day * DAY, base=base, state=state))
    now = FIVE + (len(made) + age) * DAY

    gone = set(plan.expired(now, made, DAILY))

    left = {one.name: one for one in made if one.name not in gone}
    for one in left.values():
        assert plan.chain(one.name, left)
    verified = [one for one in made if one.state == "verified"]
    assert not verified or verified[-1].name in left


def test_a_day_and_a_half_without_a_verified_backup_is_told():
    assert not plan.overdue(FIVE + 35 * HOUR, FIVE, DAILY)
    assert plan.overdue(FIVE + 37 * HOUR, FIVE, DAILY)
    assert not plan.overdue(FIVE, None, DAILY)
