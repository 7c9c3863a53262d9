"""Whose hours a feed has and how long it may be silent then; of what nobody knows the hours nothing is said."""

import datetime
import zoneinfo

import pytest

from marketdata.calendar import feed_hours, trading_calendar
from marketdata.calendar.trading_calendar import Calendar, Override
from marketdata.types.units import MINUTE_US, microseconds

SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
WEDNESDAY = datetime.date(2026, 11, 25)
KRX = Calendar(trading_calendar.base("KRX"), {})
US = Calendar(trading_calendar.base("US"), {}, timezone="America/New_York")
FX = Calendar(trading_calendar.base("FX"), {}, timezone="America/New_York", trade_date_shift_s=7 * 3600)
CRYPTO = Calendar(trading_calendar.base("CRYPTO"), {}, timezone="UTC", open_on_weekends=True)


def at(moment: str) -> int:
    return microseconds(datetime.datetime.fromisoformat(f"2026-11-{moment}").replace(tzinfo=SEOUL))


def spans(calendar: Calendar, feed: str) -> list[tuple[str, str]]:
    def clock(time_us: int) -> str:
        return f"{datetime.datetime.fromtimestamp(time_us / 1e6, SEOUL):%H:%M:%S}"

    return [(clock(start), clock(end)) for start, end in feed_hours.continuous_hours(calendar, feed, WEDNESDAY)]


def test_trades_of_a_feed_may_come_at_any_moment_in_the_continuous_hours_of_its_venue():
    krx = [("09:00:00", "15:20:00"), ("16:00:00", "20:00:00")]

    assert spans(KRX, "krx") == krx
    assert spans(KRX, "nxt") == [("08:00:00", "08:50:00"), ("09:00:30", "15:20:00"), ("15:40:00", "20:00:00")]
    assert spans(KRX, "unified") == [("08:00:00", "08:50:00"), ("09:00:00", "15:20:00"), ("15:40:00", "20:00:00")]
    assert spans(KRX, "infomax") == krx


@pytest.mark.parametrize(("calendar", "feed"), [(US, "bloomberg"), (FX, "bloomberg"), (KRX, "kis_night"), (US, "krx")])
@pytest.mark.parametrize("moment", ["25T03:00", "25T10:00", "25T23:30", "26T01:00"])  # New York opens at 23:30
def test_where_nobody_knows_the_hours_nothing_is_late(calendar, feed, moment):
    assert feed_hours.continuous_hours(calendar, feed, WEDNESDAY) == []
    assert feed_hours.longest_silence_s(calendar, feed, at(moment)) is None


@pytest.mark.parametrize(
    ("moment", "krx", "nxt", "unified", "infomax"),
    [
        ("25T08:01", None, None, None, None),  # began a minute ago, and may be silent for five
        ("25T08:10", None, 300, 300, None),
        ("25T08:55", None, None, None, None),
        ("25T10:00", 120, 120, 120, 300),
        ("25T15:25", None, None, None, None),
        ("25T18:30", 600, 600, 600, None),
        ("25T20:05", None, None, None, None),
        ("28T10:00", None, None, None, None),  # a Saturday
    ],
)
def test_how_long_a_feed_may_be_silent_is_the_venue_s_word(moment, krx, nxt, unified, infomax):
    found = [feed_hours.longest_silence_s(KRX, feed, at(moment)) for feed in ("krx", "nxt", "unified", "infomax")]

    assert found == [krx, nxt, unified, infomax]


def test_a_market_that_never_closes_may_be_silent_for_as_short_a_while_on_a_sunday_night():
    midnight = at("29T09:00")

    assert feed_hours.continuous_hours(CRYPTO, "upbit", datetime.date(2026, 11, 29)) == [
        (midnight, midnight + 24 * 60 * MINUTE_US)
    ]
    for moment in (midnight - 1, midnight, midnight + 1):
        assert CRYPTO.longest_silence_s(moment) == 120
        assert feed_hours.longest_silence_s(CRYPTO, "upbit", moment) == 300


def test_where_trading_goes_on_over_the_end_of_a_date_silence_does_not_begin_anew():
    midnight = at("29T09:00")  # of UTC

    assert feed_hours.stretches(CRYPTO, "upbit", midnight + MINUTE_US) == [
        (midnight - 24 * 60 * MINUTE_US, midnight + 24 * 60 * MINUTE_US)
    ]
    morning = feed_hours.continuous_hours(KRX, "nxt", WEDNESDAY)
    assert feed_hours.stretches(KRX, "nxt", at("25T08:10")) == morning
    assert feed_hours.stretches(KRX, "nxt", at("28T10:00")) == []


def test_a_market_that_never_closes_is_not_late_on_the_day_it_was_closed_by_hand_nor_at_once_after_it():
    saturday = {datetime.date(2026, 11, 28): Override(is_open=False)}
    closed = Calendar(trading_calendar.base("CRYPTO"), saturday, timezone="UTC", open_on_weekends=True)

    limits = [closed.longest_silence_s(at(moment)) for moment in ("28T08:59", "28T09:00", "29T09:01", "29T09:02")]

    assert limits == [120, None, None, 120]
