"""Users of Redis that may do what the processes need and nothing else, over TLS and Sentinels: docker/redis/users.acl
carries the whole road, and `doctor` names what a user lacks."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError
from websockets.sync.client import ClientConnection, connect

from celery_app import QUEUES
from marketdata.doctor import servers
from marketdata.doctor.findings import Finding, Level
from marketdata.models import Client, Market, Symbol
from marketdata.realtime import broker, live_state, redis_clients
from marketdata.realtime.redis_rights import BROKER, LIVE
from marketdata.storage import storage
from terminals import wire
from tests.market import NINE_US
from tests.road import ROOT, Road
from tests.servers import free_port
from tests.servers.redis import Redis, Valkey
from tests.servers.secured import USERS, login_of, password_of
from tests.servers.sentinel import Sentinels, Watched

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("road_database")]

EVER = (-(2**62), 2**62)
UNGRANTED = ("config|get", "client|setinfo", "client|maint_notifications")  # doctor and the client library go without
OWN = {LIVE.user, BROKER.user}


@pytest.fixture
def watched(settings) -> Iterator[Sentinels]:
    with Sentinels(is_secured=True) as running:
        settings.REDIS_URL, settings.BROKER_URL = running.url_of("naru-live"), running.url_of("naru-broker")
        _forget_clients()
        yield running
        _forget_clients()


def _forget_clients() -> None:
    for one in (live_state.connection, broker.connection):
        one.cache_clear()


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": str(70_000 + seq), "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def refused(server: Watched) -> list[tuple[str, str, str]]:
    """What the server refused our users: (user, of what kind, of what), as ACL LOG has it."""
    with server.client() as client:
        log: Any = client.acl_log(128)
    told = [{_text(key): _text(value) for key, value in entry.items()} for entry in log]
    return [(one["username"], one["reason"], one["object"]) for one in told if one["object"] not in UNGRANTED]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def start_web(road: Road) -> int:
    port = free_port()
    road.start("web", ["manage.py", "runweb", "--port", str(port)], PAGE_PUBLIC="1")

    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    road.until(is_ready, seconds=120, what="the web server")
    return port


class Stream:
    """A reader of the web server's stream."""

    def __init__(self, socket: ClientConnection, who: tuple[str, str]) -> None:
        self._socket = socket
        self._say(action="auth", key=who[0], secret=who[1])
        self._say(action="subscribe", trades=["005930"])
        while not any(one["T"] == "subscription" for one in self._hear()):
            pass

    def until(self, prices: set[int]) -> None:
        """Read until a trade of each of these prices came."""
        while prices:
            prices = prices - {int(one["p"]) for one in self._hear() if one["T"] == "t"}

    def until_told_that_the_feed_began_anew(self) -> None:
        """What was committed before this is not for who listens: it is fetched by REST."""
        while not any(one["T"] == "error" and one["code"] == 461 for one in self._hear()):
            pass

    def _say(self, **words: object) -> None:
        self._socket.send(json.dumps(words))

    def _hear(self) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = json.loads(self._socket.recv(timeout=240))
        return heard


@contextmanager
def reading(port: int, who: tuple[str, str]) -> Iterator[Stream]:
    with connect(f"ws://127.0.0.1:{port}/v2/stream/krx", open_timeout=120, ping_interval=None) as socket:
        yield Stream(socket, who)


def test_ticks_go_from_a_terminal_to_the_stream_and_go_on_after_a_failover(watched: Sentinels, tmp_path: Path):
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"), primary_feed="krx")
    reader, secret = Client.objects.create_with_secret(name="reader", may_read=True)
    with Road(tmp_path / "road", watched.url_of("naru-live"), BROKER_URL=watched.url_of("naru-broker")) as road:
        road.ingest()
        road.worker()
        road.start("beat", ["-m", "celery", "-A", "celery_app", "beat", "--pidfile="])
        port = start_web(road)
        with road.terminal("desk") as terminal, reading(port, (reader.key_id, secret)) as stream:
            terminal.login()
            for seq in range(1, 6):
                terminal.batch(batch(seq))
            terminal.until_committed()
            stream.until(set(range(70_001, 70_006)))
            assert refused(watched.servers[0]) == []

            watched.servers[0].kill()
            for seq in range(6, 11):
                terminal.batch(batch(seq))
            terminal.until_committed()
            road.until(lambda: watched.servers[1].ask("role") == "master", seconds=60, what="a successor")
            stream.until_told_that_the_feed_began_anew()
            with reading(port, (reader.key_id, secret)) as again:
                for seq in range(11, 16):
                    terminal.batch(batch(seq))
                terminal.until_committed()
                again.until(set(range(70_011, 70_016)))

        assert [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq] == list(range(1, 16))
        assert missing(doctor_findings()) == {}
        assert refused(watched.servers[1]) == []
        logs = "".join(road.tail(name) for name in ("ingest", "worker", "beat", "web"))
        assert "NoPermission" not in logs
        assert "NOPERM" not in logs
        assert not [user for user in OWN if password_of(user) in logs or login_of(user) in logs]


def doctor_findings() -> dict[str, Finding]:
    return {str(one.what): one for one in servers.redis_servers()}


def missing(found: dict[str, Finding]) -> dict[str, str]:
    """By setting, what doctor says that its user lacks."""
    rights = {what: one for what, one in found.items() if what.endswith(": rights of its user")}
    assert set(rights) == {"REDIS_URL: rights of its user", "BROKER_URL: rights of its user"}
    return {what.partition(":")[0]: str(one.value) for what, one in rights.items() if one.level is not Level.OK}


