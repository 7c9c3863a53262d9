"""Subscribers of the drill of the feed: `python -m tests.drill.feed_clients` with a plan as JSON on its standard input.
Further lines are answered: the name of a file with ids of trades by how many of them the subscribers lack together,
`stall` and `read`, which the first subscriber then does, once it does, `waits` by how long trades took to the others
since it was asked last, `pause` by the longest time (s) between two trades of one of them, and `end` by an account,
after which the process ends and a file has what each subscriber was given."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import websockets

from tests.drill.merge import Merge, Message, Told

AGAIN_S = 0.1
LOOK_S = 0.05
SILENCE_S = 20.0  # heartbeats come every five seconds; a machine that is too busy is late as well
STALL_S = 30.0  # until one that stalled has been told that half of its queue was full
SEGMENT_BYTES = 536  # of a connection whose end takes little: the kernels between hold some tens of kB, not megabytes
PARTS = ("connect_ms", "login_ms", "listing_ms", "replay_ms")
_frame = msgspec.json.Decoder(list[Message])


class Client:
    """One subscriber, which comes back until it is told that everything was sent."""

    def __init__(self, plan: dict[str, Any], number: int, told: Told) -> None:
        self._plan, self._turn = plan, number
        self._headers = {"APCA-API-KEY-ID": plan["key"], "APCA-API-SECRET-KEY": plan["secret"]}
        self.merge = Merge(told)
        self.refused: Counter[str] = Counter()  # 460, by what it said
        self.gap_messages = 0
        self.resumes: list[dict[str, Any]] = []
        self.waits_us = array("q")
        self.pause_s, self._traded_at = 0.0, math.inf  # the longest between two trades
        self._marks: list[float] = []  # when a resume began, and when each of its parts was done
        self.socket: Any = None
        self.welcome, self.warned = asyncio.Event(), asyncio.Event()
        self._takes_all = plan["stalls"] and number == 0  # of what is told, so that much waits for it when it stalls
        self._stalls = False
        self._last, self._heard_at = "", time.monotonic()
        self.silences: list[str] = []  # where it stood when nothing had come for too long

    def tell(self, lacking: int) -> str:
        """Where it stands: of one that lacks trades, to find out why."""
        merge, ago_s = self.merge, time.monotonic() - self._heard_at
        server = None if self.socket is None else "{}:{}".format(*self.socket.remote_address)
        return (
            f"lacks={lacking} server={server} own={self._own_port()} turn={self._turn} epoch={merge.epoch} o={merge.o}"
            f" at={merge.at} served={merge.served} missing={merge.missing} asking={merge.asking}"
            f" parts={len(self._marks)} last={self._last} heard_s_ago={ago_s:.1f} gaps={self.gap_messages}"
        )

    def _own_port(self) -> int | None:
        return None if self.socket is None else self.socket.local_address[1]

    async def run(self) -> None:
        """Listen for ever, on another server after each loss."""
        while True:
            self._marks = [time.monotonic()]
            with suppress(OSError, websockets.WebSocketException, TimeoutError):
                server = self._plan["servers"][self._turn % len(self._plan["servers"])]
                async with websockets.connect(
                    f"ws://{server}/v2/stream/sim", sock=_narrow(server) if self._stalls else None,
                    additional_headers=self._headers, compression=None, max_size=None, ping_interval=None,
                    open_timeout=10,
                ) as self.socket:  # fmt: skip
                    self._heard_at = time.monotonic()
                    self._marks.append(self._heard_at)
                    await self._subscribe()
                    async for text in self.socket:
                        arrived_us = time.time_ns() // 1000
                        self._heard_at = time.monotonic()
                        for message in _frame.decode(text):
                            await self._take(message, arrived_us)
            self.socket = None
            self._turn += 1
            await asyncio.sleep(AGAIN_S * random.random())

    def end_silence(self, now: float) -> None:
        """End a connection on which nothing came for too long: an open one that says nothing is none."""
        if self.socket is not None and not self._stalls and now - self._heard_at > SILENCE_S:
            self.silences.append(self.tell(0))
            self.socket.transport.abort()

    async def _subscribe(self) -> None:
        content = {"action": "subscribe", "trades": ["*"], "seq": True, "heartbeat": True, **self.merge.ask()}
        if self._takes_all:
            content |= {"quotes": ["*"], "bars": ["*"], "updatedBars": ["*"], "forming": True, "slow": "gap"}
            content.pop("from", None)
        await self.socket.send(json.dumps(content))

    async def stall(self) -> None:
        """Come back by a connection that takes little, and read nothing more."""
        self._stalls = True
        await self._come_back()
        self.socket.transport.pause_reading()

    async def read(self) -> None:
        """Read as everybody else, if need be once what waits for one that stalled has told that it was full to half:
        RuntimeError if it was not, for then nothing was stalled."""
        if self._stalls:
            self.socket.transport.resume_reading()
            try:
                await asyncio.wait_for(self.warned.wait(), STALL_S)
            except TimeoutError:
                raise RuntimeError("the one that stalls was not: half of its queue was never full") from None
            self._stalls = False
        await self._come_back()

    async def _come_back(self) -> None:
        self.welcome.clear()
        self.warned.clear()
        self.socket.transport.abort()
        await self.welcome.wait()

    async def _take(self, message: Message, arrived_us: int) -> None:
        self._last = message.T
        if message.T == "t":
            self.pause_s = max(self.pause_s, self._heard_at - self._traded_at)
            self._traded_at = self._heard_at
            if self.merge.trade(message) and message.t is not None and self._plan["waits"]:
                self.waits_us.append(arrived_us - int(np.datetime64(message.t[:-1], "us").astype(np.int64)))
        elif message.T == "success" and message.msg == "authenticated":
            self._marks.append(time.monotonic())
        elif message.T == "subscription":
            self._marks.append(time.monotonic())
            self.merge.listed(message)
            self.welcome.set()
        elif message.T == "replay_completed":
            if self.merge.completed(message):
                self._note_resume()
        elif message.T in ("replay_progress", "hb"):
            self.merge.moment(message)
        elif message.T == "gap":
            self.gap_messages += 1
        elif message.T == "warning":
            self.warned.set()
        elif message.T == "error" and message.code in (409, 460, 461):
            self.refused[message.msg or ""] += message.code == 460
            self.merge.refused(message)
            if message.code == 461:
                self._marks = [time.monotonic()]
            else:
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
            "trades": self.merge.trades, "from": "database" if self.merge.unnumbered else "ring",
        })  # fmt: skip


def _narrow(server: str) -> socket.socket:
    """A connection that takes little before it is full."""
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = server.split(":")
    one.connect((host, int(port)))
    return one


async def _main(plan: dict[str, Any]) -> None:
    known = Told()
    clients = [Client(plan, number, known) for number in range(plan["sockets"])]
    tasks = [asyncio.create_task(one.run()) for one in clients]
    for one in clients:
        await one.welcome.wait()
    print("ready", flush=True)
    lags_ms: list[float] = []
    looking, watching = asyncio.create_task(_look(lags_ms)), asyncio.create_task(_watch(clients))
    cut: list[float] = []
    cutting = asyncio.create_task(_cut(clients, known, plan["cuts"], plan["messages"], cut))
    told = clients[1:] if plan["stalls"] else clients
    while (line := (await asyncio.to_thread(sys.stdin.readline)).strip()) not in ("end", ""):
        _raise_mistakes([*tasks, looking, watching, cutting])
        if line in ("stall", "read"):
            await getattr(clients[0], line)()
            print("done", flush=True)
        elif line == "waits":
            print(json.dumps(_waits(told)), flush=True)
        elif line == "pause":
            print(max(one.pause_s for one in told), flush=True)
        elif line.startswith("who "):
            places = known.places(np.load(line.removeprefix("who ")))
            lacks = [(one, one.merge.lacks(places)) for one in told]
            print(json.dumps([one.tell(lacking) for one, lacking in lacks if lacking]), flush=True)
        else:
            places = known.places(np.load(line))
            print(sum(one.merge.lacks(places) for one in told), flush=True)
    _raise_mistakes([*tasks, looking, watching, cutting])
    for task in (*tasks, looking, watching, cutting):
        task.cancel()
    folder = Path(plan["folder"])
    for number, one in enumerate(told):
        np.save(folder / f"kept{plan['name']}_{number}.npy", np.array(one.merge.kept, np.int64))
    ran_s, waited_s = _ran()
    print(
        json.dumps({
            "kept": len(told), "cuts": len(cut), "repeated": sum(one.merge.repeated for one in told),
            "twice": sum(one.merge.twice for one in told),
            "refused": +sum((one.refused for one in told), Counter()),
            "gap_messages": sum(one.gap_messages for one in told),
            "silences": [where for one in told for where in one.silences],
            "resumes": [resume for one in told for resume in one.resumes],
            "lags_ms": [round(ms, 1) for ms in lags_ms], "ran_s": ran_s, "waited_s": waited_s,
        }),
        flush=True,
    )  # fmt: skip


def _waits(clients: Sequence[Client]) -> dict[str, float]:
    """How long trades took from their event to these clients, of all together, since this was asked last."""
    waits = np.concatenate([np.array(one.waits_us, np.int64) for one in clients])
    for one in clients:
        one.waits_us = array("q")
    if not len(waits):
        raise RuntimeError("no trades came")
    p50, p99 = (round(float(ms), 3) for ms in np.percentile(waits, (50, 99)) / 1e3)
    return {"trades": len(waits), "p50_ms": p50, "p99_ms": p99}


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


async def _watch(clients: list[Client]) -> None:
    while True:
        await asyncio.sleep(1)
        for one in clients:
            one.end_silence(time.monotonic())


async def _cut(clients: list[Client], known: Told, cuts: int, messages: int, cut: list[float]) -> None:
    """Cut connections at random places among so many trades, and note when."""
    chance = random.Random(cuts)
    for number in range(cuts):
        place = messages * (number + chance.random()) / cuts
        while len(known.trades) < place:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_S)
        connected = [one for one in clients if one.socket is not None]
        if connected:
            chance.choice(connected).socket.transport.abort()
            cut.append(time.monotonic())


def _raise_mistakes(tasks: Sequence[asyncio.Task[None]]) -> None:
    """None of them fails but by a mistake of the drill."""
    for task in tasks:
        if task.done():
            task.result()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.stdin.readline())))
