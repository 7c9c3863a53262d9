"""The server asks KIS's service, which is a process of its own, by the terminals' own client."""

import datetime
import re
import socket
from collections import Counter
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from prometheus_client import REGISTRY

from api.admin.vendors import JOBS
from marketdata.calendar import trading_dates
from marketdata.models import Alarm, Symbol, VendorMinute, VendorRun
from marketdata.storage import storage
from marketdata.types.units import MINUTE_US
from marketdata.vendors import duties, holidays, kis, repair
from tests import builders, kis_service, market
from tests.kis_service import DATE, NOW
from tests.market import NINE_US, tick_id
from tests.simulators.kis.market import KST
from tests.vendor import lose

MORNING = datetime.datetime.combine(DATE, datetime.time(7, 40), KST)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with kis_service.served(tmp_path_factory.mktemp("kis")) as served:
        yield served


@pytest.fixture
def asked(service, road_database, settings, tmp_path_factory):
    """A server that is configured to ask the service."""
    url, keys = service
    settings.NARU_KIS_KEYS_FILE = str(keys)
    settings.NARU_KIS_STATE_DIR = str(keys.parent / "state")  # one token for all tests, as on one machine
    settings.NARU_KIS_MASTERS_URL = f"{url}/common/master"
    trading_dates.forget()
    return url


