"""Rules of people on what is committed: what fires, once for each episode, whoever looks and however often."""

from __future__ import annotations

import datetime
import itertools
import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection

from analytics.alerts import announcements, due, rules
from analytics.alerts.judging import episodes
from marketdata.ledger import batch_ledger
from marketdata.models import Alert, AlertRule, Symbol
from marketdata.realtime import alerts as shared
from marketdata.realtime import feed, live_state, records_feed, stats
from marketdata.reference.symbols import Directory
from marketdata.types.units import SEOUL, day_of
from tests import market
from tests.integration.processing import process, rows, trade

LEVEL = {"direction": "above", "level": "70000", "band": "100"}
_seqs = itertools.count(1)


@pytest.fixture
def owner(worker, monkeypatch):
    monkeypatch.setattr(due, "directory", Directory(retry_s=0.0))
    live_state.connection().set(live_state.SEEDED, "test")
    return get_user_model().objects.create_user("trader")


def rule(owner, **other) -> AlertRule:
    given = {"name": "up", "kind": "price", "parameters": LEVEL, "symbols": ["005930"], "cooldown_s": 0, **other}
    made = AlertRule.objects.create(owner=owner, **given)
    due.watch()
    return made


def trades(*prices: str, symbol: str = "005930") -> None:
    """Commit trades of now in this order, one batch."""
    now_us = batch_ledger.now_us()
    given = [trade(symbol=symbol, time=now_us + at, price=price) for at, price in enumerate(prices)]
    process(rows(*given, seq=next(_seqs)))


def fired() -> list[tuple[str, str, bool]]:
    """Symbol, value and whether its episode goes on, in the order of firing."""
    return [(one.symbol, one.value, one.cleared_at is None) for one in Alert.objects.order_by("pk")]


def test_a_commit_that_reaches_the_level_gives_one_alert_until_the_price_is_back_beyond_the_band(owner):
    rule(owner)

    trades("69900", "69990")
    assert fired() == []
    trades("69990", "70000")
    trades("70500")
    trades("69950")  # within the band
    trades("70100")
    assert fired() == [("005930", "70000", True)]

    trades("69899")
    trades("70001")
    assert fired() == [("005930", "70000", False), ("005930", "70001", True)]
    told = Alert.objects.order_by("pk")[1]
    assert told.message == "005930 trades at 70001: at or above 70000"
    assert told.texts == {"ko": "005930 체결가 70001: 70000 이상"}


def test_a_price_that_was_there_for_one_trade_only_is_told(owner):
    rule(owner)

    trades("69900", "70200", "69500")

    assert fired() == [("005930", "70200", False)]


def test_a_commit_does_not_wait_until_redis_knows_the_latest_trades_again(owner):
    rule(owner)
    rule(owner, name="market", symbols=[], market_id="KRX")  # all symbols are due
    state: Any = live_state.connection()
    shared.mark(state, "krx", ["005930", "000660"])
    state.delete(live_state.SEEDED)
    state.config_resetstat()

    trades("70100")
    assert Alert.objects.count() == 2  # its own trades are known
    assert state.info("commandstats")["cmdstat_xrange"]["calls"] <= 4
    state.set(live_state.SEEDED, "again")
    due.watch()
    assert shared.due(state, "krx") == {}


def test_a_rule_of_a_market_looks_at_each_of_its_symbols_and_a_rule_of_one_symbol_at_no_other(owner):
    rule(owner, symbols=[], market_id="KRX")
    rule(owner, name="one", symbols=["000660"])

    trades("70000")
    trades("71000", symbol="000660")

    assert sorted(Alert.objects.values_list("name", "symbol")) == [
        ("one", "000660"), ("up", "000660"), ("up", "005930"),
    ]  # fmt: skip


def test_what_is_true_when_a_rule_is_made_fires_at_once_and_a_crossing_does_not(owner):
    trades("71000")

    rule(owner)
    rule(owner, name="crossing", parameters={"direction": "crossing", "level": "70000"})

    assert list(Alert.objects.values_list("name", "value")) == [("up", "71000")]
    trades("69999")
    trades("70000")
    assert list(Alert.objects.order_by("pk").values_list("name", "value")) == [
        ("up", "71000"), ("crossing", "69999"), ("crossing", "70000"),
    ]  # fmt: skip


def test_an_emptied_redis_fires_nothing_again_and_loses_nothing_that_is_true(owner):
    rule(owner)
    rule(owner, name="down", parameters={"direction": "below", "level": "60000"})
    trades("70500")
    assert fired() == [("005930", "70500", True)]

    latest: Any = live_state.connection().hgetall(live_state.LATEST + "krx")
    live_state.connection().flushall()
    trades("59000")  # nobody watches: Redis does not know of rules
    live_state.connection().hset(live_state.LATEST + "krx", mapping=latest)  # an older one that came back
    trades("59500")
    live_state.connection().set(live_state.SEEDED, "again")
    due.watch()

    assert fired() == [("005930", "70500", False), ("005930", "59500", True)]
    due.watch()
    trades("70600")
    assert fired() == [("005930", "70500", False), ("005930", "59500", False), ("005930", "70600", True)]


