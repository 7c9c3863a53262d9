"""What was committed, to brokers that refuse, change leaders, end connections and go away: nothing is missing, each
symbol is in order, and where a message is refused for good the publisher begins anew before it."""

import itertools

import pytest
from confluent_kafka import KafkaError

from fanout import consumer
from fanout.messages import TOPICS
from marketdata.models import FanoutPosition
from tests.integration.test_fanout import (
    LATER_US,
    all_published,
    commit,
    made_candles,
    prefix,
    stored_candles,
    told,
)
from tests.market import NINE_US
from tests.road import Road
from tests.servers.faulty_kafka import FaultyKafka

__all__ = ["prefix"]
pytestmark = pytest.mark.once
PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError._TRANSPORT, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError._TRANSPORT,
)  # fmt: skip


@pytest.fixture
def brokers(prefix):
    with FaultyKafka() as cluster:
        for topic in TOPICS:
            cluster.topic(prefix + topic, leader=1)
        yield cluster


@pytest.fixture
def road(worker, brokers, prefix, redis_server, tmp_path):
    """The publisher as a process."""
    environment = {"EVENT_BUS": "kafka", "KAFKA_BOOTSTRAP": brokers.url, "KAFKA_TOPIC_PREFIX": prefix}
    with Road(tmp_path / "road", redis_server.url, **environment) as made:
        made.start("fanout", ["manage.py", "runfanout"])
        yield made


def committed(road, seqs):
    """So many commits, published."""
    for seq in seqs:
        commit(seq, {"price": str(70000 + seq), "time": NINE_US + seq}, {"symbol": "000660", "price": "120000"})
    road.until(all_published, seconds=240, what="all that was committed is published")


def in_order(account: consumer.Account) -> bool:
    return all(one < other for known in account.trades.of.values() for one, other in itertools.pairwise(known))


def test_errors_that_pass_cost_nothing_but_time(road, brokers, prefix):
    committed(road, range(1, 4))
    brokers.fail(1, *PASSING)
    seq = 4
    while brokers.failures_left(1):  # one a request, of which a commit makes some
        committed(road, (seq,))
        seq += 1
    for topic in TOPICS:
        brokers.lead(prefix + topic, 2)
    committed(road, range(seq, seq + 6))
    brokers.switch(2, on=False)
    for topic in TOPICS:
        brokers.lead(prefix + topic, 3)
    committed(road, range(seq + 6, seq + 12))
    brokers.switch(2, on=True)
    commit(seq + 12, {"price": "70000", "time": LATER_US})
    committed(road, ())

    account = told(brokers.url, prefix)
    assert made_candles(account) == stored_candles()
    assert list(account.differences()) == []
    assert in_order(account)
    assert (account.trades.repeated, account.trades.fenced) == (0, 0), "the producer sent again, and each came once"
    assert "publishing begins anew" not in road.tail("fanout")


def test_what_is_refused_for_good_is_published_by_a_new_beginning(road, brokers, prefix):
    committed(road, (1,))
    fence = FanoutPosition.objects.get(feed="krx").fence
    brokers.fail(1, KafkaError.TOPIC_AUTHORIZATION_FAILED)

    committed(road, range(2, 8))
    commit(8, {"price": "70000", "time": LATER_US})
    committed(road, ())

    assert not brokers.failures_left(1)
    assert "publishing begins anew what=broker" in road.tail("fanout")
    assert FanoutPosition.objects.get(feed="krx").fence > fence
    account = told(brokers.url, prefix)
    assert made_candles(account) == stored_candles()
    assert list(account.differences()) == []
    assert in_order(account)
