"""Bloomberg's stamps: with and without date and zone, across midnight and a change of clocks."""

import datetime

import pytest

from terminals.sources.bloomberg import settings, stamps

SEOUL = datetime.timezone(datetime.timedelta(hours=9))


def us(text):
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1_000_000)


def read(content, received, zone=datetime.UTC, kind=stamps.TRADE):
    return stamps.of(content, kind, us(received), zone)


@pytest.mark.parametrize(
    ("content", "moment"),
    [
        ({"TRADE_UPDATE_STAMP_RT": "2026-03-16T00:00:01.250000+00:00"}, "2026-03-16T00:00:01.25+00:00"),
        ({"TRADE_UPDATE_STAMP_RT": "2026-03-16T09:00:01+09:00"}, "2026-03-16T00:00:01+00:00"),
        ({"TRADE_UPDATE_STAMP_RT": "2026-03-16T00:00:01"}, "2026-03-16T00:00:01+00:00"),
        ({"EVT_TRADE_DATE_RT": "2026-03-16", "EVT_TRADE_TIME_RT": "00:00:01.5+00:00"}, "2026-03-16T00:00:01.5+00:00"),
        ({"EVT_TRADE_DATE_RT": "2026-03-16T00:00:00", "EVT_TRADE_TIME_RT": "00:00:01"}, "2026-03-16T00:00:01+00:00"),
        ({"EVT_TRADE_TIME_RT": "00:00:01"}, "2026-03-16T00:00:01+00:00"),
        ({"RT_TIME_OF_TRADE": "09:00:01+09:00"}, "2026-03-16T00:00:01+00:00"),
        ({"TRADE_UPDATE_STAMP_RT": None, "RT_TIME_OF_TRADE": "00:00:01"}, "2026-03-16T00:00:01+00:00"),
        ({"TRADE_UPDATE_STAMP_RT": "soon", "RT_TIME_OF_TRADE": "00:00:01"}, "2026-03-16T00:00:01+00:00"),
    ],
)
def test_a_stamp_is_read_whatever_it_leaves_out(content, moment):
    assert read(content, "2026-03-16T00:00:02+00:00") == us(moment)


@pytest.mark.parametrize(
    ("time", "received", "moment"),
    [
        ("23:59:59", "2026-03-17T00:00:01+00:00", "2026-03-16T23:59:59+00:00"),
        ("00:00:01", "2026-03-16T23:59:59+00:00", "2026-03-17T00:00:01+00:00"),  # our clock is a little behind
        ("12:00:00", "2026-03-16T12:00:01+00:00", "2026-03-16T12:00:00+00:00"),
    ],
)
def test_a_time_without_a_date_is_the_one_nearest_to_its_arrival(time, received, moment):
    assert read({"RT_TIME_OF_TRADE": time}, received) == us(moment)


def test_a_time_without_a_date_has_the_date_of_its_zone():
    received = "2026-03-15T23:30:00+00:00"  # 08:30 of the 16th in Seoul

    assert read({"RT_TIME_OF_TRADE": "08:29:59"}, received, SEOUL) == us("2026-03-16T08:29:59+09:00")
    assert read({"RT_TIME_OF_TRADE": "08:29:59+09:00"}, received) == us("2026-03-16T08:29:59+09:00")


def test_a_date_of_the_exchange_beside_a_time_of_utc_makes_no_trade_of_tomorrow():
    content = {"EVT_TRADE_DATE_RT": "2026-03-16", "EVT_TRADE_TIME_RT": "23:59:30+00:00"}  # 08:59:30 KST

    assert read(content, "2026-03-15T23:59:31+00:00") == us("2026-03-15T23:59:30+00:00")


def test_a_stamp_with_a_date_of_long_ago_is_left_as_it_is():
    content = {"EVT_TRADE_DATE_RT": "2026-03-13", "EVT_TRADE_TIME_RT": "06:30:00+00:00"}

    assert read(content, "2026-03-16T00:00:00+00:00") == us("2026-03-13T06:30:00+00:00")


def test_a_zone_that_changes_its_clocks_is_right_on_both_sides():
    new_york = settings.zone("America/New_York")

    winter = read({"TRADE_UPDATE_STAMP_RT": "2026-03-06T09:30:00"}, "2026-03-06T14:30:01+00:00", new_york)
    summer = read({"TRADE_UPDATE_STAMP_RT": "2026-03-09T09:30:00"}, "2026-03-09T13:30:01+00:00", new_york)

    assert (winter, summer) == (us("2026-03-06T14:30:00+00:00"), us("2026-03-09T13:30:00+00:00"))


@pytest.mark.parametrize(
    "content", [{}, {"RT_TIME_OF_TRADE": None}, {"RT_TIME_OF_TRADE": 9}, {"RT_TIME_OF_TRADE": "x"}]
)
def test_no_stamp_is_none(content):
    assert read(content, "2026-03-16T00:00:00+00:00") is None
