import datetime
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.kis import volume_holes
from terminals.sources.kis.volume_holes import Found, Hole
from terminals.wire import Kind
from terminals.wire.gap_reasons import BEFORE_FIRST_TRADE, VOLUME_FELL, VOLUME_HOLE, VOLUME_WRONG

DAY = (datetime.date(2026, 11, 20) - datetime.date(1970, 1, 1)).days
MIDNIGHT_US = DAY * 86_400_000_000 - 9 * 3_600_000_000
SHARE = 10**6
NOW_US = MIDNIGHT_US + 3 * 86_400_000_000


class VolumeHoles(volume_holes.VolumeHoles):
    """Some days after the trades, unless it is told another time."""

    def check(self, feed, rows, now_us=NOW_US):
        return super().check(feed, rows, now_us)

    def check_all(self, feed, rows, now_us=NOW_US):
        """What is found when no trade follows."""
        found = self.check(feed, rows, now_us)
        return Found(found.rows, [*found.holes, *self.settle(all_of_them=True).get(feed, [])], found.repeats)


def trades(sizes, *, symbol="005930", date=DAY, first=0):
    """Trades of these sizes, one a second, with the cumulative volume of their day."""
    rows, volume = [], first
    for place, size in enumerate(sizes):
        volume += size
        rows.append(
            {
                "symbol": symbol,
                "time_us": MIDNIGHT_US + (date - DAY) * 86_400_000_000 + (32_400 + place) * 10**6,
                "kind": Kind.TRADE,
                "price": 100 * 10**8,
                "size": size * SHARE,
                "cum_volume": volume * SHARE,
                "trade_date": date,
            }
        )
    return rows


def later(rows, seconds=60):
    return [{**row, "time_us": row["time_us"] + seconds * 10**6} for row in rows]


def missing(holes):
    return sum(one.missing or 0 for one in holes) // SHARE


def test_trades_without_a_hole_are_let_through():
    found = VolumeHoles().check("krx", rows := trades([5, 1, 7]))

    assert (found.rows, found.holes) == (rows, [])


def test_a_hole_has_its_bounds_and_its_shares():
    rows = trades([5, 1, 7, 2])
    tracker = VolumeHoles()

    found = tracker.check_all("krx", [rows[0], rows[3]])

    assert found.rows == [rows[0], rows[3]]
    (hole,) = found.holes
    assert (hole.symbol, hole.missing, hole.reason, hole.trade_date) == ("005930", 8 * SHARE, VOLUME_HOLE, DAY)
    assert (hole.from_us, hole.to_us) == (rows[0]["time_us"], rows[3]["time_us"])
    assert tracker.missing_volume == 8 * SHARE


def test_what_the_day_had_traded_before_the_first_trade_is_a_hole_too():
    found = VolumeHoles().check_all("krx", trades([3], first=100))

    (hole,) = found.holes
    assert (hole.missing, hole.reason, hole.from_us) == (100 * SHARE, BEFORE_FIRST_TRADE, MIDNIGHT_US)


def test_a_new_business_date_begins_at_nothing():
    tracker = VolumeHoles()
    tracker.check("krx", trades([5, 5]))

    found = tracker.check_all("krx", trades([4], date=DAY + 1) + trades([4], date=DAY + 2, first=6))

    assert [(one.missing, one.trade_date) for one in found.holes] == [(6 * SHARE, DAY + 2)]


def test_symbols_and_feeds_are_counted_apart():
    tracker = VolumeHoles()

    tracker.check("krx", trades([5]))
    tracker.check("nxt", trades([9]))
    tracker.check("krx", trades([2], symbol="0126Z0"))

    assert tracker.check("krx", trades([5, 1])[1:]).holes == []


def test_a_trade_that_comes_again_is_left_out_and_counted():
    tracker = VolumeHoles()
    rows = trades([5, 1, 7])
    tracker.check("krx", rows)

    found = tracker.check("krx", [rows[1], rows[2], *trades([5, 1, 7, 4])[3:]])

    assert found.holes == []
    assert len(found.rows) == 1
    assert tracker.repeats == 2


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("again", [range(50), range(40), range(45, 50), [3, 3, 48]])
def test_a_trade_that_comes_again_long_after_is_kept_aside_and_doubles_no_volume(restarted, again):
    tracker, rows = VolumeHoles(), trades([*range(1, 51), 7, 8])
    tracker.check("krx", rows[:50])
    if restarted:
        before, tracker = tracker, VolumeHoles()
        tracker.load(json.loads(json.dumps(before.state())))

    found = tracker.check_all("krx", [*(rows[place] for place in again), rows[50], rows[3], rows[51]])

    assert found.rows == rows[50:]
    assert found.holes == []
    assert tracker.repeats == len(again) + 1
    known = 8 if restarted else 32  # the last ones are known to be the same
    assert found.repeats == [rows[place] for place in [*again, 3] if place < 50 - known]


