"""Sockets that each listen to some symbols, in a process of their own: `python -m tests.bench.scale.listeners` with a
plan as JSON on the first line of its standard input. "ready" is printed once all have subscribed. They go on until
standard input ends and then print what they were told, as one line of JSON: messages, bytes, frames."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import websockets

OPEN_S = 120.0
AT_ONCE = 20  # logins under way
_TRADE, _SUBSCRIBED, _ERROR = b'"T":"t"', b'"T":"subscription"', b'"T":"error"'


@dataclass(frozen=True, slots=True)
class Plan:
    """Socket after socket takes the next of `symbols`."""

    port: int
    feed: str
    headers: dict[str, str]
    sockets: int
    symbols: list[list[str]]


@dataclass(slots=True)
class Told:
    """What all of them were told since they were ready."""

    messages: int = 0
    frames: int = 0
    bytes: int = 0
    cpu_s: float = 0.0


class Listeners:
    """All sockets of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.told = Told()
        self._plan = plan
        self._opening = asyncio.Semaphore(AT_ONCE)
        self._subscribed = 0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until the input ends. RuntimeError when the server says error."""
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(self._listen(number)) for number in range(self._plan.sockets)]
            await asyncio.to_thread(sys.stdin.read)
            for one in listening:
                one.cancel()

    async def _listen(self, number: int) -> None:
        plan = self._plan
        symbols = plan.symbols[number % len(plan.symbols)]
        async with self._opening:
            socket = await websockets.connect(
                f"ws://127.0.0.1:{plan.port}/v2/stream/{plan.feed}", additional_headers=plan.headers, compression=None,
                max_size=None, ping_interval=None, open_timeout=OPEN_S,
            )  # fmt: skip
            await socket.send(json.dumps({"action": "subscribe", "trades": symbols}))
            while _SUBSCRIBED not in await socket.recv(decode=False):
                pass
        self._subscribed += 1
        if self._subscribed == plan.sockets:
            print("ready", flush=True)
        told = self.told
        async for frame in socket:
            data = frame.encode() if isinstance(frame, str) else frame
            if _ERROR in data:
                raise RuntimeError(f"the stream said {data[:300]!r}")
            told.messages += data.count(_TRADE)
            told.frames += 1
            told.bytes += len(data)


async def main() -> None:
    """Listen as the plan says, and tell."""
    listeners = Listeners(Plan(**json.loads(sys.stdin.readline())))
    began_s = time.process_time()
    await listeners.run()
    listeners.told.cpu_s = time.process_time() - began_s
    print(json.dumps(asdict(listeners.told)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
