"""A master that Sentinels watch is killed: whoever spoke to it goes on with its successor, and nothing is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from redis.exceptions import RedisError

from celery_app import broker_settings
from ingest import recovery
from marketdata import doctor
from marketdata.doctor import standbys
from marketdata.models import Alarm, Market, Symbol
from marketdata.realtime import broker, feed, live_state, redis_clients
from marketdata.storage import storage
from terminals import wire
from tests import boards
from tests.market import NINE_US
from tests.road import Road
from tests.servers.sentinel import PASSWORD, Sentinels
from tests.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("road_database")]

EVER = (-(2**62), 2**62)


@pytest.fixture
def watched() -> Iterator[Sentinels]:
    with Sentinels() as running:
        _forget_clients()
        yield running
        _forget_clients()


def _forget_clients() -> None:
    for one in (live_state.connection, broker.connection):
        one.cache_clear()


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def test_terminals_workers_and_readers_go_on_with_the_successor(watched: Sentinels, tmp_path: Path, settings):
    settings.REDIS_URL = settings.BROKER_URL = watched.url
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    with Road(tmp_path / "road", watched.url) as road:
        road.ingest()
        road.worker()
        with road.terminal("desk") as terminal:
            terminal.login()
            for seq in range(1, 6):
                terminal.batch(batch(seq))
            terminal.until_committed()
            epoch = feed.current_epoch(live_state.connection())

            watched.master.kill()
            for seq in range(6, 11):
                terminal.batch(batch(seq))
            terminal.until_committed()
            road.until(lambda: watched.servers[1].ask("role") == "master", seconds=60, what="a successor")
            for seq in range(11, 16):
                terminal.batch(batch(seq))
            terminal.until_committed()

        stored = [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]
        assert stored == list(range(1, 16))
        recovery.announce_missed()  # as beat asks for every ten seconds
        entries = feed.entries_after(live_state.connection(), "krx", 0, most=100)
        assert sorted(int(seq) for entry in entries for seq in entry.ticks.seq) == list(range(1, 16))
        assert feed.current_epoch(live_state.connection()) != epoch
        assert broker.queue_depths(["raw_market_data"]) == {"raw_market_data": 0}
        logs = road.tail("ingest") + road.tail("worker")
        assert PASSWORD not in logs
        assert "only%2Ffor" not in logs


def test_a_replica_or_a_sentinel_that_is_gone_is_seen(watched: Sentinels, tmp_path: Path, settings):
    settings.REDIS_URL = settings.BROKER_URL = watched.url

    with boards.watched(tmp_path / "prometheus") as prometheus:

        def told(figure: str) -> str:
            return "".join(one["value"][1] for one in prometheus.query(figure))

        boards.all_answered(prometheus, boards.SENTINELS)
        assert (told("naru_redis_replicas"), told("naru_redis_sentinels_named")) == ("1", "3")
        until(lambda: told("naru_redis_sentinels") == "3", seconds=100, every=1, what="all of them answer")

        watched.sentinels[0].kill()
        watched.servers[1].kill()

        until(lambda: told("naru_redis_sentinels") == "2", seconds=100, every=1, what="a Sentinel that is gone")
        until(lambda: told("naru_redis_replicas") == "0", seconds=100, every=1, what="a replica that is gone")
        assert told("naru_redis_up") == "1"


def test_a_reader_in_an_event_loop_is_led_to_the_successor(watched: Sentinels):
    async def read() -> list[bytes]:
        client = redis_clients.async_client(watched.url, socket_timeout=5, single_connection_client=True)
        seen = [await client.get("who")]
        watched.master.kill()
        while len(seen) < 2:
            try:
                if (now := await client.get("who")) is not None and await client.set("who", b"second"):
                    seen.append(now)
            except RedisError:
                await asyncio.sleep(0.2)
        await client.aclose()
        return seen

    with redis_clients.client(watched.url, socket_timeout=5) as writer:
        writer.set("who", b"first")
        assert writer.wait(1, 10_000) == 1

    assert asyncio.run(read()) == [b"first", b"first"]


def test_a_sentinel_that_is_silent_is_asked_once_by_everybody_and_then_the_next_one(watched: Sentinels):
    async def ping(url: str) -> bool:
        client = redis_clients.async_client(url, socket_timeout=5)
        try:
            return bool(await client.ping())
        finally:
            await client.aclose()

    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        silent.setblocking(False)
        url = watched.url.replace("@", f"@127.0.0.1:{silent.getsockname()[1]},", 1)

        with redis_clients.client(url, socket_timeout=5) as client:
            assert client.ping()
        assert connections_to(silent) == 1

        assert asyncio.run(ping(url))
        assert connections_to(silent) == 1

        told = broker_settings(url)
        with Connection(told["broker_url"], transport_options=told["broker_transport_options"]) as connection:
            channel: Any = connection.default_channel
            with channel.conn_or_acquire() as client:
                assert client.ping()
        assert connections_to(silent) in {1, 2}  # once for each of kombu's channels


def connections_to(server: socket.socket) -> int:
    """How many came since the last time; nobody was answered."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_beat_sends_what_is_due_to_the_master_that_the_sentinels_name(watched: Sentinels, tmp_path: Path):
    with (
        Road(tmp_path / "road", watched.url) as road,
        redis_clients.client(watched.url, socket_timeout=5) as client,
    ):
        beat = road.start("beat", ["-m", "celery", "-A", "celery_app", "beat", "--pidfile="])
        road.until(
            lambda: client.llen("processed-data") or beat.poll() is not None, seconds=120, what="a task of beat's"
        )

        assert beat.poll() is None, road.tail("beat")
        assert PASSWORD not in road.tail("beat")


