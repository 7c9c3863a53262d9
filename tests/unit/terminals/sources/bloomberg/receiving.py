"""Where the rows of a test go."""

import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from terminals.batcher import Row
from terminals.sources.contract import SymbolGap
from terminals.wire import Kind


class Got:
    """A receiver that keeps what it is given. Thread-safe as far as a test needs."""

    def __init__(self, last_captured_us: int | None = None) -> None:
        self._last_captured_us = last_captured_us
        self.rows: list[Row] = []
        self.gaps: list[SymbolGap] = []
        self.order: list[str] = []
        self.lock = threading.Lock()

    @property
    def spool(self) -> Any:
        """What a source asks of the spool: when an earlier run ended."""
        return SimpleNamespace(last_captured_us=self._last_captured_us)

    def send(self, rows: Iterable[Row], *, feed: str | None = None) -> None:
        with self.lock:
            for row in rows:
                self.rows.append(row)
                self.order.append(Kind(row["kind"]).name)

    def report_gaps(self, gaps: Iterable[SymbolGap], *, feed: str | None = None) -> None:
        with self.lock:
            for gap in gaps:
                self.gaps.append(gap)
                self.order.append("gap")

    def flush(self) -> None:
        """There is nothing to wait for."""

    def interrupt(self) -> None:
        """Nothing waits."""

    def of(self, kind: Kind, wanted: Callable[[Row], bool] = lambda row: True) -> list[Row]:
        """The rows of a kind, in the order they came."""
        with self.lock:
            return [row for row in self.rows if row["kind"] is kind and wanted(row)]

    def events(self, name: str) -> list[Row]:
        """The events of a name."""
        return self.of(Kind.STATUS, lambda row: bool(row["event"] == name))
