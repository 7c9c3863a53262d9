"""Strangers never share a limit with those who are known: by the wire, by HTTP and by WebSocket."""

import asyncio
import json
import socket
import urllib.request
from contextlib import ExitStack, suppress

import pytest
import websockets

from api.stream import shared
from api.web.threads import Application
from marketdata.limits.unauthenticated import Unauthenticated
from marketdata.models import Alarm
from terminals import wire
from tests.integration.serving import PATIENCE_S, connect, hub, serving
from tests.integration.test_ingest import certificate, secure
from tests.integration.test_stream_served import _web, last_words
from tests.road import secret_of

__all__ = ["certificate", "hub", "secure", "serving"]
pytestmark = pytest.mark.once

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")


def silent(stack, port, count):
    """Connections from several addresses that say nothing."""
    held = []
    for number in range(count):
        address = ADDRESSES[number % len(ADDRESSES)]
        one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(address, 0))
        held.append(stack.enter_context(one))
    return held


@pytest.fixture
def web(serving, road):
    limits = {"WEB_MAX_CONNECTIONS": "20", "WEB_MAX_CONNECTIONS_OF_ADDRESS": "10", "WEB_MAX_BODY_BYTES": "4096"}
    yield from _web(road, WS_OUTBOX_BYTES="65536", WS_MAX_UNAUTHENTICATED="20", WS_MAX_CONNECTIONS="2", **limits)


def port_of(web):
    return int(web.rpartition(":")[2])


# --- terminals -------------------------------------------------------------------------------------------------------


def test_a_terminal_logs_in_while_silent_connections_fill_the_limit(road):
    road.ingest()
    with ExitStack() as stack:
        silent(stack, road.port, 120)

        for _ in range(3):
            with road.terminal("feeder") as terminal:
                assert terminal.login().commit == 0


def test_the_older_connections_of_an_address_give_way_and_are_told(road):
    road.ingest()
    with ExitStack() as stack:
        held = silent(stack, road.port, 120)
        held[0].settimeout(PATIENCE_S)
        heard = b""
        while piece := held[0].recv(4096):
            heard += piece

        assert b"too_many_connections" in heard


def test_one_terminal_more_than_there_may_be_is_turned_away_with_an_alarm_until_there_is_room(road, monkeypatch):
    monkeypatch.setenv("INGEST_MAX_CLIENTS", "1")
    standing = Alarm.objects.filter(code="limit_reached", cleared_at=None)
    road.ingest()
    first = road.terminal("first")
    first.login()
    second = road.terminal("second")

    second.say(second.hello())
    told = second.until_closed()

    assert [one.code for one in told if isinstance(one, wire.Error)] == ["too_many_connections"]
    road.until(standing.exists, seconds=60, what="the alarm")
    assert "INGEST_MAX_CLIENTS" in standing.get().message
    first.close()
    road.until(lambda: not standing.exists(), seconds=60, what="the alarm's end")
    with road.terminal("second") as again:
        again.login()


def test_a_terminal_logs_in_by_tls_while_handshakes_that_never_come_fill_the_limit(secure, certificate):
    with ExitStack() as stack:
        silent(stack, secure.port, 120)

        for _ in range(3):
            with secure.terminal("feeder", secret=secret_of("feeder"), ca_file=str(certificate[0])) as terminal:
                assert terminal.login().commit == 0


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_pages_are_served_while_half_requests_fill_the_limit(web, serving):
    with ExitStack() as stack:
        for one in silent(stack, port_of(web), 100):
            with suppress(OSError):  # it has given way already
                one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ")

        for _ in range(3):
            with urllib.request.urlopen(f"http://{web}/login/", timeout=PATIENCE_S) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("head", ["Content-Length: 314572800\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_body_that_is_too_large_is_refused_before_it_is_there(web, serving, head):
    with socket.create_connection(("127.0.0.1", port_of(web)), timeout=PATIENCE_S) as one:
        one.sendall(f"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        if "chunked" in head:
            one.sendall(b"1fff\r\n" + b"x" * 8191 + b"\r\n")

        answer = b""
        while piece := one.recv(4096):
            answer += piece

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 41310000


async def ask(application, path):
    """The status of an answer by ASGI."""
    heard: list[dict[str, object]] = []
    given: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    given.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message):
        heard.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"host", b"127.0.0.1")], "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 80]}  # fmt: skip
    await application(scope, given.get, send)
    return heard[0]["status"]


async def test_whether_a_process_lives_is_answered_while_every_thread_is_busy(serving):
    application = Application(threads=1)
    async with application._threads._room:
        assert await asyncio.wait_for(ask(application, "/healthz"), PATIENCE_S) == 200
        assert await asyncio.wait_for(ask(application, "/readyz"), PATIENCE_S) == 200
        waiting = asyncio.ensure_future(ask(application, "/login/"))
        assert await asyncio.wait_for(ask(application, "/healthz"), PATIENCE_S) == 200
        assert not waiting.done()

    assert await asyncio.wait_for(waiting, PATIENCE_S) == 200


# --- WebSockets ------------------------------------------------------------------------------------------------------


async def test_a_reader_enters_while_sockets_that_never_log_in_fill_their_limit(web, serving):
    async with AsyncHeld() as held:
        for _ in range(60):
            await held.hold(await connect(f"ws://{web}/v2/stream/krx"))

        for _ in range(3):
            async with connect(f"ws://{web}/v2/stream/krx", additional_headers=serving.headers) as reader:
                heard = [json.loads(await asyncio.wait_for(reader.recv(), PATIENCE_S)) for _ in range(2)]
                assert heard[-1] == [{"T": "success", "msg": "authenticated"}]


class AsyncHeld:
    """Sockets that are kept open until the end."""

    def __init__(self):
        self._sockets = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        for one in self._sockets:
            one.transport.abort()

    async def hold(self, one):
        self._sockets.append(one)


async def test_the_oldest_socket_that_has_not_logged_in_gives_way_and_is_told(serving, hub):
    shared.shared()[1].waiting = Unauthenticated(most=2, most_of_caller=2)
    async with serving.socket() as first, serving.socket() as second, serving.socket() as third:
        heard, code = await first.closed()

        assert (heard[-1]["code"], code) == (406, 4406)
        await second.enter(serving)
        await third.enter(serving)


async def test_who_asks_and_never_reads_the_answers_is_closed(web, serving, road):
    codes = [f"S{number:05d}" for number in range(4000)]
    async with connect(
        f"ws://{web}/v2/stream/krx", additional_headers=serving.headers, max_queue=1, max_size=None
    ) as one:
        await one.send(json.dumps({"action": "subscribe", "trades": codes}))
        one.transport.pause_reading()
        with suppress(websockets.ConnectionClosed):
            for _ in range(1500):
                await one.send('{"action":"subscribe"}')
        last = await last_words(one, road)

    assert (last[-1].get("code"), one.close_code) == (407, 4407)
