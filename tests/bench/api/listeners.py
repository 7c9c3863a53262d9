"""Listeners to the stream, in a process of their own: `python -m tests.bench.api.listeners` with a plan as JSON on the
first line of its standard input. They count the trades they are given by looking for their beginnings, for reading them
would be most of the work of a machine with few cores. "ready" is printed once all have subscribed, and then the number
of trades that every one of them has, whenever it has grown."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

import websockets

OPEN_S = 60.0
_TRADE, _SUBSCRIBED = b'"T":"t"', b'"T":"subscription"'


@dataclass(frozen=True, slots=True)
class Plan:
    """They take the ports in turn, and end when each has so many `trades`."""

    ports: list[int]
    feed: str
    headers: dict[str, str]
    sockets: int
    trades: int


class Listeners:
    """How many trades each has."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._told = [0] * plan.sockets
        self._subscribed = 0
        self._least = 0

    async def run(self) -> None:
        """Until all have everything. WebSocketException when the server closes one of them."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.sockets):
                group.create_task(self._listen(number))

    async def _listen(self, number: int) -> None:
        plan = self._plan
        address = f"ws://127.0.0.1:{plan.ports[number % len(plan.ports)]}/v2/stream/{plan.feed}"
        async with websockets.connect(
            address, additional_headers=plan.headers, compression=None, max_size=None, ping_interval=None,
            open_timeout=OPEN_S,
        ) as socket:  # fmt: skip
            await socket.send(json.dumps({"action": "subscribe", "trades": ["*"]}))
            while self._told[number] < plan.trades:
                frame = await socket.recv(decode=False)
                if _SUBSCRIBED in frame:
                    self._subscribed += 1
                    if self._subscribed == plan.sockets:
                        print("ready", flush=True)
                    continue
                found = frame.count(_TRADE)
                if found:
                    was_least = self._told[number] == self._least
                    self._told[number] += found
                    if was_least and (least := min(self._told)) > self._least:
                        self._least = least
                        print(least, flush=True)


if __name__ == "__main__":
    began_s = time.process_time()
    asyncio.run(Listeners(Plan(**json.loads(sys.stdin.readline()))).run())
    print(json.dumps({"cpu_s": time.process_time() - began_s}), flush=True)
