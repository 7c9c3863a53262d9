"""What tests of the API share: ticks committed as a worker commits, a key, and who reads by HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any, TypeVar

import pytest
import websockets
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser

from analytics.statistics import screener
from api import market
from api.auth import authentication
from api.stream import consumer, shared
from api.throttling import counters
from api.views import health, status, status_upkeep
from ingest import notifications, tasks
from ingest.rights import Rights
from marketdata.ledger import batch_ledger
from marketdata.models import Client, Market, Symbol
from marketdata.realtime import broker, live_state
from marketdata.reference.symbols import Directory
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import MINUTE_US, NINE_US

T = TypeVar("T")
CODES = ("000660", "005930", "035420")
KIS, REPLAY, SIMULATOR = 3, 4, 5
SEOUL_DAY = "2026-03-16"
PATIENCE_S = 180.0  # for what comes at once unless the machine is busy with something else


class Serving:
    """`commit` puts ticks on the road's last stretch; `get` and `socket` are who reads them."""

    def __init__(self) -> None:
        get_user_model().objects.all().delete()
        for code in CODES:
            Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"), primary_feed="krx")
        self.reader, self.secret = Client.objects.create_with_secret(name="reader", may_read=True)
        self.headers = {authentication.KEY_HEADER: self.reader.key_id, authentication.SECRET_HEADER: self.secret}
        self._seqs = itertools.count(1)

    def commit(self, rows: Sequence[Mapping[str, Any]], *, name: str = "krx", source: int = REPLAY) -> None:
        """One batch, processed as a worker does; a row is a trade of one share at nine unless it says otherwise."""
        number = next(self._seqs)
        given = [{"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **row} for row in rows]
        payload = wire.encode_rows(number, name, 1, given)
        message = notifications.batch_message(
            batch_number(1, number), payload, batch_ledger.now_us(), source, None, None
        )
        tasks.process_batches(batches=[message], reply_to="test")

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> Any:
        """An answer by HTTP."""
        return Browser().get(path, {name: str(value) for name, value in query.items()}, headers=headers or self.headers)

    def read(self, path: str, **query: Any) -> dict[str, Any]:
        """The content of an answer that must be a good one; fractions as decimals."""
        response = self.get(path, **query)
        assert response.status_code == 200, response.content
        content: dict[str, Any] = json.loads(response.content, parse_float=Decimal)
        return content

    def pages(self, path: str, of: str, **query: Any) -> list[tuple[str, dict[str, Any]]]:
        """(symbol, item) of every page, in the order they came."""
        found: list[tuple[str, dict[str, Any]]] = []
        token: dict[str, Any] = {}
        while True:
            page = self.read(path, **query, **token)
            found += [(symbol, item) for symbol, items in page[of].items() for item in items]
            assert sum(len(items) for items in page[of].values()) <= query.get("limit", 1000)
            if page["next_page_token"] is None:
                return found
            token = {"page_token": page["next_page_token"]}

    def socket(self, name: str = "krx", **headers: str) -> Socket:
        """A WebSocket to a feed, not yet connected."""
        return Socket(name, headers)

    def auth(self) -> dict[str, str]:
        return {"action": "auth", "key": self.reader.key_id, "secret": self.secret}


def connect(address: str, **options: Any) -> Any:
    """`websockets.connect`, which gives up no handshake and no server early because the machine is busy, and whose
    bytes are those of the messages."""
    return websockets.connect(
        address, **{"open_timeout": PATIENCE_S, "ping_interval": None, "compression": None, **options}
    )


class Socket:
    """A WebSocket whose messages come one by one, however they were framed."""

    def __init__(self, name: str, headers: Mapping[str, str]) -> None:
        from api.asgi import application

        raw = [(key.lower().replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
        self._end = WebsocketCommunicator(application, f"/v2/stream/{name}", headers=raw)
        self._waiting: list[dict[str, Any]] = []

    async def __aenter__(self) -> Socket:
        connected, _ = await self._end.connect(timeout=PATIENCE_S)
        assert connected
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._end.disconnect()

    async def say(self, **content: Any) -> None:
        await self._end.send_to(text_data=json.dumps(content))

    async def next(self, seconds: float = PATIENCE_S) -> dict[str, Any]:
        while not self._waiting:
            self._waiting = json.loads(await self._end.receive_from(timeout=seconds), parse_float=Decimal)
        return self._waiting.pop(0)

    async def until(self, kind: str, seconds: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Every message up to the first of a kind."""
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["T"] != kind:
            heard.append(await self.next(seconds))
        return heard

    async def enter(self, serving: Serving) -> None:
        """Connect and log in."""
        await self.say(**serving.auth())
        assert [await self.next(), await self.next()] == [
            {"T": "success", "msg": "connected"},
            {"T": "success", "msg": "authenticated"},
        ]

    async def subscribe(self, **content: Any) -> dict[str, Any]:
        """The full list that is answered."""
        await self.say(action="subscribe", **content)
        return (await self.until("subscription"))[-1]

    async def closed(self, seconds: float = PATIENCE_S) -> tuple[list[dict[str, Any]], int]:
        """What is still said, and the code it is closed with."""
        heard = self._waiting
        while True:
            event = await self._end.receive_output(timeout=seconds)
            if event["type"] == "websocket.close":
                return heard, event["code"]
            heard += json.loads(event["text"])

    async def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes."""
        return not self._waiting and await self._end.receive_nothing(timeout=seconds)


def minute(number: int, **other: Any) -> dict[str, Any]:
    """A trade in the given minute after nine."""
    return {"time": NINE_US + number * MINUTE_US, "price": str(70_000 + number), **other}


async def commit(serving: Serving, rows: Sequence[Mapping[str, Any]], **other: Any) -> None:
    """As Serving.commit, beside a running event loop."""
    await beside(lambda: serving.commit(rows, **other))


async def beside(job: Callable[[], T]) -> T:
    """Do something with the database beside a running event loop, in a thread that then lets its connection go."""

    return await asyncio.to_thread(and_leave, job)


def and_leave(job: Callable[[], T]) -> T:
    """Do something in a thread that then lets its connection go."""
    try:
        return job()
    finally:
        connection.close()


@pytest.fixture
def serving(
    road_database: None, redis: Any, redis_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serving]:
    """An empty database and Redis, three symbols and somebody with a key."""
    import_module("api.asgi")  # here: it sets logging up anew, which in a test would take caplog's handler away
    settings.REDIS_URL = settings.BROKER_URL = redis_server.url
    for cache in (live_state.connection, broker.connection):
        cache.cache_clear()
    authentication.forget()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    counters.forget()
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    monkeypatch.setattr(health, "_kept", (float("-inf"), {}))
    monkeypatch.setattr(status, "_kept", (float("-inf"), {}))
    monkeypatch.setattr(status_upkeep, "_kept", (float("-inf"), {}))
    monkeypatch.setattr(screener, "_kept", None)
    monkeypatch.setattr(consumer, "AUTH_S", PATIENCE_S)
    monkeypatch.setattr("api.stream.hub.AWAY_S", PATIENCE_S)
    market.forget()
    yield Serving()
    live_state.connection().close()
    live_state.connection.cache_clear()


@pytest.fixture
async def hub() -> Any:
    """The hub of the test's loop, ended with the test."""
    yield shared.shared()[0]
    await shared.close()
