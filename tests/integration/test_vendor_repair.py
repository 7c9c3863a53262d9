"""What was lost is listed to the minute and the share, and shown by the vendor's bars beside ours, never in them."""

import datetime
import json
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from marketdata import tasks
from marketdata.calendar import trading_dates
from marketdata.maintenance import leases, retention
from marketdata.models import Alarm, Client, FeedOwner, IngestStream, Symbol, VendorMinute, VendorRun
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from marketdata.vendors import duties, gap_minutes, keys, minutes, repair
from marketdata.vendors.errors import VendorAway
from tests import market
from tests.upkeep import FIRST, commit, seoul
from tests.vendor import Vendor, bar, lose, minute_us

EVENING = seoul("2026-03-16 20:15")
SAMSUNG, HYNIX = "005930", "000660"


@pytest.fixture(autouse=True)
def monday(road_database):
    """005930 has a share at 09:00, 09:02 …, 000660 at 09:01, 09:03 …"""
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in (SAMSUNG, HYNIX)])
    trading_dates.forget()
    commit(FIRST, rows=8)


def run(vendor, *, now=EVENING, **options):
    return repair.run(FIRST, vendor, now, progress=lambda _: None, **options)


def ours():
    return market.candles(storage().read_day_minutes(FIRST, "krx"))


