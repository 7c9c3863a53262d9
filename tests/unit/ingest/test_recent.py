from hypothesis import given
from hypothesis import strategies as st

from ingest.recent import BATCH_BYTES, Recent, RecentBatch
from terminals import wire
from tests.market import NINE_US, price


def recent(seq: int, trades: list[tuple[str, int]]) -> RecentBatch:
    """A batch of trades (symbol, price) as it came off the wire."""
    rows = [
        {"symbol": symbol, "time": NINE_US + seq, "price": str(won), "size": 1, "seq": at}
        for at, (symbol, won) in enumerate(trades)
    ]
    return RecentBatch(wire.encode_rows(seq, "krx", 1, rows), number=seq, source_id=4, rows=len(rows))


def prices(kept: Recent, count: int) -> list[int]:
    return [won for ticks in kept.newest(count) for won in ticks.price.tolist()]


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 30))
def test_the_newest_ticks_are_told_oldest_first(sizes, count):
    kept, history = Recent(max_bytes=1 << 20, max_age_s=60.0), []

    for seq, size in enumerate(sizes, 1):
        trades = [("A", 100 * seq + at) for at in range(size)]
        history += [price(str(won)) for _, won in trades]
        kept.add(recent(seq, trades), now=0.0)

    assert prices(kept, count) == history[max(0, len(history) - count) :]
    assert len(kept) == len(history)


def test_no_more_batches_are_opened_than_it_takes():
    kept = Recent(max_bytes=1 << 20, max_age_s=60.0)
    batches = [recent(seq, [("A", seq), ("A", seq)]) for seq in range(1, 6)]
    for batch in batches:
        kept.add(batch, now=0.0)

    kept.newest(3)

    assert [batch._opened for batch in batches] == [False, False, False, True, True]


@given(st.lists(st.integers(0, 2_000), max_size=60))
def test_bytes_have_a_limit_and_the_oldest_go_first(sizes):
    kept = Recent(max_bytes=8_000, max_age_s=60.0)

    for number, size in enumerate(sizes):
        kept.add(RecentBatch(bytes(size), number=number, source_id=4, rows=1), now=0.0)

    left, numbers = 8_000, []
    for number, size in reversed(list(enumerate(sizes))):
        left -= size + BATCH_BYTES
        if left < 0:
            break
        numbers.append(number)
    assert kept.nbytes <= 8_000
    assert len(kept) == len(numbers)
    assert [batch.number for _, batch in kept.take()] == numbers[::-1]
    assert (len(kept), kept.nbytes) == (0, 0)


def test_what_is_too_old_is_forgotten():
    kept = Recent(max_bytes=1 << 20, max_age_s=60.0)
    for seq in range(1, 4):
        kept.add(recent(seq, [("A", seq)]), now=30.0 * seq)

    kept.expire(now=115.0)

    assert prices(kept, 9) == [price("2"), price("3")]
    assert len(kept) == 2


def test_a_batch_that_cannot_be_read_hides_no_other():
    kept = Recent(max_bytes=1 << 20, max_age_s=60.0)
    kept.add(recent(1, [("A", 1)]), now=0.0)
    kept.add(RecentBatch(b"no batch", number=2, source_id=4, rows=5), now=0.0)

    assert prices(kept, 2) == [price("1")]
