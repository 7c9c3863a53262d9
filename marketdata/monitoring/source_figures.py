"""What sources tell of themselves through the wire, as figures: a PC in a dealing room needs no port for it. Their
words are others', so only numbers are taken, and only those that are named here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import Metric

from marketdata.ledger import source_words
from marketdata.monitoring import figures

_SHOWN: Mapping[figures.Figure, str] = {
    figures.SOURCE_BUFFERED: "buffered",
    figures.SOURCE_MISSING: "missing_shares",
    figures.SOURCE_REFUSED: "refused",
    figures.SOURCE_REQUESTS: "requests",
}
COVERAGE = ("websocket", "polling", "none")
MOST = 10**15
Body = Mapping[str, Any]


def look(now_us: int) -> Iterator[Metric]:
    """For `Looks`."""
    told = source_words.newest(now_us)
    bodies: dict[str, Body] = {client: event.body for client, event in told.items()}
    yield figures.SOURCE_TOLD.family({(client,): event.time_us / 1e6 for client, event in told.items()})
    for figure, name in _SHOWN.items():
        yield figure.family(_numbers({(client,): body.get(name) for client, body in bodies.items()}))
    yield figures.SOURCE_OVERRUN.family(_numbers({(client,): _overrun(body) for client, body in bodies.items()}))
    yield figures.SOURCE_WISHES.family(
        _numbers(
            {(client, how): _within(body, "coverage").get(how) for client, body in bodies.items() for how in COVERAGE}
        )
    )
    yield figures.SOURCE_FAILED.family(
        {(client,): sum(_numbers(_within(body, "failed")).values()) for client, body in bodies.items()}
    )


def _overrun(body: Body) -> Any:
    """All that it had no room for: `overruns` has by buffer what came while a connection ended, too."""
    told, by_buffer = body.get("overrun"), sum(_numbers(_within(body, "overruns")).values())
    return max(told, by_buffer) if isinstance(told, int | float) and not isinstance(told, bool) else told


def _within(body: Body, name: str) -> Body:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _numbers(values: Mapping[Any, Any]) -> dict[Any, float]:
    """Those that are numbers and may be counts."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST
    }
