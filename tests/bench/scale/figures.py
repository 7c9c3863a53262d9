"""What one run of `make bench-scale` found, and the file in which it is kept beside the page, so that what is counted
from it can be counted again."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from tests.bench import report
from tests.bench.calibration import Calibration
from tests.bench.scale.history import History
from tests.bench.scale.roads import Road
from tests.bench.scale.sockets import Sockets
from tests.bench.scale.symbols import Symbols
from tests.soak.report import Soak

FOLDER = report.ROOT / "docs/figures"
FILE = FOLDER / "scale.json"
LONGEST = FOLDER / "history.json"
"""The history of most rows: `--only history --history 50000000 --into docs/figures/history.json`."""
SOAK = FOLDER / "soak.json"


@dataclass(slots=True)
class Scale:
    """Figures of all parts, and of the machine at that hour."""

    machine: str
    database: str
    began: str
    minutes: float
    seconds: float
    before: Calibration
    after: Calibration
    packages: dict[str, str]
    roads: list[Road]
    sockets: list[Sockets]
    symbols: list[Symbols]
    history: History | None
    failed: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    """By part that was measured by an earlier run: when it ended (UTC)."""


def write(found: Scale) -> None:
    """Replace the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


def read() -> Scale:
    """What the file says."""
    return msgspec.json.decode(FILE.read_bytes(), type=Scale)


def longest() -> History | None:
    """The history of most rows, if it was measured."""
    return msgspec.json.decode(LONGEST.read_bytes(), type=History) if LONGEST.exists() else None


def soak() -> Soak | None:
    """The soak that is kept, if there is one."""
    return msgspec.json.decode(SOAK.read_bytes(), type=Soak) if SOAK.exists() else None
