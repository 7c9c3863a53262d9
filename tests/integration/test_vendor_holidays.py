"""Where the vendor's holidays are not those of our calendar a person is told, once a day asked and date by date."""

import datetime

import pytest
from django.utils import translation

from marketdata.calendar import trading_dates
from marketdata.models import Alarm, CalendarOverride, VendorRun
from marketdata.vendors import holidays, runs
from marketdata.vendors.errors import VendorAway, VendorRefused
from tests import boards
from tests.upkeep import seoul

MONDAY = datetime.date(2026, 3, 16)
MORNING = seoul("2026-03-16 07:40")


@pytest.fixture(autouse=True)
def calendar(road_database):
    trading_dates.forget()
    yield
    trading_dates.forget()


def day(number):
    return MONDAY + datetime.timedelta(days=number)


def vendor(**other):
    """What a vendor says that agrees with our calendar, save for `other`, by number of the day."""
    ours = trading_dates.calendar("KRX")
    said = {day(number): ours.is_session(day(number)) for number in range(30)}
    return said | {day(int(number.removeprefix("day"))): value for number, value in other.items()}


def differing():
    return sorted(Alarm.objects.filter(code="calendar_differs", cleared_at=None).values_list("subject", flat=True))


def test_a_calendar_that_agrees_raises_nothing():
    assert holidays.compare(vendor(), MONDAY) == []
    assert differing() == []


def test_a_date_that_differs_is_an_alarm_with_both_opinions_until_it_agrees():
    holidays.compare(vendor(day2=False, day5=True), MONDAY)

    assert differing() == ["2026-03-18", "2026-03-21"]
    message = Alarm.objects.get(subject="2026-03-18").message
    assert "the vendor says closed" in message
    assert "our calendar says open" in message

    CalendarOverride.objects.create(market_id="KRX", date=day(2), is_open=False, note="임시 휴장")
    trading_dates.forget()
    holidays.compare(vendor(day5=True), MONDAY)
    assert differing() == ["2026-03-21"]


def test_a_date_that_is_over_is_no_longer_an_alarm():
    holidays.compare(vendor(day0=False), MONDAY)
    assert differing() == ["2026-03-16"]

    holidays.compare(vendor(), day(1))

    assert differing() == []


def test_it_is_asked_once_a_day_however_many_processes_want_to():
    asked = []

    def ask(today):
        asked.append(today)
        return vendor()

    assert [holidays.check_due(ask, MORNING) for _ in range(3)] == [True, False, False]
    assert holidays.check_due(ask, MORNING + datetime.timedelta(days=1))
    assert asked == [day(0), day(1)]
    kept = VendorRun.objects.get(job="holidays")
    assert (kept.outcome, kept.texts) == ("30 dates, 0 differ", {"ko": "30일 중 0일 다름"})
    with translation.override("ko"):
        assert kept.shown == "30일 중 0일 다름"


@pytest.mark.parametrize("error", [VendorAway("no route"), VendorRefused("no such call")])
def test_a_question_that_failed_is_an_alarm_and_not_put_again_on_the_same_day(error):
    def fail(_today):
        raise error

    holidays.check_due(fail, MORNING)

    assert str(error) in Alarm.objects.get(code="holidays_failed").message
    assert not holidays.check_due(fail, MORNING)
    assert holidays.check_due(lambda _today: vendor(), MORNING + datetime.timedelta(days=1))
    assert not Alarm.objects.filter(code="holidays_failed", cleared_at=None).exists()


def test_a_job_is_claimed_by_one_and_done_for_its_day_only():
    assert runs.claim("job", MONDAY, MORNING)
    assert not runs.claim("job", MONDAY, MORNING)
    assert runs.is_done("job", MONDAY)
    assert not runs.is_done("job", day(1))
    assert runs.claim("job", day(1), MORNING)


@pytest.mark.once
def test_what_the_boards_ask_of_vendors_has_an_answer(redis, tmp_path):
    def away(_date):
        raise VendorAway("no answer")

    assert holidays.check_due(lambda _date: vendor(), MORNING)
    assert holidays.check_due(away, MORNING + datetime.timedelta(days=1))

    with boards.watched(tmp_path / "prometheus") as prometheus:
        boards.all_answered(prometheus, boards.VENDORS)

        (compared,) = prometheus.query('naru_vendor_last_run_timestamp_seconds{exported_job="holidays"}')
        assert float(compared["value"][1]) == MORNING.timestamp()
