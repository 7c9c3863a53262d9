"""From a tick's sending to its arrival at a WebSocket client, at a steady pace, every tick counted."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from dataclasses import dataclass

import numpy as np
import websockets

from tests.bench.stack import TERMINALS, Stack

RATE = 5_000
FLUSH_S = 0.05  # a terminal's own pause between batches; not part of the latency, it ends when a batch is sent
BATCH_ROWS = int(RATE * FLUSH_S / TERMINALS)
SETTLE_S = 3.0


@dataclass(slots=True)
class Latency:
    """Milliseconds over all ticks that arrived, and how many those were."""

    p50: float
    p99: float
    worst: float
    ticks: int
    sent: int
    per_s: float
    rss_mib: float


def run(stack: Stack, *, seconds: float) -> Latency:
    """Send RATE ticks a second for `seconds` and listen to all of them."""
    stack.truncate()
    return asyncio.run(_measure(stack, seconds))


async def _measure(stack: Stack, seconds: float) -> Latency:
    waits: list[float] = []
    async with websockets.connect(
        f"ws://127.0.0.1:{stack.web_port}/v2/stream/sim", max_size=None, max_queue=None, compression=None
    ) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "key": stack.key_id, "secret": stack.secret}))
        _expect(await socket.recv(), "success")
        await socket.send(json.dumps({"action": "subscribe", "trades": ["*"]}))
        _expect(await socket.recv(), "subscription")
        load = stack.load(seconds=seconds + SETTLE_S, batch_rows=BATCH_ROWS, rate=RATE)
        listener = asyncio.create_task(_listen(socket, waits))
        memory = []
        while load.poll() is None:
            memory.append(await asyncio.to_thread(stack.memory_mib))
            await asyncio.sleep(1.0)
        output, _ = load.communicate(timeout=10)
        await asyncio.sleep(1.0)
        listener.cancel()
    result = json.loads(output)
    if len(waits) != result["sent"]:
        raise RuntimeError(f"{result['sent']} ticks were sent and {len(waits)} arrived: these must be equal")
    settled = np.array(waits[int(RATE * SETTLE_S) :])
    return Latency(
        p50=round(float(np.percentile(settled, 50)), 2),
        p99=round(float(np.percentile(settled, 99)), 2),
        worst=round(float(settled.max()), 2),
        ticks=len(settled),
        sent=result["sent"],
        rss_mib=max(memory, default=0.0),
        per_s=round(result["sent"] / (result["end"] - result["begin"])),
    )


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
