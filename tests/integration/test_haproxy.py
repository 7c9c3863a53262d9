"""HAProxy in front of a Galera cluster, with the file that we hand out: all write to one node, and go on with
another one when that dies. What was acknowledged is there, once, on every node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from marketdata.models import DeadLetter, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests.market import NINE_US
from tests.road import Road
from tests.servers.galera import Cluster, Node
from tests.servers.haproxy import HAProxy
from tests.servers.mariadb import DATABASE, PASSWORD, USER
from tests.servers.process import free_port
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.environ.get("DB") != "mariadb", reason="Galera is MariaDB's")

EVER = (-(2**62), 2**62)


@pytest.fixture
def site(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[tuple[Cluster, list[HAProxy]]]:
    """Three nodes with Naru's tables behind two proxies; Django points at the first of these."""
    with ExitStack() as running, django_db_blocker.unblock():
        cluster = running.enter_context(Cluster())
        peers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        proxies = [
            running.enter_context(HAProxy(tmp_path / f"proxy{at}", nodes=cluster.nodes, peers=peers, place=at, fall=15))
            for at in range(2)
        ]
        until(lambda: proxies[0].writer, seconds=60, what="the first proxy has a node")
        connections.close_all()
        there = connections.settings["default"]
        before = dict(there)
        there.update(HOST="127.0.0.1", PORT=str(proxies[0].port), NAME=DATABASE, USER=USER, PASSWORD=PASSWORD)
        try:
            call_command("migrate", verbosity=0)
            yield cluster, proxies
        finally:
            connections.close_all()
            there.update(before)


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def test_all_goes_on_with_one_other_node_when_the_writer_dies_and_stays_there(site, redis, redis_server, tmp_path):
    cluster, proxies = site
    named: dict[str, Node] = {node.node_name: node for node in cluster.nodes}
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    with Road(tmp_path / "road", redis_server.url, DATABASE_URL=proxies[0].url, CACHE_ENGINE="InnoDB") as road:
        road.ingest()
        road.worker(DATABASE_URL=proxies[1].url)
        terminal = road.terminal("feeder", seconds=300)
        terminal.login()
        for seq in range(1, 11):
            terminal.batch(batch(seq))
        terminal.until_committed(10)
        first = proxies[0].writer
        assert proxies[1].writer == first

        named[first].kill()
        for seq in range(11, 21):
            terminal.batch(batch(seq))
        terminal.until_committed(20)
        second = proxies[0].writer
        assert second not in {first, ""}
        assert proxies[1].writer == second

        road.meanwhile(named[first].start)
        back = f"nodes/db{named[first].place + 1} is UP"
        road.until(
            lambda: all(back in proxy.log.read_text() for proxy in proxies), seconds=120, what="both see it again"
        )
        for seq in range(21, 31):
            terminal.batch(batch(seq))
            terminal.until_committed(seq)
        assert [proxy.writer for proxy in proxies] == [second, second]

    connections.close_all()
    assert [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq] == list(range(1, 31))
    assert storage().read_minutes("005930", "krx", *EVER).n.sum() == 30
    assert not DeadLetter.objects.exists()
    assert cluster.differences() == []
