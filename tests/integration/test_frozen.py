"""A server that is frozen, as a host that hangs is: it takes connections and says nothing. Whoever asks it has an error
in a while instead of waiting for ever, and all goes on when it does."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from marketdata.models import Client, Market, Symbol
from marketdata.realtime import live_state
from marketdata.storage import storage
from terminals import wire
from tests.frozen import frozen
from tests.market import NINE_US
from tests.road import Road, secret_of
from tests.servers import free_port
from tests.waiting import until

T = TypeVar("T")
EVER = (-(2**62), 2**62)


def batch(seq: int) -> bytes:
    return wire.encode_rows(seq, "krx", 1, [{"symbol": "005930", "time": NINE_US + seq, "price": "1", "size": "1"}])


def stored() -> int:
    return len(storage().read_ticks("005930", "krx", *EVER).seq)


def took(what: str, act: Callable[[], T]) -> T:
    """What it gives; how long it took is shown by `pytest -s` and asserted by nobody."""
    began = time.monotonic()
    done = act()
    print(f"{what}: {time.monotonic() - began:.1f} s")
    return done


@pytest.fixture(autouse=True)
def _given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the product does, not as its tests do: who logs in is told while its connection counts as alive (DEAD_S)."""
    monkeypatch.setenv("DATABASE_SILENCE_S", "9")


@pytest.fixture
def asked(road: Road, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int | None]:
    """The web server's answer to a path: its status, None while it does not listen."""
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    monkeypatch.setenv("API_THREADS", "2")
    port = free_port()
    client, secret = Client.objects.create_with_secret(name="reader", may_read=True)
    headers = {"APCA-API-KEY-ID": client.key_id, "APCA-API-SECRET-KEY": secret}
    road.start("web", ["manage.py", "runweb", "--port", str(port)])

    def ask(path: str) -> int | None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    until(lambda: ask("/v2/symbols") == 200, seconds=180, what=f"web\n{road.tail('web')}")
    return ask


def test_a_frozen_database_is_an_error_for_the_web_for_who_logs_in_and_for_beat(
    road: Road, asked: Callable[[str], int | None], vendor: str, request: pytest.FixtureRequest
):
    if vendor == "sqlite":
        pytest.skip("a file has no server that could be frozen")
    server = request.getfixturevalue(f"{vendor}_server")
    road.ingest()
    road.start("beat", ["-m", "celery", "-A", "celery_app", "beat", "--pidfile=", "-l", "INFO"])
    terminal = road.terminal("feeder")
    terminal.login()
    until(lambda: "Sending due task" in road.tail("beat"), seconds=60, what=f"beat\n{road.tail('beat')}")
    secret = secret_of("other")  # its client is registered while there is a database

    with frozen(server.pid):
        second = road.terminal("other", secret=secret)  # which has to say soon who it is
        second.say(second.hello())
        refused = took("a login", lambda: second.expect(wire.Error))
        assert took("a request", lambda: road.meanwhile(lambda: asked("/v2/symbols"))) == 503
        took(
            "beat",
            lambda: road.until(
                lambda: "changes of the timetable cannot be read" in road.tail("beat"), seconds=120, what="beat"
            ),
        )

    # On a busy machine its connection may count as dead before the database has been given up.
    assert refused.code in ("server_busy", "idle_timeout")
    road.until(lambda: asked("/v2/symbols") == 200, seconds=60, what="the web goes on")
    again = road.terminal("other")
    again.login()
    sent = road.tail("beat").count("Sending due task")
    road.until(lambda: road.tail("beat").count("Sending due task") > sent + 1, seconds=60, what="beat goes on")
    assert "Traceback" not in road.tail("web")


@pytest.mark.once
def test_a_frozen_redis_holds_up_no_commit_for_long_and_loses_nothing(
    road: Road, asked: Callable[[str], int | None], redis_server: Any
):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder", seconds=200)
    terminal.login()
    terminal.batch(batch(1))
    terminal.until_committed(1)
    assert asked("/v2/status") == 200
    failed = road.tail("ingest").count("publish failed")

    with frozen(redis_server.pid):
        trades = "/v2/stocks/trades?symbols=005930&feed=krx"
        assert took("stored data", lambda: road.meanwhile(lambda: asked(trades))) == 200
        assert took("the status", lambda: road.meanwhile(lambda: asked("/v2/status"))) in (200, 503)
        terminal.batch(batch(2))
        took(
            "a message to the workers",
            lambda: road.until(
                lambda: road.tail("ingest").count("publish failed") > failed, seconds=120, what="an error"
            ),
        )

    took("until stored", lambda: terminal.until_committed(2))
    assert stored() == 2
    road.until(lambda: asked("/v2/status") == 200, seconds=60, what="the web goes on")
    assert "Traceback" not in road.tail("web")
    live_state.connection.cache_clear()
