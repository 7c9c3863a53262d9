import datetime
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.kis.volume_holes import BEFORE_FIRST, FELL, HOLE, Hole, VolumeHoles
from terminals.wire import Kind

DAY = (datetime.date(2026, 11, 20) - datetime.date(1970, 1, 1)).days
MIDNIGHT_US = DAY * 86_400_000_000 - 9 * 3_600_000_000
SHARE = 10**6


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


def missing(holes):
    return sum(one.missing or 0 for one in holes) // SHARE


def test_trades_without_a_hole_are_let_through():
    found = VolumeHoles().check("krx", rows := trades([5, 1, 7]))

    assert (found.rows, found.holes) == (rows, [])


def test_a_hole_has_its_bounds_and_its_shares():
    rows = trades([5, 1, 7, 2])
    tracker = VolumeHoles()

    found = tracker.check("krx", [rows[0], rows[3]])

    assert found.rows == [rows[0], rows[3]]
    (hole,) = found.holes
    assert (hole.symbol, hole.missing, hole.reason, hole.trade_date) == ("005930", 8 * SHARE, HOLE, DAY)
    assert (hole.from_us, hole.to_us) == (rows[0]["time_us"], rows[3]["time_us"])
    assert tracker.missing_volume == 8 * SHARE


def test_what_the_day_had_traded_before_the_first_trade_is_a_hole_too():
    found = VolumeHoles().check("krx", trades([3], first=100))

    (hole,) = found.holes
    assert (hole.missing, hole.reason, hole.from_us) == (100 * SHARE, BEFORE_FIRST, MIDNIGHT_US)


def test_a_new_business_date_begins_at_nothing():
    tracker = VolumeHoles()
    tracker.check("krx", trades([5, 5]))

    found = tracker.check("krx", trades([4], date=DAY + 1) + trades([4], date=DAY + 2, first=6))

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


def test_two_equal_trades_of_one_second_are_two_trades():
    rows = trades([5, 5])
    rows[1]["time_us"] = rows[0]["time_us"]

    assert len(VolumeHoles().check("krx", rows).rows) == 2


def test_a_trade_that_comes_late_into_its_hole_is_sent_and_told_as_late():
    rows = trades([5, 1, 7, 2])
    tracker = VolumeHoles()
    tracker.check("krx", [rows[0], rows[3]])

    found = tracker.check("krx", [rows[1], *trades([5, 1, 7, 2, 3])[4:]])

    assert len(found.rows) == 2
    assert found.holes == []
    assert (tracker.late, tracker.late_volume) == (1, SHARE)


def test_a_volume_that_falls_is_told_and_costs_no_trade():
    tracker = VolumeHoles()
    tracker.check("krx", trades([100, 100]))

    found = tracker.check("krx", trades([3, 4, 5]))

    assert len(found.rows) == 3
    assert [(one.missing, one.reason) for one in found.holes] == [(None, FELL)]


def test_one_wrong_volume_among_right_ones_takes_no_trade_away():
    rows = trades([5, 1, 7, 2, 3])
    rows[2] = {**rows[2], "cum_volume": 10_000 * SHARE}

    found = VolumeHoles().check("krx", rows)

    assert found.rows == rows


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

    found = tracker.check("krx", repeated)

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
    after = second.check("krx", rows[killed_at:])

    in_spool = [one for one in spool if not isinstance(one, Hole)]
    told = missing(before.holes) + missing(one for one in spool if isinstance(one, Hole)) + missing(after.holes)
    sent = [*before.rows, *in_spool, *after.rows]
    if after.rows:
        assert sum(row["size"] for row in sent) // SHARE + told == rows[-1]["cum_volume"] // SHARE


def test_what_is_no_state_is_refused():
    for state in ({}, {"accounts": 1}, {"accounts": [[1]]}):
        with pytest.raises(ValueError, match=r"accounts|unpack"):
            VolumeHoles().load(state)


def test_many_symbols_at_once_lose_nothing():
    rng = random.Random(3)
    rows = [row for number in range(50) for row in trades([rng.randint(1, 99)] * 20, symbol=f"{number:06d}")]
    rng.shuffle(rows)
    rows.sort(key=lambda row: row["time_us"])
    kept = [row for row in rows if rng.random() < 0.9]
    tracker = VolumeHoles()

    found = tracker.check("krx", kept)

    last = {row["symbol"]: row["cum_volume"] for row in kept}
    assert sum(row["size"] for row in kept) + missing(found.holes) * SHARE == sum(last.values())
