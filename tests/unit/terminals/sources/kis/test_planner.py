import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.kis.planner import (
    Kind,
    Plan,
    Registration,
    Wish,
    plan,
    registration_of,
)


def wish(number, *, kind=Kind.TRADE, priority=100):
    symbol = f"{number:06d}"
    registration = registration_of(symbol, kind, "krx")
    assert registration is not None
    return Wish(registration, symbol, kind, priority)


WISHES = st.lists(
    st.builds(wish, st.integers(0, 60), kind=st.sampled_from([Kind.TRADE, Kind.BOOK]), priority=st.integers(0, 3)),
    max_size=80,
)
APPKEYS = st.integers(0, 4).map(lambda count: [f"key{number}" for number in range(count)])


def all_of(found: Plan) -> list[Registration]:
    return [one for kept in found.by_appkey.values() for one in kept]


@given(WISHES, APPKEYS, st.integers(0, 41))
def test_no_session_has_more_than_it_takes_and_nothing_is_registered_twice(wishes, appkeys, most):
    found = plan(wishes, appkeys, per_appkey=most)

    assert all(len(kept) <= most for kept in found.by_appkey.values())
    assert (
        len(all_of(found))
        == len(set(all_of(found)))
        == min(most * len(appkeys), len({one.registration for one in wishes}))
    )
    sizes = [len(kept) for kept in found.by_appkey.values()]
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(WISHES, APPKEYS, st.integers(1, 41))
def test_nothing_less_wanted_is_registered_while_something_more_wanted_is_not(wishes, appkeys, most):
    found = plan(wishes, appkeys, per_appkey=most)

    taken = set(all_of(found))
    priorities = [one.priority for one in found.wishes]
    assert priorities == sorted(priorities)
    assert {one.registration for one in found.wishes[: len(taken)]} == taken


@given(WISHES, WISHES, APPKEYS, st.integers(1, 41))
def test_a_change_of_the_list_moves_nothing_that_stays(first, second, appkeys, most):
    before = plan(first, appkeys, per_appkey=most)

    after = plan(second, appkeys, per_appkey=most, before=before)

    kept = set(all_of(before)) & set(all_of(after))
    where = {one: name for name, held in before.by_appkey.items() for one in held}
    assert all(one in after.by_appkey[where[one]] for one in kept)


@given(WISHES, APPKEYS, st.integers(1, 41))
def test_the_same_list_in_another_order_changes_nothing(wishes, appkeys, most):
    before = plan(wishes, appkeys, per_appkey=most)

    after = plan(list(reversed(wishes)), appkeys, per_appkey=most, before=before)

    assert after.by_appkey == before.by_appkey


@given(WISHES, WISHES, st.integers(1, 41))
def test_as_many_changes_as_the_priorities_ask_for_and_no_more(first, second, most):
    before = plan(first, ["one", "two"], per_appkey=most)

    after = plan(second, ["one", "two"], per_appkey=most, before=before)

    # Whatever is as wanted as the least wanted that is registered could stand in for it: those that were registered do.
    wanted = {one.registration: one.priority for one in after.wishes}
    taken = set(all_of(after))
    least = max((wanted[one] for one in taken), default=0)
    pushed_out = {one for one in set(all_of(before)) - taken if wanted.get(one) == least}
    newcomers = {one for one in taken - set(all_of(before)) if wanted[one] == least}
    assert not (pushed_out and newcomers)


def test_an_appkey_that_goes_gives_its_registrations_to_those_that_have_room():
    wishes = [wish(number) for number in range(60)]
    before = plan(wishes, ["one", "two", "three"])

    after = plan(wishes, ["one", "two"], before=before)

    assert all(before.by_appkey[name] <= after.by_appkey[name] for name in ("one", "two"))
    assert len(all_of(after)) == 60


def test_a_plan_for_more_than_a_session_takes_is_refused():
    with pytest.raises(ValueError, match="42"):
        plan([], ["one"], per_appkey=42)


@pytest.mark.parametrize(
    ("feed", "kind", "tr_id"),
    [
        ("krx", Kind.TRADE, "H0STCNT0"),
        ("nxt", Kind.BOOK, "H0NXASP0"),
        ("unified", Kind.EXPECTED, "H0UNANC0"),
        ("krx", Kind.STATUS, "H0STMKO0"),
        ("index", Kind.INDEX, "H0UPCNT0"),
        ("futures", Kind.TRADE, "H0IFCNT0"),
        ("overseas", Kind.TRADE, "HDFSCNT0"),
    ],
)
def test_each_kind_of_each_feed_has_its_tr(feed, kind, tr_id):
    found = registration_of("005930", kind, feed)

    assert found == Registration(tr_id, "005930")


def test_a_kind_that_kis_does_not_push_has_none():
    assert registration_of("A01612", Kind.STATUS, "futures") is None
    assert registration_of("2001", Kind.BOOK, "index") is None
    assert registration_of("005930", Kind.TRADE, "elsewhere") is None


@pytest.mark.parametrize(
    ("feed", "trade", "book", "is_polled"),
    [
        ("futures", "H0IFCNT0", "H0IFASP0", True),
        ("options", "H0IOCNT0", "H0IOASP0", True),
        ("stock_futures", "H0ZFCNT0", "H0ZFASP0", True),
        ("night_futures", "H0MFCNT0", "H0MFASP0", False),
        ("overseas", "HDFSCNT0", "HDFSASP0", False),
    ],
)
def test_each_market_has_its_own_registrations_and_what_rest_does_not_have_is_not_polled(feed, trade, book, is_polled):
    wishes = []
    for kind, tr_id in ((Kind.TRADE, trade), (Kind.BOOK, book)):
        registration = registration_of("A01612", kind, feed)
        assert registration == Registration(tr_id, "A01612")
        wishes.append(Wish(registration, "A01612", kind))

    assert [one.is_polled for one in wishes] == [is_polled, is_polled]
