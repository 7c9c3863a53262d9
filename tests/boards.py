"""The questions that the boards of docker/grafana ask, and a Prometheus of what runs that is asked them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from marketdata.monitoring.deployment import Deployment
from marketdata.monitoring.listener import Counted, Listener
from tests.servers.prometheus import Prometheus
from tests.waiting import until

FOLDER = Path(__file__).resolve().parents[1] / "docker/grafana/boards"
GALERA = ("naru_galera_",)
STANDBY = ("naru_database_replica_lag",)
SENTINELS = ("naru_redis_sentinels", "naru_redis_replica_lag")
VENDORS = ("naru_vendor_",)
SOURCES = ("naru_source_",)
LOST = ("naru_recent_gaps",)
ELSEWHERE = (*GALERA, *STANDBY, *SENTINELS, *VENDORS, *SOURCES, *LOST)
"""What only several servers of a kind have, who asks a vendor, or who lost rows: asked where a test has them."""


class Question(NamedTuple):
    """What a panel asks for."""

    board: str
    panel: str
    expression: str

    def names(self, figures: tuple[str, ...]) -> bool:
        """Whether it asks for one of figures that begin so."""
        return any(one in self.expression for one in figures)


def questions() -> set[Question]:
    """Of every panel of every board."""
    return {
        Question(path.stem, panel["title"], target["expr"])
        for path, board in _boards()
        for panel in board["panels"]
        for target in panel["targets"]
    }


def choices() -> set[tuple[str, str, str]]:
    """The name of each list of a board, and the figure and the label that it is filled from."""
    found = set()
    for _path, board in _boards():
        for one in board["templating"]["list"]:
            figure, label = one["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            found.add((one["name"], figure, label))
    return found


def answer(prometheus: Prometheus, question: Question, client: str = "") -> list[dict[str, Any]]:
    """What Prometheus says now, for this client where a board has one chosen."""
    return prometheus.query(question.expression.replace("$__rate_interval", "1m").replace("$client", client))


@contextmanager
def watched(folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that asks for what belongs to no process, as this process sees it, and for what this one counts."""
    listener = Listener("127.0.0.1", 0, [Deployment([]), Counted(None)])
    listener.start()
    until(lambda: listener.port, seconds=60, what="it listens")
    with Prometheus({"beat": listener.port}, folder) as prometheus:
        yield prometheus


def all_answered(
    prometheus: Prometheus,
    figures: tuple[str, ...],
    *,
    client: str = "",
    meanwhile: Callable[[], object] | None = None,
) -> None:
    """Wait until every question for figures that begin so has an answer, of a client where a board has one chosen;
    TimeoutError, which names those that have none."""
    left = {one for one in questions() if one.names(figures)}
    assert left

    def answered() -> bool:
        if meanwhile is not None:
            meanwhile()
        left.difference_update([one for one in left if answer(prometheus, one, client)])
        return not left

    try:
        until(answered, seconds=200, every=1, what="an answer to each")
    except TimeoutError as error:
        raise TimeoutError(f"without an answer: {sorted(left)}") from error


def _boards() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.json")):
        yield path, json.loads(path.read_text(encoding="utf-8"))
