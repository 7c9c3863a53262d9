import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from ingest.recent import BATCH_BYTES, Recent, RecentBatch
from marketdata.types import decoding
from terminals import wire
from tests.market import NINE_US, price


def batch(payload: bytes, *, number: int = 1, rows: int = 1, client: str = "desk") -> RecentBatch:
    """A batch that came a second after nine."""
    return RecentBatch(
        payload=payload, number=number, source_id=4, rows=rows, client=client, received_us=NINE_US + 1_000_000
    )


def recent(seq: int, trades: list[tuple[str, int]], *, client: str = "desk", feed: str = "krx") -> RecentBatch:
    """A batch of trades (symbol, price) as it came off the wire."""
    rows = [
        {"symbol": symbol, "time": NINE_US + seq, "price": str(won), "size": 1, "seq": at}
        for at, (symbol, won) in enumerate(trades)
    ]
    return batch(wire.encode_rows(seq, feed, 1, rows), number=seq, rows=len(rows), client=client)


def prices(kept: Recent, count: int, symbol: str | None = None) -> list[int]:
    return [won for _, ticks in kept.newest(count, symbol) for won in ticks.price.tolist()]


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 30))
def test_the_newest_ticks_are_told_oldest_first(sizes, count):
    kept, history = Recent(max_bytes=1 << 20, max_age_s=60.0), []

    for seq, size in enumerate(sizes, 1):
        trades = [("A", 100 * seq + at) for at in range(size)]
        history += [price(str(won)) for _, won in trades]
        kept.add(recent(seq, trades), now=0.0)

    assert prices(kept, count) == history[max(0, len(history) - count) :]
    assert len(kept) == len(history)


@given(st.lists(st.lists(st.sampled_from("AB"), max_size=5), max_size=20), st.integers(0, 30))
def test_the_newest_ticks_of_a_symbol_are_told_with_the_batch_they_came_in(batches, count):
    kept, history = Recent(max_bytes=1 << 20, max_age_s=60.0), []

    for seq, symbols in enumerate(batches, 1):
        kept.add(recent(seq, [(symbol, 100 * seq + at) for at, symbol in enumerate(symbols)]), now=0.0)
        history += [(seq, price(str(100 * seq + at))) for at, symbol in enumerate(symbols) if symbol == "A"]

    told = [(one.number, won) for one, ticks in kept.newest(count, "A") for won in ticks.price.tolist()]
    assert told == history[max(0, len(history) - count) :]


def test_no_more_batches_are_opened_than_it_takes(monkeypatch):
    kept = Recent(max_bytes=1 << 20, max_age_s=60.0)
    for seq in range(1, 6):
        kept.add(recent(seq, [("A", seq), ("A", seq)]), now=0.0)
    opened, read = [], decoding.from_wire

    def counting(payload, **known):
        opened.append(known["batch"])
        return read(payload, **known)

    monkeypatch.setattr(decoding, "from_wire", counting)

    kept.newest(3)

    assert opened == [5, 4]


def test_looking_at_batches_holds_no_more_memory():
    kept = Recent(max_bytes=1 << 20, max_age_s=60.0)
    kept.add(recent(1, [("A", 1)]), now=0.0)
    ((_, ticks),) = kept.newest(9)
    price_column = weakref.ref(ticks.price)

    del ticks
    gc.collect()

    assert price_column() is None


def test_several_threads_may_add_and_look():
    kept, added = Recent(max_bytes=100_000, max_age_s=60.0), 3_000
    batches = [recent(seq, [("A", seq)]) for seq in range(1, added + 1)]

    def look() -> bool:
        told = prices(kept, 10)
        return told == sorted(told)

    with ThreadPoolExecutor(2) as others:
        looks = [others.submit(look) for _ in range(300)]
        for at, one in enumerate(batches):
            kept.add(one, now=float(at) / 100)

    assert all(one.result() for one in looks)
    assert prices(kept, 3) == [price(str(added - 2)), price(str(added - 1)), price(str(added))]


@given(st.lists(st.integers(0, 2_000), max_size=60))
def test_bytes_have_a_limit_and_the_oldest_go_first(sizes):
    kept = Recent(max_bytes=8_000, max_age_s=60.0)

    for number, size in enumerate(sizes):
        kept.add(batch(bytes(size), number=number), now=0.0)

    left, numbers = 8_000, []
    for number, size in reversed(list(enumerate(sizes))):
        left -= size + BATCH_BYTES
        if left < 0:
            break
        numbers.append(number)
    assert kept.nbytes <= 8_000
    assert len(kept) == len(numbers)
    assert kept.batches == len(numbers)
    assert [taken[1].number for taken in iter(kept.take_oldest, None)] == numbers[::-1]
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
    kept.add(batch(b"no batch", number=2, rows=5), now=0.0)

    assert prices(kept, 2) == [price("1")]
