"""Three nodes of a Galera cluster: a change of a table arrives on all of them or is told, and nothing is dropped where
one holds something else."""

from __future__ import annotations

import dataclasses
import datetime
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import MySQLdb
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from pytest_django.plugin import DjangoDbBlocker

from marketdata import backups, doctor
from marketdata.calendar import trading_dates
from marketdata.doctor import servers, standbys
from marketdata.maintenance import nodes, quiet, retention, rollover
from marketdata.models import Alarm, RolloverRun, Symbol
from marketdata.monitoring.deployment import Deployment
from marketdata.storage import StorageError, storage
from marketdata.storage.backups import BackupError, Programs
from marketdata.storage.base import HISTORY, TEMP
from marketdata.storage.mariadb import partitions
from tests import boards, database, upkeep
from tests.backup import HOUR, NOW, verified
from tests.backup import folders as backup_programs
from tests.drill.stack import NODE_READY_S
from tests.servers import ServerMissing, packages
from tests.servers.galera import Cluster, Node
from tests.servers.keepalived import CHECK, FILES
from tests.servers.mariadb import DATABASE, PASSWORD, USER
from tests.servers.process import free_port
from tests.upkeep import Clock, seoul
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.environ.get("DB") != "mariadb", reason="Galera is MariaDB's")

MONDAY = datetime.date(2026, 3, 16)
TUESDAY = MONDAY + datetime.timedelta(days=1)
_kept: dict[str, list[Any]] = {}
"""What the migrations put into each table that they filled."""


