from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from ingest import dataset as dataset_module
from ingest.dataset import Dataset
from ingest.ring import ROW
from terminals import wire
from tests import market
from tests.market import NINE_US, price, size
from tests.unit.ingest.test_recent import batch, recent

FEEDS = ("krx", "nxt")
CLIENTS = ("desk-1", "desk-2")


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


def prices(of: Dataset, feed: str, symbol: str, count: int = 10_000, *, now: float = 0.0) -> list[int | None]:
    return [row.price for row in of.recent(symbol, count, now=now) if row.feed == feed]


_batches = st.lists(
    st.tuples(
        st.sampled_from(CLIENTS), st.sampled_from(FEEDS), st.lists(st.sampled_from(["A", "B", "C", None]), max_size=12)
    ),
    max_size=20,
)


@given(_batches, st.integers(1, 30))
def test_a_symbol_is_read_newest_first_and_its_senders_by_what_they_sent_last(batches, rows):
    kept, history, total = dataset(rows=rows), [], 1

    for client, feed, symbols in batches:
        kept.add(client, ticks(symbols, first=total, feed=feed), now=0.0)
        history += [(client, feed, symbol, total + at) for at, symbol in enumerate(symbols) if symbol is not None]
        total += len(symbols)

    window = history[-rows:]
    last = {(symbol, feed, client): price for client, feed, symbol, price in window}
    count = Counter((symbol, feed, client) for client, feed, symbol, _ in window)
    senders = sorted(last, key=lambda series: (*series[:2], -last[series]))
    told, in_all = kept.latest(100, now=0.0)
    assert [(one.symbol, one.feed, one.client, one.price, one.rows) for one in told] == [
        (*series, last[series], count[series]) for series in senders
    ]
    assert in_all == len(senders)
    for symbol in ("A", "B", "C"):
        assert [(one.client, one.feed, one.price) for one in kept.recent(symbol, 100, now=0.0)] == [
            (client, feed, price) for client, feed, s, price in reversed(window) if s == symbol
        ]
        assert kept.latest(100, symbol, now=0.0)[0] == [one for one in told if one.symbol == symbol]
    assert len(kept) == len(window)


def test_a_price_is_told_although_quotes_came_after_it():
    kept = dataset()
    rows = [
        {"symbol": "A", "price": price("70000.5"), "size": size("3"), "time_us": NINE_US},
        {"symbol": "A", "kind": wire.Kind.QUOTE, "bid": price("70000"), "time_us": NINE_US + 1},
        {"symbol": "B", "kind": wire.Kind.QUOTE, "bid": price("90"), "time_us": NINE_US + 2},
    ]

    kept.add("desk-1", market.ticks(rows), now=0.0)

    a, b = kept.latest(9, now=0.0)[0]
    assert (a.symbol, a.price, a.size, a.time_us, a.rows) == ("A", price("70000.5"), size("3"), NINE_US, 2)
    assert (b.symbol, b.price, b.size, b.kind, b.rows) == ("B", None, None, wire.Kind.QUOTE, 1)


def test_only_as_many_as_asked_for_are_read():
    kept = dataset()
    kept.add("desk-1", ticks(["A"] * 9), now=0.0)

    assert prices(kept, "krx", "A", 3) == [8, 7, 6]


def test_what_nobody_sent_is_not_there():
    kept = dataset()

    assert kept.latest(5, "A", now=0.0) == ([], 0)
    assert kept.recent("A", 5, now=0.0) == []


def test_old_ticks_are_forgotten_and_their_series_goes_on():
    kept = dataset(max_age_s=60.0)
    kept.add("desk-1", ticks(["A", "B"], first=1), now=0.0)
    kept.add("desk-1", ticks(["A"], first=10), now=50.0)

    kept.expire(now=61.0)
    kept.add("desk-1", ticks(["A", "B"], first=20), now=62.0)

    assert prices(kept, "krx", "A", now=62.0) == [20, 10]
    assert prices(kept, "krx", "B", now=62.0) == [21]
    assert prices(kept, "krx", "A", now=111.0) == [20]  # whoever asks finds nothing that is too old


