"""A reader of blocks, and the thread of its own in which it reads: Excel's objects belong to the thread that got them,
and a call into an Excel with an open dialog may not come back for minutes."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, Protocol

from terminals.sources.infomax.cells import Cell
from terminals.sources.infomax.column_map import Block
from terminals.wire.language import gettext as _

_CLOSE_S: Final = 5.0


class NotReadable(Exception):
    """There is no block now. `reason` is one word; `soon`: it is worth another try at once, as when Excel is busy."""

    def __init__(self, reason: str, message: str, *, soon: bool = False) -> None:
        super().__init__(message)
        self.reason, self.soon = reason, soon


class Reader(Protocol):
    """Excel, a file, or a player of scripted blocks in tests. All calls come from one thread."""

    def read_block(self) -> Block:
        """The cells of the range, row by row. NotReadable."""

    def read_cell(self, address: str) -> Cell:
        """One cell of the same sheet. NotReadable."""

    def close(self) -> None:
        """Leave everything as it was found."""


class Picture(NamedTuple):
    """What was read at one moment."""

    block: Block
    beat: Cell


class ReadingThread:
    """Asks the reader in a thread of its own, and waits no longer than it is told to."""

    def __init__(self, reader: Reader, heartbeat: str | None) -> None:
        self._reader, self._heartbeat = reader, heartbeat
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], object]] | None] = SimpleQueue()
        self._under_way: Future[Picture] | None = None
        threading.Thread(target=self._work, name="naru-excel", daemon=True).start()

    def read(self, timeout_s: float) -> Picture:
        """The next picture. NotReadable, also when the reader has not answered in time: the call after this one waits
        for the same answer."""
        if self._under_way is None:
            self._under_way = self._begin(self._read)
        try:
            picture = self._under_way.result(timeout_s)
        except TimeoutError:
            raise NotReadable("hung", _("no answer yet: a dialog may be open, or Excel is busy"), soon=True) from None
        except BaseException:
            self._under_way = None
            raise
        self._under_way = None
        return picture

    def close(self) -> bool:
        """Close the reader and end the thread; False if it does not answer."""
        closing = self._begin(self._reader.close)
        self._tasks.put(None)
        with contextlib.suppress(TimeoutError):
            closing.result(_CLOSE_S)
            return True
        return False

    def _begin(self, call: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        self._tasks.put((future, call))
        return future

    def _read(self) -> Picture:
        block = self._reader.read_block()
        return Picture(block, self._reader.read_cell(self._heartbeat) if self._heartbeat else None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  # whoever asked gets it, also what calamine panics with
                future.set_exception(error)
