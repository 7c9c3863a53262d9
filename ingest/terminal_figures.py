"""What each terminal's session shows of itself, for Prometheus: a PC in a dealing room needs no port for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import Metric

from marketdata.monitoring import figures

_SHOWN: Mapping[figures.Figure, str] = {
    figures.TERMINAL_SESSION: "since",
    figures.TERMINAL_HEARD: "heard",
    figures.TERMINAL_TICKS: "ticks",
    figures.TERMINAL_REJECTED: "rejected",
    figures.TERMINAL_WAITING: "waiting",
    figures.TERMINAL_DROPPED: "dropped",
    figures.TERMINAL_PAUSED: "paused",
}


class TerminalFigures:
    """Keeps what the server told last (`Member.describe` of each), so that whoever asks in another thread touches
    nothing of the event loop's. There are as many as there may be clients."""

    def __init__(self) -> None:
        self._told: Sequence[Mapping[str, Any]] = ()

    def tell(self, clients: Sequence[Mapping[str, Any]]) -> None:
        """These are connected now."""
        self._told = clients

    def collect(self) -> Iterator[Metric]:
        """For a registry of prometheus_client."""
        told = self._told
        for figure, name in _SHOWN.items():
            yield figure.family({(one["client"],): float(one[name]) for one in told if one[name] is not None})
        offsets = {(one["client"],): one["clock_offset_ms"] for one in told}
        yield figures.TERMINAL_CLOCK.family({who: ms / 1000 for who, ms in offsets.items() if ms is not None})
