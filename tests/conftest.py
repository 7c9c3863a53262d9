"""What every test may rely on: settings that point at private servers, which start when the first test wants them.

DB=sqlite|mariadb|postgresql chooses the database; REDIS=valkey|redis the other server (Valkey with SQLite, Redis with
the others).
A server or a browser that this machine lacks skips its tests, and fails them under CI=1 or NARU_REQUIRE_SERVERS=1.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import longest, waiting
from tests.servers import MariaDB, PostgreSQL, Redis, Server, ServerMissing, Valkey, free_port
from tests.servers.process import temporary_folder
from tests.servers.system import browser

if TYPE_CHECKING:
    import redis as redis_client

# The machine may be busy with something else: a slow example is no failure.
hypothesis_settings.register_profile("naru", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("naru")

DB = os.environ.get("DB", "sqlite")
REDIS = os.environ.get("REDIS", "valkey" if DB == "sqlite" else "redis")
SERVERS_REQUIRED = bool(os.environ.get("CI") or os.environ.get("NARU_REQUIRE_SERVERS"))
# A database that has to share the machine with two others, and with what asks it, is no silent one: twice as long as
# ours is waited for its answers and locks.
SILENCE_S = 20
# These folders may use a database; when theirs is missing they are skipped as a whole.
NEED_DATABASE = ("contract", "e2e", "integration")

if DB not in ("sqlite", "mariadb", "postgresql") or REDIS not in ("valkey", "redis"):
    raise pytest.UsageError(f"DB={DB} REDIS={REDIS}: DB is sqlite, mariadb or postgresql, REDIS is valkey or redis")

_folder = temporary_folder("tests", in_memory=True)
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
(_folder / "var/static").mkdir(parents=True)  # whitenoise warns of a folder that is not there
_mariadb = MariaDB(_folder / "mariadb", buffer_pool_mib=256)
_postgresql = PostgreSQL(_folder / "postgresql", shared_buffers_mib=256)
_databases: dict[str, MariaDB | PostgreSQL] = {"mariadb": _mariadb, "postgresql": _postgresql}
_redis: Server = Redis(_folder / "redis") if REDIS == "redis" else Valkey(_folder / "valkey")
_absent = "mysqlclient is not installed: make setup" if DB == "mariadb" and util.find_spec("MySQLdb") is None else None
if _absent and SERVERS_REQUIRED:
    raise pytest.UsageError(_absent)

# Settings are read once, so the addresses are chosen now and the servers start behind them later. What the caller's
# shell says about a database of his own must not reach a test.
os.environ.update(
    DATABASE_URL=f"sqlite:///{_folder / 'naru.sqlite3'}" if DB == "sqlite" or _absent else _databases[DB].url,
    REDIS_URL=_redis.url,
    BROKER_URL=_redis.url,
    SECRET_KEY="only-for-tests-" * 4,
    VAR_DIR=str(_folder / "var"),
    METRICS_DIR="",
    LOG_LEVEL="WARNING",
    NARU_LANG="en",  # the texts as the code has them; tests/unit/test_catalogues.py compares the Korean ones
    INGEST_PORT=str(free_port()),
    DJANGO_SETTINGS_MODULE="marketdata.settings",
    DATABASE_SILENCE_S=str(SILENCE_S),
)
os.environ.setdefault(waiting.PATIENCE, "3")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Each process of `-n` reads the settings after it has chosen its own addresses, as the first one did."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_configure() -> None:
    """Read the settings, so that pytest-django sets Django up before test modules import models."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["tests.passwords.OneTurnHasher"]
    if "PYTEST_XDIST_WORKER" in os.environ:  # `make coverage` counts what runs the tests, and not what these start
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then, too


def pytest_collection_finish() -> None:
    """Modules and collected tests stay until the end: no collection of garbage looks at them again and again."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"naru: database {DB}, {REDIS}, private servers below {_folder}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if DB != "sqlite":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("once")])
        items[:] = [item for item in items if not item.get_closest_marker("once")]
    if _absent:
        here = Path(__file__).parent
        for item in items:
            if item.path.relative_to(here).parts[0] in NEED_DATABASE:
                item.add_marker(pytest.mark.skip(reason=_absent))
    items.sort(key=lambda item: longest.place(item.path, config.rootpath))


def _started(server: Server) -> Server:
    try:
        return server.start()
    except ServerMissing as error:
        if SERVERS_REQUIRED:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """pytest-django's own hook: the database goes with its server; a thread of a test may still be connected to it."""
    return True


@pytest.fixture(scope="session")
def vendor() -> str:
    """`sqlite`, `mariadb` or `postgresql`."""
    return DB


@pytest.fixture(scope="session")
def private_folder() -> Path:
    """Where this process keeps servers and databases: in memory, where there is room."""
    return _folder


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """The session's MariaDB, whatever DB says: a contract or a drill may want it by name."""
    _started(_mariadb)
    yield _mariadb
    _mariadb.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """The session's PostgreSQL, whatever DB says."""
    _started(_postgresql)
    yield _postgresql
    _postgresql.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """The session's Redis or Valkey, at settings.REDIS_URL."""
    _started(_redis)
    yield _redis
    _redis.stop()


@pytest.fixture
def redis(redis_server: Server) -> Iterator[redis_client.Redis]:
    """A client of the session's Redis, which is empty."""
    from redis import Redis as Client

    from marketdata.realtime import broker, live_state

    redis_server.start()
    for one in (live_state.connection, broker.connection):
        one.cache_clear()  # another test may have pointed it elsewhere
    with Client.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """pytest-django's own hook: start the server, and test SQLite in a file, as it runs, not in memory."""
    from django.db import connections

    if DB in _databases:
        request.getfixturevalue(f"{DB}_server")
    else:
        test: dict[str, Any] = connections["default"].settings_dict["TEST"]
        test["NAME"] = str(_folder / "test.sqlite3")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """DATABASE_URL of an empty database of DB's kind, for processes that a test starts."""
    if DB == "sqlite":
        yield f"sqlite:///{tmp_path / 'naru.sqlite3'}"
        return
    server: MariaDB | PostgreSQL = request.getfixturevalue(f"{DB}_server")
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium, for playwright's executable_path."""
    path = browser()
    if path is None:
        if SERVERS_REQUIRED:
            pytest.fail("no Chromium: python -m tests.servers ready installs it as root")
        pytest.skip("no Chromium: apt-get install chromium fonts-nanum")
    return path
