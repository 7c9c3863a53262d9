"""A database connection that is lost is lost once: every kind of process does its next piece of work on another."""

from __future__ import annotations

import re
import select
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from celery_app import app
from marketdata import connections as rule
from marketdata.beat import Scheduler
from marketdata.models import Client, DeadLetter, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests.frozen import frozen
from tests.market import NINE_US
from tests.road import QUEUES, Road
from tests.servers import free_port
from tests.waiting import until

WORKERS = {  # queues, tasks of them, and how many connections are kept between two tasks
    "worker": (
        "feed-recovery,chart-data,statistics-data,maintenance",
        ("ingest.recovery.announce_missed", "marketdata.tasks.refresh_caches", "marketdata.tasks.extend_partitions"),
        1,
    ),
    "worker-backups": ("backups", ("marketdata.tasks.archive_days",), 0),  # patient work begins and ends with its own
}
OTHERS = {
    "mysql": "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID != CONNECTION_ID()",
    "postgresql": (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid() AND backend_type = 'client backend'"
    ),
}


@pytest.fixture(autouse=True)
def _servers_only(vendor: str) -> None:
    if vendor == "sqlite":
        pytest.skip("a file has no connection to lose")


def cut() -> int:
    """End every connection to this database but ours, as a restarted proxy or a failover does; how many."""
    return end_all(connection)


def end_all(mine: Any) -> int:
    """End every connection to the database but this one; how many."""
    end = {"mysql": "KILL %s", "postgresql": "SELECT pg_terminate_backend(%s)"}[mine.vendor]
    with mine.cursor() as cursor:
        cursor.execute(OTHERS[mine.vendor])
        found = [number for (number,) in cursor.fetchall()]
        for number in found:
            with suppress(DatabaseError):  # it ended by itself
                cursor.execute(end, [number])
    return len(found)


@contextmanager
def elsewhere() -> Iterator[Any]:
    """Another connection to the same database."""
    other = connection.copy()
    try:
        yield other
    finally:
        other.close()


def connected() -> int:
    """How many others are connected; one that has just ended may be among them for a moment."""
    with connection.cursor() as cursor:
        cursor.execute(OTHERS[connection.vendor])
        return len(cursor.fetchall())


