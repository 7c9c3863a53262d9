"""What waits to be sent to one socket, bounded in bytes. Newer quotes and candles overtake older ones; trades are
never lost silently."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from enum import StrEnum

from api.stream import encoding
from api.stream.encoding import Form, Piece

Chunk = tuple[Piece, int, int]  # trades, and the offsets of the first and the last of them


class Slow(StrEnum):
    """What is to happen to a socket that reads too slowly, as it chose."""

    CLOSE = "close"
    GAP = "gap"


class SendQueue:
    """Ordered pieces (trades, answers), and the newest of each thing that can be conflated.

    Above `max_bytes` trades are skipped, told by one gap message with the first and last offset skipped, or
    `too_slow` is set. Answers that wait may have `max_bytes`, and one more answer.
    """

    def __init__(self, form: Form, *, max_bytes: int) -> None:
        self.form, self.slow, self._max_bytes = form, Slow.CLOSE, max_bytes
        self._queue: deque[Piece] = deque()
        self._latest: dict[Hashable, Piece] = {}
        self._gap: tuple[int, int] | None = None
        self._answers: deque[Piece] = deque()  # those in the queue
        self._answer_bytes = 0
        self._filled, self._room, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self.bytes = 0
        self.skipped = self.overtaken = 0
        self._warned = False
        self.too_slow = False

    def put(self, piece: Piece) -> None:
        """An answer or a notice, in order. Whoever asks and does not read the answers is too slow as well."""
        if self._answer_bytes > self._max_bytes:
            self.give_up()
            return
        self._answers.append(piece)
        self._answer_bytes += len(piece.data)
        self._append(piece)

    def put_trades(self, chunks: Sequence[Chunk]) -> None:
        """One entry's trades, all or none. While half is free they may be of any size: a burst is no slowness."""
        if not chunks:
            return
        half, size = self._max_bytes // 2, sum(len(piece.data) for piece, _, _ in chunks)
        if self.bytes <= half or (self._gap is None and self.bytes + size <= self._max_bytes):
            self._close_gap()
            for piece, _, _ in chunks:
                self._append(piece)
        elif self.slow is Slow.CLOSE:
            self.give_up()
        else:
            self._gap = (self._gap[0] if self._gap else chunks[0][1], max(last for _, _, last in chunks))
            self.skipped += sum(piece.count for piece, _, _ in chunks)

    def put_quotes(self, symbol: str, piece: Piece, newest: Piece) -> None:
        """All quotes of a symbol while there is room, only the newest when it becomes scarce."""
        key = ("q", symbol)
        if self.bytes + len(piece.data) <= self._max_bytes // 4:
            self._drop(key)
            self._append(piece)
        else:
            self.put_latest(key, newest)

    def put_latest(self, key: Hashable, piece: Piece) -> None:
        """A thing of which only the newest state matters, sent after what is in order."""
        if self._drop(key):
            self.overtaken += 1
        self._latest[key] = piece
        self._add(len(piece.data))
        if self.bytes > 2 * self._max_bytes:  # candles of ever more minutes: nobody reads any more
            self.give_up()

    def take(self, most_bytes: int) -> list[Piece]:
        """What to send next in one frame, about `most_bytes` of it; empty when there is nothing."""
        taken: list[Piece] = []
        size = 0
        while size < most_bytes and (self._queue or self._latest):
            if taken and (taken[-1].alone or (self._queue and self._queue[0].alone)):
                break
            if self._queue:
                piece = self._queue.popleft()
                if self._answers and piece is self._answers[0]:
                    self._answer_bytes -= len(self._answers.popleft().data)
            else:
                piece = self._latest.pop(next(iter(self._latest)))
            taken.append(piece)
            size += len(piece.data)
        self.bytes -= size
        self._warned = self._warned and not self.nearly_empty
        if self.bytes <= self._max_bytes // 2:
            self._room.set()
            if not self._queue and self._gap is not None:
                self._close_gap()
        if not self._queue and not self._latest and not self._ended.is_set():
            self._filled.clear()
        return taken

    def clear(self) -> None:
        """Forget everything that waits."""
        self._queue.clear()
        self._latest.clear()
        self._answers.clear()
        self._gap, self.bytes, self._answer_bytes = None, 0, 0
        self._room.set()

    async def filled(self) -> None:
        """Returns when there is something to send, or to end for."""
        await self._filled.wait()

    @property
    def half_full(self) -> bool:
        """Whether more waits than a socket that keeps up would let."""
        return not self._room.is_set()

    @property
    def nearly_empty(self) -> bool:
        """Whether a socket that did not keep up does again."""
        return self.bytes <= self._max_bytes // 8

    async def room(self) -> None:
        """Returns when at most half of it is full."""
        await self._room.wait()

    async def ended(self) -> None:
        """Returns when the socket is to be closed, however much the network has to take."""
        await self._ended.wait()

    def give_up(self) -> None:
        """The socket reads too slowly to go on."""
        self.too_slow = True
        self.end()

    def end(self) -> None:
        """Nothing more will come: send what is here and close."""
        self._filled.set()
        self._ended.set()

    def _close_gap(self) -> None:
        if self._gap is not None:
            first, last = self._gap
            self._gap = None
            self._append(encoding.message(self.form, {"T": "gap", "from": first, "to": last}))

    def _append(self, piece: Piece) -> None:
        self._queue.append(piece)
        self._add(len(piece.data))

    def _drop(self, key: Hashable) -> bool:
        old = self._latest.pop(key, None)
        if old is None:
            return False
        self.bytes -= len(old.data)
        return True

    def _add(self, size: int) -> None:
        self.bytes += size
        self._filled.set()
        if self.bytes > self._max_bytes // 2:
            self._room.clear()
            if self.form.numbered and not self._warned:
                self._warn()

    def _warn(self) -> None:
        """Half of it is full: said before anything that waits, once until it is nearly empty again."""
        self._warned = True
        warning = {"T": "warning", "msg": "half of what may wait for you waits", "waiting": self.bytes,
                   "most": self._max_bytes}  # fmt: skip
        piece = encoding.message(self.form, warning)
        self._queue.appendleft(piece)
        self.bytes += len(piece.data)
