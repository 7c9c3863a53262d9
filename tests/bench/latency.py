"""From a tick's sending to its arrival at a WebSocket client, at a steady pace, every tick counted."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import websockets

from tests.bench.rows import TERMINALS
from tests.bench.stack import Stack
from tests.bench.window import Window

RATE = 5_000
BOOKS_PER_S = 500
FLUSH_S = 0.05  # a terminal's own pause between batches; not part of the latency, it ends when a batch is sent
BATCH_ROWS = int(RATE * FLUSH_S / TERMINALS)
SETTLE_S = 3.0
ARRIVE_S = 30.0  # for the last ticks, when the terminals have ended


@dataclass(slots=True)
class Latency:
    """Milliseconds over all ticks that arrived, how many those were, and what they cost (microseconds a tick)."""

    database: str
    p50: float
    p99: float
    worst: float
    ticks: int
    sent: int
    per_s: float
    rss_mib: float
    cpu_us: dict[str, float]
    workers: int
    versions: dict[str, str]


@dataclass(slots=True)
class Beside:
    """The same ticks with and without order books beside them, in one run: turns of (without, with)."""

    database: str
    books_per_s: int
    turns: list[tuple[Latency, Latency]]
    books_sent: int
    books_stored: int


def run(database: str, *, seconds: float, workers: int, settings: Mapping[str, str] | None = None) -> Latency:
    """Send RATE ticks a second for `seconds` and listen to all of them; `settings` go beside the usual ones."""
    print(f"starting private servers, ingest, {workers} workers and the web server", flush=True)
    with Stack(database, workers=workers, settings=settings) as stack:
        print(f"{RATE:,} ticks/s in batches of {BATCH_ROWS} for {seconds + SETTLE_S:g} s", flush=True)
        found = asyncio.run(measure(stack, seconds))
    print(
        f"p50 {found.p50} ms, p99 {found.p99} ms, worst {found.worst} ms over {found.ticks:,} ticks, CPU us/tick "
        + " ".join(f"{name} {value:.0f}" for name, value in found.cpu_us.items()),
        flush=True,
    )
    return found


def beside_books(database: str, *, seconds: float, turns: int, workers: int) -> Beside:
    """Send RATE ticks a second in `turns` pairs of `seconds` each, of which the second has BOOKS_PER_S order books of
    ten levels beside them. RuntimeError unless all that is sent arrives and is stored."""
    print(f"starting private servers, ingest, {workers} workers and the web server", flush=True)
    found: list[tuple[Latency, Latency]] = []
    sent = 0
    with Stack(database, workers=workers) as stack:
        for number in range(turns):
            without, _ = asyncio.run(_measure_with(stack, seconds, 0))
            beside, books = asyncio.run(_measure_with(stack, seconds, BOOKS_PER_S))
            found.append((without, beside))
            sent += books
            print(
                f"turn {number + 1}/{turns}: ticks alone p50 {without.p50} ms, p99 {without.p99} ms; with"
                f" {BOOKS_PER_S} books/s p50 {beside.p50} ms, p99 {beside.p99} ms",
                flush=True,
            )
        stored = int(stack.rows("SELECT COUNT(*) FROM order_books")[0][0])
    if stored != sent:
        raise RuntimeError(f"{sent} order books were sent and {stored} are stored: these must be equal")
    return Beside(database, BOOKS_PER_S, found, sent, stored)


async def measure(stack: Stack, seconds: float) -> Latency:
    """Send RATE ticks a second for `seconds` and listen to all of them. RuntimeError unless all arrive."""
    found, _ = await _measure_with(stack, seconds, 0)
    return found


async def _measure_with(stack: Stack, seconds: float, books_per_s: float) -> tuple[Latency, int]:
    """The latency of the ticks, and how many order books were sent beside them."""
    waits: list[float] = []
    async with websockets.connect(
        f"ws://127.0.0.1:{stack.web_port}/v2/stream/sim", max_size=None, max_queue=None, compression=None
    ) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "key": stack.key_id, "secret": stack.secret}))
        _expect(await socket.recv(), "success")
        await socket.send(json.dumps({"action": "subscribe", "trades": ["*"]}))
        _expect(await socket.recv(), "subscription")
        load = stack.load(seconds=seconds + SETTLE_S, batch_rows=BATCH_ROWS, rate=RATE, books_per_s=books_per_s)
        listener = asyncio.create_task(_listen(socket, waits))
        await asyncio.sleep(SETTLE_S)
        window = await asyncio.to_thread(Window, stack, load)
        memory, ends = [], time.monotonic() + seconds - 0.5
        while load.poll() is None and time.monotonic() < ends:
            memory.append(await asyncio.to_thread(stack.memory_mib))
            await asyncio.sleep(min(1.0, max(0.0, ends - time.monotonic())))
            await asyncio.to_thread(window.mark)
        output, _ = await asyncio.to_thread(load.communicate, timeout=120)
        if load.returncode != 0:
            raise RuntimeError(f"the terminals failed; the end of ingest's log:\n{stack.tail('ingest')}")
        result = json.loads(output)
        for _ in range(int(ARRIVE_S / 0.1)):
            if len(waits) >= result["sent"] or listener.done():
                break
            await asyncio.sleep(0.1)
        listener.cancel()
    if len(waits) != result["sent"]:
        raise RuntimeError(f"{result['sent']} ticks were sent and {len(waits)} arrived: these must be equal")
    settled = np.array(waits[int(RATE * SETTLE_S) :])
    spent = await asyncio.to_thread(window.spent)
    latency = Latency(
        database=stack.name,
        p50=round(float(np.percentile(settled, 50)), 2),
        p99=round(float(np.percentile(settled, 99)), 2),
        worst=round(float(settled.max()), 2),
        ticks=len(settled),
        sent=result["sent"],
        per_s=round(result["sent"] / (result["end"] - result["begin"])),
        rss_mib=max(memory, default=0.0),
        cpu_us=spent.us_per_tick,
        workers=stack.workers,
        versions=await asyncio.to_thread(stack.versions),
    )
    return latency, result["sent_books"]


async def _listen(socket: websockets.ClientConnection, waits: list[float]) -> None:
    async for text in socket:
        now = time.time()
        for message in json.loads(text):
            if message["T"] == "t":
                waits.append(
                    (now - datetime.datetime.fromisoformat(message["t"][:26].rstrip("Z") + "+00:00").timestamp()) * 1e3
                )
            elif message["T"] in ("gap", "error"):
                raise RuntimeError(f"the stream said {message}")


def _expect(text: str | bytes, kind: str) -> None:
    messages = json.loads(text)
    if not any(message["T"] == kind for message in messages):
        raise RuntimeError(f"the stream said {messages}, not {kind}")