@pytest.fixture(params=[Redis, Valkey])
def server(request: pytest.FixtureRequest) -> Iterator[Redis | Valkey]:
    with request.param() as running:
        yield running


def as_user(server: Redis | Valkey, settings: Any, live: str, broker_rules: str) -> redis.Redis:
    """Make users by the rules of an ACL, and let the settings name them; a client that may everything."""
    everything = redis.Redis(server.host, server.port)
    for user, rules in (("naru-live", live), ("naru-broker", broker_rules)):
        everything.execute_command("ACL", "SETUSER", user, *rules.split())
    place = f"{server.host}:{server.port}/0"
    settings.REDIS_URL, settings.BROKER_URL = (
        f"redis://{login_of(user)}@{place}" for user in sorted(OWN, reverse=True)
    )
    return everything


def rules_of(user: str) -> str:
    """As docker/redis/users.acl has them."""
    line = next(line for line in USERS.read_text(encoding="utf-8").splitlines() if line.startswith(f"user {user} "))
    return re.sub(r"#SHA256_OF_\w+", f">{password_of(user)}", line.removeprefix(f"user {user} "))


def test_doctor_names_what_a_user_lacks_and_changes_nothing(server: Redis | Valkey, settings: Any):
    live, of_broker = rules_of("naru-live"), rules_of("naru-broker")
    with as_user(server, settings, live, of_broker) as everything:
        assert missing(doctor_findings()) == {}

        everything.execute_command("ACL", "SETUSER", "naru-live", "-xadd", "-watch", "-script|load")
        everything.execute_command("ACL", "SETUSER", "naru-broker", "resetkeys", "~_kombu.binding*", "resetchannels")
        found = missing(doctor_findings())

        assert found["REDIS_URL"] == "missing: +watch +script|load +xadd"
        lacked = found["BROKER_URL"].split()[1:]
        assert lacked == [*(f"~{key}" for key in BROKER.keys if key != "_kombu.binding*"), *(
            f"&{channel.format(db=0)}" for channel in BROKER.channels
        )]  # fmt: skip
        assert everything.keys() == []


def test_doctor_sees_whether_a_server_forgets_though_its_users_may_not_ask_for_its_settings(
    server: Redis | Valkey, settings: Any
):
    looked_at = [
        f"{name}: {what}" for name in ("REDIS_URL", "BROKER_URL") for what in ("maxmemory-policy", "appendonly")
    ]
    with as_user(server, settings, rules_of("naru-live"), rules_of("naru-broker")) as everything:
        right = doctor_findings()
        everything.config_set("maxmemory-policy", "allkeys-lru")
        everything.config_set("appendonly", "no")
        wrong = doctor_findings()

    assert [(right[what].value, right[what].level) for what in looked_at] == [
        ("noeviction", Level.OK), ("yes", Level.OK)
    ] * 2  # fmt: skip
    assert [(wrong[what].value, wrong[what].level) for what in looked_at] == [
        ("allkeys-lru", Level.ERROR), ("no", Level.WARNING)
    ] * 2  # fmt: skip
    assert right["REDIS_URL: appendfsync"].level is Level.UNKNOWN
    assert "REDIS_URL: appendfsync" not in wrong


def test_a_user_without_transactions_is_told_so_first(server: Redis | Valkey, settings: Any):
    with as_user(server, settings, "on nopass ~* +ping", "on nopass ~* &* +@all"):
        found = missing(doctor_findings())

    assert found == {"REDIS_URL": "missing: +multi +discard"}


def test_a_user_reaches_nothing_of_the_other_one_and_of_the_server(server: Redis | Valkey, settings: Any):
    with (
        as_user(server, settings, rules_of("naru-live"), rules_of("naru-broker")),
        redis_clients.client(settings.REDIS_URL) as live,
        redis_clients.client(settings.BROKER_URL) as queues,
    ):
        for client, key in ((live, "raw_market_data"), (queues, "naru:counters")):
            with pytest.raises(NoPermissionError):
                client.delete(key)
            for words in ("FLUSHALL", "CONFIG GET requirepass", "KEYS *", "ACL LIST", "MONITOR", "SHUTDOWN"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*words.split())


def test_the_file_grants_what_the_processes_need_and_nothing_else():
    lines = [line.split() for line in USERS.read_text(encoding="utf-8").splitlines()]
    granted = {words[1]: set(words[2:]) for words in lines}

    assert granted["default"] == {"reset", "off"}
    for rights in (LIVE, BROKER):
        wanted = {f"~{key}" for key in rights.keys} | {f"&{channel.format(db=0)}" for channel in rights.channels}
        wanted |= {f"+{name}" for name in rights.names()}
        marked = f"#SHA256_OF_{rights.user.upper().replace('-', '_')}"
        assert granted[rights.user] == wanted | {"reset", "on", marked}
    assert set(QUEUES) <= set(BROKER.keys)


def test_what_scripts_call_is_granted():
    folders = ("marketdata", "ingest", "analytics", "api")
    sources = [path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py")]
    called = {name.lower() for source in sources for name in re.findall(r"redis\.p?call\('(\w+)'", source)}

    assert len(called) > 20
    assert called <= LIVE.names()
