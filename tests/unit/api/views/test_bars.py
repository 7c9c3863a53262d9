"""Which candles say that something in them was lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.views import bars

SPANS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=8
)  # how long each candle, how long till next
GAPS = st.lists(st.tuples(st.integers(-3, 60), st.integers(0, 20)), max_size=6)


@given(SPANS, GAPS, st.booleans())
def test_a_candle_says_gap_exactly_if_one_of_the_gaps_lies_in_its_time(spans, gaps, descending):
    starts, ends, at = [], [], 0
    for length, pause in spans:
        starts.append(at)
        ends.append(at + length)
        at += length + pause
    told = [(first, first + length) for first, length in gaps]
    if descending:
        starts, ends = starts[::-1], ends[::-1]

    found = bars.touched(np.array(starts, np.int64), np.array(ends, np.int64), told)

    assert found.tolist() == [
        any(start <= last and first < end for first, last in told) for start, end in zip(starts, ends, strict=True)
    ]
