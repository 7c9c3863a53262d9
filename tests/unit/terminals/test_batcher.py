"""A batch is due when it is full or its first row has waited."""

from terminals.batcher import Batcher


def test_a_small_batch_is_due_once_its_first_row_has_waited():
    batcher = Batcher(max_rows=10, max_wait_s=0.05)
    assert batcher.due_at() == float("inf")

    batcher.add({"symbol": "A"}, now=100.0, now_us=1)
    batcher.add({"symbol": "B"}, now=100.04, now_us=1)

    assert batcher.due_at() == 100.05


def test_a_full_batch_takes_no_more():
    batcher = Batcher(max_rows=2, max_wait_s=1)
    for _ in range(2):
        assert not batcher.full
        batcher.add({"symbol": "A"}, now=0, now_us=1)

    assert batcher.full


def test_the_bounds_are_those_of_the_event_times():
    batcher = Batcher(max_rows=10, max_wait_s=1)
    for time_us in (30, 10, 20):
        batcher.add({"time_us": time_us}, now=0, now_us=99)
    assert (batcher.from_us, batcher.to_us) == (10, 30)

    batcher.add({"symbol": "no time"}, now=0, now_us=99)
    assert batcher.to_us == 99
    batcher.clear()

    assert len(batcher) == 0
    assert batcher.due_at() == float("inf")