def until_connected(number: int) -> None:
    until(lambda: connected() == number, seconds=60, what=f"{number} connections")


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_whose_connection_was_cut_does_its_next_task(road: Road, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ARCHIVE", "1")  # or the archive's task has nothing to ask
    queues, tasks, kept = WORKERS[name]
    cut()  # what a test before left
    until_connected(0)
    road.worker("-c", "1", "-Q", queues)

    def succeeded(task: str) -> int:
        return sum(f"Task {task}[" in line and "succeeded" in line for line in road.tail("worker").splitlines())

    def ask(task: str) -> None:
        before = succeeded(task)
        app.send_task(task)
        until(lambda: succeeded(task) > before, seconds=60, what=task)

    for task in tasks:
        ask(task)
        for _ in range(3):
            until_connected(kept)
            cut()
            ask(task)

    until_connected(kept)
    assert "raised unexpected" not in road.tail("worker")


def is_idle(road: Road, redis: Any) -> bool:
    """Whether its worker has done everything it was given."""
    told = road.tail("worker")
    return not any(redis.llen(queue) for queue in QUEUES.split(",")) and told.count("] received") == len(
        re.findall(r"\] (succeeded|raised)", told)
    )


def test_a_worker_whose_connection_was_cut_stores_the_next_batch(road: Road, redis: Any):
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    road.ingest()
    road.worker("-c", "1")
    terminal = road.terminal("feeder")
    terminal.login()

    for seq in range(1, 5):
        terminal.batch(
            wire.encode_rows(seq, "krx", 1, [{"symbol": "005930", "time": NINE_US + seq, "price": "1", "size": "1"}])
        )
        terminal.until_committed()
        road.until(partial(is_idle, road, redis), seconds=60, what="an idle worker")
        time.sleep(rule.ANSWERED_S)  # a connection that has just answered is not asked whether it lives
        cut()

    assert storage().count("temp_market_data") == 4
    # It began with a connection that lives. A cut may meet a question of the ingest server, but not each time.
    assert road.metric("naru_transaction_retries_total") < 3


def test_the_ingest_server_lets_terminals_in_after_its_connections_were_cut(road: Road):
    road.ingest()

    for _ in range(3):
        terminal = road.terminal("feeder")
        terminal.login()
        terminal.close()
        cut()

    assert "login impossible" not in road.tail("ingest")
    assert "background job failed" not in road.tail("ingest")


def test_the_web_server_answers_after_its_connections_were_cut(road: Road, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_THREADS", "2")
    port = free_port()
    client, secret = Client.objects.create_with_secret(name="reader", may_read=True)
    road.start("web", ["manage.py", "runweb", "--port", str(port)])
    ask = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/symbols",
        headers={"APCA-API-KEY-ID": client.key_id, "APCA-API-SECRET-KEY": secret},
    )

    def answered() -> int | None:
        try:
            with urllib.request.urlopen(ask, timeout=180) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    until(lambda: answered() == 200, seconds=60, what=f"web\n{road.tail('web')}")
    for _ in range(3):
        assert answered() == answered() == 200
        assert cut() >= 1
    assert [answered() for _ in range(4)] == [200] * 4


def test_beat_goes_on_calling_after_its_connection_was_cut(road: Road, redis):
    road.start("beat", ["-m", "celery", "-A", "celery_app", "beat", "--pidfile=", "-l", "INFO"])

    def calls() -> int:
        return road.tail("beat").count("Sending due task")

    def reached(number: int) -> bool:
        return calls() >= number

    until(calls, seconds=60, what=f"beat\n{road.tail('beat')}")
    for _ in range(2):
        until(cut, seconds=60, what=f"a connection of beat's\n{road.tail('beat')}")  # it connects when it looks
        wanted = calls() + 2
        until(partial(reached, wanted), seconds=60, what=f"beat\n{road.tail('beat')}")

    assert road.processes["beat"].poll() is None
    assert "Traceback" not in road.tail("beat")


LOCKED = {
    "mysql": ("LOCK TABLES django_celery_beat_periodictasks WRITE", "UNLOCK TABLES"),
    "postgresql": ("BEGIN; LOCK TABLE django_celery_beat_periodictasks", "COMMIT"),
}
WAITS = {
    "mysql": (
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST"
        " WHERE STATE LIKE 'Waiting for table%' AND INFO LIKE '%periodictasks%'"
    ),
    "postgresql": (
        "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'django_celery_beat_periodictasks'::regclass"
    ),
}


def test_beat_ends_when_it_is_asked_to_while_a_query_is_under_way(road: Road, redis):
    road.start("beat", ["-m", "celery", "-A", "celery_app", "beat", "--pidfile=", "-l", "INFO"])
    beat = road.processes["beat"]
    until(lambda: "Sending due task" in road.tail("beat"), seconds=60, what=f"beat\n{road.tail('beat')}")
    lock, unlock = LOCKED[connection.vendor]

    def waits() -> bool:
        cursor.execute(WAITS[connection.vendor])
        return bool(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute(lock)
        try:
            until(waits, seconds=60, what="a look into the timetable")
            beat.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # the query still waits when the signal comes
        finally:
            cursor.execute(unlock)

    assert beat.wait(300) == 0
    del road.processes["beat"]
    assert "Traceback" not in road.tail("beat")


@contextmanager
def cut_before(statement: str) -> Iterator[list[str]]:
    """Our own connection is cut just before its first statement that holds this text, once; what was cut."""
    cuts: list[str] = []

    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        if statement in sql and not cuts:
            cuts.append(sql)
            with elsewhere() as other:
                end_all(other)
        return execute(sql, *rest)

    with connection.execute_wrapper(wrapper):
        yield cuts


def test_beat_reads_and_writes_its_timetable_although_a_statement_was_cut(
    road_database: None, caplog: pytest.LogCaptureFixture
):
    scheduler = Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    name, entry = next(iter(scheduler.schedule.items()))
    scheduler.schedule_changed()
    assert not scheduler.schedule_changed()
    PeriodicTasks.update_changed()

    with cut_before("django_celery_beat_periodictasks") as cuts:
        assert scheduler.schedule_changed()
    assert len(cuts) == 1

    scheduler.reserve(entry)
    with cut_before("UPDATE") as cuts:
        scheduler.sync()
    assert len(cuts) == 1
    assert PeriodicTask.objects.get(name=name).total_run_count == 1
    assert "Traceback" not in caplog.text


def takes_while_busy(process: Any, address: tuple[str, int], most: int) -> bool:
    """Whether so many connections, as far as the system lets any process have them, come while it does nothing."""
    most = min(most, int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii")))
    with ExitStack() as sockets, frozen(process.pid):
        waiting = [sockets.enter_context(socket.socket()) for _ in range(most)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        until(
            lambda: len(select.select([], waiting, [], 0)[1]) == most,
            seconds=30,
            what="connections to a process that does nothing",
        )
    return True


def test_a_frozen_database_holds_a_worker_for_a_while_and_buries_nothing(
    road: Road, vendor: str, request: pytest.FixtureRequest
):
    server = request.getfixturevalue(f"{vendor}_server")
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    road.ingest()
    road.worker("-c", "1")
    terminal = road.terminal("feeder")
    terminal.login()
    batches = [
        wire.encode_rows(seq, "krx", 1, [{"symbol": "005930", "time": NINE_US + seq, "price": "1", "size": "1"}])
        for seq in range(1, 4)
    ]
    terminal.batch(batches[0])
    terminal.until_committed(1)
    given_up = road.tail("worker").count("commit failed")

    with frozen(server.pid):
        terminal.batch(batches[1])
        terminal.batch(batches[2])
        # The task ends while the server is still frozen, by itself and not by Celery's time limit.
        road.until(lambda: road.tail("worker").count("commit failed") > given_up, seconds=120, what="a task given up")

    assert "Soft time limit" not in road.tail("worker")
    terminal.until_committed(3)
    assert storage().count("temp_market_data") == 3
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("long_running", [False, True])
def test_only_patient_work_waits_long_for_an_answer(road_database: None, settings: Any, long_running: bool):
    # Connecting is under the same limit: five seconds, that a busy machine keeps to it.
    sleep = {"mysql": "SELECT SLEEP(%s)", "postgresql": "SELECT pg_sleep(%s)"}[connection.vendor]
    options, before = connection.settings_dict["OPTIONS"], dict(connection.settings_dict["OPTIONS"])
    connection.close()
    options["read_timeout"] = 5
    if connection.vendor == "postgresql":
        del options["read_timeout"]
        connection.settings_dict["SILENCE_S"] = 5.0
    try:
        with storage().long_running() if long_running else nullcontext(), connection.cursor() as cursor:
            if long_running:
                cursor.execute(sleep, [8])
                return
            with pytest.raises(DatabaseError) as caught:
                cursor.execute(sleep, [30])
        assert storage().is_transient(caught.value)
        assert rule.steadily(Market.objects.count) > 0
    finally:
        options.clear()
        options.update(before)
        connection.settings_dict["SILENCE_S"] = settings.DATABASE_SILENCE_S
        connection.close()


def test_work_that_met_a_cut_connection_is_done_again_on_another(road_database: None):
    done: list[int] = []

    def work() -> int:
        if not done:
            done.append(Market.objects.count())
            with elsewhere() as other:
                end_all(other)
        done.append(Market.objects.count())
        return len(done)

    assert rule.steadily(work) == 2


def test_inside_a_transaction_nothing_is_done_twice(road_database: None):
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        with elsewhere() as other:
            end_all(other)
        Market.objects.count()

    with pytest.raises(DatabaseError), transaction.atomic(durable=True):
        rule.steadily(work)

    assert tries == [1]
    assert rule.steadily(Market.objects.count) > 0