@pytest.fixture(scope="module")
def cluster(django_db_blocker: DjangoDbBlocker) -> Iterator[Cluster]:
    """Three nodes with Naru's tables; Django points at the first one."""
    try:
        with Cluster() as running, django_db_blocker.unblock(), _pointed_at(running.nodes[0]):
            call_command("migrate", verbosity=0)
            _kept.update(database.filled())
            yield running
    except ServerMissing as error:
        if os.environ.get("CI") or os.environ.get("NARU_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))


@contextmanager
def _pointed_at(node: Node) -> Iterator[None]:
    connections.close_all()
    there = connections.settings["default"]
    before = dict(there)
    there.update(HOST="127.0.0.1", PORT=str(node.port), NAME=DATABASE, USER=USER, PASSWORD=PASSWORD)
    try:
        yield
    finally:
        connections.close_all()
        there.update(before)


@pytest.fixture
def empty(cluster: Cluster, settings, django_db_blocker: DjangoDbBlocker) -> Iterator[Cluster]:
    """The cluster without content, all nodes up to date."""
    settings.CACHE_ENGINE = "InnoDB"
    with django_db_blocker.unblock():
        database.wipe(_kept)
        for table in (TEMP, HISTORY):
            place = connections.settings["default"]
            partitions.forget((str(place["HOST"]), str(place["PORT"]), str(place["NAME"]), table))
        yield cluster


def asked(node: Node, statement: str) -> str:
    """What a node says once it has what was committed before."""
    return node.sql(f"SET wsrep_sync_wait = 1; USE {DATABASE}; {statement};").strip()


def partitions_on(node: Node, table: str) -> list[str]:
    return asked(
        node,
        "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE()"
        f" AND TABLE_NAME = '{table}' ORDER BY PARTITION_ORDINAL_POSITION",
    ).split()


@contextmanager
def connected(node: Node) -> Iterator[MySQLdb.Connection]:
    client = MySQLdb.connect(host="127.0.0.1", port=node.port, user=USER, password=PASSWORD, database=DATABASE)
    try:
        yield client
    finally:
        client.close()


def questions(node: Node, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connected(node) as client, client.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


@contextmanager
def table_held(node: Node, table: str) -> Iterator[None]:
    """Somebody on this node holds the table, as a backup or a person with a console does."""
    with connected(node) as client:
        client.query(f"LOCK TABLES {table} WRITE")
        yield


def rolled(date: datetime.date, at: str) -> None:
    """A day in history."""
    upkeep.commit(date)
    trading_dates.forget()
    rollover.run_one(date, clock=Clock(at))


def test_a_change_that_waits_on_one_node_arrives_there_all_the_same(empty: Cluster):
    first, second, _third = empty.nodes
    with table_held(second, HISTORY):
        storage().ensure_partitions([MONDAY], (HISTORY,))
        assert f"p{MONDAY:%Y%m%d}" in partitions_on(first, HISTORY)

    for node in empty.nodes:
        assert f"p{MONDAY:%Y%m%d}" in partitions_on(node, HISTORY)
        assert node.synced
        assert node.status("wsrep_cluster_size") == "3"


def test_a_day_moves_on_every_node_while_one_stands_still_again_and_again(empty: Cluster):
    ended = threading.Event()

    def stall() -> None:
        while not ended.wait(0.1):
            with empty.nodes[2].stalled():
                ended.wait(0.2)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        rolled(MONDAY, "2026-03-17 08:05")
    finally:
        ended.set()
        thread.join()

    assert RolloverRun.objects.get(trade_date=MONDAY).state == RolloverRun.State.DONE
    assert nodes.compare_day(MONDAY) == []
    for node in empty.nodes:
        assert asked(node, f"SELECT COUNT(*) FROM {HISTORY}") == "4"
        assert asked(node, f"SELECT COUNT(*) FROM {TEMP}") == "0"


def test_a_node_that_lacks_rows_is_told_and_nothing_is_dropped(empty: Cluster):
    rolled(MONDAY, "2026-03-17 08:05")
    third = empty.nodes[2]
    alone = f"SET wsrep_on = OFF; USE {DATABASE};"
    third.sql(f"{alone} CREATE TABLE kept AS SELECT * FROM {HISTORY} LIMIT 1;")
    third.sql(f"{alone} DELETE FROM {HISTORY} WHERE tick_id IN (SELECT tick_id FROM kept);")
    now = seoul("2036-03-17 12:00")

    found = nodes.compare_day(MONDAY)
    gone = retention.apply(now, progress=lambda _: None)

    assert len(found) == 1
    assert found[0].startswith(f"{empty.nodes[2].address}: {HISTORY} {MONDAY} is 3 rows")
    assert (HISTORY, MONDAY) not in {(drop.table, drop.start) for drop in gone}
    assert asked(empty.nodes[0], f"SELECT COUNT(*) FROM {HISTORY}") == "4"
    told = Alarm.objects.filter(code=nodes.NODES_DIFFER, cleared_at=None)
    assert {alarm.subject for alarm in told} == {MONDAY.isoformat(), f"{HISTORY} {MONDAY}"}
    with pytest.raises(CommandError, match="differ"):
        call_command("nodes", str(MONDAY), stderr=StringIO())

    third.sql(f"{alone} INSERT INTO {HISTORY} SELECT * FROM kept; DROP TABLE kept;")
    gone = retention.apply(now, progress=lambda _: None)

    assert (HISTORY, MONDAY) in {(drop.table, drop.start) for drop in gone}
    assert not told.all().exists()
    assert {asked(node, f"SELECT COUNT(*) FROM {HISTORY}") for node in empty.nodes} == {"0"}


def test_a_day_stays_where_it_is_while_a_node_lacks_its_partition(empty: Cluster):
    upkeep.commit(MONDAY)
    trading_dates.forget()
    storage().ensure_partitions([MONDAY], (HISTORY,))
    name = f"p{MONDAY:%Y%m%d}"
    second = empty.nodes[1]
    second.sql(f"SET wsrep_on = OFF; USE {DATABASE}; ALTER TABLE {HISTORY} DROP PARTITION {name};")
    try:
        with pytest.raises(StorageError, match=rf"{HISTORY} partition {name} is missing"):
            rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:05"))

        assert asked(empty.nodes[0], f"SELECT COUNT(*) FROM {TEMP}") == "4"
    finally:
        place = ("", "", "", HISTORY)
        there = partitions.bounds(lambda sql, params: questions(second, sql, params), place)
        split = partitions.split(HISTORY, there, MONDAY, TUESDAY)
        second.sql(f"SET wsrep_on = OFF; USE {DATABASE}; {split};")

    rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:10"))

    assert nodes.compare_day(MONDAY) == []


def test_what_is_past_its_time_waits_for_the_night_however_long_it_has_been(empty: Cluster):
    rolled(MONDAY, "2026-03-17 08:05")

    quiet.drop(Clock("2036-03-17 12:00"))
    assert storage().dates(HISTORY) == [MONDAY]
    assert Alarm.objects.filter(code=quiet.OVERDUE, cleared_at=None).exists()

    quiet.drop(Clock("2036-03-17 21:00"))
    assert {asked(node, f"SELECT COUNT(*) FROM {HISTORY}") for node in empty.nodes} == {"0"}
    assert not Alarm.objects.filter(code=quiet.OVERDUE, cleared_at=None).exists()


def test_events_that_are_there_hold_up_no_commit(empty: Cluster):
    assert storage().keep_events() == ""
    before = empty.nodes[0].status("wsrep_replicated")

    assert storage().keep_events() == ""

    assert empty.nodes[0].status("wsrep_replicated") == before


def test_a_partition_that_another_node_has_rows_in_is_not_dropped_as_empty(empty: Cluster):
    upkeep.commit(MONDAY)
    empty.nodes[0].sql(f"SET wsrep_on = OFF; DELETE FROM {DATABASE}.{TEMP};")

    assert storage().drop_days(TEMP, [MONDAY]) == 0

    empty.nodes[1].sql(f"SET wsrep_on = OFF; DELETE FROM {DATABASE}.{TEMP};")
    empty.nodes[2].sql(f"SET wsrep_on = OFF; DELETE FROM {DATABASE}.{TEMP};")

    assert storage().drop_days(TEMP, [MONDAY]) == 1
    for node in empty.nodes:
        assert f"p{MONDAY:%Y%m%d}" not in partitions_on(node, TEMP)


def test_a_node_that_cannot_be_asked_keeps_what_would_be_dropped(empty: Cluster, settings):
    rolled(MONDAY, "2026-03-17 08:05")
    settings.DATABASE_NODES = [node.address for node in empty.nodes[:2]]

    with pytest.raises(StorageError, match=r"has 3 nodes .* only 2 could be asked"):
        storage().differences({HISTORY: (MONDAY, TUESDAY)})
    gone = retention.apply(seoul("2036-03-17 12:00"), progress=lambda _: None)

    assert gone == []
    assert asked(empty.nodes[0], f"SELECT COUNT(*) FROM {HISTORY}") == "4"


def test_an_increment_never_builds_on_the_files_of_another_node(empty: Cluster, tmp_path: Path):
    _first, second, _third = empty.nodes
    for code in ("005930", "000660"):
        Symbol.objects.get_or_create(code=code, defaults={"market_id": "KRX"})

    def given() -> backups.Options:
        return dataclasses.replace(
            backups.options(), folder=tmp_path / "backups", work=tmp_path / "work",
            programs=Programs(backup_programs()), account=dict(connections["default"].settings_dict),
        )  # fmt: skip

    made = [verified(backups.make(NOW + at * HOUR, given=given())) for at in range(2)]
    with _pointed_at(second):
        with pytest.raises(BackupError, match="another server"):
            backups.make(NOW + 2 * HOUR, kind="incremental", given=given())
        made += [verified(backups.make(NOW + at * HOUR, given=given())) for at in range(2, 4)]
    made.append(verified(backups.make(NOW + 4 * HOUR, given=given())))

    assert [run.kind for run in made] == ["full", "incremental", "full", "incremental", "full"]
    assert [run.position.split(":")[0] for run in made] == [
        made[at].position.split(":")[0] for at in (0, 0, 2, 2, 0)
    ]  # fmt: skip
    assert made[0].position.split(":")[0] != made[2].position.split(":")[0]
    for run in reversed(made):
        run.delete()


def examined() -> dict[str, doctor.Finding]:
    return {str(one.what): one for one in (*servers.database(), *standbys.database_nodes())}


def answers(question: str) -> bool:
    """Whether our own node does; a connection that was lost is made anew."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone() is not None
    except OperationalError:
        connections.close_all()
        return False


def test_doctor_asks_every_node_for_what_the_promises_rest_on(empty: Cluster, settings, monkeypatch):
    monkeypatch.setattr("marketdata.storage.mariadb.ticks.NODE_ANSWER_S", 60)
    first, second, third = empty.nodes
    right = examined()
    settings.CACHE_ENGINE = "MEMORY"
    second.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2;")
    first.sql("SET GLOBAL wsrep_ignore_apply_errors = 7;")
    third.sql("SET GLOBAL wsrep_ignore_apply_errors = 7;")
    first.sql("SET GLOBAL wsrep_sst_method = 'rsync';")
    try:
        wrong = examined()
        with pytest.raises(doctor.UnsafeDatabase, match="wsrep_ignore_apply_errors"):
            doctor.refuse_unsafe()
        doctor.recheck()
    finally:
        second.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1;")
        first.sql("SET GLOBAL wsrep_ignore_apply_errors = 0;")
        first.sql("SET GLOBAL wsrep_sst_method = 'mariabackup';")
        third.sql("SET GLOBAL wsrep_ignore_apply_errors = 0;")

    assert [one.words for one in right.values() if one.level is not doctor.Level.OK] == []
    assert str(right["mysql: other nodes of the cluster"].value) == "2 / 2"
    told = {
        what: (str(one.value), one.level) for what, one in wrong.items() if one.level is not doctor.Level.OK
    }  # fmt: skip
    assert told == {
        "mysql: wsrep_ignore_apply_errors": ("7", doctor.Level.ERROR),
        "mysql: wsrep_sst_method": ("rsync", doctor.Level.WARNING),
        "mysql: innodb_flush_log_at_trx_commit of the other nodes": (f"{second.address}: 2", doctor.Level.ERROR),
        "mysql: wsrep_ignore_apply_errors of the other nodes": (f"{third.address}: 7", doctor.Level.ERROR),
        "CACHE_ENGINE": ("MEMORY", doctor.Level.ERROR),
    }
    alarms = Alarm.objects.filter(code="unsafe_setting", cleared_at=None).values_list("subject", flat=True)
    assert told.keys() <= set(alarms)
    doctor.refuse_unsafe()


def test_doctor_tells_a_node_that_it_cannot_ask(empty: Cluster, settings):
    nowhere = f"127.0.0.1:{free_port()}"
    settings.DATABASE_NODES = [empty.nodes[0].address, empty.nodes[1].address, nowhere]
    silent = examined()["mysql: other nodes of the cluster"]
    settings.DATABASE_NODES = [node.address for node in empty.nodes[:2]]
    unnamed = examined()["mysql: other nodes of the cluster"]
    settings.DATABASE_NODES = []
    with empty.nodes[2].stalled():
        # A question waits until the group goes on without it: on a busy machine for longer than our own patience, once.
        until(lambda: answers("SELECT COUNT(*) FROM django_content_type"), seconds=120, what="the group goes on")
        stands = examined()["mysql: other nodes of the cluster"]

    assert {one.level for one in (silent, unnamed, stands)} == {doctor.Level.WARNING}
    assert str(silent.value).startswith("1 / 2; no answer of " + nowhere)
    assert "not named by DATABASE_NODES" in str(unnamed.value)
    assert str(stands.value).startswith(f"1 / 2; no answer of {empty.nodes[2].address}")


def test_a_node_that_lost_its_data_takes_all_of_them_from_another_one(empty: Cluster, monkeypatch):
    third = empty.nodes[2]
    monkeypatch.setattr(third, "ready_s", NODE_READY_S)
    third.stop()
    (third.data / "grastate.dat").unlink()
    begins = len(third.log.read_text())

    third.start()

    assert "mariabackup SST completed on joiner" in third.log.read_text()[begins:]
    third.stop()
    third.start()
    assert empty.differences() == []


def may_be_written(node: Node, folder: Path, **proxy: str) -> str:
    """What the check of docker/keepalived says; "" if it is content."""
    settings = folder / "check.cnf"
    settings.write_text(f"[client]\nuser={USER}\npassword={PASSWORD}\nsocket={node.socket}\n", encoding="utf-8")
    program, environment = packages.need("mariadb")
    environment = environment | {
        "PATH": f"{program.parent}:{environment['PATH']}", "NARU_GALERA_CHECK": str(settings), **proxy
    }  # fmt: skip
    command = [str(FILES / CHECK), *([] if proxy else ["socket", "203.0.113.77"])]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == bool(told.stderr)
    return told.stderr.removeprefix("galera-writable: ").strip()


def may_be_written_by(way: dict[str, str], node: Node, folder: Path) -> bool:
    return may_be_written(node, folder, **way) == ""


def test_an_address_is_given_to_a_node_that_takes_writes_and_to_no_other(empty: Cluster, tmp_path: Path):
    node = empty.nodes[2]
    over_tcp = {"HAPROXY_SERVER_ADDR": "127.0.0.1", "HAPROXY_SERVER_PORT": str(node.port)}
    for way in (dict[str, str](), over_tcp):  # it waits for an answer for a second and a half
        until(partial(may_be_written_by, way, node, tmp_path), seconds=60, what="it may be written to")

    for unfit, fit, word in (
        ("read_only = ON", "read_only = OFF", "read only"),
        ("wsrep_desync = ON", "wsrep_desync = OFF", "a donor"),
        ("wsrep_reject_queries = ALL", "wsrep_reject_queries = NONE", "told to refuse questions"),
    ):
        node.sql(f"SET GLOBAL {unfit};")
        try:
            told = may_be_written(node, tmp_path), may_be_written(node, tmp_path, **over_tcp)
            busy = may_be_written(node, tmp_path, **over_tcp, HAPROXY_SERVER_CURCONN="1")
        finally:
            node.sql(f"SET GLOBAL {fit};")
        assert all(said.startswith((word, "no answer")) for said in told), told
        # Who is written to through the proxy gives its data to another node, or ends a backup, and stays who it is.
        assert busy.startswith("no answer") or (busy == "" if word == "a donor" else busy.startswith(word)), busy
        until(lambda: node.synced, seconds=60, what="the node is in step again")

    with node.stalled():
        assert may_be_written(node, tmp_path).startswith("no answer")


def test_the_drills_see_a_row_that_one_node_has_alone(empty: Cluster):
    before = empty.differences()
    alone = f"USE {DATABASE}; SET SESSION wsrep_on = OFF;"
    empty.nodes[1].sql(f"{alone} INSERT INTO django_content_type (app_label, model) VALUES ('nobody', 'knows');")
    try:
        assert (before, empty.differences()) == ([], [f"{DATABASE}.django_content_type"])
    finally:
        empty.nodes[1].sql(f"{alone} DELETE FROM django_content_type WHERE app_label = 'nobody';")


def test_a_node_that_lost_the_others_is_told_as_not_ready(empty: Cluster, redis):
    alone = empty.nodes[2]
    alone.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1';")
    try:
        until(lambda: alone.status("wsrep_cluster_status") == "non-Primary", seconds=120, what="it is alone")
        with _pointed_at(alone):
            families = list(Deployment([], wait_s=60).collect())
    finally:
        alone.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0';")
        until(lambda: alone.synced, seconds=120, what="the node is in step again")

    told = {one.name: one.samples[0].value for one in families if one.samples}
    named = ("naru_galera_ready", "naru_galera_primary", "naru_database_up")
    assert [told[name] for name in named] == [0, 0, 0]


def test_what_the_boards_ask_of_a_cluster_has_an_answer(empty: Cluster, redis, tmp_path, settings):
    settings.DATABASE_NODES = [node.address for node in empty.nodes]
    with boards.watched(tmp_path / "prometheus") as prometheus:
        boards.all_answered(prometheus, boards.GALERA)

        (nodes,) = prometheus.query("min(naru_galera_nodes)")
        (expected,) = prometheus.query("min(naru_galera_nodes_expected)")
        assert nodes["value"][1] == expected["value"][1] == "3"
        (paused,) = prometheus.query("naru_galera_flow_control_paused_seconds_total")
        assert float(paused["value"][1]) >= 0
