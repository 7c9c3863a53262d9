"""PostgreSQL with a standby that is promoted: DATABASE_URL names both servers, and everybody goes on with the one that
takes writes, without a restart. What was acknowledged is there, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django.db import connection, connections
from pytest_django.plugin import DjangoDbBlocker

from marketdata.models import DeadLetter, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests import boards
from tests.market import NINE_US
from tests.road import Road
from tests.servers.postgresql import DATABASE, PASSWORD, USER, PostgreSQL, Standby
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.environ.get("DB") != "postgresql", reason="PostgreSQL's own")

EVER = (-(2**62), 2**62)


@pytest.fixture
def pair(django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[PostgreSQL, Standby]]:
    """A server with Naru's tables, and a standby without which it commits nothing; Django points at both."""
    with ExitStack() as running, django_db_blocker.unblock():
        first = running.enter_context(PostgreSQL(shared_buffers_mib=64))
        standby = Standby(shared_buffers_mib=64)
        running.callback(standby.stop)
        connections.close_all()
        there = connections.settings["default"]
        before, options = dict(there), dict(there["OPTIONS"])
        there.update(
            HOST="127.0.0.1,127.0.0.1", PORT=f"{first.port},{standby.port}", NAME=DATABASE, USER=USER,
            PASSWORD=PASSWORD,
        )  # fmt: skip
        there["OPTIONS"]["target_session_attrs"] = "read-write"
        try:
            call_command("migrate", verbosity=0)
            standby.copy_from(first)
            standby.start()
            first.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby';")
            first.sql("SELECT pg_reload_conf();")
            yield first, standby
        finally:
            connections.close_all()
            there.update(before)
            there["OPTIONS"].clear()
            there["OPTIONS"].update(options)


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def test_a_replica_that_no_commit_waits_for_is_told(pair):
    first, _ = pair

    def told() -> bool:
        (flag,) = [one for one in storage().flags() if one.name == "synchronous_standby_names"]
        return not flag.is_right

    awaited = told()
    first.sql("ALTER SYSTEM RESET synchronous_standby_names;")
    first.sql("SELECT pg_reload_conf();")

    assert not awaited
    until(told, seconds=60, what="nobody is waited for")


def test_all_goes_on_with_the_server_that_was_promoted(pair, redis, redis_server, tmp_path):
    first, standby = pair
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    both = f"127.0.0.1:{first.port},127.0.0.1:{standby.port}"
    url = f"postgres://{USER}:{PASSWORD}@{both}/{DATABASE}?target_session_attrs=read-write"
    with Road(tmp_path / "road", redis_server.url, DATABASE_URL=url) as road:
        road.ingest()
        road.worker()
        terminal = road.terminal("feeder", seconds=300)
        terminal.login()
        for seq in range(1, 11):
            terminal.batch(batch(seq))
        terminal.until_committed(10)

        first.kill()
        for seq in range(11, 21):
            terminal.batch(batch(seq))
        standby.promote()
        terminal.until_committed(20)

    connection.close()
    assert [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq] == list(range(1, 21))
    assert storage().read_minutes("005930", "krx", *EVER).n.sum() == 20
    assert not DeadLetter.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT inet_server_port(), pg_is_in_recovery()")
        assert cursor.fetchone() == (standby.port, False)


def test_what_the_boards_ask_of_a_standby_has_an_answer(pair, redis, tmp_path):
    first, _standby = pair
    first.sql(f"GRANT pg_monitor TO {USER};")
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))

    def commit() -> None:
        """The lag is of what was committed last, and there is none while nothing is."""
        Symbol.objects.update(name="Samsung Electronics")

    with boards.watched(tmp_path / "prometheus") as prometheus:
        boards.all_answered(prometheus, boards.STANDBY, meanwhile=commit)

        (replicas,) = prometheus.query("min(naru_database_replicas)")
        assert replicas["value"][1] == "1"
