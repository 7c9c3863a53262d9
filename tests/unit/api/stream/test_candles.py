import pytest

from analytics.series import candles as candles_of_ticks
from api.stream.candles import KEEP_US, Candles, Row
from marketdata.types import minute_bars
from marketdata.types.minute_bars import COLUMNS
from tests import market
from tests.market import MINUTE_US, NINE_US

GRACE_US = 1_000_000
SECOND_US = 1_000_000
OLD = NINE_US  # the time of a replayed day
NOW = NINE_US + 365 * 86_400 * SECOND_US
ALL = {"*"}
DATE = 20_528  # days since 1970-01-01


def bars(*seconds, n=1, symbol="005930", date=DATE):
    """A candle with `n` ticks a place, each place seconds after nine."""
    rows = [
        {"time_us": OLD + second * SECOND_US, "symbol": symbol, "trade_date": date}
        for second in seconds
        for _ in range(n)
    ]
    return candles_of_ticks.build(market.ticks(rows))


class Feed:
    """Candles between a feed and a database, which has what was stored in it by `store`."""

    def __init__(self, watched=frozenset(ALL), event_us=OLD):
        self.candles, self.watched, self.stored = Candles(grace_us=GRACE_US), watched, {}
        self.candles.begin(event_us, NOW)
        self.readings = []

    def store(self, found):
        """Commit candles, in place of those of the same minute and trading date."""
        for row in zip(*(getattr(found, name).tolist() for name in COLUMNS), strict=True):
            name = found.symbols[row[0]]
            self.stored[name, row[COLUMNS.index("time_us")], row[COLUMNS.index("trade_date")]] = (name, *row[1:])

    def publish(self, found, now_us=NOW):
        self.candles.absorb(found, int(found.close_time.max()), now_us, self.watched)

    def commit(self, found, now_us=NOW):
        self.store(found)
        self.publish(found, now_us)

    def due(self):
        """What is to be read now, and it is something."""
        reading = self.candles.due(self.watched)
        assert reading is not None
        return reading

    def read(self, reading):
        rows = [
            row for (symbol, minute, _), row in sorted(self.stored.items())
            if reading.start_us <= minute < reading.end_us and (reading.symbols is None or symbol in reading.symbols)
        ]  # fmt: skip
        return minute_bars.from_rows("krx", rows)

    def tell(self, now_us=NOW):
        """What is told now: (b or u, symbol, minute after nine, n)."""
        self.candles.advance(now_us)
        told = []
        while (reading := self.candles.due(self.watched)) is not None:
            self.readings.append(reading)
            change = self.candles.done(reading, self.read(reading))
            told += [("b", *name) for name in names(change.closed)] + [("u", *name) for name in names(change.updated)]
        return told


