"""What a soak found, as figures: how fast each process grows, and which of them grow too fast."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.calibration import Calibration
from tests.soak import slopes
from tests.soak.readers import Readers
from tests.soak.samples import Life, Sample, Watch

LIMIT_MIB_PER_H = 1.0
LEAST_SHARE = 1 / 3  # of the time after the warm-up, which a process must have lived for its growth to be told
ALLOCATED = "database_used_mib"
"""What MariaDB says that it has allocated, by its own counter, which leaves out some of InnoDB's. Its resident memory
grows for hours while this stays: the C library's allocator keeps what was freed, pages are touched for the first time.
So that may grow faster, by LIMIT_OF_DATABASE."""
LIMIT_OF_DATABASE = 64.0
FEW = 2.0  # file descriptors, threads or connections that may be more at the end


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a program with all its processes: medians of the first and last tenth after the warm-up, in MiB, and what
    its fastest process and all together grow in an hour; file descriptors and threads at the same two times."""

    program: str
    processes: int
    replaced: int
    first_mib: float
    last_mib: float
    mib_per_h: float
    all_mib_per_h: float
    fds: tuple[float, float]
    threads: tuple[float, float]
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Number:
    """Of something that a server tells: at the beginning and end, and how much it grows in an hour."""

    name: str
    first: float
    last: float
    per_h: float


@dataclass(slots=True)
class Soak:
    """One run."""

    machine: str
    began: str
    database: str
    minutes: float
    warm_minutes: float
    asked_per_s: int
    rows: int
    rows_per_s: float
    requests: int
    messages: int
    connections: int
    before: Calibration
    after: Calibration
    programs: list[Growth]
    numbers: list[Number]
    mib_by_minute: dict[str, list[float]]
    faults: list[str] = field(default_factory=list)

    @property
    def tells_allocated(self) -> bool:
        """Whether the database told what it has allocated: then its resident memory has a limit of its own."""
        return any(number.name == ALLOCATED for number in self.numbers)

    def grows(self) -> list[str]:
        """Each thing that grows faster than it may, in words."""
        found = [
            f"{one.program}: {max(one.mib_per_h, one.all_mib_per_h):.2f} MiB/h"
            for one in self.programs
            if max(one.mib_per_h, one.all_mib_per_h)
            >= (LIMIT_OF_DATABASE if self.tells_allocated and one.program == self.database else LIMIT_MIB_PER_H)
        ]
        for one in self.programs:
            for what, (first, last) in (("file descriptors", one.fds), ("threads", one.threads)):
                if last > first + FEW:
                    found.append(f"{one.program}: {what} {first:.0f} to {last:.0f}")
        for number in self.numbers:
            if number.name.endswith("_mib"):
                if number.per_h >= LIMIT_MIB_PER_H:
                    found.append(f"{number.name}: {number.per_h:.2f} MiB/h")
            elif number.last > number.first + FEW + 0.1 * number.first:
                found.append(f"{number.name}: {number.first:.0f} to {number.last:.0f}")
        return found


def growths(watch: Watch, *, warm_s: float, seconds: float) -> list[Growth]:
    """Of every program that lived long enough after the warm-up."""
    lives = list(watch.lives.values())
    replaced = Counter(life.program for life in lives if warm_s < life.since)
    found = []
    for program, seen in watch.programs.items():
        rss = _after(seen["rss_mib"], warm_s)
        if not rss:
            continue
        own = [life for life in lives if life.program == program]
        rates = [rate for life in own if (rate := _rate(life, warm_s, seconds)) is not None]
        together = slopes.per_hour(rss)
        if together is None:
            continue
        first, last = _ends(rss)
        cpu = _after(seen["cpu_s"], warm_s)
        fds, threads = (_ends(_after(seen[name], warm_s)) for name in ("fds", "threads"))
        found.append(
            Growth(
                program=program,
                processes=len([life for life in own if life.rss_mib[-1][0] >= rss[-1][0]]),
                replaced=replaced[program],
                first_mib=first,
                last_mib=last,
                mib_per_h=max(rates, default=together),
                all_mib_per_h=together,
                fds=fds,
                threads=threads,
                cpu_percent=(cpu[-1][1] - cpu[0][1]) / (cpu[-1][0] - cpu[0][0]) * 100,
            )
        )
    return sorted(found, key=lambda one: -one.mib_per_h)


def numbers(watch: Watch, *, warm_s: float) -> list[Number]:
    """Of what the servers told."""
    found = []
    for name, samples in watch.numbers.items():
        told = _after(samples, warm_s)
        rate = slopes.per_hour(told)
        if rate is not None:
            found.append(Number(name, *_ends(told), rate))
    return found


def by_minute(watch: Watch) -> dict[str, list[float]]:
    """What each program had at the end of each minute, in MiB, beginning with the first."""
    found = {}
    for program, seen in watch.programs.items():
        last = {int(at // 60): value for at, value in seen["rss_mib"]}
        found[program] = [round(value, 1) for _, value in sorted(last.items())]
    return found


def _rate(life: Life, warm_s: float, seconds: float) -> float | None:
    """What one process grows in an hour, its own warm-up left out; None unless it lived long enough after that."""
    samples = _after(life.rss_mib, max(warm_s, life.since + warm_s if life.since > warm_s else warm_s))
    if not samples or samples[-1][0] - samples[0][0] < LEAST_SHARE * (seconds - warm_s):
        return None
    return slopes.per_hour(samples)


def _after(samples: Sequence[Sample], warm_s: float) -> list[Sample]:
    return [one for one in samples if one[0] >= warm_s]


def _ends(samples: Sequence[Sample]) -> tuple[float, float]:
    """Medians of the first and the last tenth."""
    some = max(1, len(samples) // 10)
    values = [value for _, value in samples]
    return round(statistics.median(values[:some]), 2), round(statistics.median(values[-some:]), 2)


def counted(readers: Readers) -> dict[str, int]:
    """What the readers had."""
    return {"requests": readers.requests, "messages": readers.messages, "connections": readers.connections}
