"""What the rollover drill calls fine, and which node of a cluster it strikes; no server is started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("MySQLdb")

from tests.drill import rollover, stack
from tests.servers.galera import Node
from tests.servers.haproxy import HAProxy

GOOD = {"equal": True, "reader_holes": 0, "node_differences": 0, "missed": [], "kills": 22}


def test_a_day_that_is_whole_after_every_strike_is_fine():
    assert rollover.fine(GOOD)


@pytest.mark.parametrize(
    "wrong",
    [{"equal": False}, {"reader_holes": 1}, {"node_differences": 1}, {"missed": ["database at 'verify' inside"]}],
)
def test_one_thing_wrong_or_left_out_fails_the_drill(wrong):
    assert not rollover.fine(GOOD | wrong)


class Runner:
    """Tells one step after the other, as a rollover would; `process` is what would stand still."""

    def __init__(self, steps: Iterator[str]) -> None:
        self.steps, self.process = steps, self
        self.pid = id(self)

    def news(self) -> list[dict[str, str]]:
        return [{"step": step} for step in [next(self.steps, None)] if step is not None]

    def kill(self) -> None:
        pass


@pytest.fixture
def killed(monkeypatch) -> list[str]:
    """Names of nodes that were killed; all write to the one after it then."""
    found: list[str] = []
    monkeypatch.setattr(Node, "kill", lambda node: found.append(node.node_name))
    monkeypatch.setattr(Node, "start", lambda node: node)
    monkeypatch.setattr(HAProxy, "writer", property(lambda _proxy: f"node{len(found) % 3 + 1}"))
    return found


@pytest.fixture
def back(monkeypatch) -> list[int]:
    """For each node that came back, how many runners stood still meanwhile."""
    found: list[int] = []
    still: list[int] = []

    @contextmanager
    def frozen(pid: int) -> Iterator[None]:
        still.append(pid)
        yield
        still.remove(pid)

    monkeypatch.setattr(rollover, "frozen", frozen)
    monkeypatch.setattr(Node, "start", lambda _node: found.append(len(still)))
    return found


def drill(folder: Path, monkeypatch, database: str, steps: Iterator[str]) -> Any:
    made = rollover.Drill(folder, rows=1_000, rate=100, seed=1, database=database)
    monkeypatch.setattr(made, "start", lambda _role, **_spec: Runner(steps))
    monkeypatch.setattr(made, "say", lambda _words: None)
    monkeypatch.setattr(rollover, "QUIET_S", 2.0)
    return made


def test_the_node_that_is_written_to_is_struck_at_every_point_and_another_one_is_then(
    tmp_path, monkeypatch, killed, back
):
    steps = iter([words for words, _ in rollover.POINTS for _ in range(5)])
    made = drill(tmp_path, monkeypatch, "galera", steps)

    made.strike([Runner(steps)], verify_s=0.0)

    assert made.missed == []
    assert made.kills == 2 * len(rollover.POINTS)
    assert killed == [f"node{turn % 3 + 1}" for turn in range(len(rollover.POINTS))]
    assert made.moves == len(rollover.POINTS)
    assert back == [1] * len(rollover.POINTS)


def test_a_strike_that_found_no_moment_is_missed_by_name(tmp_path, monkeypatch, killed, back):
    steps = iter([words for words, _ in rollover.POINTS if words != "clean" for _ in range(5)])
    made = drill(tmp_path, monkeypatch, "galera", steps)

    made.strike([Runner(steps)], verify_s=0.0)

    assert made.missed == ["runner at 'clean'", "database at 'clean'"]


def test_the_drill_of_everything_strikes_the_nodes_in_turn(tmp_path, monkeypatch, killed):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    made = stack.Stack(tmp_path, "galera")
    monkeypatch.setattr(Node, "pid", property(lambda node: node.place))

    struck = [made.kill("database") for _ in range(4)]

    assert killed == ["node1", "node2", "node3", "node1"]
    assert struck == [0, 1, 2, 0]
    assert made.pid("database") == 1
