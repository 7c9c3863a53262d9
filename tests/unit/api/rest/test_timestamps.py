import pytest

from api.rest import timestamps
from tests.market import NINE_US


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2026-03-16T00:00:00Z", NINE_US),
        ("2026-03-16T09:00:00+09:00", NINE_US),
        ("2026-03-16T00:00Z", NINE_US),
        ("2026-03-16t00:00:00.5z", NINE_US + 500_000),
        ("2026-03-16T00:00:00.123456789Z", NINE_US + 123_456),
    ],
)
def test_a_time_is_read_and_nanoseconds_are_cut(text, time_us):
    assert timestamps.parse(text).first_us("Asia/Seoul") == time_us
    assert timestamps.parse(text).last_us("Asia/Seoul") == time_us


def test_a_date_is_a_whole_day_of_the_market():
    day = timestamps.parse("2026-03-16")

    assert day.first_us("Asia/Seoul") == NINE_US - 9 * 3_600_000_000
    assert day.last_us("Asia/Seoul") == NINE_US + 15 * 3_600_000_000 - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-16T09:00:00",  # whose clock?
        "2026-03-16 09:00:00Z",
        "2026-03-16T09:00:00 09:00",  # a plus sign lost in a URL
        "2026-02-30",
        "2026-13-01T00:00:00Z",
        "1773619200",
        "2026-03-16T00:00:00.1234567890Z",
        "0001-01-01",
        "9999-12-31",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the view says what would be right
        timestamps.parse(text)


def test_a_time_beyond_what_can_be_stored_is_taken_to_the_edge():
    assert timestamps.parse("0001-01-01T00:00:00Z").first_us("UTC") == timestamps.EARLIEST_US