def names(rows: list[Row]):
    return [(row[0], (row[COLUMNS.index("time_us")] - OLD) // MINUTE_US, row[COLUMNS.index("n")]) for row in rows]


def test_a_candle_closes_once_when_its_minute_and_a_little_grace_are_over():
    feed = Feed()
    feed.commit(bars(10), OLD + 10 * SECOND_US)

    assert feed.tell(OLD + 60 * SECOND_US) == []
    assert feed.tell(OLD + 61 * SECOND_US - 1) == []
    assert feed.tell(OLD + 61 * SECOND_US) == [("b", "005930", 0, 1)]
    assert feed.tell(OLD + 70 * SECOND_US) == []


def test_what_is_told_is_what_the_database_has_not_what_an_entry_said():
    feed = Feed()
    feed.store(bars(10, n=13))
    feed.publish(bars(10))
    feed.store(bars(20, symbol="000660"))  # of which no entry came
    feed.commit(bars(70))

    assert feed.tell() == [("b", "000660", 0, 1), ("b", "005930", 0, 13)]


def test_a_replay_of_an_old_day_closes_by_its_own_times():
    feed = Feed()
    feed.commit(bars(10))

    assert feed.tell() == []
    feed.commit(bars(62))
    assert feed.tell() == [("b", "005930", 0, 1)]


def test_a_replay_that_runs_through_a_day_at_once_tells_every_minute():
    feed = Feed()
    for second in (10, 3_000, 7_200, 20_000, 20_070):
        feed.commit(bars(second))

    assert [(kind, minute) for kind, _, minute, _ in feed.tell()] == [("b", 0), ("b", 50), ("b", 120), ("b", 333)]


def test_the_first_entries_of_a_feed_are_told_whatever_minutes_they_have():
    feed = Feed(event_us=None)
    feed.commit(bars(10, 70, 130))

    assert feed.tell() == [("b", "005930", 0, 1), ("b", "005930", 1, 1)]


def test_what_closed_before_the_feed_was_followed_is_not_told():
    feed = Feed(event_us=OLD + 130 * SECOND_US)
    feed.store(bars(10))
    feed.commit(bars(200))

    assert feed.tell() == []


def test_what_was_open_when_the_feed_was_followed_is_told_when_it_closes():
    feed = Feed(event_us=OLD + 10 * SECOND_US)
    feed.store(bars(5, n=3))
    assert feed.tell() == []

    feed.commit(bars(70))
    assert feed.tell() == [("b", "005930", 0, 3)]


def test_what_ended_before_the_open_candles_were_read_is_told():
    feed = Feed(event_us=OLD + 10 * SECOND_US)
    feed.store(bars(5, n=3))
    feed.commit(bars(130))

    assert feed.tell() == [("b", "005930", 0, 3)]
    feed.candles.missed()
    feed.store(bars(140, n=2))
    feed.commit(bars(250))
    assert feed.tell() == [("b", "005930", 2, 2)]


def test_what_ended_while_the_open_candles_were_read_is_told():
    feed = Feed(event_us=OLD + 10 * SECOND_US)
    feed.store(bars(5, n=3))
    reading = feed.due()
    found = feed.read(reading)
    feed.commit(bars(130))
    feed.candles.advance(NOW)
    feed.candles.done(reading, found)

    assert feed.tell() == [("b", "005930", 0, 3)]


def test_when_nothing_trades_the_feed_s_clock_goes_on_with_ours():
    feed = Feed()
    feed.commit(bars(59))

    assert feed.tell(NOW + SECOND_US) == []
    assert feed.tell(NOW + 2 * SECOND_US) == [("b", "005930", 0, 1)]


def test_a_source_whose_clock_is_ahead_does_not_close_before_time():
    feed = Feed()
    feed.commit(bars(10, 64), OLD + 60 * SECOND_US)

    assert feed.tell(OLD + 60 * SECOND_US) == []


def test_a_late_tick_makes_a_correction_of_the_closed_candle_once():
    feed = Feed()
    feed.commit(bars(10))
    feed.commit(bars(70))
    feed.tell()

    feed.commit(bars(10, n=2))
    feed.publish(bars(10))  # an older entry that comes later
    assert feed.tell() == [("u", "005930", 0, 2)]
    feed.publish(bars(10, n=2))
    assert feed.tell() == []


def test_a_candle_that_first_appears_after_its_time_is_announced_as_closed():
    feed = Feed()
    feed.commit(bars(10))
    feed.commit(bars(70))
    feed.tell()

    feed.commit(bars(10, symbol="000660"))

    assert feed.tell() == [("b", "000660", 0, 1)]


def test_what_came_while_a_closed_candle_was_read_is_a_correction():
    feed = Feed()
    feed.commit(bars(10))
    feed.tell()
    feed.commit(bars(70))
    feed.candles.advance(NOW)
    reading = feed.due()
    found = feed.read(reading)
    feed.commit(bars(10, n=2))

    assert names(feed.candles.done(reading, found).closed) == [("005930", 0, 1)]
    assert feed.tell() == [("u", "005930", 0, 2)]


def test_what_happened_long_ago_is_a_correction():
    feed = Feed()
    feed.commit(bars(10))
    feed.commit(bars(3600))
    feed.commit(bars(7200))
    feed.tell()

    feed.commit(bars(10, n=2))
    assert feed.tell() == [("u", "005930", 0, 2)]


def test_a_candle_that_closed_before_it_was_watched_is_only_ever_corrected():
    feed = Feed(watched={"000660"})
    feed.commit(bars(10))
    feed.commit(bars(70))
    feed.tell()
    feed.watched = {"000660", "005930"}

    feed.commit(bars(10, n=2))
    assert feed.tell() == [("u", "005930", 0, 2)]
    feed.commit(bars(130))
    assert feed.tell() == [("b", "005930", 1, 1)]


def test_nothing_is_read_for_nobody():
    feed = Feed(watched=set())
    feed.commit(bars(10))
    feed.commit(bars(70))

    assert feed.tell() == []
    assert feed.readings == []


@pytest.mark.parametrize("step", range(4))
def test_a_reading_that_failed_is_due_again(step):
    feed = Feed()
    feed.commit(bars(10))
    if step:
        feed.tell()
    feed.commit(bars(70))
    if step > 1:
        feed.tell()
        feed.commit(bars(10, n=2))
    if step == 3:
        feed.candles.missed()
    feed.candles.advance(NOW)
    reading = feed.due()
    if step == 3:
        feed.candles.done(reading, feed.read(reading))
        reading = feed.due()
    feed.candles.failed(reading)

    assert feed.tell() == [("b", "005930", 0, 1) if step < 2 else ("u", "005930", 0, 2)]


def test_what_was_told_is_compared_when_a_part_of_the_feed_was_missed():
    feed = Feed()
    feed.commit(bars(10))
    feed.commit(bars(70))
    feed.tell()
    feed.store(bars(10, n=4))
    feed.store(bars(30, symbol="000660"))
    feed.store(bars(70, n=3))
    feed.candles.missed()

    assert sorted(feed.tell()) == [("b", "000660", 0, 1), ("u", "005930", 0, 4)]
    feed.commit(bars(130))
    assert feed.tell() == [("b", "005930", 1, 3)]


def test_a_minute_of_two_trading_dates_is_told_as_one_candle():
    feed = Feed()
    feed.commit(bars(10, n=2))
    feed.commit(bars(30, date=DATE + 1))
    feed.tell()

    (open_row,) = feed.candles.formed()
    assert names([open_row]) == [("005930", 0, 3)]
    feed.commit(bars(70))
    assert feed.tell() == [("b", "005930", 0, 3)]
    feed.commit(bars(30, n=2, date=DATE + 1))
    assert feed.tell() == [("u", "005930", 0, 4)]


def test_a_forming_candle_is_told_once_for_each_change():
    feed = Feed()
    feed.commit(bars(10))
    feed.commit(bars(10, n=2))
    feed.publish(bars(10))
    assert feed.candles.formed() == []  # the database was not asked yet what is open
    feed.tell()

    assert names(feed.candles.formed()) == [("005930", 0, 2)]
    feed.publish(bars(10))
    assert feed.candles.formed() == []


def test_a_forming_candle_begins_with_what_the_database_had():
    feed = Feed()
    feed.store(bars(10, n=3))
    feed.tell()
    feed.publish(bars(20, date=DATE + 1))

    assert names(feed.candles.formed()) == [("005930", 0, 4)]


def test_a_candle_that_formed_while_nobody_watched_is_told_whole_to_who_comes():
    feed = Feed(watched=frozenset())
    feed.commit(bars(1))
    assert feed.tell() == []
    feed.commit(bars(1, 2))
    assert feed.tell() == []

    feed.watched = frozenset(ALL)
    assert feed.tell() == []
    assert [row[COLUMNS.index("n")] for row in feed.candles.formed()] == [2]
    feed.commit(bars(70))
    assert feed.tell() == [("b", "005930", 0, 2)]


def test_a_candle_that_closed_while_nobody_watched_is_not_told_to_who_comes():
    feed = Feed(watched=frozenset())
    feed.commit(bars(1))
    assert feed.tell() == []
    assert feed.tell(NOW + 5 * MINUTE_US) == []

    feed.watched = frozenset(ALL)
    assert feed.tell(NOW + 5 * MINUTE_US) == []


def test_what_came_for_nobody_while_open_candles_were_read_is_read_again():
    feed = Feed()
    feed.commit(bars(1))
    reading = feed.due()
    found = feed.read(reading)
    feed.watched = frozenset()
    feed.commit(bars(1, 2))

    feed.watched = frozenset(ALL)
    feed.candles.done(reading, found)
    assert feed.tell() == []

    assert [row[COLUMNS.index("n")] for row in feed.candles.formed()] == [2]


def test_a_closed_candle_is_no_longer_forming():
    feed = Feed()
    feed.tell()
    feed.commit(bars(10, 70))
    feed.tell()

    assert names(feed.candles.formed()) == [("005930", 1, 1)]


def test_before_the_first_event_nothing_is_due():
    assert Feed(event_us=None).tell() == []


def test_more_changes_than_can_be_kept_in_mind_are_told(monkeypatch):
    monkeypatch.setattr("api.stream.candles.MOST_CHANGED", 2)
    feed = Feed(event_us=OLD + KEEP_US // SECOND_US * SECOND_US)
    feed.commit(bars(10, 70))
    assert not feed.candles.overflowed
    feed.commit(bars(130))
    assert feed.candles.overflowed


# --- trades that were taken back -----------------------------------------------------------------------------------


def test_an_open_candle_with_fewer_trades_takes_the_place_of_the_one_before():
    feed = Feed()
    feed.tell()
    feed.commit(bars(10, n=3))
    feed.tell()

    feed.store(bars(10, n=2))
    feed.candles.correct(bars(10, n=2), [("005930", OLD)], feed.watched)

    assert names(feed.candles.formed()) == [("005930", 0, 2)]
    feed.commit(bars(70))
    assert feed.tell() == [("b", "005930", 0, 2)]


def test_a_closed_candle_with_fewer_trades_is_told_as_changed():
    feed = Feed()
    feed.tell()
    feed.commit(bars(10, n=3))
    feed.commit(bars(70))
    assert feed.tell() == [("b", "005930", 0, 3)]

    feed.store(bars(10, n=2))
    feed.candles.correct(bars(10, n=2), [("005930", OLD)], feed.watched)

    assert feed.tell() == [("u", "005930", 0, 2)]


def test_an_open_candle_that_has_no_trade_left_is_not_told():
    feed = Feed()
    feed.tell()
    feed.commit(bars(10))
    feed.tell()
    feed.stored.clear()

    feed.candles.correct(bars(), [("005930", OLD)], feed.watched)

    assert feed.candles.formed() == []
    feed.commit(bars(70))
    assert feed.tell() == []


def test_candles_that_were_made_anew_are_read_again_whether_closed_or_open():
    feed = Feed()
    feed.tell()
    feed.commit(bars(10, n=3))
    feed.commit(bars(70, n=3))
    assert feed.tell() == [("b", "005930", 0, 3)]
    assert names(feed.candles.formed()) == [("005930", 1, 3)]

    feed.store(bars(10, 70, n=2))
    feed.candles.reread([("005930", OLD), ("005930", OLD + MINUTE_US)], feed.watched)

    assert feed.tell() == [("u", "005930", 0, 2)]
    assert names(feed.candles.formed()) == [("005930", 1, 2)]
    feed.commit(bars(130))
    assert feed.tell() == [("b", "005930", 1, 2)]