def test_after_a_restart_a_trade_of_the_last_second_comes_again():
    tracker, rows = VolumeHoles(), [{**row, "time_us": MIDNIGHT_US + 1} for row in trades([1] * 20)]
    tracker.check("krx", rows)
    before, tracker = tracker, VolumeHoles()
    tracker.load(json.loads(json.dumps(before.state())))

    found = tracker.check_all("krx", rows)

    assert (found.rows, found.holes, tracker.repeats) == ([], [], 20)
    assert found.repeats == rows[:12]  # the last eight are known to be the same


def test_what_comes_late_after_its_hole_is_forgotten_is_kept_aside_and_stays_missing():
    tracker, rows = VolumeHoles(), trades([5, 1, 7, 2, 4])
    tracker.check_all("krx", [rows[0], rows[3]])
    before, tracker = tracker, VolumeHoles()
    tracker.load(json.loads(json.dumps(before.state())))

    found = tracker.check_all("krx", [rows[1], rows[4]])

    assert (found.rows, found.holes, found.repeats) == ([rows[4]], [], [rows[1]])


def test_one_volume_that_is_too_low_costs_no_trade():
    tracker, rows = VolumeHoles(), trades([100, 100, 5, 6])
    tracker.check("krx", rows[:2])
    low = {**rows[2], "cum_volume": 5 * SHARE, "time_us": rows[1]["time_us"]}

    found = tracker.check_all("krx", [low, rows[3]])

    assert (found.rows, found.repeats) == ([low, rows[3]], [])
    assert sum(row["size"] for row in [*rows[:2], *found.rows]) == rows[3]["cum_volume"]


def test_two_equal_trades_of_one_second_are_two_trades():
    rows = trades([5, 5])
    rows[1]["time_us"] = rows[0]["time_us"]

    assert len(VolumeHoles().check("krx", rows).rows) == 2


def test_a_trade_that_comes_late_into_its_hole_is_sent_and_told_as_late():
    rows = trades([5, 1, 7, 2])
    tracker = VolumeHoles()
    tracker.check_all("krx", [rows[0], rows[3]])

    found = tracker.check("krx", [rows[1], *trades([5, 1, 7, 2, 3])[4:]])

    assert len(found.rows) == 2
    assert found.holes == []
    assert (tracker.late, tracker.late_volume) == (1, SHARE)


def test_a_volume_that_falls_is_told_and_costs_no_trade():
    tracker = VolumeHoles()
    tracker.check("krx", trades([100, 100]))

    found = tracker.check("krx", later(trades([3, 4, 5])))

    assert len(found.rows) == 3
    assert [(one.missing, one.reason) for one in found.holes] == [(None, VOLUME_FELL)]


def test_one_wrong_volume_among_right_ones_takes_no_trade_away():
    rows = trades([5, 1, 7, 2, 3])
    rows[2] = {**rows[2], "cum_volume": 10_000 * SHARE}

    found = VolumeHoles().check("krx", rows)

    assert found.rows == rows


def test_a_volume_far_too_high_invents_no_hole_and_blinds_nothing():
    rows = trades([5, 1, 7, 2, 3, 4])
    rows[2] = {**rows[2], "cum_volume": 10_000 * SHARE}
    tracker = VolumeHoles()

    found = tracker.check_all("krx", [*rows[:4], rows[5]])

    told = [(one.missing, one.reason) for one in found.holes]
    assert told == [(None, VOLUME_WRONG), (3 * SHARE, VOLUME_HOLE)]
    assert (tracker.wrong, tracker.late, tracker.missing_volume) == (1, 0, 3 * SHARE)


def test_a_volume_far_too_high_at_the_end_is_believed_only_if_a_day_can_have_it():
    for volume, told in ((10_000, (9_994 * SHARE, VOLUME_HOLE)), (10**11, (None, VOLUME_WRONG))):
        rows = trades([5, 1])
        rows[1] = {**rows[1], "cum_volume": volume * SHARE}

        found = VolumeHoles().check_all("krx", rows)

        assert [(one.missing, one.reason) for one in found.holes] == [told]


def test_a_hole_is_told_when_the_next_trade_confirms_it_or_a_while_later():
    rows = trades([5, 1, 7, 2])
    tracker = VolumeHoles()

    assert tracker.check("krx", [rows[0], rows[2]]).holes == []
    assert [one.missing for one in tracker.check("krx", [rows[3]]).holes] == [SHARE]
    assert tracker.settle() == tracker.settle() == {}

    quiet = VolumeHoles()
    quiet.check("krx", [rows[0], rows[2]])
    assert quiet.settle() == {}
    assert [one.missing for one in quiet.settle()["krx"]] == [SHARE]
    assert quiet.settle() == {}


