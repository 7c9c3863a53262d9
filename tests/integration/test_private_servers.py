"""The servers under the other tests: what is kept when they are killed, and what is left when their owner is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import MariaDB, PostgreSQL, Redis, ServerMissing, Valkey, packages
from tests.servers.process import temporary_folder
from tests.waiting import until

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mariadb(mariadb_server: MariaDB) -> MariaDB:
    return mariadb_server.start()


def test_mariadb_keeps_what_was_committed_when_it_is_killed(mariadb):
    mariadb.create_database("kept")
    mariadb.sql("CREATE TABLE kept.t (a INT PRIMARY KEY); INSERT INTO kept.t VALUES (1), (2);")
    before = mariadb.pid

    mariadb.kill()
    mariadb.start()

    assert mariadb.pid != before
    assert mariadb.sql("SELECT SUM(a) FROM kept.t;").strip() == "3"
    mariadb.drop_database("kept")


def test_mariadb_runs_with_the_durable_settings_of_the_house(mariadb):
    durable = mariadb.sql("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite;").split()
    other = mariadb.sql("SELECT @@local_infile, @@event_scheduler, @@bind_address;").split()

    assert durable == ["1", "1"]
    assert other == ["1", "ON", "127.0.0.1"]
    assert "STRICT" in mariadb.sql("SELECT @@sql_mode;")
    assert "jemalloc" in mariadb.sql("SELECT @@version_malloc_library;")


@pytest.mark.parametrize("kind", [Redis, Valkey])
def test_a_server_that_is_started_again_serves_at_once(kind, tmp_path, redis_server):
    with kind(tmp_path) as server:
        client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=60)
        client.eval("for at = 1, 200000 do redis.call('SET', 'key-' .. at, string.rep('x', 200)) end", 0)
        client.close()
        server.kill()

        server.start()

        assert client.set("key", "value")
        assert client.dbsize() == 200_001


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL) -> PostgreSQL:
    return postgresql_server.start()


def test_postgresql_keeps_what_was_committed_when_it_is_killed(postgresql):
    postgresql.create_database("kept")
    postgresql.sql("CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1), (2);", database="kept")
    before = postgresql.pid

    postgresql.kill()
    postgresql.start()

    assert postgresql.pid != before
    assert postgresql.sql("SELECT sum(a) FROM t;", database="kept").strip() == "3"
    postgresql.drop_database("kept")


def test_postgresql_runs_with_the_durable_settings_of_the_house(postgresql):
    names = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "listen_addresses", "timezone")

    shown = postgresql.sql("".join(f"SHOW {name};" for name in names)).split()

    assert shown == ["on", "on", "on", "replica", "127.0.0.1", "UTC"]


def test_postgresql_ends_though_somebody_is_still_connected(postgresql_server, tmp_path):
    with PostgreSQL(tmp_path, shared_buffers_mib=16) as server:
        program, environment = packages.need("psql")
        command = [str(program), f"--host={server.sockets}", f"--port={server.port}", "--username=postgres"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"SELECT 1;\n")
            client.stdin.flush()
            client.stdout.readline()

            server.stop()

            client.stdin.close()

    assert not server.running


@pytest.mark.parametrize("kind", [Redis, Valkey])
def test_redis_keeps_what_was_written_to_disk_when_it_is_killed(kind: type[Redis | Valkey], tmp_path):
    from redis import Redis as Client

    try:
        server = kind(tmp_path).start()
    except ServerMissing as error:
        pytest.skip(str(error))
    with server, Client.from_url(server.url) as client:
        client.config_set("appendfsync", "always")
        client.set("tick", "70000")

        server.kill()
        server.start()

        assert client.get("tick") == b"70000"


@pytest.mark.parametrize("wanted", ["redis_server", "postgresql_server"])
def test_a_killed_owner_leaves_no_server_behind(wanted, request, tmp_path):
    kind = type(request.getfixturevalue(wanted)).__name__
    code = f"from tests.servers import {kind} as K; print(K({str(tmp_path)!r}).start().pid, flush=True); input()"
    pipe = subprocess.PIPE
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    with owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())

        owner.kill()

    until(lambda: _gone(server), seconds=60, what="the end of the server")


@pytest.mark.once
def test_a_folder_of_a_killed_owner_is_removed_and_one_of_a_living_owner_stays():
    code = (
        "import sys; from tests.servers.process import temporary_folder;"
        "print(temporary_folder('left', in_memory=True), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        other = folder.with_name(folder.name.replace(f"-{owner.pid}-", f"-{owner.pid}-1"))  # had the number before
        other.mkdir()
        mine = temporary_folder("mine")
        while_it_lives = folder.exists(), other.exists()
        owner.kill()
    shutil.rmtree(temporary_folder("next"))
    afterwards = folder.exists(), mine.exists()
    shutil.rmtree(mine)

    assert while_it_lives == (True, False)
    assert afterwards == (False, True)


def test_a_server_that_cannot_start_says_why(redis_server, tmp_path):
    taken = type(redis_server)(tmp_path, port=redis_server.port)

    with pytest.raises(RuntimeError, match=r"(?s)ended while starting.*in use"):
        taken.start()


def _gone(process: int) -> bool:
    """Ended, though perhaps not yet collected by its adoptive parent."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(("required", "outcome"), [({}, "1 skipped"), ({"NARU_REQUIRE_SERVERS": "1"}, "1 error")])
def test_a_browser_that_is_missing_skips_its_tests_and_fails_them_where_servers_are_required(
    tmp_path, required, outcome
):
    (tmp_path / "test_page.py").write_text("def test_of_a_page(chromium): pass\n", encoding="utf-8")
    left = {name: value for name, value in os.environ.items() if name not in ("CI", "NARU_REQUIRE_SERVERS")}

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT, env=left | {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "DB": "sqlite"} | required,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert outcome in ran.stdout, ran.stdout + ran.stderr
    assert "no Chromium" in ran.stdout or not required
