"""What an administrator enters for a date, and how soon everybody knows."""

import datetime

import pytest
from django.core.management import CommandError, call_command

from marketdata.calendar import trading_dates
from marketdata.calendar.trading_dates import Calendars
from marketdata.models import CalendarOverride, Market
from tests.fakes import FakeClock

MONDAY = datetime.date(2026, 11, 30)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def calendars(road_database: None, clock: FakeClock) -> Calendars:
    return Calendars(keep_s=30.0, clock=clock)


@pytest.fixture(autouse=True)
def nothing_remembered():
    trading_dates.forget()
    yield
    trading_dates.forget()


def close(market: str = "KRX", date: datetime.date = MONDAY, **fields: object) -> CalendarOverride:
    return CalendarOverride.objects.create(
        market=Market.objects.get(code=market), date=date, note="임시공휴일 temporary holiday", **fields
    )


def test_an_entered_closure_is_known_within_half_a_minute(calendars, clock):
    assert calendars.find("KRX").is_session(MONDAY)
    close()

    clock.advance(29.0)
    assert calendars.find("KRX").is_session(MONDAY)
    clock.advance(2.0)

    assert not calendars.find("KRX").is_session(MONDAY)
    assert calendars.find("KRX").day(MONDAY).reason == "임시공휴일 temporary holiday"


def test_a_removed_entry_is_forgotten_as_soon(calendars, clock):
    entry = close()
    assert not calendars.find("KRX").is_session(MONDAY)

    entry.delete()
    clock.advance(31.0)

    assert calendars.find("KRX").is_session(MONDAY)


def test_an_entry_counts_for_its_own_market_alone(calendars):
    close("CME")

    assert calendars.find("KRX").is_session(MONDAY)
    assert not calendars.find("CME").is_session(MONDAY)


def test_entered_hours_are_those_of_the_regular_session(calendars):
    close(is_open=True, regular_open=datetime.time(10, 0), regular_close=datetime.time(12, 0))

    bounds = calendars.find("KRX").regular_window(MONDAY)

    assert bounds is not None
    midnight_us = int(datetime.datetime(2026, 11, 29, 15, tzinfo=datetime.UTC).timestamp()) * 1_000_000
    assert [(bound - midnight_us) // 60_000_000 for bound in bounds] == [10 * 60, 12 * 60 + 3]


def test_a_calendar_stays_the_same_object_until_something_is_changed(calendars, clock):
    before = calendars.find("KRX"), calendars.find("CME")
    clock.advance(31.0)
    assert (calendars.find("KRX"), calendars.find("CME")) == before

    close("CME")
    clock.advance(31.0)

    assert calendars.find("KRX") is before[0]
    assert calendars.find("CME") is not before[1]


def test_a_market_trades_by_its_own_time_zone_and_shift(calendars):
    evening_us = int(datetime.datetime(2026, 11, 22, 23, tzinfo=datetime.UTC).timestamp()) * 1_000_000

    assert calendars.find("CME").trade_date(evening_us) == datetime.date(2026, 11, 23)  # 17:00 in Chicago
    assert calendars.find("KRX").trade_date(evening_us) == datetime.date(2026, 11, 23)  # 08:00 in Seoul


def test_a_market_nobody_registered_has_no_calendar(calendars):
    with pytest.raises(LookupError, match="no market 'NYSE'; there are: CME, CRYPTO, FX, KRX, US"):
        calendars.find("NYSE")


def test_the_calendar_in_force_is_read_anew_after_a_change_that_was_told(road_database):
    assert trading_dates.calendar("KRX").is_session(MONDAY)
    close()

    trading_dates.forget()

    assert not trading_dates.calendar("KRX").is_session(MONDAY)


def test_the_command_prints_the_unusual_days_of_a_year_with_what_was_entered(road_database, capsys):
    close(source="https://open.krx.co.kr/")

    call_command("calendar", "--year", "2026")

    told = capsys.readouterr().out
    assert told.startswith("KRX 2026: 243 trading days\n")
    assert "2026-01-02 Fri  open +60 min, close ±0  첫 거래일 10시 개장" in told
    assert "2026-07-17 Fri  closed  제헌절 Constitution Day  (krx-2026-07-17)" in told
    assert "2026-11-30 Mon  closed  임시공휴일 temporary holiday  (https://open.krx.co.kr/)" in told
    assert "2026-12-31 Thu  closed  연말 휴장 year-end closing [expected]" in told
    assert "2026-09-14 from here on" in told
    assert "  KRX 16:00:00–20:00:00  after    after_market" in told


def test_the_command_says_that_a_year_beyond_the_data_is_a_guess(road_database, capsys):
    call_command("calendar", "--year", "2030")

    assert "GUESSED" in capsys.readouterr().out


def test_the_command_knows_registered_markets_only(road_database):
    with pytest.raises(CommandError, match="no market 'NYSE'"):
        call_command("calendar", "--year", "2026", "--market", "NYSE")
