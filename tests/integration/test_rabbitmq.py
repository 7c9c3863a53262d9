"""RabbitMQ as the broker: batches come through it into the database, its queues are quorum queues whose length is told,
and who dies costs nothing. Live state stays in Redis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Producer

from celery_app import QUEUES, broker_settings
from marketdata import doctor
from marketdata.doctor import processes
from marketdata.models import DeadLetter, Market, Symbol
from marketdata.realtime import broker, feed, live_state
from marketdata.storage import storage
from terminals import wire
from tests.frozen import frozen
from tests.market import NINE_US
from tests.road import Road
from tests.servers import ServerMissing
from tests.servers.process import free_port
from tests.servers.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("road_database")]

EVER = (-(2**62), 2**62)


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    with ExitStack() as running:
        try:
            server = running.enter_context(RabbitMQ())
        except ServerMissing as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def beside(rabbitmq: RabbitMQ, redis: Any, redis_server: Any, tmp_path: Path, settings: Any) -> Iterator[Road]:
    """The road with RabbitMQ as its broker, its queues empty or not there."""
    settings.REDIS_URL, settings.BROKER_URL = redis_server.url, rabbitmq.url
    live_state.connection.cache_clear()
    with Connection(rabbitmq.url) as connection:
        channel: Any = connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    with Road(tmp_path / "road", redis_server.url, BROKER_URL=rabbitmq.url) as road:
        yield road
    live_state.connection.cache_clear()


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def stored() -> list[int]:
    return [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]


def test_batches_come_through_quorum_queues_and_survive_the_death_of_worker_and_broker(
    beside: Road, rabbitmq: RabbitMQ
):
    assert broker.queue_depths(QUEUES) == dict.fromkeys(QUEUES, 0)  # nobody has declared one yet
    with Connection(rabbitmq.url) as connection:  # nobody serves this one; that there is one is on disk only in a while
        nobodys = next(one for one in broker_settings(rabbitmq.url)["task_queues"] if one.name == "backups")
        nobodys(connection.channel()).declare()
    beside.ingest()
    beside.worker()
    terminal = beside.terminal("feeder", seconds=300)
    terminal.login()
    for seq in range(1, 11):
        terminal.batch(batch(seq))
    terminal.until_committed(10)

    beside.kill("worker")
    for seq in range(11, 21):
        terminal.batch(batch(seq))
    waiting = beside.until(
        lambda: (broker.queue_depths(["raw_market_data"]) or {}).get("raw_market_data"),
        seconds=120,
        what="messages that wait for a worker",
    )
    with Connection(rabbitmq.url, transport_options={"confirm_publish": True}) as connection:
        Producer(connection).publish("kept", exchange="backups", routing_key="backups")
    rabbitmq.kill()
    assert broker.queue_depths(["raw_market_data"]) is None
    rabbitmq.start()
    beside.until(lambda: broker.queue_depths(["backups"]) == {"backups": 1}, seconds=120, what="what was confirmed")
    beside.worker()
    terminal.until_committed(20)

    assert waiting
    assert stored() == list(range(1, 21))
    entries = feed.entries_after(live_state.connection(), "krx", 0, most=100)
    assert sorted(int(seq) for entry in entries for seq in entry.ticks.seq) == list(range(1, 21))
    assert not DeadLetter.objects.exists()
    with Connection(rabbitmq.url) as connection:
        channel: Any = connection.channel()
        for queue in broker_settings(rabbitmq.url)["task_queues"]:
            queue(channel).queue_declare()
        with pytest.raises(connection.channel_errors, match="x-queue-type"):  # they are of no other kind
            channel.queue_declare(queue="raw_market_data", durable=True, auto_delete=False)
        channel = connection.channel()
        with pytest.raises(connection.channel_errors, match="NOT_FOUND"):  # Celery's, for messages that come later
            channel.queue_declare(queue="celery_delayed_0", passive=True)
    assert "guest:guest" not in beside.tail("ingest") + beside.tail("worker")


def test_a_frozen_broker_is_an_error_in_a_while_and_loses_nothing(beside: Road, rabbitmq: RabbitMQ):
    beside.ingest()
    beside.worker()
    terminal = beside.terminal("feeder", seconds=300)
    terminal.login()
    terminal.batch(batch(1))
    terminal.until_committed(1)

    with frozen(rabbitmq.pid):
        terminal.batch(batch(2))
        beside.until(lambda: "publish failed" in beside.tail("ingest"), seconds=120, what="an error")
        assert beside.meanwhile(lambda: broker.queue_depths(["raw_market_data"])) is None
        assert "broker_failing" not in beside.tail("worker")

    terminal.until_committed(2)
    assert stored() == [1, 2]


def test_doctor_tells_the_version_of_the_broker_and_who_it_does_not_let_in(rabbitmq: RabbitMQ, settings: Any):
    settings.BROKER_URL = rabbitmq.url
    (found,) = processes.broker()
    settings.BROKER_URL = rabbitmq.url.replace("guest:guest", "guest:wrong")
    (refused,) = processes.broker()
    settings.BROKER_URL = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    (away,) = processes.broker()

    assert re.fullmatch(r"[34]\.\d+\.\d+\S*", str(found.value))
    assert found.level is doctor.Level.OK
    assert (refused.level, away.level) == (doctor.Level.ERROR, doctor.Level.ERROR)
    assert "wrong" not in str(refused.words)
