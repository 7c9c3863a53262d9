"""While the database or Redis is away the web says so: 503 in the API's shape, one line in the log, and on again."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
import websockets
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import ProgrammingError, connection
from django.test import Client as Browser

from api.auth import sessions
from marketdata.models import Client
from tests.integration.serving import PATIENCE_S, beside, connect, serving
from tests.integration.test_stream_served import _web
from tests.waiting import until

__all__ = ["serving"]

BARS = "/v2/stocks/bars?symbols=005930"


@pytest.fixture
def web(serving, road):
    yield from _web(road, PAGE_PUBLIC="1", API_THREADS="2")


@pytest.fixture
def server(vendor, request):
    """The database's server, running again after the test."""
    if vendor == "sqlite":
        pytest.skip("a file has no server that could be killed")
    found = request.getfixturevalue(f"{vendor}_server")
    yield found
    found.start()
    connection.close()


@pytest.fixture
def staff():
    """The headers of a browser in which somebody is logged in."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("boss"))
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"}


@pytest.fixture
def fresh():
    """The headers of a key that nobody asked with before, so that it has to be looked up."""
    client, secret = Client.objects.create_with_secret(name="fresh", may_read=True)
    return {"APCA-API-KEY-ID": client.key_id, "APCA-API-SECRET-KEY": secret}


def ask(web, path, headers, method="GET"):
    """(status, Retry-After, content) of an answer."""
    request = urllib.request.Request(f"http://{web}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, None, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"], error.read()


def assert_unavailable(answer, who):
    status, retry, content = answer
    if content.startswith(b"<!doctype html>"):
        assert (status, retry) == (503, "5")
        assert re.search(r"<small>503 · \w+</small>", content.decode())
        return
    told = json.loads(content)
    assert (status, retry, told["code"]) == (503, "5", 50310000), content
    assert who in told["message"]
    assert told["request_id"]


async def refused(web, **headers):
    """(the last message, the close code) of a WebSocket that is not let in."""
    heard = []
    async with connect(f"ws://{web}/v2/stream/krx", additional_headers=headers) as socket:
        with suppress(websockets.ConnectionClosed):
            while True:
                heard += json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
    return heard[-1], socket.close_code


def test_a_killed_database_is_503_everywhere_and_over_when_it_is_back(web, serving, road, server, staff, fresh):
    for headers in (serving.headers, staff):
        assert ask(web, BARS, headers)[0] == 200
    server.kill()
    html = {"Accept": "text/html"}
    asked = [
        (BARS, serving.headers, "GET"), (BARS.replace("bars", "trades"), serving.headers, "GET"),
        (BARS.replace("bars", "snapshots"), serving.headers, "GET"), ("/v2/stocks/005930/bars", serving.headers, "GET"),
        ("/v2/symbols", serving.headers, "GET"), ("/v2/symbols/005930", serving.headers, "GET"),
        ("/v2/status", fresh, "GET"), ("/v2/stream/ticket", fresh, "POST"), ("/metrics", fresh, "GET"),
        (BARS, staff, "GET"), (BARS, staff | html, "GET"), ("/", staff, "GET"), ("/admin/", staff | html, "GET"),
    ]  # fmt: skip

    for path, headers, method in asked:
        answer = ask(web, path, headers, method)
        assert answer[2].startswith(b"<!doctype html>") == (path == "/admin/"), path
        assert_unavailable(answer, "the database")
    assert ask(web, "/", {})[0] == 200  # the public page asks no database
    assert ask(web, "/healthz", {})[0] == 200
    assert ask(web, "/readyz", {})[0] == 503

    log = road.tail("web")
    assert "Traceback" not in log
    assert len(set(re.findall(r"not served while something is away .* request_id=(\w+)", log))) == len(asked)
    server.start()
    until(lambda: ask(web, BARS, serving.headers)[0] == 200, seconds=60, what="bars again")
    assert ask(web, "/admin/", staff | html)[0] == 200


async def test_a_killed_database_closes_a_socket_with_a_reason_and_those_that_listen_stay(
    web, serving, road, server, staff, fresh
):
    address = f"ws://{web}/v2/stream/krx"
    async with (
        connect(address, additional_headers=serving.headers) as listening,
        connect(address, additional_headers=serving.headers) as quiet,
    ):
        await listening.send('{"action":"subscribe","trades":["*"]}')
        heard = [json.loads(await asyncio.wait_for(listening.recv(), PATIENCE_S)) for _ in range(3)]
        assert heard[-1][0]["T"] == "subscription"
        assert [json.loads(await asyncio.wait_for(quiet.recv(), PATIENCE_S)) for _ in range(2)]
        await beside(server.kill)

        by_key = await refused(web, **fresh)
        by_session = await refused(web, Origin=f"http://{web}", **staff)
        await quiet.send('{"action":"subscribe","trades":["*"]}')
        (late,) = json.loads(await asyncio.wait_for(quiet.recv(), PATIENCE_S))

        assert late["trades"] == ["*"]  # who is in already needs no database to subscribe
        for message in (by_key[0], by_session[0]):
            assert message["code"] == 500
            assert "the database does not answer now" in message["msg"]
        assert by_key[1] == by_session[1] == 4500
        await beside(server.start)
        await listening.send('{"action":"subscribe","quotes":["*"]}')
        (again,) = json.loads(await asyncio.wait_for(listening.recv(), PATIENCE_S))
        assert again["quotes"] == ["*"]
    assert "stream request failed: the database" in road.tail("web")
    assert "Exception inside application" not in road.tail("web")


@pytest.mark.once
def test_without_redis_stored_data_is_served_and_the_rest_is_503(web, serving, road, redis_server, staff):
    serving.commit([{}])
    redis_server.kill()
    try:
        for path in (BARS, BARS.replace("bars", "trades"), BARS.replace("bars", "snapshots"), "/v2/symbols"):
            assert ask(web, path, serving.headers)[0] == 200
        for path in ("/v2/status", "/", "/admin/", "/login/"):
            assert ask(web, path, staff)[0] == 200
        assert_unavailable(ask(web, "/v2/stream/ticket", serving.headers, "POST"), "Redis")
    finally:
        redis_server.start()

    assert "Traceback" not in road.tail("web")


@pytest.fixture
def nowhere(serving, monkeypatch, tmp_path):
    """Django's settings name a database that is not there."""
    connection.close()
    monkeypatch.setitem(
        connection.settings_dict, "NAME", str(tmp_path / "not/there") if connection.vendor == "sqlite" else "not_there"
    )
    yield
    connection.close()


