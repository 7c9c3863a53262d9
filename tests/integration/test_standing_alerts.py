"""Rules on what no commit brings: trades that do not come, terminals that are away, alarms."""

from __future__ import annotations

import datetime
import itertools

import pytest
from django.contrib.auth import get_user_model

from analytics.alerts import due
from marketdata import alarms
from marketdata.models import Alert, AlertRule, Gap, Symbol
from marketdata.realtime import broker, live_state
from terminals import wire
from tests.integration.processing import process, rows, trade
from tests.market import NINE_US

SECOND = 1_000_000
_seqs = itertools.count(1)


@pytest.fixture
def owner(worker):
    live_state.connection().set(live_state.SEEDED, "test")
    return get_user_model().objects.create_user("trader")


def rule(owner, kind: str, parameters: dict[str, str], **other: object) -> AlertRule:
    given = {"name": kind, "symbols": [], "cooldown_s": 0, **other}
    return AlertRule.objects.create(owner=owner, kind=kind, parameters=parameters, **given)


def traded(second: int, symbol: str = "005930") -> None:
    process(rows(trade(symbol=symbol, time=NINE_US + second * SECOND), seq=next(_seqs)))


def at(*seconds: int) -> None:
    for second in seconds:
        due.watch(NINE_US + second * SECOND)


def told() -> list[tuple[str, str, str, bool]]:
    """Feed, symbol, value and whether the episode goes on, in the order of firing."""
    return [(one.feed, one.symbol, one.value, one.cleared_at is None) for one in Alert.objects.order_by("pk")]


def test_silence_of_an_open_market_is_told_once_until_a_trade_comes_and_again_after_it(owner):
    rule(owner, "stale", {"seconds": "60"}, market_id="KRX")
    traded(10)

    at(69)
    assert told() == []
    at(70, 72, 90)
    assert told() == [("krx", "", "60", True)]
    assert Alert.objects.get().texts == {"ko": "KRX (krx) 장중 60초 동안 체결 없음"}
    traded(91, "000660")  # any of its symbols
    at(92)
    assert told() == [("krx", "", "60", False)]

    at(153)
    assert told() == [("krx", "", "60", False), ("krx", "", "62", True)]
    live_state.connection().flushall()  # a Redis that does not know is not silence, and tells nothing again
    at(154)
    live_state.connection().set(live_state.SEEDED, "again")
    at(155)
    assert len(told()) == 2


def test_each_symbol_of_a_rule_is_silent_for_itself_and_none_when_its_market_is_closed(owner):
    rule(owner, "stale", {"seconds": "60"}, symbols=["005930", "000660"])
    traded(30)

    at(-300, 0, 60)
    assert told() == [("krx", "000660", "60", True)]
    at(95)
    assert told() == [("krx", "000660", "60", True), ("krx", "005930", "65", True)]
    at(12 * 3600)
    assert [goes_on for *_, goes_on in told()] == [False, False]


def test_silence_is_told_in_the_hours_of_the_feed_s_venue_also_before_and_after_the_regular_session(owner):
    rule(owner, "stale", {"seconds": "60"}, symbols=["005930"], feed="nxt")
    rule(owner, "stale", {"seconds": "60"}, symbols=["005930"], feed="krx", name="krx")
    before, between, auction, after = -50 * 60, -5 * 60, 6 * 3600 + 25 * 60, 9 * 3600

    at(before)
    assert told() == [("nxt", "005930", "600", True)]  # since 8:00; KRX begins at 9:00
    at(between)
    assert told() == [("nxt", "005930", "600", False)]
    at(auction)
    assert len(told()) == 1
    at(after)  # at KRX there was no continuous after-market yet in March 2026
    assert told() == [("nxt", "005930", "600", False), ("nxt", "005930", "8400", True)]


def test_nothing_is_called_silent_of_which_nobody_knows_the_hours(owner):
    Symbol.objects.create(code="AAPL", market_id="US", primary_feed="bloomberg")
    rule(owner, "stale", {"seconds": "60"}, symbols=["AAPL"])
    rule(owner, "stale", {"seconds": "60"}, symbols=["005930"], feed="kis_night", name="night")
    rule(owner, "stale", {"seconds": "60"}, symbols=["005930"], name="known")

    at(600, 15 * 3600)  # ten past nine in Seoul, and New York is open at midnight

    assert told() == [("krx", "005930", "600", False)]


def connected(*clients: str) -> None:
    live_state.show_ingest("test", {"instance": "test", "clients": [{"client": one} for one in clients]})


def test_a_terminal_that_is_away_is_told_once_and_a_redis_that_forgot_tells_it_no_second_time(owner):
    rule(owner, "terminal", {"client": "kis-1", "seconds": "30"})
    connected("kis-1", "other")

    at(0)
    connected("other")
    at(10, 39)
    assert told() == []
    at(40, 42)
    assert told() == [("", "kis-1", "30", True)]
    live_state.connection().flushall()
    at(44)
    assert told() == [("", "kis-1", "30", True)]

    connected("kis-1")
    at(46)
    assert told() == [("", "kis-1", "30", False)]
    connected()
    at(50, 79)
    assert len(told()) == 1
    at(80)
    assert told() == [("", "kis-1", "30", False), ("", "kis-1", "30", True)]


