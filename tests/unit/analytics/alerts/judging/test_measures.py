"""What is measured: of the trades that came, and beside what."""

from dataclasses import replace

import numpy as np

from analytics.alerts.judging import measures
from analytics.alerts.judging.conditions import read
from analytics.alerts.judging.episodes import Measured
from analytics.alerts.judging.measures import Facts, Trades
from tests import market
from tests.market import DAY_US, NINE_US

DAY = (NINE_US + 9 * 3_600_000_000) // DAY_US


def made(*given):
    return market.ticks([
        {"symbol": symbol, "time_us": NINE_US + at, "price": market.price(price), "tick_id": at, "trade_date": day}
        for symbol, at, price, day in given
    ])  # fmt: skip


def test_of_each_watched_symbol_the_last_trade_counts_and_the_extremes_of_its_date():
    entries = [
        (made(("A", 1, "10", DAY), ("A", 2, "30", DAY), ("B", 3, "7", DAY), ("C", 4, "1", DAY)), NINE_US + 5),
        (made(("A", 9, "20", DAY), ("A", 6, "5", DAY), ("B", 9, "8", DAY + 1)), NINE_US + 10),
    ]

    found = measures.of_entries(entries, {"A", "B"})

    price = market.price
    assert found == {
        "A": Trades(NINE_US + 9, 9, DAY, Measured(price("20"), price("30"), price("5")), NINE_US + 10),
        "B": Trades(NINE_US + 9, 9, DAY + 1, Measured(price("8"), price("8"), price("8")), NINE_US + 10),
    }
    assert measures.of_entries(entries, None).keys() == {"A", "B", "C"}
    assert measures.of_entries(entries, {"D"}) == {}


def test_what_is_committed_long_after_it_happened_is_not_judged():
    ticks = made(("A", 0, "10", DAY), ("A", 2_000_000, "11", DAY))

    (found,) = measures.of_entries([(ticks, NINE_US + measures.LATE_US + 1)], None).values()

    assert found.prices == Measured(market.price("11"), market.price("11"), market.price("11"))
    assert measures.of_entries([(ticks.take(np.array([0])), NINE_US + measures.LATE_US + 1)], None) == {}


def test_each_kind_is_measured_beside_its_own_level():
    seen = Trades(NINE_US, 1, DAY, Measured(*map(market.price, ("67900", "72100", "60000"))))
    facts = Facts(DAY, market.price("70000"), 25_000, market.price("49000"), market.price("91000"), DAY)
    price = read("price", {"direction": "above", "level": "70000"})
    change = read("change", {"direction": "below", "level": "-3"})
    upper, lower = (read("limit", {"direction": way}) for way in ("above", "below"))
    volume = read("volume", {"level": "2"})

    assert measures.measure(price, seen, measures.UNKNOWN) == (market.price("70000"), seen.prices)
    assert measures.measure(change, seen, facts) == (-30_000, Measured(-30_000, 30_000, -142_858))
    assert measures.measure(upper, seen, facts) == (market.price("91000"), seen.prices)
    assert measures.measure(lower, seen, facts) == (market.price("49000"), seen.prices)
    assert measures.measure(volume, seen, facts) == (20_000, Measured(25_000, 25_000, 25_000))
    burst = read("volume", {"level": "2", "minutes": "3"})
    assert measures.measure(burst, seen, facts) is None
    recent = replace(facts, recent=(None, 10_000, 90_000), recent_day=DAY)
    assert measures.measure(burst, seen, recent) == (20_000, Measured(90_000, 90_000, 90_000))
    assert measures.measure(read("volume", {"level": "2", "minutes": "1"}), seen, recent) is None
    assert measures.measure(burst, seen, replace(recent, recent_day=DAY - 1)) is None


def test_what_is_not_known_or_of_another_date_is_not_judged():
    seen = Trades(NINE_US, 1, DAY, Measured(1, 1, 1))
    yesterday = Facts(DAY - 1, 100, None, 1, 2, DAY - 1)

    for kind, given in (("change", {"direction": "above", "level": "1"}), ("limit", {"direction": "above"}),
                        ("volume", {"level": "2"})):  # fmt: skip
        assert measures.measure(read(kind, given), seen, measures.UNKNOWN) is None
        assert measures.measure(read(kind, given), seen, yesterday) is None
