"""The room of the host that a program runs on, told by every program: a host of which nothing is told is one on which
none runs. Where backups and archive go to is told by the worker that makes them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric

from marketdata import alarms, disks
from marketdata.monitoring import figures


def look(*, backups: bool = False) -> Iterator[Metric]:
    """For `Looks`. OSError for a disk that cannot be asked."""
    rooms = list(disks.room(backups=backups))
    yield figures.DISK_FREE.family({(alarms.english(disk.name),): disk.free for disk in rooms})
    yield figures.DISK_SIZE.family({(alarms.english(disk.name),): disk.total for disk in rooms})