def found(**options):
    return [
        (one.feed, one.symbol, (one.minutes[0].minute_us - minute_us(0)) // 60_000_000, len(one.minutes), one.missing)
        for one in gap_minutes.find(FIRST, **options)
    ]


def alarms():
    return {(one.code, one.subject) for one in Alarm.objects.filter(cleared_at=None)}


def test_a_gap_is_listed_by_the_minutes_it_touches_with_the_shares_that_are_missing():
    lose(1, minute_us(2) + 5_000_000, minute_us(2) + 9_000_000, "3")
    lose(2, minute_us(4) + 50_000_000, minute_us(6) + 1_000_000, "12.5", symbol=HYNIX)

    assert found() == [("krx", HYNIX, 4, 3, market.size("12.5")), ("krx", SAMSUNG, 2, 1, market.size("3"))]
    assert found(symbol=HYNIX) == [("krx", HYNIX, 4, 3, market.size("12.5"))]


def test_gaps_that_share_a_minute_are_one_stretch_and_their_shares_add_up():
    lose(1, minute_us(2), minute_us(3) + 5, "3")
    lose(2, minute_us(3) + 6, minute_us(3) + 7, "4")
    lose(3, minute_us(4), minute_us(4), "5")

    assert found() == [("krx", SAMSUNG, 2, 2, market.size("7")), ("krx", SAMSUNG, 4, 1, market.size("5"))]


def test_of_a_gap_that_does_not_say_how_much_it_lost_nobody_makes_up_a_number():
    lose(1, minute_us(2), minute_us(2), "3")
    lose(2, minute_us(2), minute_us(2), None)

    assert found() == [("krx", SAMSUNG, 2, 1, None)]


def test_a_gap_of_a_whole_feed_is_one_of_every_symbol_that_its_terminal_sends():
    client = Client.objects.create_with_secret(name="kis-1", source_id=3, may_send=True)[0]
    IngestStream.objects.create(id=7, client=client, epoch="e" * 16)
    FeedOwner.objects.create(feed="krx", symbol=HYNIX, client=client, changed_us=0)
    lose(batch_number(7, 1), minute_us(1), minute_us(1), None, symbol=None)

    assert found() == [("krx", HYNIX, 1, 1, None)]

    FeedOwner.objects.all().delete()  # nobody owns a symbol of a shared feed
    assert [one[1] for one in found()] == [HYNIX, SAMSUNG]


def test_minutes_in_which_nothing_is_traded_and_those_of_another_day_are_no_gap():
    day_us = 86_400_000_000
    lose(1, minute_us(0) - day_us, minute_us(0) + day_us, None)

    (stretch,) = gap_minutes.find(FIRST)

    held = [*range(-30, -20), *range(393), *range(400, 541)]  # 08:30-08:40, 09:00-15:33, 15:40-18:01
    assert [one.minute_us for one in stretch.minutes] == [minute_us(minute) for minute in held]
    assert list(gap_minutes.find(FIRST - datetime.timedelta(days=1))) == []  # a Sunday


def test_a_repair_fetches_the_minutes_with_gaps_and_nothing_else_and_leaves_our_candles_alone():
    lose(1, minute_us(2), minute_us(3) + 30_000_000, "10")
    before = ours()
    vendor = Vendor({(SAMSUNG, "krx"): [bar(1, "9"), bar(2, "4"), bar(3, "7"), bar(4, "9")]})

    outcome = run(vendor)

    kept = VendorMinute.objects.order_by("minute_us")
    assert [(one.symbol, one.minute_us, one.volume) for one in kept] == [
        (SAMSUNG, minute_us(2), market.size("4")), (SAMSUNG, minute_us(3), market.size("7")),
    ]  # fmt: skip
    assert (outcome.fetched, outcome.questions, outcome.left, outcome.agreeing) == (2, 1, 0, 1)
    assert ours() == before


def test_a_repair_that_comes_twice_asks_nothing_the_second_time():
    lose(1, minute_us(2), minute_us(2), "3")
    vendor = Vendor({(SAMSUNG, "krx"): [bar(2, "4")]})

    run(vendor)
    first = list(VendorMinute.objects.values())
    run(vendor)

    assert len(vendor.questions) == 1
    assert list(VendorMinute.objects.values()) == first


def test_a_minute_in_which_the_vendor_had_no_trade_either_is_answered():
    lose(1, minute_us(1), minute_us(1), "0")
    vendor = Vendor({(SAMSUNG, "krx"): []})

    assert run(vendor).left == 0
    (one,) = VendorMinute.objects.all()
    assert (one.volume, one.close) == (0, None)
    assert run(vendor).questions == 0


def test_what_the_vendor_corrects_is_replaced_and_its_revision_raised_when_it_is_asked_again():
    lose(1, minute_us(2), minute_us(2), "3")
    run(Vendor({(SAMSUNG, "krx"): [bar(2, "4")]}))

    outcome = run(Vendor({(SAMSUNG, "krx"): [bar(2, "5")]}), again=True)

    assert (outcome.fetched, outcome.replaced) == (0, 1)
    assert list(VendorMinute.objects.values_list("volume", "rev")) == [(market.size("5"), 1)]
    assert run(Vendor({(SAMSUNG, "krx"): [bar(2, "5")]}), again=True).replaced == 0


def test_a_repair_that_is_cut_off_goes_on_where_it_was():
    for number, code in enumerate((HYNIX, SAMSUNG), 1):
        lose(number, minute_us(2), minute_us(2), None, symbol=code)
    bars = {(HYNIX, "krx"): [bar(2, "1")], (SAMSUNG, "krx"): [bar(2, "1")]}

    with pytest.raises(VendorAway):
        run(Vendor(bars, until=1))

    assert ("repair_failed", "2026-03-16") in alarms()
    vendor = Vendor(bars)
    run(vendor)
    assert [code for code, *_ in vendor.questions] == [SAMSUNG]
    assert ("repair_failed", "2026-03-16") not in alarms()


def test_a_slice_that_has_no_time_left_asks_nothing_and_says_what_is_left():
    lose(1, minute_us(2), minute_us(2), None)
    vendor = Vendor({(SAMSUNG, "krx"): [bar(2, "1")]})

    outcome = run(vendor, until_s=time.monotonic() - 1)

    assert (outcome.left, outcome.is_through, vendor.questions) == (1, False, [])


def test_minutes_far_from_each_other_are_asked_for_apart_and_near_ones_together():
    for number, minute in enumerate((2, 3, 20, 200), 1):
        lose(number, minute_us(minute), minute_us(minute), None)
    vendor = Vendor({(SAMSUNG, "krx"): []})

    run(vendor)

    assert [(first, last) for *_, first, last in vendor.questions] == [
        (minute_us(200), minute_us(200)), (minute_us(2), minute_us(20)),
    ]  # fmt: skip


def test_a_minute_that_is_not_settled_waits():
    lose(1, minute_us(2), minute_us(2), None)
    vendor = Vendor({(SAMSUNG, "krx"): [bar(2, "1")]})

    assert run(vendor, now=seoul("2026-03-16 09:03")).left == 1
    assert vendor.questions == []
    assert run(vendor, now=seoul("2026-03-16 09:04")).left == 0


def test_a_symbol_that_the_vendor_refuses_holds_up_no_other_and_is_told():
    lose(1, minute_us(2), minute_us(2), None, symbol=HYNIX)
    lose(2, minute_us(2), minute_us(2), None, symbol=SAMSUNG)

    outcome = run(Vendor({(SAMSUNG, "krx"): [bar(2, "1")]}))

    assert outcome.refused == {"krx/000660": "000660 is unknown"}
    assert (outcome.fetched, outcome.left) == (1, 1)
    assert "000660 is unknown" in Alarm.objects.get(code="repair_failed").message


def test_shares_that_do_not_add_up_are_an_alarm_until_they_do():
    lose(1, minute_us(2), minute_us(2), "3")
    outcome = run(Vendor({(SAMSUNG, "krx"): [bar(2, "9")]}))

    assert [one.difference for one in outcome.differing] == [market.size("5")]  # 9 are not our 1 and 3
    assert "005930" in Alarm.objects.get(code="repair_disagrees", cleared_at=None).message

    run(Vendor({(SAMSUNG, "krx"): [bar(2, "4")]}), again=True)
    assert ("repair_disagrees", "2026-03-16") not in alarms()


def test_only_one_process_repairs_at_a_time():
    with leases.hold(repair.LEASE), pytest.raises(leases.LeaseHeld):
        run(Vendor({}))


@pytest.mark.once
@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-03-16 15:40", "2026-03-13"),  # trading goes on after the close
        ("2026-03-16 20:09", "2026-03-13"),
        ("2026-03-16 20:10", "2026-03-16"),
        ("2026-03-17 06:00", "2026-03-16"),
        ("2026-03-22 12:00", "2026-03-20"),  # a Sunday
    ],
)
def test_a_trading_day_is_due_after_its_last_trade_and_the_time_that_is_set(now, newest):
    dates = repair.due_dates(seoul(now))

    assert dates[0].isoformat() == newest
    assert len(dates) == repair.LOOK_BACK


