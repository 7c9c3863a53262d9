"""`manage.py calendar`: the checked-in calendar against the library, and what it prints."""

import datetime
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import translation

from marketdata.calendar import trading_calendar, trading_dates
from marketdata.calendar.trading_calendar import Calendar
from marketdata.management.commands import calendar as command

BASE = trading_calendar.base("KRX")


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


@pytest.fixture(scope="module")
def theirs() -> command.Opening:
    pytest.importorskip("exchange_calendars")
    return command.library_hours("KRX", BASE.first_date, BASE.last_date)[1]


def test_the_library_differs_from_the_calendar_in_its_known_mistakes_only(theirs):
    found = command.differences(BASE, command.regular_hours(Calendar(BASE, {})), theirs, command.corrections("KRX"))

    assert {difference.date: difference.ours for difference in found} == {
        day("2023-11-16"): "10:00-16:30",
        day("2024-11-14"): "10:00-16:30",
        day("2025-11-13"): "10:00-16:30",
        day("2026-06-03"): "closed",
        day("2026-07-17"): "closed",
        day("2026-11-19"): "10:00-16:30",
        day("2027-05-03"): "closed",
        day("2027-07-19"): "closed",
        day("2027-11-18"): "10:00-16:30",
    }


def test_each_known_mistake_of_the_library_is_explained(theirs):
    found = command.differences(BASE, command.regular_hours(Calendar(BASE, {})), theirs, command.corrections("KRX"))

    assert [difference.date for difference in found if not difference.known] == []


def test_a_difference_nobody_recorded_is_not_explained():
    ours = {day("2026-11-25"): "09:00-15:30"}

    unexplained = [d for d in command.differences(BASE, ours, {}, {}) if not d.known]

    assert [str(difference) for difference in unexplained] == [
        "2026-11-25 Wed  here 09:00-15:30  library closed       NOT EXPLAINED"
    ]


def test_people_read_of_a_difference_in_korean():
    (difference,) = command.differences(BASE, {day("2026-11-25"): "09:00-15:30"}, {}, {})

    with translation.override("ko"):
        told = str(difference)

    assert told == "2026-11-25 수요일  Naru 09:00-15:30  라이브러리 휴장           설명되지 않음"


def test_a_recorded_mistake_explains_what_it_was_recorded_for_and_nothing_else():
    known = {day("2026-06-03"): ("09:00-15:30", "krx-2026-06-03")}

    def explained(says: str) -> bool:
        (difference,) = command.differences(BASE, {}, {day("2026-06-03"): says}, known)
        return bool(difference.known)

    assert explained("09:00-15:30")
    assert not explained("10:00-15:30")


def test_the_check_names_each_difference_and_ends_well(theirs, capsys):
    call_command("calendar", "--check")

    told = capsys.readouterr().out
    assert "2026-07-17 Fri  here closed       library 09:00-15:30  known correction (krx-2026-07-17)" in told
    assert "0 not explained" in told


def test_the_check_fails_on_a_difference_that_nobody_explained(monkeypatch, theirs):
    monkeypatch.setattr(command, "corrections", lambda market: {})

    with pytest.raises(CommandError, match=r"9 not explained"):
        call_command("calendar", "--check")


def test_the_check_says_when_a_recorded_mistake_is_no_longer_one(monkeypatch, theirs, capsys):
    known = {**command.corrections("KRX"), day("2026-11-25"): ("closed", "somewhere")}
    monkeypatch.setattr(command, "corrections", lambda market: known)

    call_command("calendar", "--check")

    assert "2026-11-25 Wed  the library is right by now" in capsys.readouterr().out


def test_without_the_library_the_check_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)  # what Python keeps for a module that is not there

    with pytest.raises(CommandError, match="pip install exchange_calendars"):
        call_command("calendar", "--check")


def test_a_market_of_which_nothing_is_checked_in_cannot_be_checked():
    with pytest.raises(CommandError, match="CME"):
        call_command("calendar", "--check", "--market", "CME")


def test_a_year_is_printed_without_a_database_and_the_missing_overrides_are_told(monkeypatch, capsys):
    def unreachable(market: str) -> Calendar:
        raise OperationalError("no such table: calendar_override")

    monkeypatch.setattr(trading_dates, "calendar", unreachable)

    call_command("calendar", "--year", "2025")

    told = capsys.readouterr()
    assert told.out.startswith("KRX 2025: 242 trading days\n")
    assert "without calendar_override" in told.err
