"""Who listens and asks during a soak: sockets that stay, one that comes again and again, requests by REST and pages,
half of them over connections of their own. They count; what they do not get is an error."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import websockets

from tests.waiting import until

STAYING = 3
COMES_AGAIN_S = 20.0
REQUEST_EVERY_S = 0.5
WAIT_S = 60.0
_SYMBOLS = ",".join(f"S{number:05d}" for number in range(1, 21))
PATHS = (
    f"/v2/stocks/bars?symbols={_SYMBOLS}&timeframe=1Min&feed=sim&sort=desc&limit=100",
    "/v2/stocks/S00001/bars?timeframe=5Min&feed=sim&sort=desc&limit=2",
    "/v2/stocks/S00002/trades?feed=sim&sort=desc&limit=100",
    f"/v2/stocks/snapshots?symbols={_SYMBOLS}&feed=sim",
    f"/v2/stocks/quotes/latest?symbols={_SYMBOLS}&feed=sim",
    f"/v2/orderbooks/latest?symbols={_SYMBOLS}&feed=sim",
    "/v2/indicators/S00001?timeframe=1Min&feed=sim&name=rsi,macd&limit=10",
    "/v2/stats/market?feed=sim",
    "/v2/stats/S00001?feed=sim",
    "/v2/symbols?limit=300",
    "/v2/status",
    "/v2/status/history",
    "/v2/quality?limit=50",
    "/v2/clock",
    "/",
    "/market",
    "/collection",
    "/quality",
    "/texts.js",
)
_CHANNELS = (
    {"trades": ["*"]},
    {"bars": ["*"], "updatedBars": ["*"], "dailyBars": ["S00001"], "quotes": ["*"]},
    {"trades": ["S00001", "S00002"], "orderbooks": ["*"], "stats": ["*"], "statuses": ["*"]},
)


@dataclass(slots=True)
class Readers:
    """`with Readers(port, headers) as readers:`; `readers.faults` has what went wrong."""

    port: int
    headers: dict[str, str]
    requests: int = 0
    messages: int = 0
    connections: int = 0
    faults: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Readers:
        self.until_ready()
        self._threads = [
            threading.Thread(target=self._ask, daemon=True),
            threading.Thread(target=lambda: asyncio.run(self._listen_all()), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def until_ready(self) -> None:
        """Wait until everything has done its work for the first time: symbols traded, statistics are there."""
        for path in PATHS:
            until(lambda asked=path: self._answers(asked), seconds=600, what=path, every=1.0)  # type: ignore[misc]

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", path, headers=self.headers)
            return connection.getresponse().status == 200
        except OSError:  # a busy machine: it is told before it listens
            return False
        finally:
            connection.close()

    def _ask(self) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        for number, path in enumerate(itertools.cycle(PATHS)):
            if self._ended.wait(REQUEST_EVERY_S):
                break
            own = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S) if number % 2 else kept
            try:
                own.request("GET", path, headers=self.headers)
                answer = own.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.faults.append(f"{path.partition('?')[0]}: {answer.status} {text[:200]!r}")
                self.requests += 1
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"{path.partition('?')[0]}: {error!r}")
                own.close()
            finally:
                if own is not kept:
                    own.close()
        kept.close()

    async def _listen_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(STAYING):
                group.create_task(self._listen(_CHANNELS[number % len(_CHANNELS)], until_s=float("inf")))
            group.create_task(self._come_again())

    async def _come_again(self) -> None:
        while not self._ended.is_set():
            await self._listen({"trades": ["*"], "bars": ["*"]}, until_s=COMES_AGAIN_S)

    async def _listen(self, channels: dict[str, list[str]], *, until_s: float) -> None:
        """Subscribe and read until then, or until the end; a socket that the server closes is told and opened again."""
        address, ends = f"ws://127.0.0.1:{self.port}/v2/stream/sim", time.monotonic() + until_s
        while not self._ended.is_set() and time.monotonic() < ends:
            try:
                async with websockets.connect(address, additional_headers=self.headers, max_size=None) as socket:
                    self.connections += 1
                    await socket.send(json.dumps({"action": "subscribe", **channels}))
                    while not self._ended.is_set() and time.monotonic() < ends:
                        with suppress(TimeoutError):
                            text = await asyncio.wait_for(socket.recv(decode=False), 1.0)
                            self.messages += 1
                            if b'"T":"error"' in text:
                                self.faults.append(f"the stream said {text[:200]!r}")
            except (OSError, websockets.WebSocketException) as error:
                self.faults.append(f"a socket ended: {error!r}")
                await asyncio.sleep(1.0)
