"""How many ticks, and a checksum of them: the same number from arrays and from any database (docs/adr/0010).

A row's hash ties its values to its tick_id; hashes are summed by (symbol, feed), and the sums are weighted by what the
series is called. All of it is arithmetic modulo a prime, so figures of parts add up to the figure of the whole, in any
order.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from marketdata.types.tick_arrays import ABSENT, SIZES, Int64, Ticks, is_absent
from terminals import wire

PRIME = 2**31 - 1
# A row's hash is a sum of its columns, each times a factor. Sizes were integers of 1e-4 when the first checksums were
# kept, and those stay comparable (docs/adr/0013): a size of 1e-6 counts a hundredth, so here everything else counts a
# hundredfold, and the weight of a series takes that back, modulo PRIME.
_RATIO = 10**wire.SIZE_SCALE // 10**4
_FIRST = {"price": 3, "size": 5, "seq": 7, "bid": 11, "ask": 13, "bid_size": 17, "ask_size": 19, "cum_volume": 23}
FACTORS = {name: (factor if name in SIZES else factor * _RATIO, factor * _RATIO) for name, factor in _FIRST.items()}
"""Of each column: what its value (reduced modulo PRIME first) is multiplied with, and what is taken off if there is
none."""
TIME, KIND, SIDE, SOURCE = _RATIO, 29 * _RATIO, 31 * _RATIO, 37 * _RATIO
_PER_RATIO: int = pow(_RATIO, -1, PRIME)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of rows and their checksum modulo PRIME."""

    rows: int = 0
    checksum: int = 0

    def __add__(self, other: Figure) -> Figure:
        return Figure(self.rows + other.rows, (self.checksum + other.checksum) % PRIME)

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.rows - other.rows, (self.checksum - other.checksum) % PRIME)


@lru_cache(maxsize=10_000)
def weight(symbol: str, feed: str) -> int:
    """What the hashes of a series are multiplied with: 1 to PRIME - 1."""
    return (zlib.crc32(f"{feed}/{symbol}".encode()) % (PRIME - 1) + 1) * _PER_RATIO % PRIME


def of_series(symbol: str, feed: str, rows: int, hashes: int) -> Figure:
    """The figure of one series from the plain sum of its rows' hashes."""
    return Figure(rows, hashes % PRIME * weight(symbol, feed) % PRIME)


def total(figures: Iterable[Figure]) -> Figure:
    """All of them together."""
    return sum(figures, Figure())


def of_ticks(ticks: Ticks) -> dict[int, Figure]:
    """Figures by trading date (days since 1970)."""
    return {date: figure for (_, date), figure in by_batch(ticks, np.zeros(len(ticks), np.int64)).items()}


def by_batch(ticks: Ticks, batch: Int64) -> dict[tuple[int, int], Figure]:
    """Figures by (batch, trading date), sorted; `batch` names each row's."""
    if not len(ticks):
        return {}
    weights = np.array([weight(symbol, ticks.feed) for symbol in ticks.symbols], np.int64)
    weighted = np.mod(row_hashes(ticks), PRIME) * weights[ticks.symbol] % PRIME
    order = np.lexsort((ticks.trade_date, batch))
    numbers, dates = batch[order], ticks.trade_date[order]
    changes = (numbers[1:] != numbers[:-1]) | (dates[1:] != dates[:-1])
    first = np.append(0, np.flatnonzero(changes) + 1)
    sums = np.add.reduceat(weighted[order], first) % PRIME
    counts = np.diff(first, append=len(order))
    keys = zip(numbers[first].tolist(), dates[first].tolist(), strict=True)
    return dict(zip(keys, map(Figure, counts.tolist(), sums.tolist()), strict=True))


def row_hashes(ticks: Ticks) -> Int64:
    """A hash per row, between -PRIME and PRIME. Remainders are cut towards zero, as every database does it."""
    mixed = np.fmod(ticks.time_us, PRIME) * TIME
    for name, (factor, unless) in FACTORS.items():
        values = getattr(ticks, name)
        if is_absent(values):
            mixed -= unless
        else:
            mixed += np.where(values == ABSENT, -unless, np.fmod(values, PRIME) * factor)
    mixed += ticks.kind.astype(np.int64) * KIND + ticks.side.astype(np.int64) * SIDE + ticks.source_id * SOURCE
    hashes: Int64 = np.fmod((np.fmod(ticks.tick_id, PRIME) + 1) * np.fmod(mixed, PRIME), PRIME)
    return hashes


def difference(expected: Figure, found: Figure) -> str:
    """How two figures differ, as it is written beside the reason why that was accepted."""
    return f"{found.rows - expected.rows:+d} rows, {(found.checksum - expected.checksum) % PRIME:+d}"


def differences(
    left: Mapping[tuple[str, str], Figure], right: Mapping[tuple[str, str], Figure]
) -> list[tuple[str, str]]:
    """The series in which two sets of figures differ, sorted."""
    return sorted(key for key in left.keys() | right.keys() if left.get(key, Figure()) != right.get(key, Figure()))
