"""How many ticks, and a checksum of them: the same number from arrays and from any database (docs/adr/0010).

A row's hash ties its values to its tick_id; hashes are summed by (symbol, feed), and the sums are weighted by what the
series is called. All of it is arithmetic modulo a prime, so figures of parts add up to the figure of the whole, in any
order.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from marketdata.ticks import ABSENT, Int64, Ticks

PRIME = 2**31 - 1
# Factors of the columns in a row's hash. Price and size are not reduced before they are multiplied: 8 x 10^18 fits.
WHOLE = {"price": 3, "size": 5}
REDUCED = {"seq": 7, "bid": 11, "ask": 13, "bid_size": 17, "ask_size": 19, "cum_volume": 23}
KIND, SIDE, SOURCE = 29, 31, 37


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of rows and their checksum modulo PRIME."""

    rows: int = 0
    checksum: int = 0

    def __add__(self, other: Figure) -> Figure:
        return Figure(self.rows + other.rows, (self.checksum + other.checksum) % PRIME)

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.rows - other.rows, (self.checksum - other.checksum) % PRIME)


def weight(symbol: str, feed: str) -> int:
    """What the hashes of a series are multiplied with: 1 to PRIME - 1."""
    return zlib.crc32(f"{feed}/{symbol}".encode()) % (PRIME - 1) + 1


def of_series(symbol: str, feed: str, rows: int, hashes: int) -> Figure:
    """The figure of one series from the plain sum of its rows' hashes."""
    return Figure(rows, hashes % PRIME * weight(symbol, feed) % PRIME)


def total(figures: Iterable[Figure]) -> Figure:
    """All of them together."""
    return sum(figures, Figure())


def of_ticks(ticks: Ticks) -> dict[int, Figure]:
    """Figures by trading date (days since 1970)."""
    hashes = row_hashes(ticks)
    weights = np.array([weight(symbol, ticks.feed) for symbol in ticks.symbols], np.int64)
    weighted = np.mod(hashes, PRIME) * weights[ticks.symbol] % PRIME if len(ticks) else hashes
    found = {}
    for date in np.unique(ticks.trade_date).tolist():
        chosen = weighted[ticks.trade_date == date]
        found[date] = Figure(len(chosen), int(chosen.sum()) % PRIME)
    return found


def by_batch(ticks: Ticks, batch: Int64) -> dict[tuple[int, int], Figure]:
    """Figures by (batch, trading date), `batch` naming each row's."""
    found: dict[tuple[int, int], Figure] = {}
    numbers, first = np.unique(batch, return_index=True)
    if len(numbers) == 1:
        return {(int(numbers[0]), date): figure for date, figure in of_ticks(ticks).items()}
    for number in numbers[np.argsort(first)].tolist():
        for date, figure in of_ticks(ticks.take(batch == number)).items():
            found[number, date] = figure
    return found


def row_hashes(ticks: Ticks) -> Int64:
    """A hash per row, between -PRIME and PRIME. Remainders are cut towards zero, as every database does it."""
    mixed = ticks.time_us.astype(np.int64, copy=True)
    for name, factor in WHOLE.items():
        values = getattr(ticks, name)
        mixed += np.where(values == ABSENT, -factor, values * factor)
    for name, factor in REDUCED.items():
        values = getattr(ticks, name)
        absent = values == ABSENT
        mixed += -factor if absent.all() else np.where(absent, -factor, np.fmod(values, PRIME) * factor)
    mixed += ticks.kind.astype(np.int64) * KIND + ticks.side.astype(np.int64) * SIDE + ticks.source_id * SOURCE
    hashes: Int64 = np.fmod((np.fmod(ticks.tick_id, PRIME) + 1) * np.fmod(mixed, PRIME), PRIME)
    return hashes


def differences(
    left: Mapping[tuple[str, str], Figure], right: Mapping[tuple[str, str], Figure]
) -> list[tuple[str, str]]:
    """The series in which two sets of figures differ, sorted."""
    return sorted(key for key in left.keys() | right.keys() if left.get(key, Figure()) != right.get(key, Figure()))
