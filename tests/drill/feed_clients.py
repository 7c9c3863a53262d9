"""Subscribers of the drill of the feed: `python -m tests.drill.feed_clients` with a plan as JSON on its standard input.
They merge what they are given as docs/api/stream.md tells a client to, and write down what they then have."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import websockets

AGAIN_S = 0.1
CHECKED_BY_ID_S = 20.0  # after a replay from the database, whose trades may come once more in the feed
REMEMBERED = 40_000  # ids, for what a replay from the database has the client had
LOOK_S = 0.05
PARTS = ("connect_ms", "login_ms", "listing_ms", "replay_ms")


class Message(msgspec.Struct):
    """What a subscriber looks at."""

    T: str
    o: int | None = None
    i: int | None = None
    t: str | None = None
    at: str | None = None
    epoch: str | None = None
    code: int | None = None
    msg: str | None = None


_frame = msgspec.json.Decoder(list[Message])


class Client:
    """One subscriber, which comes back until it is told that everything was sent."""

    def __init__(self, plan: dict[str, Any], number: int) -> None:
        self._plan, self._turn = plan, number
        self._headers = {"APCA-API-KEY-ID": plan["key"], "APCA-API-SECRET-KEY": plan["secret"]}
        self.kept = array("q")
        self.repeated = self.twice = self.refused = self.gap_messages = 0
        self.resumes: list[dict[str, Any]] = []
        self.waits_us = array("q")
        self._epoch, self._o = "", 0
        self._at: str | None = None
        self._marks: list[float] = []  # when a resume began, and when each of its parts was done
        self._trades = self._unnumbered = 0  # of the resume that is going on
        self._missing = False
        self._by_id_until = 0.0
        self._ids: set[int] = set()
        self.socket: Any = None
        self.welcome = asyncio.Event()

    async def run(self) -> None:
        """Listen for ever, on another server after each loss."""
        while True:
            self._marks = [time.monotonic()]
            with suppress(OSError, websockets.WebSocketException, TimeoutError):
                address = f"ws://127.0.0.1:{self._plan['ports'][self._turn % len(self._plan['ports'])]}/v2/stream/sim"
                async with websockets.connect(
                    address, additional_headers=self._headers, compression=None, max_size=None, ping_interval=None,
                    open_timeout=10,
                ) as self.socket:  # fmt: skip
                    self._marks.append(time.monotonic())
                    await self._subscribe()
                    async for text in self.socket:
                        arrived_us = time.time_ns() // 1000
                        for message in _frame.decode(text):
                            await self._take(message, arrived_us)
            self.socket = None
            self._turn += 1
            await asyncio.sleep(AGAIN_S * random.random())

    async def _subscribe(self) -> None:
        content: dict[str, Any] = {"action": "subscribe", "trades": ["*"], "seq": True, "heartbeat": True}
        self._missing = bool(self._epoch)
        self._trades = self._unnumbered = 0
        if self._missing:
            content["from"] = {"epoch": self._epoch, "o": self._o, **({"at": self._at} if self._at else {})}
        await self.socket.send(json.dumps(content))

    async def _take(self, message: Message, arrived_us: int) -> None:
        if message.T == "t":
            self._keep(message, arrived_us)
        elif message.T == "success" and message.msg == "authenticated":
            self._marks.append(time.monotonic())
        elif message.T == "subscription":
            self._marks.append(time.monotonic())
            if not self._missing:
                self._settle(message)
                self.welcome.set()
        elif message.T == "replay_completed":
            self._settle(message)
            self._note_resume()
            self._missing = False
            if self._unnumbered:
                self._by_id_until = time.monotonic() + CHECKED_BY_ID_S
        elif message.T == "replay_progress" or (message.T == "hb" and not self._missing):
            self._at = message.at or self._at
        elif message.T == "gap":
            self.gap_messages += 1
        elif message.T == "error" and message.code in (409, 460, 461):
            self.refused += message.code == 460
            if message.code == 461:
                self._marks, self._missing = [time.monotonic()], True
            if message.code != 461:
                await asyncio.sleep(AGAIN_S)
            await self._subscribe()

    def _note_resume(self) -> None:
        """How long it took and what of it. A socket that stayed open has neither connected nor logged in; one that had
        to ask again was listed more than once, and what followed the first time counts as its replay."""
        ends = [*self._marks[: len(PARTS)], time.monotonic()]
        *parts, done = np.diff(ends) * 1e3
        parts = [0.0] * (len(PARTS) - 1 - len(parts)) + parts
        self.resumes.append({
            **{name: round(float(ms), 1) for name, ms in zip(PARTS, [*parts, done], strict=True)},
            "trades": self._trades, "from": "database" if self._unnumbered else "ring",
        })  # fmt: skip

    def _settle(self, message: Message) -> None:
        self._epoch, self._o = message.epoch or "", message.o or 0
        self._at = message.at or self._at

    def _keep(self, message: Message, arrived_us: int) -> None:
        if self._missing:
            self._trades += 1
            if message.o is None:
                if not self._unnumbered and time.monotonic() >= self._by_id_until:
                    self._ids = set(self.kept[-REMEMBERED:])
                self._unnumbered += 1
        by_id = bool(self._missing and self._unnumbered) or time.monotonic() < self._by_id_until
        if by_id and message.i in self._ids:
            self.repeated += 1
            return
        if message.o is not None and not (self._missing and self._unnumbered):
            self.twice += message.o <= self._o  # an offset that it had: never, or the order is wrong
            self._o = message.o
        if by_id:
            self._ids.add(message.i or 0)
        self.kept.append(message.i or 0)
        if message.t is not None and self._plan["waits"]:
            self.waits_us.append(arrived_us - int(np.datetime64(message.t[:-1], "us").astype(np.int64)))


async def _main(plan: dict[str, Any]) -> None:
    clients = [Client(plan, number) for number in range(plan["sockets"])]
    tasks = [asyncio.create_task(one.run()) for one in clients]
    for one in clients:
        await one.welcome.wait()
    print("ready", flush=True)
    lags_ms: list[float] = []
    looking = asyncio.create_task(_look(lags_ms))
    reader = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    cuts = asyncio.create_task(_cut(clients, plan["cuts"], plan["seconds"]))
    stalled: list[Client] = clients[:1] if plan["stalls"] else []
    if stalled:
        stalled[0].socket.transport.pause_reading()
    await reader
    cut = await cuts
    for task in tasks:
        if task.done():
            task.result()  # it ends by a mistake of the drill alone, which is raised
    for task in (*tasks, looking):
        task.cancel()
    told = [one for one in clients if one not in stalled]
    folder = Path(plan["folder"])
    for number, one in enumerate(told):
        np.save(folder / f"kept{plan['name']}_{number}.npy", np.array(one.kept, np.int64))
    ran_s, waited_s = _ran()
    waits = np.concatenate([np.array(one.waits_us, np.int64) for one in told])
    print(
        json.dumps({
            "kept": len(told), "cuts": cut, "repeated": sum(one.repeated for one in told),
            "twice": sum(one.twice for one in told), "refused": sum(one.refused for one in told),
            "gap_messages": sum(one.gap_messages for one in told),
            "resumes": [resume for one in told for resume in one.resumes],
            "lags_ms": [round(ms, 1) for ms in lags_ms], "ran_s": ran_s, "waited_s": waited_s,
            "wait_p99_ms": round(float(np.percentile(waits, 99)) / 1e3, 2) if len(waits) else None,
        }),
        flush=True,
    )  # fmt: skip


def _ran() -> tuple[float, float]:
    """For how many seconds this process ran, and waited for a processor."""
    ran_ns, waited_ns, _ = Path("/proc/self/schedstat").read_text().split()
    return int(ran_ns) / 1e9, int(waited_ns) / 1e9


async def _look(lags_ms: list[float]) -> None:
    """By how much this process itself is late: a machine or a client that is too busy, which is not the server's."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(LOOK_S)
        lags_ms.append((time.monotonic() - before - LOOK_S) * 1e3)


async def _cut(clients: list[Client], cuts: int, seconds: float) -> int:
    """Cut connections at random moments, spread over so many seconds; how many were."""
    chance, done = random.Random(cuts), 0
    for _ in range(cuts):
        await asyncio.sleep(seconds / cuts * chance.uniform(0.5, 1.5))
        connected = [one for one in clients if one.socket is not None]
        if connected:
            chance.choice(connected).socket.transport.abort()
            done += 1
    return done


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.stdin.readline())))
