"""What the clock says of the venue of a feed, without a server."""

import datetime
import zoneinfo

import pytest

from api.views import calendar
from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Calendar, Override, Phase

LATE_DAY = datetime.date(2026, 12, 3)
KRX = Calendar(trading_calendar.base("KRX"), {LATE_DAY: Override(is_open=True, shift_minutes=60, note="CSAT")})
SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
NAMES = ("venue", "phase", "trading", "continuous", "next_phase")


def at(moment, date="2026-11-25"):
    return int(datetime.datetime.fromisoformat(f"{date}T{moment}:00").replace(tzinfo=SEOUL).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("moment", "feed", "told", "until"),
    [
        ("08:10", None, ("KRX", None, True, True, Phase.OPENING_AUCTION), "08:20"),
        ("08:10", "krx", ("KRX", None, False, False, Phase.OPENING_AUCTION), "08:20"),
        ("08:10", "nxt", ("NXT", Phase.PRE_MARKET, True, True, None), "08:50"),
        ("08:10", "unified", (None, Phase.PRE_MARKET, True, True, Phase.OPENING_AUCTION), "08:50"),
        ("08:10", "another", ("KRX", None, False, False, Phase.OPENING_AUCTION), "08:20"),
        ("15:25", "krx", ("KRX", Phase.CLOSING_AUCTION, True, False, None), "15:33"),
        ("15:25", "nxt", ("NXT", None, False, False, Phase.POST_CLOSING_PRICE), "15:30"),
        ("15:45", "krx", ("KRX", Phase.POST_CLOSING_PRICE, True, False, Phase.AFTER_MARKET), "16:00"),
        ("15:45", "nxt", ("NXT", Phase.AFTER_MARKET, True, True, None), "20:00"),
    ],
)
def test_the_clock_of_a_feed_is_that_of_its_venue(moment, feed, told, until):
    found = calendar.clock(KRX, feed, at(moment))

    assert tuple(found[name] for name in NAMES) == told
    changes = datetime.datetime.fromisoformat(found["next_phase_at"]).astimezone(SEOUL)
    assert changes.strftime("%H:%M") == until


def test_the_regular_session_is_the_market_s_whatever_the_feed():
    assert {calendar.clock(KRX, feed, at("15:25"))["is_open"] for feed in (None, "krx", "nxt", "unified")} == {True}


AUCTION, CONTINUOUS, CLOSING = Phase.OPENING_AUCTION, Phase.CONTINUOUS, Phase.CLOSING_AUCTION
BEFORE, AFTER, AT_CLOSE = Phase.PRE_MARKET, Phase.AFTER_MARKET, Phase.POST_CLOSING_PRICE


@pytest.mark.parametrize(
    ("date", "moment", "feed", "phase", "following", "when"),
    [
        ("2026-11-25", "08:55", "krx", AUCTION, CONTINUOUS, "25T09:00:00"),
        ("2026-11-25", "08:55", "nxt", None, CONTINUOUS, "25T09:00:30"),
        ("2026-11-25", "15:35", "krx", None, AT_CLOSE, "25T15:40:00"),
        ("2026-11-25", "15:35", "nxt", AT_CLOSE, AFTER, "25T15:40:00"),
        ("2026-11-25", "18:30", "krx", AFTER, None, "25T20:00:00"),
        ("2026-11-25", "18:30", "nxt", AFTER, None, "25T20:00:00"),
        ("2026-11-25", "20:05", "krx", None, AUCTION, "26T08:20:00"),
        ("2026-11-25", "20:05", "nxt", None, BEFORE, "26T08:00:00"),
        ("2026-11-27", "20:05", "krx", None, AUCTION, "30T08:20:00"),  # over a weekend
        ("2026-12-25", "10:00", "nxt", None, BEFORE, "28T08:00:00"),  # over Christmas and a weekend
        # A late opening that somebody entered: all an hour later but the end, and NXT without a pre-market.
        ("2026-12-02", "20:05", "nxt", None, CONTINUOUS, "03T10:00:30"),
        ("2026-12-03", "08:55", "krx", None, AUCTION, "03T09:20:00"),
        ("2026-12-03", "16:25", "krx", CLOSING, None, "03T16:33:00"),
        ("2026-12-03", "18:30", "nxt", AFTER, None, "03T20:00:00"),
    ],
)
def test_what_comes_next_at_a_venue_and_when(date, moment, feed, phase, following, when):
    found = calendar.clock(KRX, feed, at(moment, date))

    assert (found["phase"], found["next_phase"]) == (phase, following)
    changes = datetime.datetime.fromisoformat(found["next_phase_at"]).astimezone(SEOUL)
    assert changes.strftime("%dT%H:%M:%S") == when


def test_silence_says_nothing_of_a_market_whose_hours_nobody_knows():
    us = Calendar(trading_calendar.base("US"), {}, timezone="America/New_York")

    told = [
        calendar.clock(market, feed, at(moment))
        for market, feed, moment in ((us, "bloomberg", "23:40"), (us, None, "23:40"), (KRX, "kis_night", "10:00"))
    ]
    assert [(one["trading"], one["continuous"], one["silence_s"]) for one in told] == [(True, False, None)] * 3
    known = calendar.clock(KRX, "nxt", at("10:00")), calendar.clock(KRX, None, at("08:10"))
    assert [(one["continuous"], one["silence_s"]) for one in known] == [(True, 120), (True, 300)]
