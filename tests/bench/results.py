"""What one run of the benchmarks found: a part that was not measured is None, and `failed` says why."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psutil

from tests.bench.calibration import Calibration
from tests.bench.candles import Candles
from tests.bench.latency import Beside, Latency
from tests.bench.peers import Peers
from tests.bench.rest import Requests
from tests.bench.throughput import Throughput
from tests.bench.waiting import Waits

PACKAGES = ("celery", "kombu", "redis", "django", "channels", "daphne", "mysqlclient", "psycopg", "numpy", "msgpack")
_SHOWN = {"redis": "redis-py"}


@dataclass(slots=True)
class Results:
    """Figures of all parts, and of the machine at that hour."""

    machine: str
    began: str
    minutes: float
    before: Calibration
    after: Calibration
    packages: dict[str, str]
    waiting: Waits | None = None
    mariadb: Throughput | None = None
    mariadb_small: Latency | None = None
    postgresql: Throughput | None = None
    postgresql_small: Latency | None = None
    mariadb_books: Beside | None = None
    peers: Peers | None = None
    candles: Candles | None = None
    rest: Requests | None = None
    mariadb_rest: Requests | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def roads(self) -> list[Throughput]:
        """Those that were measured, by database."""
        return [one for one in (self.mariadb, self.postgresql) if one is not None]

    def small(self) -> list[Latency]:
        """Those that were measured, by database."""
        return [one for one in (self.mariadb_small, self.postgresql_small) if one is not None]

    def requests(self) -> list[Requests]:
        """Those that were measured, by database."""
        return [one for one in (self.rest, self.mariadb_rest) if one is not None]

    def versions(self) -> dict[str, str]:
        """Of everything that took part."""
        found = {"python": platform.python_version(), **self.packages}
        for servers in [one.versions for one in self.roads()] + [one.versions for one in self.small()]:
            found |= servers
        if self.peers is not None:
            found |= self.peers.versions
        if self.candles is not None:
            found["polars"] = self.candles.polars_version
        return found


def machine() -> str:
    """Processor, memory and system of this machine."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}"
    return f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {system}"


def caption(command: str, began: str, before: Calibration, after: Calibration, machine: str) -> str:
    """The line below a picture of what `make` gave."""
    return (
        f"Naru, make {command}. Begun {began}, calibration {before.ms:.0f} ms before and {after.ms:.0f} ms after. "
        f"{machine.split(', ')[0]}"
    )


def packages(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of the packages that matter."""
    return {_SHOWN.get(name, name): metadata.version(name) for name in names}


def now() -> str:
    """The hour of a run."""
    return moment(time.time())


def moment(seconds: float) -> str:
    """A time in seconds since 1970 as results show it."""
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M} UTC"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
