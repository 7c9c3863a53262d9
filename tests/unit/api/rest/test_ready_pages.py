"""What is kept of finished pages takes no more memory than it may, whatever the pages are about."""

import datetime
import tracemalloc
from fractions import Fraction

import pytest

from analytics.series import timeframes
from analytics.series.adjustment import Factor
from analytics.series.trading_days import Dates
from api.rest.paging import Series
from api.rest.ready import Basis, Pages, Question, Stretch
from marketdata.reference.corporate_actions import Held

MOST, LATER = 300_000, 10**15
DAY = datetime.date(2020, 1, 1)


def series(number, held, factors):
    return tuple(
        Series(
            str(at), "krx", "KRX", "Asia/Seoul", 0, number, LATER + number,
            tuple(Held(str(code), DAY, DAY) for code in range(held)),
            tuple(Factor(code, Fraction(code + 1, 10**9), Fraction(10**9, code + 1)) for code in range(factors)),
        )
        for at in range(30)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("held", "factors", "gaps", "dates"), [(0, 0, 0, 0), (10, 0, 0, 0), (0, 5, 0, 0), (0, 0, 20, 0), (0, 0, 0, 1000)]
)
def test_small_pages_with_much_behind_them_are_not_kept_without_end(held, factors, gaps, dates):
    pages = Pages(most_bytes=MOST)

    tracemalloc.start()
    try:
        for number in range(60):
            asked = Question(series(number, held, factors), timeframes.MINUTE, None, 1000, True, False, None)
            lost = [tuple((LATER + at, LATER + at + number) for at in range(gaps)) for _ in asked.series]
            stretches = [Stretch(one, number, LATER, mine) for one, mine in zip(asked.series, lost, strict=True)]
            known = Dates([DAY + datetime.timedelta(days=day) for day in range(dates)], frozenset())
            on = Basis((("krx/1", LATER + number),), (), known)
            assert pages.keep("many", asked, b"{}", on, tuple(stretches)) is not None
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(pages) < 60
    assert held_bytes < 2 * MOST
