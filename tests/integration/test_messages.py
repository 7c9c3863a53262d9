"""A batch's way through the broker: large bodies in keys of their own, no record of what was fetched, and whatever is
lost on the way sent again by the ledger."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from celery import current_app
from kombu import Consumer, Exchange, Queue
from prometheus_client import REGISTRY
from redis import Redis

from celery_app import WITHOUT_ACK
from ingest import bodies
from ingest.bodies import Bodies
from ingest.in_flight import InFlightBatch
from ingest.notifications import batch_message
from marketdata.models import IngestBatch, Market, Symbol
from marketdata.realtime import broker, live_state
from marketdata.storage import storage
from terminals import wire
from tests.frozen import freeze, thaw
from tests.market import NINE_US
from tests.road import Road
from tests.waiting import until

EVER = (-(2**62), 2**62)
ROWS = 800
RAW = "raw_market_data"
UNACKED = "unacked"


def batch(seq: int, rows: int = ROWS) -> bytes:
    """Trades with numbers of their own, counted on through all batches."""
    first = (seq - 1) * ROWS
    return wire.encode_rows(
        seq,
        "krx",
        1,
        [
            {"symbol": "005930", "time": NINE_US + first + at, "price": "70000", "size": 1, "seq": first + at}
            for at in range(rows)
        ],
    )


@pytest.fixture
def symbol(road_database: None) -> None:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


def stored() -> list[int]:
    """The sequence numbers that are in the table, in order; each is there as often as it was stored."""
    return [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]


def all_stored_once(batches: int, rows: int = ROWS) -> bool:
    wanted = [(seq - 1) * ROWS + at for seq in range(1, batches + 1) for at in range(rows)]
    candles = storage().read_minutes("005930", "krx", *EVER)
    return stored() == wanted and int(candles.n.sum()) == len(wanted)


def until_stored(batches: int) -> None:
    """Asks the database: a terminal that waited for a worker to start has been silent too long by then."""
    until(lambda: IngestBatch.objects.count() == batches, seconds=60, what=f"{batches} batches in the ledger")


def keys(redis: Redis) -> list[str]:
    return sorted(key.decode() for key in redis.scan_iter(bodies.KEY + "*"))


def waiting(redis: Redis) -> list[dict[str, Any]]:
    """The messages in the queue of batches, the next one first."""
    found: Any = redis.lrange(RAW, 0, -1)
    return [json.loads(text) for text in reversed(found)]


# --- on the road -------------------------------------------------------------------------------------------------


def test_a_large_message_carries_the_name_of_its_body(road, symbol, redis):
    road.ingest()
    terminal = road.terminal("feeder")
    terminal.login()
    terminal.batch(batch(1))
    message = road.until(lambda: waiting(redis), seconds=60, what="a message")[0]  # after a second it is sent again

    (key,) = keys(redis)
    assert 0 < int(redis.ttl(key)) <= bodies.EXPIRE_S
    assert len(batch(1)) > bodies.FROM_BYTES
    assert len(message["body"]) < 1000
    assert batch(1) in redis.get(key)

    road.worker()
    until_stored(1)
    assert all_stored_once(1)
    assert road.metric("naru_missing_bodies_total") == 0


@pytest.mark.once
def test_a_small_batch_travels_within_its_message(road, symbol, redis):
    road.ingest()
    terminal = road.terminal("feeder")
    terminal.login()
    terminal.batch(batch(1, rows=12))
    road.until(lambda: waiting(redis), seconds=60, what="a message")

    assert keys(redis) == []

    road.worker()
    until_stored(1)
    assert all_stored_once(1, rows=12)


def lose(redis: Redis, key: str) -> None:
    redis.delete(key)


def write_over(redis: Redis, key: str) -> None:
    redis.set(key, b"8 bytes of another message's token, and its batches")


def lose_everything(redis: Redis, key: str) -> None:
    redis.flushall()


@pytest.mark.once
@pytest.mark.parametrize(("harm", "missing"), [(lose, 1), (write_over, 1), (lose_everything, 0)])
def test_a_body_that_is_gone_is_counted_and_its_batches_are_sent_again(road, symbol, redis, harm, missing):
    road.ingest()
    terminal = road.terminal("feeder")
    terminal.login()
    terminal.batch(batch(1))
    road.until(lambda: waiting(redis), seconds=60, what="a message")
    (key,) = keys(redis)

    harm(redis, key)
    road.worker()

    until_stored(1)
    terminal = road.terminal("feeder", secret=terminal.secret, epoch=terminal.epoch)
    assert terminal.login(first=1, last=2).commit == 1
    terminal.batch(batch(2))
    terminal.until_committed(2)
    assert all_stored_once(2)
    assert road.metric("naru_missing_bodies_total") == missing
    assert road.metric("naru_redriven_batches_total") >= 1
    assert list(IngestBatch.objects.values_list("state", flat=True)) == ["stored", "stored"]


@pytest.mark.once
def test_a_message_whose_body_is_lost_while_it_is_published_is_sent_again(road, symbol, redis):
    """Redis forgets everything between the body and the message, and again and again."""
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    for seq in range(1, 31):
        terminal.batch(batch(seq))
        if seq % 3 == 0:
            redis.flushall()

    terminal.until_committed(30)
    assert all_stored_once(30)


def test_redis_may_be_killed_between_body_and_message(road, symbol, redis, redis_server):
    road.ingest()
    terminal = road.terminal("feeder")
    terminal.login()
    for seq in range(1, 5):
        terminal.batch(batch(seq))
    road.until(lambda: waiting(redis), seconds=60, what="a message")

    redis_server.kill()
    redis_server.start()
    road.worker()

    until_stored(4)
    assert all_stored_once(4)


def stopped_pool(road: Road) -> int:
    """A worker of one pool process, which is stopped: its main process fetches messages and nobody begins with them."""
    road.worker("-c", "1")
    main = psutil.Process(road.processes["worker"].pid)
    (child,) = until(main.children, seconds=60, what="the pool process")
    freeze(child.pid)
    return int(child.pid)


@pytest.mark.once
def test_a_worker_killed_with_messages_it_had_fetched_loses_nothing(road, symbol, redis):
    road.ingest()
    stopped_pool(road)
    terminal = road.terminal("feeder")
    terminal.login()
    terminal.batch(batch(1))
    road.until(lambda: keys(redis) and not waiting(redis), seconds=60, what="the message was fetched")
    assert not redis.exists(UNACKED)

    road.kill("worker")
    road.worker()

    until_stored(1)
    assert all_stored_once(1)


@pytest.mark.once
def test_a_busy_worker_leaves_messages_to_others(tmp_path, road_database, symbol, redis, redis_server):
    with Road(tmp_path / "many", redis_server.url, INGEST_MAX_MESSAGES="12", INGEST_REDRIVE_S="600") as road:
        road.ingest()
        child = stopped_pool(road)
        terminal = road.terminal("feeder")
        terminal.login()
        for seq in range(1, 13):  # one message each: a smaller one would wait for the next
            terminal.batch(batch(seq))
            road.until(lambda n=seq: len(keys(redis)) == n, seconds=60, what="a message of its own")  # type: ignore[misc]

        assert len(waiting(redis)) >= 8
        thaw(child)
        terminal.until_committed(12)
        assert all_stored_once(12)


# --- the keys of one ingest server -------------------------------------------------------------------------------


def entry(number: int, *, message: int | None, size: int = bodies.FROM_BYTES) -> InFlightBatch:
    return InFlightBatch(
        number=number,
        stream=1,
        seq=number,
        payload=bytes(size),
        rows=1,
        received_us=1,
        source_id=1,
        register_market=None,
        since=0.0,
        message=message,
    )


def put(all_of_them: Bodies, one: InFlightBatch) -> Any:
    fields = batch_message(one.number, one.payload, 1, 1, None, None)
    return all_of_them.put([fields], [one], one.message)


@pytest.fixture
def at_broker(redis, redis_server, settings) -> Iterator[None]:
    settings.REDIS_URL = settings.BROKER_URL = redis_server.url
    broker.connection.cache_clear()
    yield
    for one in (live_state.connection, broker.connection):
        one.cache_clear()


@pytest.mark.once
def test_there_are_no_more_keys_than_messages_may_be_out(redis, at_broker):
    ours = Bodies("test", 3)
    for number in range(50):
        one = entry(number, message=number)
        assert bodies.take(put(ours, one)) == [batch_message(number, one.payload, 1, 1, None, None)]
        one.message = None

    assert len(keys(redis)) <= 3


@pytest.mark.once
def test_a_key_is_not_written_over_while_its_message_is_out(redis, at_broker):
    ours = Bodies("test", 2)
    slow, quick, third = (entry(number, message=number) for number in range(3))
    first, second = put(ours, slow), put(ours, quick)

    assert put(ours, third) is None
    quick.message = None
    assert bodies.take(put(ours, third)) is not None
    assert bodies.take(first) is not None
    before = REGISTRY.get_sample_value("naru_missing_bodies_total") or 0.0
    assert bodies.take(second) is None
    assert REGISTRY.get_sample_value("naru_missing_bodies_total") == before + 1


@pytest.mark.once
def test_what_is_small_huge_or_sent_again_travels_within_its_message(redis, at_broker):
    ours = Bodies("test", 2)
    again = entry(1, message=1)
    again.publishes = 1

    assert put(ours, again) is None
    assert put(ours, entry(2, message=2, size=bodies.FROM_BYTES - 1)) is None
    assert put(ours, entry(3, message=3, size=bodies.UP_TO_BYTES + 1)) is None
    assert keys(redis) == []


# --- the transport -----------------------------------------------------------------------------------------------


@pytest.mark.once
def test_without_acknowledgement_there_is_a_prefetch_limit_no_record_and_what_is_not_begun_is_put_back(
    redis, redis_server
):
    app = current_app
    got: list[Any] = []
    with app.connection_for_write(redis_server.url) as connection:
        queue = Queue(RAW, Exchange(RAW), routing_key=RAW, no_ack=True)
        for number in range(5):
            app.send_task("nobody", args=[number], queue=RAW, connection=connection)
        channel: Any = connection.channel()
        assert isinstance(channel, broker.Channel)
        channel.basic_qos(0, 2, False)

        def drained() -> None:
            with suppress(TimeoutError):
                while True:
                    connection.drain_events(timeout=0.5)

        def fetched(number: int) -> tuple[int, int]:
            def came() -> bool:
                drained()
                return len(got) >= number

            until(came, seconds=60, what=f"{number} messages")
            drained()
            return len(got), redis.llen(RAW)

        with Consumer(channel, [queue], on_message=got.append, accept=["msgpack", "json"]):
            assert fetched(2) == (2, 3)
            got[0].ack()
            assert fetched(3) == (3, 2)
            assert not redis.exists(UNACKED)
        channel.close()

    put_back = {one["headers"]["id"] for one in waiting(redis)[:2]}
    assert put_back == {one.headers["id"] for one in got[1:]}
    assert redis.llen(RAW) == 4


@pytest.mark.once
def test_a_worker_whose_acknowledgement_fails_goes_on_fetching(redis, redis_server):
    app, name = current_app, "processed-data"
    got: list[Any] = []
    with app.connection_for_write(redis_server.url) as connection:
        for number in range(2):
            app.send_task("nobody", args=[number], queue=name, connection=connection)
        channel: Any = connection.channel()
        channel.basic_qos(0, 1, False)
        queue = Queue(name, Exchange(name), routing_key=name)
        with Consumer(channel, [queue], on_message=got.append, accept=["msgpack", "json"]):
            until(lambda: _drained(connection, got), seconds=60, what="the first message")
            redis.config_set("maxclients", 1)  # whoever connects now is refused
            try:
                redis.client_kill_filter(_type="normal", skipme=True)
                with pytest.raises(connection.connection_errors):
                    got[0].ack()
            finally:
                redis.config_set("maxclients", 10_000)

            assert redis.hexists(UNACKED, got[0].delivery_tag)
            assert channel.qos.can_consume()
            until(lambda: len(_drained(connection, got)) == 2, seconds=60, what="the second message")
            got[1].ack()
        channel.close()


def _drained(connection: Any, got: list[Any]) -> list[Any]:
    """Whatever came, after a look at what is there; a lost connection is made anew by the next look."""
    with suppress(TimeoutError, *connection.connection_errors):
        connection.drain_events(timeout=0.5)
    return got


@pytest.mark.once
def test_only_the_queue_of_batches_is_without_acknowledgement(settings):
    from celery_app import broker_settings

    without = {q.name for q in broker_settings("redis://host/0")["task_queues"] if q.no_ack}

    assert without == {WITHOUT_ACK}
    assert not any(q.no_ack for q in broker_settings("amqp://host")["task_queues"])
