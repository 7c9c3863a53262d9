from hypothesis import given
from hypothesis import strategies as st

from ingest.streams import MOST_RANGES, Stream


@given(st.lists(st.integers(1, 60), max_size=80))
def test_commit_is_how_far_everything_is_committed_in_whatever_order(seqs):
    stream = Stream(1)

    for seq in seqs:
        stream.settle(seq)

    missing = next(seq for seq in range(1, 100) if seq not in seqs)
    assert stream.commit == missing - 1
    assert {seq for first, last in stream.ranges() for seq in range(first, last + 1)} == {
        seq for seq in seqs if seq > missing
    }
    assert all(stream.has(seq) == (seq in seqs) for seq in range(1, 70))


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), max_size=8))
def test_what_the_ledger_says_can_only_add(commit, spans):
    stream = Stream(1)
    stream.settle(1)
    ranges = [(first, first + length) for first, length in spans]

    stream.merge(commit, ranges)

    known = {1, *range(1, commit + 1), *(seq for first, last in ranges for seq in range(first, last + 1))}
    assert {seq for seq in range(1, 80) if stream.has(seq)} == known
    assert stream.commit + 1 not in known


def test_only_the_lowest_ranges_are_told():
    stream = Stream(1)

    for seq in range(3, 3 + 4 * MOST_RANGES, 2):
        stream.settle(seq)

    assert stream.ranges() == [(seq, seq) for seq in range(3, 3 + 2 * MOST_RANGES, 2)]


def test_what_an_audit_found_missing_is_taken_again_until_it_is_settled():
    stream = Stream(1)
    stream.merge(10, [])

    stream.want([(4, 5)])
    before = [seq for seq in range(1, 11) if not stream.has(seq)]
    stream.settle(4)

    assert before == [4, 5]
    assert (stream.has(4), stream.has(5), stream.commit) == (True, False, 10)


def test_an_audit_of_everything_does_not_fill_the_memory():
    stream = Stream(1)

    stream.want([(1 + at * 100_000, 99_999 + at * 100_000) for at in range(1000)])

    assert len(stream.wanted) <= 10_000
    assert not stream.has(1)