@pytest.fixture
def day(asked):
    """The day as we saw it: of two stocks every third trade of two minutes is missing, and each hole is known."""
    made, trades = kis_service.played()
    codes = sorted(made.stocks)[3:5]
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in codes])
    rows: list[dict[str, object]] = []
    lost: Counter[tuple[str, int]] = Counter()
    seen: Counter[str] = Counter()
    for trade in trades:
        hours, minutes, seconds = int(trade.time[:2]), int(trade.time[2:4]), int(trade.time[4:])
        time_us = NINE_US + ((hours - 9) * 3600 + minutes * 60 + seconds) * 1_000_000
        if trade.code not in codes:
            continue
        seen[trade.code] += 1
        if minutes in (2, 41) and hours == 9 and seen[trade.code] % 3 == 0:
            lost[trade.code, time_us // MINUTE_US * MINUTE_US] += trade.size
            continue
        rows.append(
            {"symbol": trade.code, "time_us": time_us, "tick_id": tick_id(1, len(rows)),
             "price": market.price(str(trade.price)), "size": market.size(str(trade.size))}
        )  # fmt: skip
    builders.commit(storage(), market.ticks(rows))
    for batch, ((code, minute_us), size) in enumerate(lost.items(), 1):
        lose(batch, minute_us, minute_us + 59_000_000, str(size), symbol=code)
    return made, lost


def counted(job):
    """When a job last ended well, its rows and its failures, as a monitor sees them."""
    names = ("last_run_timestamp_seconds", "rows_total", "failures_total")
    return tuple(REGISTRY.get_sample_value(f"naru_vendor_{name}", {"job": job}) or 0 for name in names)


def kept():
    return {
        (one.symbol, one.minute_us): (one.open, one.high, one.low, one.close, one.volume, one.value)
        for one in VendorMinute.objects.all()
    }


def expected(made, lost):
    """What the market traded in the minutes in which something was lost."""
    found = {}
    for code, minute_us in lost:
        at = datetime.datetime.fromtimestamp(minute_us // 1_000_000, KST).strftime("%H%M")
        bar = made.stocks[code].day("krx", DATE).minutes[at]
        prices = (bar.open, bar.high, bar.low, bar.close)
        found[code, minute_us] = (*(one * 10**8 for one in prices), bar.volume * 10**6, bar.value * 100)
    return found


@pytest.mark.parametrize("now", [NOW, NOW + datetime.timedelta(days=1)], ids=["the same day", "the day after"])
def test_what_was_lost_is_fetched_and_the_shares_add_up(day, now):
    made, lost = day

    before = counted("vendor_repair")
    duties.repair_gaps(now)

    assert counted("vendor_repair") == (now.timestamp(), before[1] + 4, before[2])
    assert len(lost) == 4
    assert kept() == expected(made, lost)
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_who_asks_gets_what_he_chose_at_once_and_again_though_nothing_is_due(day):
    made, lost = day
    code = min(code for code, _ in lost)
    chosen = [minute_us for of, minute_us in lost if of == code]

    told = str(duties.repair_asked([(DATE, code)], NOW))
    assert told == f"{len(chosen)} minutes fetched, 0 replaced, {len(chosen)} questions, 0 minutes left"
    assert {symbol for symbol, _ in kept()} == {code}
    VendorMinute.objects.update(volume=1)  # as if the vendor had told it so, and tells otherwise now

    told = str(duties.repair_asked([(DATE, code)], NOW))
    assert told == f"0 minutes fetched, {len(chosen)} replaced, {len(chosen)} questions, 0 minutes left"
    assert str(duties.repair_asked([], NOW)) == "2 minutes fetched, 0 replaced, 2 questions, 0 minutes left"
    assert kept() == expected(made, lost)


def test_the_command_shows_what_it_does_and_needs_nothing_the_second_time(day):
    def run():
        out = StringIO()
        call_command("repair", "--date", DATE.isoformat(), stdout=out)
        return out.getvalue().splitlines()[-1]

    assert run() == (
        "2026-03-16: 4 minutes fetched, 0 replaced, 4 questions; 0 left, 4 stretches agree, 0 do not"
    )  # fmt: skip
    assert run().startswith("2026-03-16: 0 minutes fetched, 0 replaced, 0 questions; 0 left, 4 stretches agree")


def test_a_gap_that_tells_the_wrong_number_of_shares_is_found_out(day):
    _made, lost = day
    code, minute_us = min(lost)
    lose(99, minute_us, minute_us, "1", symbol=code)

    duties.repair_gaps(NOW)

    assert f"krx/{code}" in Alarm.objects.get(code="repair_disagrees", cleared_at=None).message


def test_a_service_that_is_not_there_is_an_alarm_until_it_is(day, service, settings, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        keys = tmp_path / "elsewhere.toml"
        text = service[1].read_text().replace(service[0], f"http://127.0.0.1:{closed.getsockname()[1]}")
        keys.write_text(text)
        keys.chmod(0o600)
        settings.NARU_KIS_KEYS_FILE = str(keys)
        before = counted("vendor_repair")
        duties.repair_gaps(NOW)
        assert counted("vendor_repair") == (*before[:2], before[2] + 1)
    assert Alarm.objects.get(code="repair_failed").cleared_at is None

    settings.NARU_KIS_KEYS_FILE = str(service[1])
    with kis.Service(kis.account(), clock=lambda: NOW) as asked:
        repair.run(DATE, asked, NOW, progress=lambda _: None)
    assert Alarm.objects.get(code="repair_failed").cleared_at is not None
    assert len(kept()) == 4


def test_a_symbol_that_kis_does_not_know_is_refused_by_name(day):
    Symbol.objects.create(code="999999", market_id="KRX")
    lose(99, NINE_US, NINE_US, None, symbol="999999")

    with pytest.raises(CommandError, match="1 series were not answered"):
        call_command("repair", "--date", DATE.isoformat(), "--symbol", "999999", stdout=StringIO())


def test_a_day_of_which_kis_has_no_bar_is_not_taken_for_one_without_a_trade(day):
    _made, lost = day
    code, minute_us = min(lost)
    before = DATE - datetime.timedelta(days=3)
    lose(99, minute_us - 3 * 86_400_000_000, minute_us - 3 * 86_400_000_000, None, symbol=code)

    with pytest.raises(CommandError, match="1 series were not answered"):
        call_command("repair", "--date", before.isoformat(), stdout=StringIO())

    assert not VendorMinute.objects.exists()
    assert "KIS has no minute bar of 2026-03-13" in Alarm.objects.get(code="repair_failed").message


def test_the_morning_loads_the_symbols_of_the_master_files_once(asked):
    made, _ = kis_service.played()

    duties.load_masters(MORNING - datetime.timedelta(minutes=30))  # before the hour that is set
    assert not Symbol.objects.exists()
    rows = counted("vendor_masters")[1]
    duties.load_masters(MORNING)

    assert counted("vendor_masters")[:2] == (MORNING.timestamp(), rows + Symbol.objects.count())
    assert dict(Symbol.objects.exclude(category="futures").values_list("code", "name")) == {
        stock.code: stock.name for stock in made.stocks.values()
    }
    stock = made.stocks["000040"]
    symbol = Symbol.objects.get(code="000040")
    assert (symbol.base_price, symbol.previous_volume) == (stock.base * 10**8, 1234 * 10**6)
    assert Symbol.objects.filter(category="futures").count() == 1
    assert VendorRun.objects.get(job=duties.MASTERS_JOB).run_date == DATE
    Symbol.objects.all().delete()
    duties.load_masters(MORNING + datetime.timedelta(hours=1))
    assert not Symbol.objects.exists()


def test_the_limits_of_the_day_are_asked_once_the_files_are_loaded(asked):
    made, _ = kis_service.played()
    duties.load_limits(MORNING)  # nothing is loaded yet
    assert not VendorRun.objects.filter(job=duties.LIMITS_JOB).exists()
    duties.load_masters(MORNING)
    Symbol.objects.filter(code="000050").update(base_price=1)  # as if KIS still had another day's

    duties.load_limits(MORNING)

    rows = Symbol.objects.exclude(category="futures").values_list("code", "lower_limit", "upper_limit", "limits_on")
    assert {code: limits for code, *limits in rows} == {
        code: [None, None, None] if code == "000050" else [stock.lower * 10**8, stock.upper * 10**8, DATE]
        for code, stock in made.stocks.items()
    }
    kept = VendorRun.objects.get(job=duties.LIMITS_JOB)
    assert (kept.outcome, kept.texts) == ("11 of 12 symbols", {"ko": "12종목 중 11종목"})
    told = VendorRun.objects.get(job=duties.MASTERS_JOB)
    assert re.fullmatch(
        r"(\w+: \d+ new, \d+ renamed, \d+ returned, \d+ gone, \d+ with other facts(, )?)+", told.outcome
    )
    assert told.texts is not None
    assert re.fullmatch(r"(\w+: 신규 \d+, 이름 변경 \d+, 복귀 \d+, 제외 \d+, 정보 변경 \d+(, )?)+", told.texts["ko"])
    assert set(JOBS) == {duties.MASTERS_JOB, duties.LIMITS_JOB, holidays.JOB}


def test_master_files_that_cannot_be_had_are_an_alarm_and_tried_again(asked, settings):
    right, settings.NARU_KIS_MASTERS_URL = settings.NARU_KIS_MASTERS_URL, f"{asked}/nowhere"
    failures = counted("vendor_masters")[2]
    duties.load_masters(MORNING)
    assert counted("vendor_masters")[2] == failures + 1
    assert Alarm.objects.get(code="masters_failed").cleared_at is None

    settings.NARU_KIS_MASTERS_URL = right
    duties.load_masters(MORNING)

    assert Alarm.objects.get(code="masters_failed").cleared_at is not None
    assert Symbol.objects.exists()


def test_the_holidays_are_asked_in_the_morning_of_a_trading_day(asked):
    duties.check_holidays(MORNING)

    message = Alarm.objects.get(code="calendar_differs").message
    assert message.startswith("2026-03-19")
    assert "the vendor says closed, our calendar says open" in message
    assert VendorRun.objects.get(job="holidays").run_date == DATE
