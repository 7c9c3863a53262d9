"""What is missing comes back as it was told, and a gap that says nothing is a batch error."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

TIMES = st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**61)).map(lambda pair: (pair[0], pair[0] + pair[1]))
GAP = st.builds(
    lambda times, *said: wire.Gap(times[0], times[1], *said),
    TIMES, st.integers(0, 2**40), st.sampled_from(["spool_full", "volume_hole", "x" * 200]),
    st.none() | st.sampled_from(["005930", "ES H4"]), st.none() | st.integers(0, 10**18 - 1),
    st.none() | st.integers(0, 40_000),
)  # fmt: skip


def parsed(payload):
    return wire.parse_gaps(payload, wire.parse_header(payload))


def with_body(content):
    return wire.encode_gap(3, "sim", 9, 1, 7, 1, "spool_full")[:40] + json.dumps(content).encode()


def test_a_gap_comes_back_as_it_was():
    payload = wire.encode_gap(3, "sim", 9, -5, 7, 1234, "spool_full")

    header = wire.parse_header(payload)

    assert (header.encoding, header.rows) == (wire.Encoding.GAP, 0)
    assert parsed(payload) == [wire.Gap(-5, 7, 1234, "spool_full")]


@given(st.lists(GAP, min_size=1, max_size=8))
def test_gaps_of_symbols_come_back_to_the_share(gaps):
    assert parsed(wire.encode_gaps(3, "sim", 9, gaps)) == gaps


def test_a_single_gap_of_a_symbol_is_an_object_that_the_first_version_reads_as_a_gap_of_its_feed():
    body = wire.encode_gaps(3, "sim", 9, [wire.Gap(1, 7, 0, "volume_hole", "005930", 120_500_000, 20_000)])[40:]

    assert json.loads(body) == {
        "from_us": 1, "to_us": 7, "rows": 0, "reason": "volume_hole", "symbol": "005930", "missing": "120.5",
        "trade_date": "2024-10-04",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"rows": -1}, {"rows": True}, {"from_us": 8}, {"to_us": None}, {"reason": ""}, {"reason": 1}, {"symbol": ""},
     {"symbol": "삼성"}, {"symbol": 5930}, {"missing": -1}, {"missing": "1e"}, {"missing": True},
     {"missing": "0.0000001"}, {"missing": 10**20}, {"trade_date": 20000}, {"trade_date": "2023-13-01"},
     {"trade_date": "2023-W01-1"}],
)  # fmt: skip
def test_a_gap_that_says_nothing_is_refused(change):
    content = {"from_us": 1, "to_us": 7, "rows": 1, "reason": "spool_full", **change}

    for told in (content, [content]):
        with pytest.raises(wire.BatchError, match="bad_batch"):
            parsed(with_body(told))


def test_what_is_no_gap_is_refused_by_whoever_writes_it_too():
    good = wire.Gap(1, 7, 1, "x")
    for change in ({"from_us": 8}, {"reason": ""}, {"symbol": "삼성"}, {"missing": -1}, {"trade_date": 10**9}):
        wrong = dataclasses.replace(good, **change)
        with pytest.raises(wire.BatchError, match="bad_batch"):
            wire.encode_gaps(3, "sim", 9, [wrong])


@pytest.mark.parametrize("content", [[], [[]], "gap", None, 5])
def test_a_body_without_gaps_is_refused(content):
    with pytest.raises(wire.BatchError, match="bad_batch"):
        parsed(with_body(content))


def test_more_gaps_than_a_batch_has_room_for_are_told_so():
    payload = wire.encode_gaps(3, "sim", 9, [wire.Gap(1, 2, 0, "x")] * (wire.BATCH_GAPS + 1))

    with pytest.raises(wire.BatchError, match="too_many_rows"):
        parsed(payload)


def test_gaps_cut_anywhere_are_refused():
    payload = wire.encode_gaps(3, "sim", 9, [wire.Gap(1, 7, 2, "x", "005930", 5, 3), wire.Gap(1, 7, 2, "y")])

    for end in range(len(payload)):
        with pytest.raises(wire.BatchError):
            parsed(payload[:end])
