"""A batch is due when it is full or its first row has waited."""

import pytest

from terminals import wire
from terminals.batcher import Batcher, Batchers

TICKS = wire.Encoding.COLUMNS


def test_a_batch_waits_since_its_first_row_came():
    batcher = Batcher("krx", TICKS, max_rows=10)
    assert batcher.since == float("inf")

    batcher.add({"symbol": "A"}, now=100.0, now_us=1)
    batcher.add({"symbol": "B"}, now=100.04, now_us=1)

    assert batcher.since == 100.0


@pytest.mark.parametrize(
    ("uncommitted", "max_wait_s", "wait_s"),
    [(0, 0.05, 0.01), (3, 0.05, 0.01), (8, 0.05, 0.025), (16, 0.05, 0.05), (900, 0.05, 0.05), (0, 0.002, 0.002)],
)
def test_rows_wait_the_longer_the_more_batches_are_uncommitted(uncommitted, max_wait_s, wait_s):
    batchers = Batchers(max_rows=10, max_wait_s=max_wait_s)
    batchers.of("krx", {}).add({"symbol": "A"}, now=100.0, now_us=1)

    assert batchers.due_at(uncommitted) == 100.0 + wait_s


def test_a_full_batch_takes_no_more():
    batcher = Batcher("krx", TICKS, max_rows=2)
    for _ in range(2):
        assert not batcher.full
        batcher.add({"symbol": "A"}, now=0, now_us=1)

    assert batcher.full


def test_the_bounds_are_those_of_the_event_times():
    batcher = Batcher("krx", TICKS, max_rows=10)
    for time_us in (30, 10, 20):
        batcher.add({"time_us": time_us}, now=0, now_us=99)
    assert (batcher.from_us, batcher.to_us) == (10, 30)

    batcher.add({"symbol": "no time"}, now=0, now_us=99)
    assert batcher.to_us == 99


def test_rows_are_collected_by_feed_and_by_what_they_are():
    batchers = Batchers(max_rows=10, max_wait_s=1)
    sent = [
        ("krx", {"symbol": "A", "price": 1}), ("nxt", {"symbol": "A", "price": 2}),
        ("krx", {"kind": wire.Kind.BOOK, "symbol": "A", "bids": ((1, 2),)}),
        ("krx", {"kind": wire.Kind.STATUS, "event": "vi"}),
        ("krx", {"symbol": "B", "kind": wire.Kind.SNAPSHOT, "open": 3}),
    ]  # fmt: skip
    for number, (feed, row) in enumerate(sent):
        batchers.of(feed, row).add(row, now=float(number), now_us=1)

    headers = [wire.parse_header(one.encode(5)) for one in batchers]

    assert [(one.feed, one.encoding.name, one.rows) for one in headers] == [
        ("krx", "COLUMNS", 2), ("nxt", "COLUMNS", 1), ("krx", "BOOKS", 1), ("krx", "EVENTS", 1)
    ]  # fmt: skip
    assert batchers.due_at(0) == 0.01


def test_what_was_taken_out_is_forgotten_and_the_others_wait_on():
    batchers = Batchers(max_rows=10, max_wait_s=1)
    for number, feed in enumerate(("krx", "nxt")):
        batchers.of(feed, {}).add({"symbol": "A"}, now=float(number), now_us=1)

    first, second = batchers
    batchers.forget(first)

    assert list(batchers) == [second]
    assert batchers.due_at(0) == 1.01
    batchers.forget(second)
    assert batchers.due_at(0) == float("inf")


def test_a_batch_is_never_longer_than_its_encoding_allows_whatever_the_limit_of_rows():
    for row, most in (({"symbol": "A"}, wire.BATCH_ROWS), ({"kind": wire.Kind.BOOK, "symbol": "A"}, wire.BATCH_BOOKS)):
        batcher = Batchers(max_rows=1_000_000, max_wait_s=1).of("krx", row)
        while not batcher.full:
            batcher.add(row, now=0, now_us=1)

        assert len(batcher) == most


def test_a_feed_that_can_be_none_is_told_so_when_a_row_comes():
    with pytest.raises(wire.BatchError, match="feed 'KRX'"):
        Batchers(max_rows=10, max_wait_s=1).of("KRX", {})
