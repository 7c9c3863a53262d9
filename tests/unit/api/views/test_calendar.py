"""What the clock says of the venue of a feed, without a server."""

import datetime
import zoneinfo

import pytest

from api.views import calendar
from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Calendar, Phase

KRX = Calendar(trading_calendar.base("KRX"), {})
SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
NAMES = ("venue", "phase", "trading", "continuous", "next_phase")


def at(moment):
    return int(datetime.datetime.fromisoformat(f"2026-11-25T{moment}:00").replace(tzinfo=SEOUL).timestamp() * 1e6)


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
