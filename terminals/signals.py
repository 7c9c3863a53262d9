"""SIGINT and SIGTERM as an ordinary call from a thread of its own.

A handler runs between any two steps of the main thread and could meet a lock that this thread holds; a thread cannot.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable


class StopSignals:
    """Calls `then` whenever one of the two signals arrives, perhaps twice."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._heard, self._rung = socket.socketpair()
        self._rung.setblocking(False)
        signal.set_wakeup_fd(self._rung.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: self._ring())
        threading.Thread(target=self._wait, name="naru-signals", daemon=True).start()

    def _ring(self) -> None:
        # An event loop that begins in the main thread takes the wakeup descriptor for itself on Windows.
        with contextlib.suppress(BlockingIOError):
            self._rung.send(b"\0")

    def _wait(self) -> None:
        while self._heard.recv(1):
            self._then()