def test_the_timetable_repairs_what_is_due_and_waits_after_a_failure():
    lose(1, minute_us(2), minute_us(2), None)
    vendor = Vendor({})
    soon = datetime.datetime.now(datetime.UTC)  # the alarm has the wall clock

    def due(now):
        return repair.run_due([FIRST], vendor, now, until_s=time.monotonic() + 60)

    assert [one.date for one in due(soon)] == [FIRST]
    assert due(soon) == []
    assert [one.date for one in due(soon + datetime.timedelta(hours=1))] == [FIRST]


@pytest.mark.once
def test_without_keys_nothing_is_asked_and_a_process_says_so_once(caplog, monkeypatch, settings):
    monkeypatch.delenv("NARU_KIS_APPKEY", raising=False)
    monkeypatch.setattr(keys, "_told", False)
    settings.NARU_KIS_KEYS_FILE = ""

    with caplog.at_level("INFO", "marketdata.vendors.keys"):
        for task in (tasks.repair_gaps, tasks.load_masters, tasks.check_holidays):
            task()

    (record,) = caplog.records
    assert "no keys of KIS are configured" in record.getMessage()
    assert not VendorRun.objects.exists()
    with pytest.raises(CommandError, match="no keys of KIS are configured"):
        call_command("repair", "--date", "2026-03-16", stdout=StringIO())


