"""Rules on VI and halts: what was committed, as it stands, and whoever looks."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from analytics.alerts import due
from marketdata.ledger import batch_ledger
from marketdata.models import Alert, AlertRule, Symbol, SymbolRename, Watchlist
from marketdata.realtime import alerts as shared
from marketdata.realtime import live_state
from marketdata.types.order_books import MarketEvent
from marketdata.types.units import SEOUL
from terminals import wire
from tests.integration.processing import process, rows, trade

LATE_US = 3_600_000_000
PRICE = {"direction": "above", "level": "70000"}
_seqs = itertools.count(1)


@pytest.fixture
def owner(worker):
    live_state.connection().set(live_state.SEEDED, "test")
    return get_user_model().objects.create_user("trader")


def rule(owner, status: str = "vi", **other: object) -> AlertRule:
    given = {"name": status, "kind": "status", "parameters": {"status": status}, "symbols": ["005930"], **other}
    made = AlertRule.objects.create(owner=owner, **{"cooldown_s": 0, **given})
    due.watch()
    return made


def told(*events: tuple[str, dict[str, object]], symbol: str = "005930", ago_us: int = 0) -> None:
    """Commit events of now, one batch."""
    now_us = batch_ledger.now_us() - ago_us
    given = [
        {"event": kind, "time": now_us + at, "symbol": symbol, "body": body} for at, (kind, body) in enumerate(events)
    ]
    process(wire.encode_events(next(_seqs), "krx", 1, given))


def vi(state: str) -> tuple[str, dict[str, object]]:
    return "vi", {"state": state}


def fired() -> list[tuple[str, str, bool]]:
    """Rule, symbol and whether it goes on, in the order of firing."""
    return [(one.name, one.symbol, one.cleared_at is None) for one in Alert.objects.order_by("pk")]


def test_a_vi_is_told_when_it_is_committed_and_is_over_with_its_end(owner):
    rule(owner)
    rule(owner, "halt")

    told(vi("off"))
    assert fired() == []
    told(vi("on"))
    told(vi("on"), symbol="000660")
    told(vi("on"))
    assert fired() == [("vi", "005930", True)]
    assert Alert.objects.get().texts == {"ko": "005930: 변동성 완화장치(VI) 발동"}
    told(vi("off"))
    assert fired() == [("vi", "005930", False)]
    told(("vi", {"vi": "1", "before": "N"}), ("halt", {"halted": True}))  # as KIS says it
    assert fired()[1:] == [("vi", "005930", True), ("halt", "005930", True)]
    told(("vi", {"vi": "N", "before": "1"}), vi("on"), vi("off"))
    assert fired() == [("vi", "005930", False), ("vi", "005930", False), ("halt", "005930", True),
                       ("vi", "005930", False)]  # fmt: skip


def test_a_status_of_a_market_is_that_of_each_symbol_and_one_that_came_late_is_history(owner):
    rule(owner, symbols=[], market_id="KRX")

    told(vi("on"), symbol="000660", ago_us=LATE_US)
    assert fired() == []
    told(vi("on"), symbol="005930")
    assert fired() == [("vi", "005930", True)]
    told(vi("off"), symbol="005930", ago_us=LATE_US)  # late, and over all the same
    assert fired() == [("vi", "005930", False)]


def test_what_stands_when_a_rule_is_made_is_told_and_an_emptied_redis_tells_nothing_twice(owner):
    told(vi("on"), ("halt", {"halted": True}), ("halt", {"halted": False}))

    rule(owner)
    rule(owner, "halt")
    assert fired() == [("vi", "005930", True)]
    live_state.connection().flushall()
    told(("halt", {"halted": True}))  # nobody watches
    assert fired() == [("vi", "005930", True)]
    for _ in range(2):
        due.watch()
    assert fired() == [("vi", "005930", True), ("halt", "005930", True)]
    live_state.connection().flushall()
    told(vi("off"))
    due.watch()
    assert fired() == [("vi", "005930", False), ("halt", "005930", True)]


def test_what_begins_within_the_pause_is_told_when_it_is_over_if_it_still_stands(owner):
    rule(owner, cooldown_s=3600)

    told(vi("on"))
    told(vi("off"))
    told(vi("on"))
    due.watch()
    assert fired() == [("vi", "005930", False)]
    held: Any = live_state.connection().zrange(shared.HELD + "krx", 0, -1)
    assert held == [(shared.STATUS + "005930").encode()]
    state = live_state.connection()
    Alert.objects.update(fired_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2))
    state.delete(shared.STATES + "krx")  # as after two hours
    state.zadd(shared.HELD + "krx", {held[0]: 1})
    due.watch()
    assert fired() == [("vi", "005930", False), ("vi", "005930", True)]


def test_a_worker_that_finds_the_feed_taken_leaves_the_status_to_who_has_it(owner):
    rule(owner)
    lease = shared.Lease(live_state.connection(), "krx", "naru:feed:krx")
    assert lease.take()

    told(vi("on"))
    assert fired() == []
    assert not lease.release(whatever_is_left=False)
    assert lease.release(whatever_is_left=True)
    due.watch()
    assert fired() == [("vi", "005930", True)]


def test_a_rule_of_a_watch_list_looks_at_what_is_in_it_at_that_moment(owner):
    mine = Watchlist.objects.create(user=owner, name="mine", symbols=["005930"])
    made = AlertRule.objects.create(owner=owner, name="list", kind="price", parameters=PRICE, watchlist=mine,
                                    cooldown_s=0)  # fmt: skip
    due.watch()

    def trades(symbol: str) -> None:
        process(rows(trade(symbol=symbol, time=batch_ledger.now_us(), price="71000"), seq=next(_seqs)))

    trades("005930")
    trades("000660")
    assert fired() == [("list", "005930", True)]
    mine.symbols = ["000660"]
    mine.save()
    due.watch()  # what it does not look at any more is over, and what is true of the new one is told
    assert fired() == [("list", "005930", False), ("list", "000660", True)]
    mine.symbols = ["000660", "005930"]
    mine.save()
    due.watch()
    assert fired()[2:] == [("list", "005930", True)]
    mine.delete()
    due.watch()
    made.refresh_from_db()
    assert (made.watchlist, made.enabled) == (None, True)
    assert not Alert.objects.filter(cleared_at=None).exists()
    trades("005930")
    assert len(fired()) == 3


def test_a_rule_follows_a_share_to_its_new_code_and_ends_what_stood_under_the_old_one(owner):
    AlertRule.objects.create(owner=owner, name="up", kind="price", parameters=PRICE, symbols=["005930"], cooldown_s=0)
    due.watch()
    process(rows(trade(time=batch_ledger.now_us(), price="71000"), seq=next(_seqs)))
    AlertRule.objects.update(changed_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2))

    today = datetime.datetime.now(SEOUL).date()
    Symbol.objects.create(code="005935N", market_id="KRX", primary_feed="krx")
    SymbolRename.objects.create(old="005930", new="005935N", since=today)
    due.watch()
    assert fired() == [("up", "005930", False)]
    process(rows(trade(symbol="005935N", time=batch_ledger.now_us(), price="71000"), seq=next(_seqs)))
    assert fired() == [("up", "005930", False), ("up", "005935N", True)]


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "body", "is_on"),
    [
        ("vi", {"state": "on"}, True), ("vi", {"state": "off"}, False), ("vi", {"vi": "2"}, True),
        ("vi", {"vi": "0"}, False), ("vi", {}, False), ("halt", {"halted": True}, True), ("halt", {}, False),
        ("market_status", {"state": "on"}, None),
    ],
)  # fmt: skip
def test_an_event_says_whether_something_is_on(kind, body, is_on):
    event = MarketEvent(time_us=1, event_id=1, trade_date=1, feed="krx", source_id=4, kind=kind, body=body)

    assert event.is_on is is_on