def test_a_database_that_cannot_be_opened_is_503(nowhere, serving):
    answer = serving.get("/v2/symbols")

    assert_unavailable((answer.status_code, answer["Retry-After"], answer.content), "the database")


def test_a_session_that_cannot_be_saved_is_503(serving, monkeypatch):
    """The only question to the database that a middleware asks; it cannot be made to fail alone."""
    get_user_model().objects.create_user("boss", password="one of the good ones")

    save = sessions.SessionStore.save

    def fail_at_last(self, must_create=False):
        if must_create:  # by the view
            save(self, must_create=True)
            return
        kept, name = connection.settings_dict, connection.settings_dict["NAME"]
        connection.close()
        kept["NAME"] = "/not/there" if connection.vendor == "sqlite" else "not_there"
        try:
            connection.ensure_connection()
        finally:
            kept["NAME"] = name

    monkeypatch.setattr(sessions.SessionStore, "save", fail_at_last)
    browser = Browser(raise_request_exception=False)

    answer = browser.post("/login/", {"username": "boss", "password": "one of the good ones"})

    assert_unavailable((answer.status_code, answer["Retry-After"], answer.content), "the database")


def test_an_error_that_is_no_outage_stays_our_mistake(serving, monkeypatch):
    def fail(*_, **__):
        raise ProgrammingError("no such column: prise")

    monkeypatch.setattr("api.rest.paging.read_ticks", fail)
    browser = Browser(raise_request_exception=False, headers=serving.headers)

    assert browser.get("/v2/stocks/trades", {"symbols": "005930"}).status_code == 500