def test_celery_is_told_of_the_sentinels_and_of_tls():
    told = broker_settings("sentinels://:secret@a,b:2/1?master=naru&ssl_ca_certs=/ca.pem")

    assert told["broker_url"] == "sentinel://:secret@a:26379/1;sentinel://:secret@b:2/1"
    assert told["broker_transport_options"]["master_name"] == "naru"
    assert told["broker_transport_options"]["sentinel_kwargs"]["ssl"] is True
    assert told["broker_use_ssl"] == {"ssl_ca_certs": "/ca.pem"}


def examined() -> dict[str, doctor.Finding]:
    return {str(one.what).partition(": ")[2]: one for one in standbys.sentinels()}


def test_doctor_counts_who_would_name_a_successor_and_who_could_be_it(watched: Sentinels, settings):
    settings.REDIS_URL = settings.BROKER_URL = watched.url
    whole = examined()
    watched.sentinels[0].kill()
    two = examined()
    watched.sentinels[1].kill()
    one = examined()
    doctor.recheck()
    watched.servers[1].kill()
    until(
        lambda: examined()["replicas that could take over"].level is doctor.Level.WARNING,
        seconds=60, what="the last Sentinel misses the replica",
    )  # fmt: skip
    settings.REDIS_URL = settings.BROKER_URL = watched.url.replace("master=naru", "master=nobody")
    unknown = examined()

    first = watched.servers[0]
    assert [(str(finding.value), finding.level) for finding in whole.values()] == [
        ("3 / 3", doctor.Level.OK), (f"{first.host}:{first.port}", doctor.Level.OK), ("1", doctor.Level.OK)
    ]  # fmt: skip
    assert (two["Sentinels"].level, one["Sentinels"].level) == (doctor.Level.WARNING, doctor.Level.ERROR)
    assert str(two["Sentinels"].value).startswith(f"2 / 3; no answer of 127.0.0.1:{watched.sentinels[0].port} (")
    assert Alarm.objects.filter(code="unsafe_setting", subject="REDIS_URL: Sentinels", cleared_at=None).exists()
    assert unknown["the master by its Sentinels"].level is doctor.Level.ERROR
