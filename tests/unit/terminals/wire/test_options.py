"""Options take what they say they take, and nothing that only looks like it."""

import argparse
import datetime
from zoneinfo import ZoneInfo

import pytest

from terminals.wire import options

SEOUL = ZoneInfo("Asia/Seoul")
NO_NUMBERS = ["", " 5", "5 ", "+5", "1_0", "\uff15", "\u0665", "5.", "0x5", "5e0", "five", "nan", "inf", "5\n"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "5.0", "0", "11", "-5", "9" * 30])
def test_a_whole_number_is_digits_within_its_bounds(text):
    number = options.between(1, 10)

    assert (number("1"), number("10"), number("05")) == (1, 10, 5)
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 10"):
        number(text)


def test_a_bound_below_zero_lets_a_minus_in():
    assert options.between(-5, 5)("-5") == -5
    with pytest.raises(argparse.ArgumentTypeError):
        options.between(-5, 5)("\u22125")


@pytest.mark.parametrize("text", [*NO_NUMBERS, ".5", "-1", "-0", "1,5", "61"])
def test_a_decimal_is_digits_with_a_point(text):
    number = options.decimal(0, 60)

    assert (number("0"), number("2.5"), number("60")) == (0.0, 2.5, 60.0)
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 60"):
        number(text)


@pytest.mark.parametrize("text", ["0", "65536", "+80", "8_000", "\uff18\uff10"])
def test_a_port_is_one_that_there_is(text):
    assert options.port("8000") == 8000
    with pytest.raises(argparse.ArgumentTypeError):
        options.port(text)


@pytest.mark.parametrize(
    "text",
    [
        "20260316",
        "2026-W12-1",
        "2026-3-16",
        "2026-02-30",
        " 2026-03-16",
        "\uff12\uff10\uff12\uff16-03-16",
        "2026-03-16T00:00",
        "",
    ],
)
def test_a_date_is_written_one_way(text):
    assert options.date("2026-03-16") == datetime.date(2026, 3, 16)
    with pytest.raises(argparse.ArgumentTypeError, match="YYYY-MM-DD"):
        options.date(text)


@pytest.mark.parametrize(
    "text",
    ["20260316T0900", "2026-W12-1T09:00", "2026-03-16T9:00", "2026-03-16T25:00", "2026-02-30T09:00", "1773619200", "",
     "2026-03-16T09:00 ", "2026-03-16T09:00+0900", "2026-03-16T09:00,5"],
)  # fmt: skip
@pytest.mark.parametrize("zone", [SEOUL, None])
def test_a_time_is_written_one_way(text, zone):
    nine = datetime.datetime(2026, 3, 16, 0, 0, tzinfo=datetime.UTC)

    assert options.moment(zone)("2026-03-16T09:00+09:00") == options.moment(zone)("2026-03-16 00:00:00.0Z") == nine
    with pytest.raises(argparse.ArgumentTypeError):
        options.moment(zone)(text)


def test_without_an_offset_a_time_is_that_of_the_zone_and_without_a_zone_it_is_none():
    assert options.moment(SEOUL)("2026-03-16T09:00").isoformat() == "2026-03-16T09:00:00+09:00"
    assert options.moment(SEOUL)("2026-03-16").isoformat() == "2026-03-16T00:00:00+09:00"
    with pytest.raises(argparse.ArgumentTypeError, match="time zone"):
        options.moment(None)("2026-03-16T09:00")
    with pytest.raises(argparse.ArgumentTypeError):
        options.moment(None)("2026-03-16")