def test_memory_is_told_and_stays_within_the_limit():
    kept = Dataset(max_bytes=100_000, max_age_s=60.0)

    for at in range(50):
        kept.add("desk-1", ticks(["A", "B", "C"] * 100, first=at), now=float(at))

    assert 0 < kept.nbytes < 100_000 + 20_000
    assert kept.latest(9, now=49.0)[1] == 3


def test_batches_are_opened_when_somebody_asks_and_then_tell_what_opened_ones_would_have():
    kept, opened = dataset(rows=10_000), dataset(rows=10_000)
    batches = [recent(seq, [("A", seq), ("B", 10 * seq)]) for seq in range(1, 30)]
    for seq, one in enumerate(batches):
        kept.keep(one, now=float(seq))
        ticks_of = one.ticks()
        assert ticks_of is not None
        opened.add("desk", ticks_of, now=float(seq))

    assert len(kept) == len(opened) == 58
    for symbol in ("A", "B"):
        assert kept.recent(symbol, 100, now=29.0) == opened.recent(symbol, 100, now=29.0) != []
    assert len(kept) == 58
    kept.keep(recent(30, [("A", 7)]), now=30.0)
    assert [one.price for one in kept.latest(9, "A", now=30.0)[0]] == [price("7")]


def test_a_batch_that_cannot_be_read_hides_no_other():
    kept = dataset()
    kept.keep(recent(1, [("A", 1)]), now=0.0)
    kept.keep(batch(b"no batch", number=2, rows=9), now=0.0)
    kept.keep(recent(3, [("A", 3)]), now=0.0)

    assert prices(kept, "krx", "A") == [price("3"), price("1")]
    assert len(kept) == 2


def test_thousands_of_series_are_kept_apart():
    kept = dataset(rows=5000)
    codes = [f"{at:06d}" for at in range(3000)]

    kept.add("desk-1", ticks(codes, first=1), now=0.0)

    assert [prices(kept, "krx", code) for code in codes] == [[at + 1] for at in range(3000)]


def test_when_there_are_too_many_series_those_nobody_sends_any_more_make_room(monkeypatch):
    monkeypatch.setattr(dataset_module, "MOST_SERIES", 4)
    kept = dataset(max_age_s=60.0)
    kept.add("desk-1", ticks(["A", "B", "C", "D"], first=1), now=0.0)

    kept.add("desk-1", ticks(["E", "A"], first=10), now=1.0)
    full = {one.symbol for one in kept.latest(9, now=1.0)[0]}
    kept.add("desk-1", ticks(["A"], first=20), now=50.0)
    kept.expire(now=62.0)
    kept.add("desk-1", ticks(["E", "F", "A"], first=30), now=62.0)

    assert full == {"A", "B", "C", "D"}
    assert [(one.symbol, one.price) for one in kept.latest(9, now=62.0)[0]] == [("A", 32), ("E", 30), ("F", 31)]
    assert prices(kept, "krx", "A", now=62.0) == [32, 20]
    assert prices(kept, "krx", "E", now=62.0) == [30]
    assert prices(kept, "krx", "B", now=62.0) == []

    # A number is unused, and more are wanted than that.
    kept.expire(now=200.0)
    kept.add("desk-1", ticks(["G", "H", "I"], first=40), now=200.0)
    assert [(one.symbol, one.price) for one in kept.latest(9, now=200.0)[0]] == [("G", 40), ("H", 41), ("I", 42)]


def test_to_keep_a_batch_waits_for_nobody_who_asks():
    kept = dataset(rows=10_000)

    with kept._lock, ThreadPoolExecutor(1) as other:  # somebody asks, and it takes long
        other.submit(kept.keep, recent(1, [("A", 1)]), now=0.0).result(300)
        other.submit(kept.expire, now=0.0).result(300)
        held = other.submit(lambda: (len(kept), kept.nbytes > 0)).result(300)

    assert held == (1, True)
