"""What the processes of a program counted, in the files of prometheus_client's multiprocess mode: read together, and
those of processes that ended added up in one, so that a worker that is replaced every hour leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from marketdata import private
from marketdata.monitoring import figures

GONE = "gone"
"""Stands for a process id in the name of a file that has what ended processes counted."""
_JOURNAL = "folding.json"
_LOCK = "lock"
Samples = dict[str, tuple[float, float]]
"""Value and time of setting, by the key that prometheus_client has in its files."""


def read(folder: Path) -> list[Metric]:
    """All that the processes of this folder and of those in it counted, without what is looked up by now and an older
    version counted. OSError if it cannot be read."""
    with ExitStack() as held:  # no file goes and none is added to another one meanwhile
        files: list[str] = []
        for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
            held.enter_context(private.alone(place / _LOCK))
            _fold(place)
            files += sorted(str(path) for path in place.glob("*.db") if path.stat().st_size)
        merged: list[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return [one for one in merged if one.name not in figures.ALL]


def _fold(folder: Path) -> None:
    """Add what ended processes left to the files of `GONE`. Killed anywhere, the next call goes on: once the journal is
    there, the new sums count and the files in it are worth nothing."""
    _finish(folder)
    left = [path for path in sorted(folder.glob("*.db")) if _is_gone(path)]
    for path in left:
        if path.name.startswith("gauge_live"):  # of what is, not of what was
            path.unlink(missing_ok=True)
    kinds: dict[str, list[Path]] = {}
    for path in left:
        if path.exists():
            kinds.setdefault(path.stem.rpartition("_")[0], []).append(path)
    if not kinds:
        return
    for kind, paths in kinds.items():
        total = folder / f"{kind}_{GONE}.db"
        _write(folder / f"{total.name}.next", _sum(kind, [*([total] if total.exists() else []), *paths]))
    journal = folder / f"{_JOURNAL}.part"
    journal.write_text(json.dumps({kind: [path.name for path in paths] for kind, paths in kinds.items()}))
    journal.rename(folder / _JOURNAL)
    _finish(folder)


def _finish(folder: Path) -> None:
    journal = folder / _JOURNAL
    if not journal.exists():
        return
    for kind, names in json.loads(journal.read_text()).items():
        total = folder / f"{kind}_{GONE}.db"
        following = folder / f"{total.name}.next"
        if following.exists():
            following.rename(total)
        for name in names:
            (folder / name).unlink(missing_ok=True)
    journal.unlink()


def _is_gone(path: Path) -> bool:
    owner = path.stem.rpartition("_")[2]
    return owner.isdigit() and not Path("/proc", owner).exists()


def _sum(kind: str, paths: Iterable[Path]) -> Samples:
    """Counters and histograms added; of a gauge, what was set last."""
    total: Samples = {}
    for path in paths:
        for key, value, at, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            before, before_at = total.get(key, (0.0, 0.0))
            if kind.startswith("gauge"):
                total[key] = max((before_at, before), (at, value))[::-1]
            else:
                total[key] = (before + value, 0.0)
    return total


def _write(path: Path, samples: Samples) -> None:
    path.unlink(missing_ok=True)  # of a fold that was killed before it counted
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    try:
        for key, (value, at) in samples.items():
            file.write_value(key, value, at)  # type: ignore[no-untyped-call]
    finally:
        file.close()  # type: ignore[no-untyped-call]
