"""Twenty terminals in one process: they speak the real wire with batches made ahead, so that what is measured is the
server.

Run as `python -m tests.bench.load` with a JSON plan on standard input; prints one JSON line when it ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from terminals import wire

KRX_OPEN_PRICES = (9_990, 25_150, 71_200, 198_500, 512_000)
Times = npt.NDArray[np.int64]
BOOK_ROWS = 5  # of a batch of order books
ACKNOWLEDGED_S = 100.0  # until all that was sent is, on a machine that is busy with others


@dataclass(slots=True)
class Plan:
    """What to send: `rate` is ticks a second of all terminals together, 0 means as fast as the server takes them;
    `books_per_s` order books beside them, of all terminals together. Terminals take the ports in turn."""

    ports: list[int]
    clients: list[list[str]]  # name, secret
    symbols: list[list[str]]  # of each client
    seconds: float
    batch_rows: int
    rate: float
    epoch: str
    books_per_s: float = 0.0


def batch(symbols: list[str], rows: int, seed: int) -> tuple[bytearray, int]:
    """A batch of trades on the tick grid, and the offset of its times, so that sending it again costs almost
    nothing."""
    random = np.random.default_rng(seed)
    columns = wire.Columns(price_scale=0, size_scale=0)
    which = random.integers(0, len(symbols), rows)
    for row in range(rows):
        base = KRX_OPEN_PRICES[which[row] % len(KRX_OPEN_PRICES)]
        columns.append(
            symbol=symbols[which[row]],
            time_us=0,
            kind=wire.Kind.TRADE,
            price=base + 10 * int(random.integers(-20, 20)),
            size=int(random.integers(1, 500)),
            side=int(random.integers(1, 3)),
            seq=row,
        )
    payload = columns.encode(1, "sim", 0)
    layout = wire.parse_columns(payload, wire.parse_header(payload))
    return bytearray(payload), layout.offsets[wire.Column.TIME_US]


def books(symbols: list[str], rows: int, seed: int) -> tuple[bytearray, int]:
    """A batch of order books with ten levels on each side, and the offset of its times."""
    random = np.random.default_rng(seed)
    made = wire.Books(price_scale=0, size_scale=0)
    for which in random.integers(0, len(symbols), rows).tolist():
        base, sizes = KRX_OPEN_PRICES[which % len(KRX_OPEN_PRICES)], random.integers(1, 50_000, (2, wire.BOOK_LEVELS))
        made.append(
            symbol=symbols[which],
            time_us=0,
            seq=0,
            bids=[(base - 50 * level, int(size)) for level, size in enumerate(sizes[0])],
            asks=[(base + 50 + 50 * level, int(size)) for level, size in enumerate(sizes[1])],
            bid_total=10**6,
            ask_total=10**6,
            cum_volume=10**7,
        )
    payload = made.encode(1, "sim", 0)
    return bytearray(payload), wire.parse_books(payload, wire.parse_header(payload)).offsets[wire.BookColumn.TIME_US]


class Terminal:
    """One connection that keeps the window full, or a pace."""

    def __init__(self, plan: Plan, index: int) -> None:
        self.plan = plan
        self.name, self.secret = plan.clients[index]
        self.payload, self.times_at = batch(plan.symbols[index], plan.batch_rows, index)
        self.books = books(plan.symbols[index], BOOK_ROWS, index)
        self.sent = self.sent_books = 0
        self.rows = plan.batch_rows
        self.spread = np.arange(self.rows, dtype=np.int64)
        self.seq = 0
        self.commit = 0
        self.rejected = 0
        self.room = asyncio.Event()
        self.index = index

    async def run(self, begin: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.ports[self.index % len(self.plan.ports)])
        listening = await self._log_in(reader, writer)
        listener = asyncio.create_task(self._listen(reader, listening))
        end = begin + self.plan.seconds
        await asyncio.sleep(max(0.0, begin - time.time()))
        if self.plan.rate:
            await asyncio.gather(self._paced(writer, end), self._paced_books(writer, end))
        else:
            while time.time() < end:
                await self._send(writer)
        limit = time.time() + ACKNOWLEDGED_S
        while self.commit < self.seq and time.time() < limit and not listener.done():
            writer.write(wire.Heartbeat(time_us=time.time_ns() // 1000, last=self.seq).encode())
            await asyncio.sleep(0.2)
        listener.cancel()
        writer.write(wire.Bye().encode())
        writer.close()

    async def _paced(self, writer: asyncio.StreamWriter, end: float) -> None:
        gap = self.rows * len(self.plan.clients) / self.plan.rate
        due = time.time() + gap * self.index / len(self.plan.clients)
        while due < end:
            await asyncio.sleep(max(0.0, due - time.time()))
            await self._send(writer)
            due += gap

    async def _paced_books(self, writer: asyncio.StreamWriter, end: float) -> None:
        if not self.plan.books_per_s:
            return
        gap = BOOK_ROWS * len(self.plan.clients) / self.plan.books_per_s
        due = time.time() + gap * self.index / len(self.plan.clients)
        payload, times_at = self.books
        times = np.frombuffer(payload, "<i8", BOOK_ROWS, times_at)
        while due < end:
            await asyncio.sleep(max(0.0, due - time.time()))
            await self._write(writer, payload, times, 0)
            self.sent_books += BOOK_ROWS
            due += gap

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        times = np.frombuffer(self.payload, "<i8", self.rows, self.times_at)
        await self._write(writer, self.payload, times, self.spread - self.rows + 1)
        self.sent += self.rows

    async def _write(self, writer: asyncio.StreamWriter, payload: bytearray, times: Times, spread: Times | int) -> None:
        """Send a batch when there is room for it, with the time of that moment."""
        while self.seq - self.commit >= wire.WINDOW_BATCHES:
            self.room.clear()
            await self.room.wait()
        self.seq += 1
        payload[0:8] = self.seq.to_bytes(8, "little")
        times[:] = time.time_ns() // 1000 + spread
        writer.write(wire.encode(wire.FrameType.BATCH, bytes(payload)))
        await writer.drain()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.FrameDecoder:
        decoder = wire.FrameDecoder()
        challenge = await self._next(reader, decoder)
        assert isinstance(challenge, wire.Challenge)
        nonce = wire.new_nonce()
        epoch = f"{self.index:04x}{self.plan.epoch}"
        said: dict[str, Any] = {"client": self.name, "epoch": epoch, "first": 1, "last": 0, "source": "SIMULATOR"}
        message = wire.auth_message(server_nonce=challenge.nonce, client_nonce=nonce, **said)
        writer.write(
            wire.Hello(
                **said,
                nonce=nonce,
                register_market=None,
                agent="naru-bench",
                time_us=time.time_ns() // 1000,
                proof=wire.client_proof(self.secret, message),
            ).encode()
        )
        welcome = await self._next(reader, decoder)
        assert isinstance(welcome, wire.Welcome), welcome
        return decoder

    async def _next(self, reader: asyncio.StreamReader, decoder: wire.FrameDecoder) -> wire.Message:
        while (frame := decoder.next()) is None:
            data = await reader.read(1 << 16)
            if not data:
                raise ConnectionError(f"{self.name}: the server closed the connection")
            decoder.feed(data)
        return wire.decode(frame)

    async def _listen(self, reader: asyncio.StreamReader, decoder: wire.FrameDecoder) -> None:
        while True:
            message = await self._next(reader, decoder)
            if isinstance(message, wire.Ack):
                self.commit = message.commit
                self.room.set()
            elif isinstance(message, wire.Reject):
                self.rejected += message.rows
            elif isinstance(message, (wire.Error, wire.GoAway)):
                raise ConnectionError(f"{self.name}: {message}")


async def main(plan: Plan) -> None:
    terminals = [Terminal(plan, index) for index in range(len(plan.clients))]
    begin = time.time() + 0.5
    await asyncio.gather(*(terminal.run(begin) for terminal in terminals))
    print(
        json.dumps(
            {
                "begin": begin,
                "end": begin + plan.seconds,
                "sent": sum(terminal.sent for terminal in terminals),
                "sent_books": sum(terminal.sent_books for terminal in terminals),
                "committed": sum(terminal.sent for terminal in terminals if terminal.commit == terminal.seq),
                "rejected": sum(terminal.rejected for terminal in terminals),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(Plan(**json.load(sys.stdin))))