@pytest.mark.once
def test_a_key_file_that_others_may_read_is_an_alarm_that_shows_no_key(settings, tmp_path):
    file = tmp_path / "kis.toml"
    file.write_text('[[account]]\nappkey = "PSkey"\nappsecret = "hidden"\n')
    file.chmod(0o644)
    settings.NARU_KIS_KEYS_FILE = str(file)

    duties.repair_gaps(EVENING)

    message = Alarm.objects.get(code="kis_keys").message
    assert "chmod 600" in message
    assert "hidden" not in message


def test_the_command_lists_gaps_for_people_and_for_programs():
    lose(1, minute_us(2), minute_us(2), "3")
    run(Vendor({(SAMSUNG, "krx"): [bar(2, "4")]}))
    lose(2, minute_us(5), minute_us(5), None, symbol=HYNIX)

    def printed(*options):
        out = StringIO()
        call_command("gaps", "--date", "2026-03-16", *options, stdout=out)
        return out.getvalue().splitlines()

    assert printed() == [
        "krx      000660   09:05-09:06  missing ?, vendor 0/1",
        "krx      005930   09:02-09:03  missing 3, vendor 1/1, agrees",
        "2026-03-16: 2 stretches, 2 minutes, 1 with the vendor's answer",
    ]
    assert [json.loads(line) for line in printed("--json", "--symbol", SAMSUNG)] == [
        {
            "symbol": "005930",
            "feed": "krx",
            "missing": "3",
            "difference": "0",
            "reasons": ["volume_hole"],
            "minutes": [{"t": "2026-03-16T00:02:00Z", "ours": "1", "vendor": "4"}],
        }
    ]


def test_a_gap_in_which_no_trades_are_missing_is_listed_and_not_repaired():
    lose(1, minute_us(2), minute_us(2), "3")
    lose(2, minute_us(2), minute_us(5), None, reason="book:disconnected")
    out = StringIO()

    call_command("gaps", "--date", "2026-03-16", stdout=out)

    assert out.getvalue().splitlines() == [
        "krx      005930   09:02-09:03  missing 3, vendor 0/1",
        "krx      005930   09:02-09:06  order books alone, no trades: no connection to the source",
        "2026-03-16: 1 stretches, 1 minutes, 0 with the vendor's answer",
    ]
    assert run(Vendor({(SAMSUNG, "krx"): [bar(2, "4")]})).fetched == 1


def test_the_command_lists_gaps_of_feeds_that_the_vendor_does_not_have_too():
    lose(1, minute_us(2), minute_us(3), "3", feed="infomax")
    lose(2, minute_us(9), minute_us(9), None, symbol=None, feed="bloomberg")
    lose(3, minute_us(9) + 86_400_000_000, minute_us(9) + 86_400_000_000, None, feed="sim")
    out = StringIO()

    call_command("gaps", "--date", "2026-03-16", stdout=out)

    assert out.getvalue().splitlines() == [
        "bloomberg *        09:09-09:10  missing ?, vendor 0/1",
        "infomax  005930   09:02-09:04  missing 3, vendor 0/2",
        "2026-03-16: 2 stretches, 3 minutes, 0 with the vendor's answer",
    ]
    assert run(Vendor({})).questions == 0


def test_vendor_bars_past_their_time_go(settings):
    lose(1, minute_us(2), minute_us(2), "3")
    run(Vendor({(SAMSUNG, "krx"): [bar(2, "4")]}))
    settings.RETENTION_VENDOR_DAYS = 30

    retention.forget_vendor_minutes(seoul("2026-04-15 12:00"), progress=lambda _: None)
    assert VendorMinute.objects.count() == 1
    retention.forget_vendor_minutes(seoul("2026-04-16 12:00"), progress=lambda _: None)
    assert VendorMinute.objects.count() == 0
    assert minutes.volumes(FIRST, "krx") == {}
