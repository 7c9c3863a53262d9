"""The accounts by which exporters ask: made by the scripts of docker/ with real servers, enough for Debian's exporters,
and good for nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import redis
import yaml

from tests.integration.test_ha_images import DOCKER, Container, programs
from tests.servers import packages
from tests.servers.mariadb import SETTINGS
from tests.servers.postgresql import DATABASE, PostgreSQL
from tests.servers.process import free_port, spawn, temporary_folder
from tests.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.timeout(600)]

SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
PASSWORD, NEXT = "only-for-tests", "another-one"
T = TypeVar("T")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that the images have."""
    return _or_skip(lambda: programs(tmp_path_factory.mktemp("bin")))


def _or_skip(need: Callable[[], T]) -> T:
    try:
        return need()
    except packages.ServerMissing as error:
        if os.environ.get("NARU_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))


@contextmanager
def exporting(kind: str, folder: Path, *words: str, question: str = "/metrics", **variables: str) -> Iterator[str]:
    """What one of Debian's exporters answers to the question, once it does."""
    name = f"prometheus-{kind}-exporter"
    program, environment = _or_skip(lambda: packages.need(name, packages.EXPORTERS))
    port, log = free_port(), folder / f"{kind}.log"
    listen = f"--web.listen-address=127.0.0.1:{port}"
    process = spawn([str(program), listen, *words], environment=environment | variables, log=log, cwd=folder)

    def answer() -> str:
        assert process.poll() is None, log.read_text(errors="replace")
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{question}", timeout=30) as told:
            return str(told.read().decode())
        return ""

    try:
        yield until(answer, seconds=120, what=f"an answer of {name}")
    finally:
        process.terminate()
        process.wait(60)


def values(told: str, name: str) -> set[float]:
    """Of all series of that name."""
    lines = [line for line in told.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return {float(line.rpartition(" ")[2]) for line in lines}


class MariaDB:
    """docker/mariadb/start, one server alone."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.folder, self.path, self.port = folder, path, free_port()
        (folder / "alone.cnf").write_text(
            f"!include {SETTINGS}\n[mariadbd]\ninnodb_log_file_size = 48M\ninnodb_buffer_pool_size = 32M\n"
        )
        self.exporter = folder / "exporter"
        told = {}
        for name in ("naru", "backup"):
            (folder / name).write_text(PASSWORD)
            told[f"{name.upper()}_PASSWORD_FILE"] = str(folder / name)
        self.container = Container(
            "mariadb/start", "127.0.0.1", folder, f"--port={self.port}", "--bind-address=127.0.0.1",
            "--skip-name-resolve", path=path,
            NODE=str(folder), MARIADB_DATA=str(folder / "data"), MARIADB_RUN=str(folder / "run"),
            MARIADB_BUFFER_POOL="32M", **told,
        )  # fmt: skip

    def ask(self, user: str, password: str, statements: str) -> str:
        """The answer, or what the client says."""
        login = [f"--port={self.port}", f"--user={user}", f"--password={password}"]
        done = subprocess.run(
            [self.path / "mariadb", "--no-defaults", "--host=127.0.0.1", "--protocol=tcp", *login, "--batch"],
            input=statements, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else done.stderr

    @contextmanager
    def running(self, **variables: str) -> Iterator[None]:
        self.container.start(**variables)
        try:
            until(lambda: "1" in self.ask("naru", PASSWORD, "SELECT 1").split(), seconds=240, what="MariaDB")
            yield
        finally:
            self.container.stop()


def lets_in(server: MariaDB, password: str) -> bool:
    return "ERROR" not in server.ask("naru_exporter", password, "SELECT 1")


def test_the_account_of_mariadb_comes_to_a_folder_of_before_sees_counters_alone_and_takes_another_password(path: Path):
    folder = temporary_folder("exporter")
    try:
        server = MariaDB(folder, path)
        with server.running():
            server.ask("naru", PASSWORD, "CREATE TABLE naru.tick (price INT)")
            assert "Access denied" in server.ask("naru_exporter", PASSWORD, "SELECT 1")

        for password in (PASSWORD, NEXT):
            server.exporter.write_text(f"{password}\n")
            with server.running(EXPORTER_PASSWORD_FILE=str(server.exporter)):
                until(partial(lets_in, server, password), seconds=120, what="the account")
                grants = server.ask("naru_exporter", password, "SHOW GRANTS").splitlines()[1:]
                assert [grant.partition(" TO ")[0] for grant in grants] == ["GRANT USAGE ON *.*"]
                assert "MAX_USER_CONNECTIONS 5" in grants[0]
                assert "ERROR 1142" in server.ask("naru_exporter", password, "SELECT * FROM naru.tick")
                assert "ERROR 1142" in server.ask("naru_exporter", password, "SELECT * FROM mysql.global_priv")
                options = folder / "exporter.cnf"
                options.write_text(
                    f"[client]\nuser=naru_exporter\npassword={password}\nhost=127.0.0.1\nport={server.port}\n"
                )
                words = [word for word in SERVICES["mysqld-exporter"]["command"] if "my-cnf" not in word]
                with exporting("mysqld", folder, f"--config.my-cnf={options}", *words) as told:
                    assert values(told, "mysql_up") == {1}
                    assert values(told, "mysql_exporter_last_scrape_error") == {0}
                    assert values(told, "mysql_global_status_uptime")
                    assert values(told, "mysql_global_variables_max_connections")
        with server.running(EXPORTER_PASSWORD_FILE=str(server.exporter)):
            assert "Access denied" in server.ask("naru_exporter", PASSWORD, "SELECT 1")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_user_of_redis_sees_counters_and_neither_keys_nor_settings(path: Path, tmp_path: Path):
    port = free_port()
    for name, password in (("password", NEXT), ("exporter", PASSWORD)):
        (tmp_path / name).write_text(f"{password}\n")
    container = Container(
        "redis/start", "127.0.0.1", tmp_path, path=path, REDIS_DATA=str(tmp_path / "data"),
        REDIS_RUN=str(tmp_path / "run"), REDIS_SETTINGS=str(DOCKER / "redis"), REDIS_PORT=str(port),
        REDIS_BIND="127.0.0.1", REDIS_PASSWORD_FILE=str(tmp_path / "password"),
        EXPORTER_PASSWORD_FILE=str(tmp_path / "exporter"),
    )  # fmt: skip
    container.start()
    try:
        with redis.Redis("127.0.0.1", port, password=NEXT) as ours:
            until(lambda: _answers(ours), seconds=60, what="Redis")
            ours.set("naru:key", "x")
        with redis.Redis("127.0.0.1", port, username="naru-exporter", password=PASSWORD) as client:
            assert client.info()["db0"]["keys"] == 1
            for words in (
                ("GET", "naru:key"), ("SET", "naru:key", "y"), ("KEYS", "*"), ("SCAN", "0"), ("CONFIG", "GET", "*"),
                ("SLOWLOG", "GET"), ("CLIENT", "LIST"), ("ACL", "LIST"), ("MONITOR",), ("SUBSCRIBE", "x"),
            ):  # fmt: skip
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*words)

        passwords = tmp_path / "map"
        # That of the image looks for an address with its user, Debian's older one for the address.
        passwords.write_text(json.dumps({f"redis://{one}127.0.0.1:{port}": PASSWORD for one in ("naru-exporter@", "")}))
        told = SERVICES["redis-exporter"]
        target = urllib.parse.quote(f"redis://127.0.0.1:{port}")
        variables = told["environment"] | {"REDIS_PASSWORD_FILE": str(passwords)}
        with exporting("redis", tmp_path, *told["command"], question=f"/scrape?target={target}", **variables) as answer:
            assert values(answer, "redis_up") == {1}
            assert values(answer, "redis_db_keys") >= {1}
            assert values(answer, "redis_memory_max_bytes") == {512 << 20}
    finally:
        container.stop()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_the_role_of_postgresql_sees_counters_and_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = (DOCKER / "postgresql/exporter.sql").read_text(encoding="utf-8")
    file = tmp_path / "password"
    monkeypatch.setenv("EXPORTER_PASSWORD_FILE", str(file))
    file.touch()
    with PostgreSQL(shared_buffers_mib=32) as server:
        server.sql("CREATE TABLE tick (price INT); INSERT INTO tick VALUES (1);")
        server.sql(script)
        known = "SELECT COUNT(*) FROM pg_roles WHERE rolname = 'naru_exporter';"
        assert server.sql(known).strip() == "0"

        for password in (PASSWORD, NEXT):
            file.write_text(f"{password}\n")
            server.sql(script)
            login = f"host=127.0.0.1 port={server.port} dbname={DATABASE} user=naru_exporter password={password}"
            with psycopg.connect(login, autocommit=True) as asked:
                assert asked.execute("SELECT pg_has_role('pg_read_all_stats', 'member')").fetchone() == (True,)
                assert asked.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE query IS NOT NULL").fetchone() != (0,)
                for question in ("SELECT * FROM tick", "SHOW primary_conninfo", "CREATE DATABASE mine",
                                 "SELECT * FROM pg_authid", "SELECT pg_read_file('PG_VERSION')"):  # fmt: skip
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        asked.execute(question)
            told = {
                "DATA_SOURCE_URI": f"127.0.0.1:{server.port}/{DATABASE}?sslmode=disable",
                "DATA_SOURCE_USER": SERVICES["postgres-exporter"]["environment"]["DATA_SOURCE_USER"],
                "DATA_SOURCE_PASS_FILE": str(file),
            }
            with exporting("postgres", tmp_path, **told) as answer:
                assert values(answer, "pg_up") == {1}
                assert values(answer, "pg_stat_database_xact_commit")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(login.replace(NEXT, PASSWORD))
        limits = server.sql("SELECT rolconnlimit, rolsuper FROM pg_roles WHERE rolname = 'naru_exporter';")
        assert limits.split() == ["5", "f"]
        assert PASSWORD not in server.log.read_text(errors="replace")
