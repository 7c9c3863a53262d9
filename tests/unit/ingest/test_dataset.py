from hypothesis import given
from hypothesis import strategies as st

from ingest.dataset import Dataset
from ingest.recent import RecentBatch
from ingest.ring import ROW
from tests import market
from tests.market import NINE_US, price
from tests.unit.ingest.test_recent import recent

FEEDS = ("krx", "nxt")


def dataset(*, rows: int = 1000, max_age_s: float = 60.0) -> Dataset:
    """Room for so many rows that were opened."""
    return Dataset(max_bytes=2 * rows * ROW.itemsize, max_age_s=max_age_s)


def ticks(symbols, *, first: int = 0, feed: str = "krx"):
    """A tick a symbol, prices counting on from `first`."""
    found = market.ticks(
        [
            {"symbol": symbol or "none", "price": first + at, "time_us": NINE_US + first + at}
            for at, symbol in enumerate(symbols)
        ],
        feed=feed,
    )
    found.symbol[[at for at, symbol in enumerate(symbols) if symbol is None]] = -1
    return found


def prices(of: Dataset, feed: str, symbol: str, count: int = 10_000) -> list[int]:
    return [row["price"] for row in of.recent(feed, symbol, count)]


_batches = st.lists(
    st.tuples(st.sampled_from(FEEDS), st.lists(st.sampled_from(["A", "B", "C", None]), max_size=12)), max_size=20
)


@given(_batches, st.integers(1, 30))
def test_a_series_is_read_newest_first_also_after_the_window_has_wrapped_around(batches, rows):
    kept, history, total = dataset(rows=rows), [], 1

    for feed, symbols in batches:
        kept.add(ticks(symbols, first=total, feed=feed), now=0.0)
        history += [(feed, symbol, total + at) for at, symbol in enumerate(symbols) if symbol is not None]
        total += len(symbols)

    window = history[-rows:]
    for feed in FEEDS:
        for symbol in ("A", "B", "C"):
            wanted = [price for f, s, price in reversed(window) if (f, s) == (feed, symbol)]
            assert prices(kept, feed, symbol) == wanted
            latest = kept.latest(feed, symbol)
            assert (latest["price"] if latest else None) == (wanted[0] if wanted else None)
    assert len(kept) == len(window)


def test_only_as_many_as_asked_for_are_read():
    kept = dataset()
    kept.add(ticks(["A"] * 9), now=0.0)

    assert prices(kept, "krx", "A", 3) == [8, 7, 6]


def test_what_nobody_sent_is_not_there():
    kept = dataset()

    assert kept.latest("krx", "A") is None
    assert kept.recent("krx", "A", 5) == []


def test_old_ticks_are_forgotten_and_their_series_goes_on():
    kept = dataset(max_age_s=60.0)
    kept.add(ticks(["A", "B"], first=1), now=0.0)
    kept.add(ticks(["A"], first=10), now=50.0)

    kept.expire(now=61.0)
    kept.add(ticks(["A", "B"], first=20), now=62.0)

    assert prices(kept, "krx", "A") == [20, 10]
    assert prices(kept, "krx", "B") == [21]


def test_memory_is_told_and_stays_within_the_limit():
    kept = Dataset(max_bytes=100_000, max_age_s=60.0)

    for at in range(50):
        kept.add(ticks(["A", "B", "C"] * 100, first=at), now=float(at))

    assert 0 < kept.nbytes < 100_000 + 20_000
    assert kept.series == 3


def test_batches_are_opened_when_somebody_asks_and_then_tell_what_opened_ones_would_have():
    kept, opened = dataset(rows=10_000), dataset(rows=10_000)
    batches = [recent(seq, [("A", seq), ("B", 10 * seq)]) for seq in range(1, 30)]
    for seq, batch in enumerate(batches):
        kept.keep(batch, now=float(seq))
        ticks_of = batch.ticks()
        assert ticks_of is not None
        opened.add(ticks_of, now=float(seq))

    assert len(kept) == len(opened) == 58
    for symbol in ("A", "B"):
        assert kept.recent("krx", symbol, 100) == opened.recent("krx", symbol, 100) != []
    assert len(kept) == 58
    kept.keep(recent(30, [("A", 7)]), now=30.0)
    latest = kept.latest("krx", "A")
    assert latest is not None
    assert latest["price"] == price("7")


def test_a_batch_that_cannot_be_read_hides_no_other():
    kept = dataset()
    kept.keep(recent(1, [("A", 1)]), now=0.0)
    kept.keep(RecentBatch(b"no batch", number=2, source_id=4, rows=9), now=0.0)
    kept.keep(recent(3, [("A", 3)]), now=0.0)

    assert prices(kept, "krx", "A") == [price("3"), price("1")]
    assert len(kept) == 2


def test_thousands_of_series_are_kept_apart():
    kept = dataset(rows=5000)
    codes = [f"{at:06d}" for at in range(3000)]

    kept.add(ticks(codes, first=1), now=0.0)

    assert [prices(kept, "krx", code) for code in codes] == [[at + 1] for at in range(3000)]