def test_an_alarm_is_told_for_each_subject_and_once_more_when_it_is_raised_anew(owner):
    alarms.raise_alarm("rollover_failed", "before the rule", subject="2026-03-12")
    alarms.resolve("rollover_failed")
    rule(owner, "alarm", {"code": "rollover_failed"})

    due.watch()
    assert told() == []
    alarms.raise_alarm("rollover_failed", "10.0.0.1 is away", subject="2026-03-13")
    alarms.raise_alarm("rollover_failed", "the same", subject="2026-03-16")
    alarms.raise_alarm("disk_low", "another code")
    for _ in range(2):
        due.watch()
    assert sorted(told()) == [("", "2026-03-13", "1", True), ("", "2026-03-16", "1", True)]
    assert {one.message for one in Alert.objects.all()} == {
        "Alarm of the system: rollover held up · rollover_failed (2026-03-13)",
        "Alarm of the system: rollover held up · rollover_failed (2026-03-16)",
    }
    assert Alert.objects.get(symbol="2026-03-13").texts == {
        "ko": "시스템 경보: 마감 중단 · rollover_failed (2026-03-13)"
    }

    alarms.resolve("rollover_failed", subject="2026-03-13")
    alarms.raise_alarm("rollover_failed", "again, between two looks", subject="2026-03-13")
    due.watch()
    assert sorted(told()) == [
        ("", "2026-03-13", "1", False), ("", "2026-03-13", "1", True), ("", "2026-03-16", "1", True),
    ]  # fmt: skip
    alarms.resolve("rollover_failed")
    due.watch()
    assert not Alert.objects.filter(cleared_at=None).exists()


def gap(batch: int, symbol: str = "", feed: str = "krx", *, seconds: int = 30, now: datetime.datetime) -> None:
    """One that a terminal told of at this moment, and that had just ended."""
    to_us = int(now.timestamp() * 1e6)
    Gap.objects.create(batch=batch, feed=feed, symbol=symbol, from_us=to_us - seconds * SECOND, to_us=to_us, rows=5)


def look() -> list[tuple[str, str, str, bool]]:
    due.watch()
    return told()


def test_missing_data_is_told_once_for_what_a_rule_looks_at_and_not_within_the_pause(owner):
    now = datetime.datetime.now(datetime.UTC)
    gap(1, now=now)
    rule(owner, "gap", {"seconds": "10"}, market_id="KRX")
    one = {"symbols": ["005930"], "name": "one", "cooldown_s": 3600}
    rule(owner, "gap", {"seconds": "0"}, **one)

    assert look() == []  # what was noted before the rules were made
    gap(2, "005930", seconds=5, now=now)
    assert look() == look() == [("krx", "005930", "5", False)]
    gap(3, "000660", now=now)
    gap(4, seconds=70, now=now)
    gap(5, "005930", "nxt", now=now)
    gap(6, now=now - datetime.timedelta(days=2))  # of a replay
    assert sorted(look()) == [("krx", "", "70", False), ("krx", "", "70", False), ("krx", "005930", "5", False)]
    messages = {(one.name, one.symbol): (one.texts or {})["ko"] for one in Alert.objects.all()}
    assert messages["gap", ""] == "KRX (krx) 데이터 누락: 2건, 최장 70초, 10행"
    assert messages["one", ""] == "005930 (krx) 데이터 누락: 1건, 최장 70초, 5행"
    gap(7, now=now)
    assert len(look()) == 4  # the rule of the market, which has no pause
    live_state.connection().flushall()
    assert len(look()) == 4


def test_rows_that_a_terminal_dropped_are_missing_data_of_every_symbol_of_their_feed(owner):
    rule(owner, "gap", {"seconds": "0"}, symbols=["005930"], name="one")
    rule(owner, "gap", {"seconds": "0"}, market_id="KRX", name="all")
    now_us = int(datetime.datetime.now(datetime.UTC).timestamp() * 1e6)

    process(wire.encode_gap(next(_seqs), "krx", 1, now_us - 300_000, now_us, 500, "spool_full"))

    assert look() == [("krx", "", "0", False)] * 2
    messages = {one.name: (one.texts or {})["ko"] for one in Alert.objects.all()}
    assert messages == {
        "one": "005930 (krx) 데이터 누락: 1건, 최장 0초, 500행", "all": "KRX (krx) 데이터 누락: 1건, 최장 0초, 500행"
    }  # fmt: skip


def test_a_queue_that_stays_full_is_told_until_it_is_below_the_band(owner):
    rule(owner, "queue", {"queue": "processed-data", "level": "10", "band": "4", "seconds": "30"})
    queue = broker.connection()

    def waiting(count: int) -> None:
        queue.delete("processed-data")
        queue.rpush("processed-data", *["x"] * count)

    waiting(12)
    at(0, 20)
    waiting(9)
    at(24)
    waiting(10)
    at(26, 55)
    assert told() == []
    at(56)
    assert told() == [("", "processed-data", "10", True)]
    assert Alert.objects.get().texts == {"ko": "큐 커밋 뒤 처리 · processed-data 적체: 메시지 10건 대기, 30초째"}
    waiting(6)
    at(58)
    assert told() == [("", "processed-data", "10", True)]
    waiting(5)
    at(60)
    assert told() == [("", "processed-data", "10", False)]
    queue.delete("processed-data")


def test_a_rule_that_is_changed_ends_what_goes_on_and_fires_anew(owner):
    alarms.raise_alarm("rollover_failed", "so", subject="2026-03-13")
    made = rule(owner, "alarm", {"code": "rollover_failed"})
    due.watch()

    made.enabled, made.revision = False, 2
    made.save()
    due.watch()
    assert told() == [("", "2026-03-13", "1", False)]
    made.enabled, made.revision = True, 3
    made.save()
    due.watch()
    assert told() == [("", "2026-03-13", "1", False), ("", "2026-03-13", "1", True)]
