"""The calendar of the Korean market against answers collected by hand (`tests/samples/calendar`), and by its laws."""

import csv
import datetime
import itertools
import subprocess
import sys
import zoneinfo
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.calendar import trading_calendar, trading_dates
from marketdata.calendar.trading_calendar import Base, Calendar, Override, Phase, Session
from marketdata.types.units import moment_of

ROOT = Path(__file__).resolve().parents[4]
SAMPLES = ROOT / "tests/samples/calendar"
SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
KRX = Calendar(trading_calendar.base("KRX"), {})
FIRST, LAST = datetime.date(2023, 1, 1), datetime.date(2027, 12, 31)


def answers(name: str) -> list[dict[str, str]]:
    with (SAMPLES / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def at(text: str, zone: zoneinfo.ZoneInfo = SEOUL) -> int:
    """Microseconds of a local time."""
    return (datetime.datetime.fromisoformat(text).replace(tzinfo=zone) - EPOCH) // datetime.timedelta(microseconds=1)


def clock(time_us: int) -> str:
    return f"{(moment_of(time_us)).astimezone(SEOUL):%Y-%m-%dT%H:%M:%S}"


def with_override(date: str, **said: object) -> Calendar:
    override = Override(**{"is_open": True, "note": "for the test", **said})  # type: ignore[arg-type]  # as keywords
    return Calendar(trading_calendar.base("KRX"), {day(date): override})


def window(calendar: Calendar, date: str, venue: str | None = None) -> tuple[str, str] | None:
    bounds = calendar.regular_window(day(date), venue)
    return bounds and (clock(bounds[0])[11:], clock(bounds[1])[11:])


# --- days ---------------------------------------------------------------------------------------------------------


def test_the_weekdays_without_trading_are_those_of_the_almanac_and_of_the_exchange():
    weekdays = (datetime.date.fromordinal(n) for n in range(FIRST.toordinal(), LAST.toordinal() + 1))

    closed = [date for date in weekdays if date.weekday() < 5 and not KRX.is_session(date)]

    assert closed == [day(row["date"]) for row in answers("closed")]


def test_no_weekend_is_a_trading_day():
    assert [date for date in KRX.sessions(FIRST, LAST) if date.weekday() > 4] == []


def test_the_days_with_unusual_hours_are_those_the_exchange_told():
    ordinary = (datetime.timedelta(hours=9), datetime.timedelta(hours=15, minutes=30))

    found = {date: KRX.regular_hours(date) for date in KRX.sessions(FIRST, LAST)}
    shifted = {date: hours for date, hours in found.items() if hours != ordinary}

    assert [
        (date.isoformat(), *(f"{datetime.datetime.min + at:%H:%M}" for at in hours or ()))
        for date, hours in shifted.items()
    ] == [(row["date"], row["opens"], row["closes"]) for row in answers("shifted")]


@pytest.mark.parametrize("row", answers("years"), ids=lambda row: row["year"])
def test_a_year_has_as_many_trading_days_as_it_should(row):
    year = int(row["year"])

    assert len(KRX.sessions(datetime.date(year, 1, 1), datetime.date(year, 12, 31))) == int(row["trading_days"])


@pytest.mark.parametrize(
    ("date", "following", "before"),
    [
        ("2026-11-24", "2026-11-25", "2026-11-23"),
        ("2026-11-20", "2026-11-23", "2026-11-19"),
        ("2025-10-02", "2025-10-10", "2025-10-01"),  # seven days of Chuseok
        ("2025-10-05", "2025-10-10", "2025-10-02"),  # asked on a Sunday within them
        ("2026-12-30", "2027-01-04", "2026-12-29"),
    ],
)
def test_the_neighbours_of_a_date_are_trading_days(date, following, before):
    assert (KRX.next_session(day(date)), KRX.previous_session(day(date))) == (day(following), day(before))


def test_the_trading_days_between_two_dates_include_both():
    assert KRX.sessions(day("2026-05-22"), day("2026-05-26")) == [day("2026-05-22"), day("2026-05-26")]
    assert KRX.sessions(day("2026-05-26"), day("2026-05-22")) == []


def test_beyond_the_checked_in_years_a_weekday_is_open_and_said_to_be_a_guess():
    for date in ("2022-12-30", "2028-01-03"):
        assert KRX.is_session(day(date))
        assert not KRX.covers(day(date))
        assert not KRX.day(day(date)).certain
    assert KRX.covers(FIRST)
    assert KRX.covers(LAST)
    assert not KRX.is_session(day("2028-01-01"))  # a Saturday


def test_what_only_custom_says_is_marked_as_expected():
    doubtful = [date for date in KRX.base.days if not KRX.day(date).certain]

    assert doubtful == [day(d) for d in ("2026-11-19", "2026-12-31", "2027-01-04", "2027-11-18", "2027-12-31")]


def test_each_line_of_the_data_names_a_source_that_is_listed():
    listed = {row["source"] for row in _file("sources")}

    used = {row["source"] for name in ("days", "hours", "corrections") for row in _file(name)}

    assert used <= listed
    assert all(row["where"].startswith("http") for row in _file("sources"))


def test_each_unusual_day_is_there_once_in_order_and_on_a_weekday():
    dates = [row["date"] for row in _file("days")]

    assert dates == sorted(set(dates))
    assert all(day(date).weekday() < 5 for date in dates)


def test_each_venue_has_one_row_of_hours_a_phase_at_a_time():
    found = sorted((h.venue, h.phase, h.first_date, h.last_date) for h in KRX.base.hours)

    overlapping = [(a, b) for a, b in itertools.pairwise(found) if a[:2] == b[:2] and a[3] >= b[2]]

    assert overlapping == []


def _file(name: str) -> list[dict[str, str]]:
    with (trading_calendar.FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


# --- moments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", answers("phases"), ids=lambda row: f"{row['venue']} {row['moment']}")
def test_a_moment_is_in_the_phase_the_exchange_says(row):
    moment, venue = at(row["moment"]), row["venue"]

    span = KRX.phase_at(moment, venue)

    assert (span.phase if span else "") == row["phase"]
    assert KRX.is_open(moment, venue) == (row["is_open"] == "yes")


@pytest.mark.parametrize(
    ("moment", "venue", "longest_s"),
    [
        ("2026-11-20T08:10:00", "NXT", 300),
        ("2026-11-20T08:30:00", "KRX", None),  # orders are collected for the opening
        ("2026-11-20T09:01:59", "KRX", None),  # what was silent before it began says nothing
        ("2026-11-20T09:02:00", "KRX", 120),
        ("2026-11-20T15:19:59", "KRX", 120),
        ("2026-11-20T15:25:00", "KRX", None),  # the closing auction
        ("2026-11-20T15:25:00", None, None),
        ("2026-11-20T15:32:00", "KRX", None),  # its last print may come
        ("2026-11-20T15:45:00", "KRX", None),  # at the close of the day: few trade
        ("2026-11-20T15:50:00", None, 600),  # NXT's after-market
        ("2026-11-20T16:10:00", "KRX", 600),
        ("2026-11-20T20:00:00", None, None),
        ("2026-11-21T10:00:00", None, None),
        ("2026-11-19T16:15:00", "KRX", 120),  # on the day of the CSAT all is an hour later
        ("2026-11-19T16:25:00", "KRX", None),
    ],
)
def test_silence_is_too_long_only_while_trades_are_to_be_expected(moment, venue, longest_s):
    assert KRX.longest_silence_s(at(moment), venue) == longest_s


def test_how_long_silence_may_be_is_said_of_continuous_trading_and_of_nothing_else():
    day_of_all = [span for date in ("2026-03-16", "2026-11-20") for span in KRX.phases(day(date))]

    assert {span.phase for span in day_of_all if span.silence_s} == {
        span.phase for span in day_of_all if span.continuous
    }


def test_silence_may_be_asked_for_in_some_sessions_and_is_not_known_without_hours():
    after = at("2026-11-20T17:00:00")

    assert KRX.longest_silence_s(after, "KRX", sessions=(Session.REGULAR,)) is None
    assert KRX.longest_silence_s(at("2026-11-20T10:00:00"), "KRX", sessions=(Session.REGULAR,)) == 120
    assert (
        Calendar(Base(market="US", days={}, hours=[]), {}, timezone="America/New_York").longest_silence_s(after) is None
    )


@pytest.mark.parametrize(
    ("date", "start", "end"),
    [
        ("2026-11-25", "09:00:00", "15:33:00"),
        ("2016-08-01", "09:00:00", "15:33:00"),
        ("2026-01-02", "10:00:00", "15:33:00"),
        ("2025-11-13", "10:00:00", "16:33:00"),
    ],
)
def test_the_regular_window_has_whole_minutes_with_those_in_which_the_closing_auction_prints(date, start, end):
    assert window(KRX, date) == (start, end)


def test_the_regular_window_of_nxt_is_that_of_its_main_market():
    assert window(KRX, "2026-11-25", "NXT") == ("09:00:00", "15:20:00")
    assert window(KRX, "2025-02-28", "NXT") is None


def test_a_closed_day_has_no_regular_window_and_no_phases():
    assert KRX.regular_window(day("2026-07-17")) is None
    assert KRX.phases(day("2026-07-17")) == ()


def test_hours_from_before_the_data_are_not_made_up():
    assert KRX.regular_window(day("2016-07-29")) is None


def test_the_closing_print_is_in_the_minute_of_half_past_three_which_is_regular():
    prints = np.array([at("2026-11-25T15:30:00"), at("2026-11-25T15:30:29.999999")], np.int64)

    assert set(trading_dates.minutes(prints).tolist()) == {at("2026-11-25T15:30:00")}
    span = KRX.phase_at(at("2026-11-25T15:30:00"), "KRX")
    assert span is not None
    assert (span.session, span.phase) == (Session.REGULAR, Phase.CLOSING_AUCTION)


def test_two_venues_may_trade_at_once_each_in_its_own_phase():
    held = KRX.phases_at(at("2026-11-25T16:30:00"))

    assert {(span.venue, span.phase) for span in held} == {("KRX", Phase.AFTER_MARKET), ("NXT", Phase.AFTER_MARKET)}


def test_the_market_is_open_when_any_of_its_venues_is():
    early = at("2026-11-25T08:10:00")

    assert KRX.is_open(early)
    assert KRX.is_open(early, "NXT")
    assert not KRX.is_open(early, "KRX")


@pytest.mark.parametrize(
    ("moment", "venue", "opens"),
    [
        ("2026-11-25T07:00:00", None, "2026-11-25T08:00:00"),
        ("2026-11-25T07:00:00", "KRX", "2026-11-25T08:30:00"),
        ("2026-11-25T08:30:00", "KRX", "2026-11-25T09:00:00"),
        ("2026-11-25T09:00:00", "KRX", "2026-11-25T15:40:00"),
        ("2026-11-25T20:00:00", "KRX", "2026-11-26T08:30:00"),
        ("2026-11-27T20:00:00", None, "2026-11-30T08:00:00"),
        ("2025-12-30T20:00:00", None, "2026-01-02T09:30:00"),  # no pre-market of NXT on the first day
        ("2025-11-12T20:00:00", "NXT", "2025-11-13T10:00:30"),
    ],
)
def test_trading_begins_again_when_the_next_stretch_does(moment, venue, opens):
    assert clock(KRX.next_open(at(moment), venue)) == opens


_moment = st.integers(at("2022-12-01T00:00:00"), at("2028-02-01T00:00:00"))
_venue = st.sampled_from([None, "KRX", "NXT"])


@given(_moment, st.sampled_from([None, "KRX"]))
def test_the_next_opening_is_later_and_open_and_the_moment_before_it_was_not(moment, venue):
    opening = KRX.next_open(moment, venue)

    assert opening > moment
    assert KRX.is_open(opening, venue)
    assert not KRX.is_open(opening - 1, venue)


@given(_moment, _venue)
def test_trading_is_going_on_exactly_when_some_phase_with_trading_is_held(moment, venue):
    held = KRX.phases_at(moment, venue)

    assert KRX.is_open(moment, venue) == any(span.trading for span in held)
    assert all(span.start_us <= moment < span.end_us for span in held)


@given(_moment, _moment)
def test_a_later_event_has_no_earlier_trading_date(one, other):
    earlier, later = sorted((one, other))

    assert KRX.trade_date(earlier) <= KRX.trade_date(later)


@given(_moment)
def test_an_event_has_the_same_trading_date_alone_and_among_others(moment):
    among_others = trading_dates.trade_dates(np.array([moment], np.int64), timezone="Asia/Seoul", shift_s=0)

    assert (KRX.trade_date(moment) - EPOCH.date()).days == among_others[0]


@given(st.dates(FIRST, LAST))
def test_no_venue_has_two_trading_phases_at_once_unless_one_of_them_is_at_the_closing_price(date):
    for venue in ("KRX", "NXT"):
        spans = [s for s in KRX.phases(date, venue) if s.trading and not s.phase.endswith("closing_price")]

        assert all(a.end_us <= b.start_us for a, b in itertools.pairwise(spans))


@given(st.dates(FIRST - datetime.timedelta(400), LAST + datetime.timedelta(400)))
def test_the_neighbours_of_neighbours_lead_back(date):
    following = KRX.next_session(date)

    assert KRX.is_session(following)
    assert KRX.previous_session(following) <= date
    assert KRX.sessions(date + datetime.timedelta(1), following) == [following]


# --- overrides ----------------------------------------------------------------------------------------------------


def test_an_administrator_may_close_a_day():
    calendar = with_override("2026-11-30", is_open=False, note="임시공휴일")

    assert not calendar.is_session(day("2026-11-30"))
    assert calendar.next_session(day("2026-11-27")) == day("2026-12-01")
    assert calendar.regular_window(day("2026-11-30")) is None
    assert calendar.day(day("2026-11-30")).reason == "임시공휴일"


def test_an_administrator_may_open_a_day_that_the_calendar_closes():
    calendar = with_override("2026-12-31")

    assert calendar.is_session(day("2026-12-31"))
    assert window(calendar, "2026-12-31") == ("09:00:00", "15:33:00")
    assert calendar.day(day("2026-12-31")).certain


def test_an_administrator_may_open_a_saturday():
    assert with_override("2026-11-28").is_session(day("2026-11-28"))


def test_an_hour_later_is_the_same_as_on_the_day_of_the_csat():
    entered = with_override("2026-11-26", shift_minutes=60)

    assert _held(entered, "2026-11-26") == _held(KRX, "2026-11-19")


def test_an_override_that_says_nothing_of_hours_makes_a_shifted_day_ordinary():
    assert _held(with_override("2026-11-19"), "2026-11-19") == _held(KRX, "2026-11-18")


def test_an_early_close_moves_what_follows_the_closing_and_nothing_before_it():
    calendar = with_override("2026-11-30", regular_close=datetime.time(12, 0))

    assert window(calendar, "2026-11-30") == ("09:00:00", "12:03:00")
    assert ("NXT", "pre_market", "08:00:00", "08:50:00") in _held(calendar, "2026-11-30")
    assert ("KRX", "post_closing_price", "12:10:00", "12:30:00") in _held(calendar, "2026-11-30")
    assert ("KRX", "after_market", "12:30:00", "20:00:00") in _held(calendar, "2026-11-30")


def test_a_late_opening_keeps_the_closing_and_leaves_out_the_pre_market_of_nxt():
    held = _held(with_override("2026-11-30", regular_open=datetime.time(10, 0)), "2026-11-30")

    assert held == _held(KRX, "2027-01-04")
    assert [(venue, phase) for venue, phase, *_ in held][:3] == [
        ("KRX", "opening_auction"),
        ("KRX", "pre_closing_price"),
        ("KRX", "continuous"),
    ]
    assert held[-1] == ("KRX", "after_market", "16:00:00", "20:00:00")


def test_a_given_time_comes_before_the_shift():
    calendar = with_override("2026-11-30", shift_minutes=60, regular_close=datetime.time(15, 30))

    assert window(calendar, "2026-11-30") == ("10:00:00", "15:33:00")


def test_an_override_beyond_the_years_makes_its_date_known():
    calendar = with_override("2028-01-03", is_open=False)

    assert calendar.covers(day("2028-01-03"))
    assert not calendar.covers(day("2028-01-04"))


def test_a_market_that_never_opens_again_is_said_so_and_not_searched_for_ever():
    closed = {FIRST + datetime.timedelta(n): Override(is_open=False) for n in range(800)}
    calendar = Calendar(trading_calendar.base("KRX"), closed)

    with pytest.raises(LookupError, match="no trading day within"):
        calendar.next_session(FIRST)
    with pytest.raises(LookupError, match="does not open within"):
        calendar.next_open(at("2023-01-02T12:00:00"))


_time = st.none() | st.times(min_value=datetime.time(7, 0), max_value=datetime.time(19, 0))


@given(st.dates(FIRST, LAST), st.integers(-120, 240), _time, _time)
def test_whatever_hours_are_entered_a_phase_ends_after_it_began_and_on_its_own_date(date, shift, opening, closing):
    override = Override(is_open=True, shift_minutes=shift, regular_open=opening, regular_close=closing)
    calendar = Calendar(trading_calendar.base("KRX"), {date: override})

    for span in calendar.phases(date):
        assert span.start_us < span.end_us
        assert calendar.trade_date(span.start_us) == calendar.trade_date(span.end_us - 1) == date
        assert span in calendar.phases_at(span.start_us)


def _held(calendar: Calendar, date: str) -> list[tuple[str, str, str, str]]:
    return [
        (span.venue, span.phase, clock(span.start_us)[11:], clock(span.end_us)[11:])
        for span in calendar.phases(day(date))
    ]


# --- other markets ------------------------------------------------------------------------------------------------

CHICAGO = zoneinfo.ZoneInfo("America/Chicago")
CME = Calendar(trading_calendar.base("CME"), {}, timezone="America/Chicago", trade_date_shift_s=7 * 3600)


def test_a_market_of_which_nothing_is_checked_in_opens_on_weekdays_without_phases():
    assert CME.is_session(day("2026-11-27"))
    assert not CME.is_session(day("2026-11-28"))
    assert CME.phases(day("2026-11-27")) == ()
    assert CME.regular_window(day("2026-11-27")) is None
    assert CME.phase_at(at("2026-11-27T10:00:00", CHICAGO), None) is None
    assert not CME.covers(day("2026-11-27"))


@pytest.mark.parametrize(
    ("moment", "date", "is_open"),
    [
        ("2026-11-22T16:59:59", "2026-11-22", False),  # a Sunday
        ("2026-11-22T17:00:00", "2026-11-23", True),
        ("2026-11-27T16:59:59", "2026-11-27", True),
        ("2026-11-27T17:00:00", "2026-11-28", False),
        ("2026-03-08T17:00:00", "2026-03-09", True),  # the day the clocks go forward
    ],
)
def test_such_a_market_is_open_through_the_trading_date_of_a_weekday(moment, date, is_open):
    time_us = at(moment, CHICAGO)

    assert CME.trade_date(time_us) == day(date)
    assert CME.is_open(time_us) is is_open


def test_such_a_market_opens_next_when_its_next_trading_date_begins():
    assert CME.next_open(at("2026-11-27T18:00:00", CHICAGO)) == at("2026-11-29T17:00:00", CHICAGO)


def test_such_a_market_may_be_closed_by_an_administrator():
    christmas = Calendar(
        Base(market="CME", days={}, hours=[]),
        {day("2026-12-25"): Override(is_open=False)},
        timezone="America/Chicago",
        trade_date_shift_s=7 * 3600,
    )

    assert not christmas.is_session(day("2026-12-25"))
    assert not christmas.is_open(at("2026-12-25T10:00:00", CHICAGO))


CRYPTO = Calendar(trading_calendar.base("CRYPTO"), {}, timezone="UTC", open_on_weekends=True)
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
FX = Calendar(trading_calendar.base("FX"), {}, timezone="America/New_York", trade_date_shift_s=7 * 3600)


@pytest.mark.parametrize("date", ["2026-11-27", "2026-11-28", "2026-11-29", "2030-01-01"])
def test_a_market_that_never_closes_trades_on_each_date_and_this_is_known(date):
    assert CRYPTO.is_session(day(date))
    assert CRYPTO.covers(day(date))
    assert CRYPTO.is_open(at(f"{date}T23:59:59", zoneinfo.ZoneInfo("UTC")))
    assert CRYPTO.next_session(day(date)) == day(date) + datetime.timedelta(days=1)


def test_a_market_that_never_closes_may_still_be_closed_by_an_administrator():
    closed = Calendar(
        trading_calendar.base("CRYPTO"), {day("2026-11-28"): Override(is_open=False)}, open_on_weekends=True
    )

    assert not closed.is_session(day("2026-11-28"))


@pytest.mark.parametrize(
    ("moment", "date", "is_open"),
    [
        ("2026-11-29T16:59:59", "2026-11-29", False),  # a Sunday
        ("2026-11-29T17:00:00", "2026-11-30", True),
        ("2026-12-04T16:59:59", "2026-12-04", True),
        ("2026-12-04T17:00:00", "2026-12-05", False),
    ],
)
def test_currencies_trade_from_sunday_evening_to_friday_evening_in_new_york(moment, date, is_open):
    time_us = at(moment, NEW_YORK)

    assert FX.trade_date(time_us) == day(date)
    assert FX.is_open(time_us) is is_open


def test_a_running_server_never_loads_the_library_or_pandas():
    program = "import django, sys; django.setup(); import marketdata.calendar.trading_dates; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()

    assert "marketdata.calendar.trading_calendar" in loaded
    assert {"exchange_calendars", "pandas"} & set(loaded) == set()


def test_what_comes_next_is_the_first_change_of_the_phase_over_nights_and_holidays():
    def following(moment, venue="KRX"):
        change = KRX.next_phase(at(moment), venue)
        assert change is not None
        when, span = change
        return KRX.local(when).isoformat()[:16], span and span.phase

    assert following("2026-11-25T08:59:59") == ("2026-11-25T09:00", Phase.CONTINUOUS)
    assert following("2026-11-25T15:00:00") == ("2026-11-25T15:20", Phase.CLOSING_AUCTION)
    assert following("2026-11-25T15:20:00") == ("2026-11-25T15:33", None)
    assert following("2026-11-27T23:00:00") == ("2026-11-30T08:20", Phase.OPENING_AUCTION)
    assert following("2026-11-25T07:00:00", "NXT") == ("2026-11-25T08:00", Phase.PRE_MARKET)
    assert following("2026-11-25T08:10:00", "NXT") == ("2026-11-25T08:50", None)
    assert following("2026-11-25T16:30:00", "NXT") == ("2026-11-25T20:00", None)
    # At any of them continuous trading goes before a closing price, and that before the taking of orders.
    assert following("2026-11-25T08:10:00", None) == ("2026-11-25T08:50", Phase.OPENING_AUCTION)
    assert following("2026-11-25T15:35:00", None) == ("2026-11-25T15:40", Phase.AFTER_MARKET)


@pytest.mark.parametrize(
    ("venue", "stretches"),
    [
        ("KRX", [("09:00", "15:20"), ("16:00", "20:00")]),
        ("NXT", [("08:00", "08:50"), ("09:00", "15:20"), ("15:40", "20:00")]),
        (None, [("08:00", "08:50"), ("09:00", "15:20"), ("15:40", "20:00")]),
    ],
)
def test_trades_may_come_at_any_moment_outside_of_auctions_and_closing_prices(venue, stretches):
    found = KRX.continuous_hours(day("2026-11-25"), venue)

    assert [tuple(KRX.local(moment).strftime("%H:%M") for moment in one) for one in found] == stretches
    assert KRX.is_continuous(at("2026-11-25T16:30:00"), venue)
    assert not KRX.is_continuous(at("2026-11-25T15:25:00"), venue)
    assert KRX.continuous_hours(day("2026-11-28"), venue) == []


def test_of_a_market_without_hours_no_moment_is_known_at_which_trades_have_to_come_unless_it_never_closes():
    date = day("2026-11-27")

    assert CME.trading_hours(date, None) != CME.continuous_hours(date, None) == []
    assert CRYPTO.trading_hours(date, None) == CRYPTO.continuous_hours(date, None) != []
