from analytics import candles as candles_of_ticks
from api.stream.candles import Candles, Row
from marketdata.bars import COLUMNS
from tests import market
from tests.market import MINUTE_US, NINE_US

GRACE_US = 1_000_000
SECOND_US = 1_000_000
OLD = NINE_US  # the time of a replayed day
NOW = NINE_US + 365 * 86_400 * SECOND_US


def bars(*seconds, n=1, symbol="005930"):
    """A candle with `n` ticks a place, each place seconds after nine."""
    rows = [{"time_us": OLD + second * SECOND_US, "symbol": symbol} for second in seconds for _ in range(n)]
    return candles_of_ticks.build(market.ticks(rows))


def absorb(candles, found, now_us):
    return candles.absorb(found, int(found.close_time.max()), now_us)


def names(rows: list[Row]):
    return [(row[0], (row[COLUMNS.index("time_us")] - OLD) // MINUTE_US, row[COLUMNS.index("n")]) for row in rows]


def test_a_candle_closes_once_when_its_minute_and_a_little_grace_are_over():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), OLD + 10 * SECOND_US)

    assert candles.close(OLD + 60 * SECOND_US) == []
    assert candles.close(OLD + 61 * SECOND_US - 1) == []
    assert names(candles.close(OLD + 61 * SECOND_US)) == [("005930", 0, 1)]
    assert candles.close(OLD + 70 * SECOND_US) == []


def test_a_replay_of_an_old_day_closes_by_its_own_times():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), NOW)

    assert candles.close(NOW) == []
    absorb(candles, bars(62), NOW)
    assert names(candles.close(NOW)) == [("005930", 0, 1)]


def test_when_nothing_trades_the_feed_s_clock_goes_on_with_ours():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(59), NOW)

    assert candles.close(NOW + SECOND_US) == []
    assert names(candles.close(NOW + 2 * SECOND_US)) == [("005930", 0, 1)]


def test_a_source_whose_clock_is_ahead_does_not_close_before_time():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10, 64), OLD + 60 * SECOND_US)

    assert candles.close(OLD + 60 * SECOND_US) == []


def test_a_late_tick_makes_a_correction_of_the_closed_candle():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), NOW)
    absorb(candles, bars(70), NOW)
    candles.close(NOW)

    change = absorb(candles, bars(10, n=2), NOW)

    assert names(change.updated) == [("005930", 0, 2)]
    assert change.closed == []


def test_an_older_state_of_a_candle_that_comes_later_is_forgotten():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10, n=3), NOW)
    absorb(candles, bars(10, n=2), NOW)
    absorb(candles, bars(70), NOW)

    assert names(candles.close(NOW)) == [("005930", 0, 3)]
    change = absorb(candles, bars(10, n=3), NOW)
    assert (change.closed, change.updated) == ([], [])


def test_a_candle_that_first_appears_after_its_time_is_announced_as_closed():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), NOW)
    absorb(candles, bars(70), NOW)
    candles.close(NOW)

    change = absorb(candles, bars(10, symbol="000660"), NOW)

    assert names(change.closed) == [("000660", 0, 1)]


def test_what_happened_long_ago_is_a_correction():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), NOW)
    absorb(candles, bars(3600), NOW)
    candles.close(NOW)
    absorb(candles, bars(7200), NOW)
    candles.close(NOW)

    assert names(absorb(candles, bars(10, n=2), NOW).updated) == [("005930", 0, 2)]


def test_a_forming_candle_is_told_once_for_each_change():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10), NOW)
    absorb(candles, bars(10, n=2), NOW)

    assert names(candles.formed()) == [("005930", 0, 2)]
    assert candles.formed() == []


def test_a_closed_candle_is_no_longer_forming():
    candles = Candles(grace_us=GRACE_US)
    absorb(candles, bars(10, 70), NOW)
    candles.close(NOW)

    assert names(candles.formed()) == [("005930", 1, 1)]


def test_before_the_first_event_nothing_closes():
    assert Candles(grace_us=GRACE_US).close(NOW) == []