def test_states_that_redis_has_of_before_do_not_hide_an_episode(owner):
    """A Redis that was started from an older file says what it knew then."""
    rule(owner)
    trades("69000")
    before: Any = live_state.connection().hgetall(shared.STATES + "krx")
    trades("70500")
    live_state.connection().delete(shared.STATES + "krx")
    live_state.connection().hset(shared.STATES + "krx", mapping=before)
    live_state.connection().set(feed.GENERATION, "another")

    due.watch()
    trades("70600")

    assert fired() == [("005930", "70500", True)]


def test_many_workers_that_look_at_the_same_time_store_each_episode_once(owner):
    """Also those whose turn was taken over meanwhile, which is what looking without any turn is like."""
    rule(owner)
    rule(owner, name="all", symbols=[], market_id="KRX")
    trades("69000")
    trades("69000", symbol="000660")
    lost = [  # committed and published, and whoever was to look at it died
        ("70100", "005930"), ("69000", "005930"), ("70200", "005930"), ("70300", "000660"),
    ]  # fmt: skip
    live_state.connection().set(shared.LEASE + "krx", "dead", px=600_000)
    for price, symbol in lost:
        trades(price, symbol=symbol)
    assert fired() == []
    before: Any = live_state.connection().hgetall(shared.STATES + "krx")
    failures: list[Exception] = []

    def look() -> None:
        try:
            live_state.connection().delete(shared.LEASE + "krx")
            due.evaluate()
        except Exception as error:  # noqa: BLE001 - told by the test's thread
            failures.append(error)
        finally:
            connection.close()

    for _ in range(2):  # the second time as after a worker that stored, and died before Redis knew
        threads = [threading.Thread(target=look) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        live_state.connection().hset(shared.STATES + "krx", mapping=before)
        live_state.connection().hdel(
            shared.STATES + "krx", *[name for name in shared.known_fields(live_state.connection(), "krx")
                                     if name.encode() not in before]
        )  # fmt: skip
    look()

    failures = [one for one in failures if "locked" not in str(one)]  # SQLite has one writer at a time
    assert failures == []
    assert sorted(Alert.objects.values_list("name", "symbol", "episode")) == sorted(
        [("up", "005930", 1), ("all", "005930", 1), ("all", "000660", 1)]
    )


def test_what_the_database_ends_as_a_deadlock_is_stored_all_the_same(owner, monkeypatch):
    rule(owner)
    create, tries = Alert.objects.bulk_create, []

    def ended_once(*given, **more):
        tries.append(given)
        if len(tries) == 1:
            raise deadlock()
        return create(*given, **more)

    monkeypatch.setattr(Alert.objects, "bulk_create", ended_once)
    trades("70500")

    assert len(tries) == 2
    assert fired() == [("005930", "70500", True)]


def deadlock() -> OperationalError:
    """As the database tells it; SQLite has one writer at a time."""
    if connection.vendor != "postgresql":
        told = {"mysql": (1213, "Deadlock found when trying to get lock"), "sqlite": ("database is locked",)}
        return OperationalError(*told[connection.vendor])
    from psycopg.errors import DeadlockDetected

    error = OperationalError("deadlock detected")
    error.__cause__ = DeadlockDetected()
    return error


def test_a_pause_holds_back_what_is_true_until_it_is_over(owner):
    made = rule(owner, cooldown_s=3600)
    trades("70000")
    trades("69000")
    trades("70100")
    assert fired() == [("005930", "70000", False)]

    state = episodes.unpack(
        shared.states(live_state.connection(), "krx", [f"{made.pk}.1 005930"])[f"{made.pk}.1 005930"]
    )
    an_hour_ago = episodes.State(state.episode, state.is_open, state.fired_us - 3_600_000_000)
    live_state.connection().hset(shared.STATES + "krx", f"{made.pk}.1 005930", episodes.pack(an_hour_ago))
    live_state.connection().zadd(shared.HELD + "krx", {"005930": 1})
    due.watch()

    assert fired() == [("005930", "70000", False), ("005930", "70100", True)]


def test_change_is_counted_from_the_previous_close_and_volume_by_what_is_usual(owner):
    rule(owner, name="change", kind="change", parameters={"direction": "below", "level": "-3"})
    rule(owner, name="volume", kind="volume", parameters={"level": "2.5"})
    day = datetime.datetime.now(SEOUL).date().isoformat()
    trades("67900")
    assert fired() == []

    def told(ratio: float) -> None:
        redis = live_state.connection()
        stats.mark(redis, "krx", ["005930"])
        taken = stats.take(redis, most=10)
        assert taken is not None
        body = f'{{"td": "{day}", "prevClose": 70000, "volumeRatio": {ratio}}}'
        put = stats.settle(redis, "krx", taken, ["005930"], {"005930": body.encode()})
        assert shared.mark_by_statistics(redis, "krx", put) == 1
        due.evaluate()

    told(2.4999)
    assert list(Alert.objects.values_list("name", "value")) == [("change", "-3")]
    told(2.5)
    assert list(Alert.objects.order_by("pk").values_list("name", "value")) == [("change", "-3"), ("volume", "2.5")]


def test_a_burst_of_the_newest_minutes_is_told_whatever_the_day_so_far(owner):
    rule(owner, name="burst", kind="volume", parameters={"level": "4", "minutes": "5"})
    today = datetime.datetime.now(SEOUL).date()
    trades("67900")

    def told(day: datetime.date, *ratios: int | None) -> None:
        redis = live_state.connection()
        with stats.Notes(redis, stats.RECENT + "krx") as notes:
            notes.add("005930", stats.recent_note(day_of(day), ratios))
        stats.mark(redis, "krx", ["005930"])
        taken = stats.take(redis, most=10)
        assert taken is not None
        body = f'{{"td": "{today.isoformat()}", "prevClose": 70000, "volumeRatio": 99}}'
        shared.mark_by_statistics(
            redis, "krx", stats.settle(redis, "krx", taken, ["005930"], {"005930": body.encode()})
        )
        due.evaluate()

    told(today, *[90_000] * 4, 39_999)
    told(today, *[90_000] * 4, None)
    told(today - datetime.timedelta(days=1), *[90_000] * 30)
    assert fired() == []
    told(today, *[0] * 4, 40_000, 0)

    assert fired() == [("005930", "4", True)]
    assert Alert.objects.get().texts == {"ko": "005930 최근 5분 거래량이 평소 같은 시각의 4배"}


def test_limits_are_those_of_the_trading_date(owner):
    rule(owner, kind="limit", parameters={"direction": "above"})
    today = datetime.datetime.now(SEOUL).date()
    limits = {"lower_limit": market.price("49000"), "upper_limit": market.price("91000")}
    Symbol.objects.filter(code="005930").update(**limits, limits_on=today - datetime.timedelta(days=40))
    due.directory = Directory(retry_s=0.0)
    trades("91000")
    assert fired() == []

    Symbol.objects.filter(code="005930").update(limits_on=today)
    due.directory = Directory(retry_s=0.0)
    trades("90900")
    trades("91000")

    assert fired() == [("005930", "91000", True)]


def test_a_rule_that_is_changed_begins_anew_and_one_that_is_switched_off_looks_at_nothing(owner):
    made = rule(owner)
    trades("70500")

    made.parameters, made.revision = {"direction": "above", "level": "70200"}, 2
    made.save()
    due.watch()
    assert fired() == [("005930", "70500", False), ("005930", "70500", True)]

    made.enabled = False
    made.save()
    due.watch()
    assert not live_state.connection().exists(shared.WATCHED + "krx")
    trades("69000")
    trades("71000")
    assert fired() == [("005930", "70500", False), ("005930", "70500", False)]


def test_history_that_is_loaded_late_is_no_news(owner):
    rule(owner)

    process(rows(trade(price="70500"), seq=next(_seqs)))  # of a March long ago

    assert fired() == []


def test_a_rule_that_is_too_loud_is_switched_off_and_says_so(owner, settings):
    settings.ALERT_MAX_PER_HOUR = 3
    made = rule(owner, parameters={"direction": "above", "level": "70000"})
    rule(owner, name="other", symbols=["000660"])
    for _ in range(5):
        trades("70100")
        trades("69000")
    due.watch()

    of_rule = Alert.objects.filter(rule=made).order_by("pk")
    assert [one.symbol for one in of_rule] == ["005930"] * 3 + [""]
    assert of_rule[3].message.startswith("the rule gave 3 alerts within an hour and is switched off")
    assert "ko" in (of_rule[3].texts or {})
    assert of_rule[3].announced_at is not None
    made.refresh_from_db()
    assert (made.enabled, made.revision) == (False, 2)

    trades("70000", symbol="000660")
    assert Alert.objects.filter(name="other").count() == 1
    made.enabled, made.revision = True, 3
    made.save()
    due.watch()
    trades("70300")
    assert Alert.objects.filter(rule=made).count() == 5  # begins anew


def test_requests_at_the_same_time_keep_within_the_quota(owner, settings):
    settings.ALERT_MAX_RULES = 2
    begin, refused = threading.Barrier(6), []

    def make(number: int) -> None:
        given = {"name": str(number), "kind": "price", "parameters": LEVEL, "symbols": ["005930"]}
        try:
            begin.wait()
            rules.save(AlertRule(owner=owner, **given))
        except rules.RefusedError as error:
            refused.append(error.fields)
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert AlertRule.objects.count() == 2
    assert [set(one) for one in refused] == [{"owner"}] * 4


def test_a_rule_whose_symbol_is_gone_can_be_switched_off(owner):
    made = rule(owner, symbols=["000660"])
    Symbol.objects.filter(code="000660").delete()
    made.refresh_from_db()

    made.enabled = False
    rules.save(made)

    made.enabled = True
    with pytest.raises(rules.RefusedError, match="000660"):
        rules.save(made)


def test_many_rules_are_looked_at_in_parts_each_of_which_is_settled(owner, monkeypatch):
    monkeypatch.setattr(due, "MOST_PAIRS", 1)
    state: Any = live_state.connection()
    trades("70100")
    trades("70200", symbol="000660")
    rule(owner, symbols=[], market_id="KRX")
    due.evaluate(longest_s=600.0)  # what the bell had no time for
    assert sorted(one[0] for one in fired()) == ["000660", "005930"]

    shared.mark(state, "krx", ["005930", "000660"])
    shared.mark(state, "krx", ["000660"])  # became due again while it waited
    left = [shared.due(state, "krx")]
    for _ in range(2):
        due.evaluate(longest_s=0)
        left.append(shared.due(state, "krx"))
    assert left == [{"005930": "1", "000660": "2"}, {"005930": "1"}, {}]

    lease = shared.Lease(state, "krx", feed.STREAM + "krx")
    assert lease.take()
    trades("60000")
    trades("60000", symbol="000660")
    trades("70300")
    assert lease.release(whatever_is_left=True)
    begun, looked = [len(fired())], [position(state)]
    for _ in range(3):
        due.evaluate(longest_s=0)
        begun.append(len(fired()))
        looked.append(position(state))
    assert [one - looked[0] for one in looked] == [0, 1, 2, 3]  # a commit at a time
    assert begun == [2, 2, 2, 3]


def test_a_look_that_takes_long_over_one_commit_keeps_the_feed(owner, monkeypatch):
    monkeypatch.setattr(due, "MOST_PAIRS", 1)
    rule(owner, symbols=[], market_id="KRX")
    state: Any = live_state.connection()
    judge, left = episodes.judge, []

    def slowly(*given, **more):
        left.append(state.pttl(shared.LEASE + "krx"))
        state.pexpire(shared.LEASE + "krx", 3_000)  # most of it has gone by
        return judge(*given, **more)

    monkeypatch.setattr(episodes, "judge", slowly)
    both(batch_ledger.now_us())

    assert len(left) == 2
    assert min(left) > 3_000
    assert len(fired()) == 2


def test_who_lost_the_feed_over_a_look_stores_nothing_and_leaves_it_to_whoever_has_it(owner, monkeypatch):
    monkeypatch.setattr(due, "MOST_PAIRS", 1)
    rule(owner, symbols=[], market_id="KRX")
    state: Any = live_state.connection()
    before, judge = position(state), episodes.judge

    def taken(*given, **more):
        state.set(shared.LEASE + "krx", "somebody else")
        return judge(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(episodes, "judge", taken)
        both(batch_ledger.now_us())
    assert fired() == []
    assert position(state) == before
    assert state.get(shared.LEASE + "krx") == b"somebody else"

    state.delete(shared.LEASE + "krx")
    due.watch()
    assert len(fired()) == 2


def both(now_us: int) -> None:
    """One commit of two symbols."""
    process(rows(*[trade(symbol=code, time=now_us, price="70100") for code in ("005930", "000660")], seq=next(_seqs)))


def position(state: Any) -> int:
    return int(shared.states(state, "krx", [shared.POSITION])[shared.POSITION])


def test_each_alert_is_on_the_stream_once_and_one_that_nobody_told_is_told_by_the_bell(owner):
    rule(owner)
    trades("70500")
    assert [one["symbol"] for one in on_stream()] == ["005930"]

    Alert.objects.update(announced_at=None)
    due.watch()

    first, again = on_stream()
    assert first == again
    assert (first["owner"], first["value"], first["texts"]) == (
        owner.pk,
        "70500",
        {"ko": "005930 체결가 70500: 70000 이상"},
    )
    assert announcements.announce() == 0


def on_stream() -> list[dict[str, object]]:
    entries: Any = live_state.connection().xrange(records_feed.STREAM + "krx")
    return [one for _, values in entries for one in records_feed.decode("krx", values).alerts]
