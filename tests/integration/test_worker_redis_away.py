"""What a worker stored while Redis was away is announced once it is back, exactly once."""

import pytest
from prometheus_client import REGISTRY

from ingest import recovery
from marketdata.realtime import live_state
from tests import market
from tests.integration.processing import announced, counts, process, rows, trade

pytestmark = pytest.mark.usefixtures("worker")


def test_what_the_feed_missed_is_published_exactly_once(redis_server):
    process(rows(trade(price="1")))
    redis_server.kill()
    process(rows(trade(price="2"), trade(symbol="000660", price="5"), seq=2))
    process(rows(trade(price="3"), seq=3))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0)
    recovery.announce_missed(settle_s=0.0)

    assert counts() == (3, 4, 2)
    prices = [sorted(entry.ticks.price.tolist()) for entry in announced()]
    assert prices == [[market.price("1")], [market.price("2"), market.price("5")], [market.price("3")]]
    last = announced()[-1].bars
    assert last.n[last.symbol == last.symbols.index("005930")].tolist() == [3]
    assert [entry.first for entry in announced()] == [1, 2, 4]


def test_more_than_is_published_at_a_time_is_published_in_turns(redis_server):
    process(rows(trade()))
    redis_server.kill()
    process(rows(trade(), seq=2, name="nxt"))
    process(rows(trade(), seq=3, name="krx"))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0, budget_s=0.0)
    recovery.announce_missed(settle_s=0.0, budget_s=0.0)

    assert [len(announced("nxt")), len(announced("krx"))] == [1, 2]


def test_what_is_published_late_is_the_latest_all_the_same(redis_server):
    redis_server.kill()
    process(rows(trade(price="2"), trade(symbol="000660", price="5")))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0)

    assert {code: one["price"] for code, one in live_state.latest("krx").items()} == {
        "005930": market.price("2"),
        "000660": market.price("5"),
    }


def test_what_was_announced_is_not_announced_again():
    process(rows(trade()))

    recovery.announce_missed(settle_s=0.0)

    assert len(announced()) == 1


def test_a_batch_announced_late_is_not_announced_by_the_worker_that_was_slow(redis_server):
    redis_server.kill()
    process(rows(trade()))
    redis_server.start()
    recovery.announce_missed(settle_s=0.0)

    process(rows(trade()), rows(trade(), seq=2))

    assert [len(entry.ticks) for entry in announced()] == [1, 1]


def test_a_redis_that_is_away_loses_no_tick(redis_server):
    missed = REGISTRY.get_sample_value("naru_feed_failures_total") or 0
    redis_server.kill()

    process(rows(trade()))

    redis_server.start()
    assert counts() == (1, 1, 1)
    assert REGISTRY.get_sample_value("naru_feed_failures_total") == missed + 1
