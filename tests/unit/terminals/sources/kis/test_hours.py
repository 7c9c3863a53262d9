import datetime

import pytest

from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Calendar
from terminals.sources.kis import hours

KST = datetime.timezone(datetime.timedelta(hours=9))


def at(text):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=KST).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("feeds", "moment", "phase"),
    [
        ({"krx"}, "2026-11-20T08:59:59", None),
        ({"krx"}, "2026-11-20T09:00:00", "regular"),
        ({"krx"}, "2026-11-20T15:25:00", None),
        ({"krx"}, "2026-11-20T16:30:00", "after_market"),
        ({"krx"}, "2026-09-11T16:30:00", None),
        ({"nxt"}, "2026-11-20T08:10:00", "pre_market"),
        ({"nxt"}, "2025-03-03T08:10:00", None),
        ({"krx", "nxt"}, "2026-11-20T19:59:59", "after_market"),
        ({"krx"}, "2026-11-21T10:00:00", None),
        ({"kis_overseas"}, "2026-11-20T10:00:00", None),
        # CSAT day: an hour later, and NXT has no pre-market. The first trading day of a year opens later, too.
        ({"krx", "nxt"}, "2026-11-19T08:30:00", None),
        ({"krx", "unified"}, "2026-11-19T09:30:00", None),
        ({"krx"}, "2026-11-19T16:10:00", "regular"),
        ({"krx"}, "2026-11-19T16:30:00", None),
        ({"krx"}, "2026-11-19T17:00:00", "after_market"),
        ({"nxt"}, "2027-01-04T10:00:29", None),
        ({"nxt"}, "2027-01-04T10:00:30", "main"),
        ({"krx", "nxt"}, "2026-12-25T10:00:00", None),
    ],
)
def test_when_records_are_to_be_expected(feeds, moment, phase):
    found = hours.expected(frozenset(feeds), at(moment))

    assert (found and found.name) == phase


def test_days_that_are_not_ordinary_and_silences_are_those_of_the_servers_calendar():
    calendar = Calendar(trading_calendar.base("KRX"), {})
    names = {"regular": "continuous", "main": "continuous"}
    date, last = datetime.date(2026, 9, 14), calendar.base.last_date
    while date <= last:
        for one in hours.PHASES:
            if one.feed == "unified":
                continue  # of both venues
            midnight_us = at(f"{date}T00:00:00")
            held = [
                ((span.start_us - midnight_us) // 1_000_000, (span.end_us - midnight_us) // 1_000_000, span.silence_s)
                for span in calendar.phases(date, one.feed.upper())
                if span.phase == names.get(one.name, one.name)
            ]
            bounds = one.on(date)
            assert held == ([(*bounds, one.silence_s)] if bounds else []), (date, one)
        date += datetime.timedelta(days=1)


def test_what_began_late_began_so_long_ago():
    moment = at("2026-11-19T10:00:05")

    found = hours.expected(frozenset({"krx"}), moment)

    assert found is not None
    assert hours.began_s_ago(found, moment) == 5.0


def test_the_shortest_silence_of_several_feeds_counts():
    found = hours.expected(frozenset({"krx", "nxt", "unified"}), at("2026-11-20T10:00:00"))

    assert found is not None
    assert found.silence_s == 120.0
    assert hours.began_s_ago(found, at("2026-11-20T10:00:00")) in (3600.0, 3570.0)
