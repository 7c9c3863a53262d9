"""What becomes of batches that were lost: hastened when the broker was away, sent alone, given up when only they never
come back."""

from ingest.in_flight import FAILURES_TO_DEATH, InFlightBatch, InFlightWindow


def entry(seq: int, stream: int = 1) -> InFlightBatch:
    return InFlightBatch(
        number=stream << 32 | seq, stream=stream, seq=seq, payload=b"x" * 10, rows=10, received_us=0, source_id=5,
        register_market=None, since=0.0,
    )  # fmt: skip


def lose(window: InFlightWindow, now: float) -> float:
    """Whatever is out is never heard of; the time when it is overdue."""
    window.published(window.next_message(), now)
    later = max(f.due for f in window.by_number.values())
    window.overdue(later)
    return later


def test_a_batch_that_was_lost_twice_goes_alone():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    for seq in (1, 2):
        window.add(entry(seq))
    later = lose(window, lose(window, 0.0))
    window.add(entry(3))

    messages = [window.next_message() for _ in range(4)]

    assert [[f.seq for f in message] for message in messages] == [[1], [2], [3], []]
    assert later > 0


def test_a_batch_that_never_comes_back_while_others_commit_is_given_up():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1))
    now = lose(window, lose(window, 0.0))

    for turn in range(FAILURES_TO_DEATH):
        alone = window.next_message()
        window.published(alone, now)
        window.add(entry(turn + 2, stream=2))
        window.published(window.next_message(), now)
        window.settle(2 << 32 | turn + 2, now + 0.1)
        now = alone[0].due
        window.overdue(now)

    assert window.by_number[1 << 32 | 1].dead is not None


def test_a_batch_is_not_given_up_while_nothing_at_all_is_committed():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1))
    now = 0.0

    for _ in range(3 * FAILURES_TO_DEATH):
        now = lose(window, now)

    assert window.by_number[1 << 32 | 1].dead is None
    assert window.by_number[1 << 32 | 1].failures == 0


def test_what_a_broker_may_have_lost_is_due_soon_after_it_is_back():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1))
    window.published(window.next_message(), 100.0)

    window.hasten(100.5, 1.0)

    assert window.overdue(101.4) == []
    assert [one.seq for one in window.overdue(101.5)] == [1]