def test_a_trade_that_comes_late_before_its_hole_is_told_makes_the_hole_smaller():
    rows = trades([5, 1, 7, 2, 3])

    found = VolumeHoles().check_all("krx", [rows[0], rows[3], rows[1], rows[4]])

    assert [one.missing for one in found.holes] == [7 * SHARE]


@pytest.mark.parametrize("days", [1, 2, 400])
def test_a_date_that_has_not_come_takes_nothing_from_the_account_of_the_day(days):
    rows = trades([5, 1, 7, 2])
    ahead = {**rows[2], "trade_date": DAY + days}
    tracker = VolumeHoles()

    found = tracker.check_all("krx", [*rows[:2], ahead, rows[3]], MIDNIGHT_US + 40_000 * 10**6)

    of_the_day = [one for one in found.holes if one.trade_date == DAY]
    assert found.rows == [*rows[:2], ahead, rows[3]]
    assert [one.missing for one in of_the_day] == [7 * SHARE]
    assert not any(one.missing for one in found.holes if one.trade_date != DAY)
    assert tracker.misdated == (days > 1)


def test_only_trades_are_counted():
    rows = [{"symbol": "005930", "kind": Kind.EXPECTED, "price": 1, "trade_date": DAY}, *trades([2])]

    assert VolumeHoles().check("krx", rows).rows == rows


def test_there_is_a_most_of_symbols_and_those_beyond_it_are_still_sent(monkeypatch):
    monkeypatch.setattr("terminals.sources.kis.volume_holes._SYMBOLS", 1)
    tracker = VolumeHoles()
    tracker.check("krx", trades([1]))

    found = tracker.check("krx", rows := trades([1, 2], symbol="0126Z0"))

    assert (found.rows, tracker.untracked) == (rows, 2)


SIZES = st.lists(st.integers(1, 1_000), min_size=1, max_size=60)


@given(SIZES, st.randoms(use_true_random=False))
def test_sent_shares_are_received_shares_and_holes_to_the_share(sizes, rng):
    rows = trades(sizes)
    kept = [row for row in rows if rng.random() < 0.6] or rows[-1:]
    repeated = [row for one in kept for row in [one] * rng.choice((1, 1, 2))]
    tracker = VolumeHoles()

    found = tracker.check_all("krx", repeated)

    assert found.rows == kept
    assert sum(row["size"] for row in kept) // SHARE + missing(found.holes) == kept[-1]["cum_volume"] // SHARE


@given(SIZES, st.integers(0, 60), st.integers(0, 60), st.randoms(use_true_random=False))
def test_a_hole_over_a_restart_is_found_to_the_share(sizes, saved_at, killed_at, rng):
    """The terminal saves its accounts, goes on, and dies; what it had put into its spool is read again."""
    rows = [row for row in trades(sizes) if rng.random() < 0.7]
    saved_at, killed_at = sorted((min(saved_at, len(rows)), min(killed_at, len(rows))))
    first = VolumeHoles()
    before = first.check("krx", rows[:saved_at])
    state = first.state()
    between = first.check("krx", rows[saved_at:killed_at])
    # Rows and holes go into the spool in their order; the last of them may not have got there.
    spool: list[Any] = list(between.rows)
    for hole in reversed(between.holes):
        spool.insert(hole.at, hole)
    spool = spool[: rng.choice((None, -1, -2))]

    second = VolumeHoles()
    second.load(state)
    for one in spool:
        if isinstance(one, Hole):
            second.restore_hole("krx", one)
        else:
            second.restore("krx", [one])
    after = second.check_all("krx", rows[killed_at:])

    in_spool = [one for one in spool if not isinstance(one, Hole)]
    told = missing(before.holes) + missing(one for one in spool if isinstance(one, Hole)) + missing(after.holes)
    sent = [*before.rows, *in_spool, *after.rows]
    if after.rows:
        assert sum(row["size"] for row in sent) // SHARE + told == rows[-1]["cum_volume"] // SHARE


def test_a_trade_that_comes_again_after_a_clean_restart_is_left_out():
    rows = trades([5, 1, 7])
    first, second = VolumeHoles(), VolumeHoles()
    first.check("krx", rows)

    second.load(json.loads(json.dumps(first.state())))
    again = second.check_all("krx", [rows[-1]])
    next_one = second.check_all("krx", trades([5, 1, 7, 2])[-1:])

    assert (again.rows, again.holes, second.repeats) == ([], [], 1)
    assert (len(next_one.rows), next_one.holes) == (1, [])


def test_a_state_that_was_saved_without_the_last_trades_is_used():
    rows = trades([5, 1, 7, 2])
    first, second = VolumeHoles(), VolumeHoles()
    first.check("krx", rows[:3])

    second.load({"accounts": first.state()["accounts"]})

    assert second.check_all("krx", rows[3:]).holes == []


def test_of_the_last_trades_only_a_few_are_saved():
    tracker = VolumeHoles()
    tracker.check("krx", rows := trades([1] * 100))

    ((_feed, _symbol, _date, marks),) = tracker.state()["recent"]

    assert [mark[0] for mark in marks] == [row["cum_volume"] for row in rows[-8:]]


def test_what_is_no_state_is_refused():
    for state in ({}, {"accounts": 1}, {"accounts": [[1]]}, {"accounts": [], "recent": [[1]]}):
        with pytest.raises(ValueError, match=r"accounts|unpack"):
            VolumeHoles().load(state)


def test_many_symbols_at_once_lose_nothing():
    rng = random.Random(3)
    rows = [row for number in range(50) for row in trades([rng.randint(1, 99)] * 20, symbol=f"{number:06d}")]
    rng.shuffle(rows)
    rows.sort(key=lambda row: row["time_us"])
    kept = [row for row in rows if rng.random() < 0.9]
    tracker = VolumeHoles()

    found = tracker.check_all("krx", kept)

    last = {row["symbol"]: row["cum_volume"] for row in kept}
    assert sum(row["size"] for row in kept) + missing(found.holes) * SHARE == sum(last.values())


@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=30),
    st.data(),
    st.one_of(st.integers(0, 2_000), st.integers(0, 10**12)),
    st.randoms(use_true_random=False),
)
def test_one_wrong_volume_leaves_the_account_exact_but_for_a_gap_that_is_told(sizes, data, volume, rng):
    """Whatever KIS says once, wherever it says it, and whatever else is missing: the shares add up again with the
    second trade behind it."""
    rows = [row for row in trades([*sizes, 1, 1]) if rng.random() < 0.7 or row["cum_volume"] > sum(sizes) * SHARE]
    place = data.draw(st.integers(0, len(rows) - 3)) if len(rows) > 2 else None
    end = rows[-1]["cum_volume"]
    if place is not None:
        rows[place] = {**rows[place], "cum_volume": max(volume * SHARE, rows[place]["size"])}
    tracker = VolumeHoles()

    found = tracker.check_all("krx", rows)

    assert found.rows == rows
    sent = sum(row["size"] for row in rows)
    assert sent + missing(found.holes) * SHARE - tracker.late_volume == end
    assert tracker.volumes()["krx", "005930"] == end
    assert tracker.check("krx", trades([*sizes, 1, 1, 9])[-1:]).holes == []


@given(SIZES, st.data(), st.integers(-3, 400), st.randoms(use_true_random=False))
def test_one_wrong_date_leaves_the_account_of_the_day_exact(sizes, data, days, rng):
    rows = [row for row in trades([*sizes, 1, 1]) if rng.random() < 0.7 or row["cum_volume"] > sum(sizes) * SHARE]
    place = data.draw(st.integers(0, len(rows) - 2))
    end = rows[-1]["cum_volume"]
    rows[place] = {**rows[place], "trade_date": DAY + days}
    tracker = VolumeHoles()

    found = tracker.check_all("krx", rows, MIDNIGHT_US + 86_000 * 10**6)

    of_the_day = [row for row in rows if row["trade_date"] == DAY]
    told = missing(one for one in found.holes if one.trade_date == DAY)
    assert found.rows == rows
    assert sum(row["size"] for row in of_the_day) + told * SHARE == end


@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=30),
    st.data(),
    st.one_of(st.integers(0, 100), st.integers(0, 10**12)),
    st.randoms(use_true_random=False),
)
def test_one_wrong_volume_about_a_restart_leaves_the_account_exact(sizes, data, volume, rng):
    rows = [row for row in trades([*sizes, 1, 1]) if rng.random() < 0.7 or row["cum_volume"] > sum(sizes) * SHARE]
    end = rows[-1]["cum_volume"]
    if len(rows) > 2:
        place = data.draw(st.integers(0, len(rows) - 3))
        rows[place] = {**rows[place], "cum_volume": max(volume * SHARE, rows[place]["size"])}
    saved_at, killed_at = sorted(data.draw(st.integers(0, len(rows))) for _ in range(2))
    first, second = VolumeHoles(), VolumeHoles()
    before = first.check("krx", rows[:saved_at])
    state = first.state()
    between = first.check("krx", rows[saved_at:killed_at])
    spool: list[Any] = list(between.rows)
    for hole in reversed(between.holes):
        spool.insert(hole.at, hole)

    second.load(state)
    for one in spool:
        if isinstance(one, Hole):
            second.restore_hole("krx", one)
        else:
            second.restore("krx", [one])
    after = second.check_all("krx", rows[killed_at:])

    told = missing([*before.holes, *between.holes, *after.holes]) * SHARE - first.late_volume - second.late_volume
    assert sum(row["size"] for row in rows) + told == end
