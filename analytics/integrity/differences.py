"""What differs between what is stored and what it should be, named one by one. Pure: arrays in, findings out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from marketdata.types import checksums, daily_bars, minute_bars
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT, SEQ_BITS, TICK_BITS, Int64, Ticks, decimal_text
from marketdata.types.units import SEOUL, date_of
from terminals import wire

COMPACT_AT = 2_000_000  # sums kept before those of the same batch are added up: 48 MB
_PRICES = ("open", "high", "low", "close", "last", "regular_open", "regular_high", "regular_low")
_SIZES = ("volume", "regular_volume")
_TIMES = ("open_time", "close_time")
_FIELDS = tuple(name for name in minute_bars.COLUMNS if name not in ("symbol", "time_us", "trade_date", "rev"))
_DAILY_FIELDS = tuple(name for name in daily_bars.COLUMNS if name != "trade_date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference: `code` says of what kind, `subject` where, then what should be there and what is."""

    code: str
    subject: str
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        return f"{self.code}  {self.subject}  expected {self.expected or 'nothing'}, found {self.found or 'nothing'}"


class Findings:
    """Gathers findings in the order they come; of each code at most `most` are kept, the others counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.named: list[Finding] = []
        self.counts: dict[str, int] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            count = self.counts[finding.code] = self.counts.get(finding.code, 0) + 1
            if count <= self._most:
                self.named.append(finding)


def figure_text(figure: Figure) -> str:
    """A figure for people."""
    return f"{figure.rows:,} ticks, checksum {figure.checksum}"


# --- ledger and ticks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures by batch, as arrays sorted by batch."""

    batch: Int64
    rows: Int64
    checksum: Int64

    def __len__(self) -> int:
        return len(self.batch)

    def at(self, batch: int) -> Figure | None:
        """The figure of one batch, None if it has none."""
        place = int(np.searchsorted(self.batch, batch))
        if place == len(self) or self.batch[place] != batch:
            return None
        return Figure(int(self.rows[place]), int(self.checksum[place]))


def sums(rows: Iterable[tuple[int, int, int]]) -> Sums:
    """From (batch, rows, checksum), one or more of each batch."""
    columns: Int64 = np.fromiter(rows, np.dtype((np.int64, 3)))
    return _added(columns[:, 0], columns[:, 1], columns[:, 2])


def _added(batch: Int64, rows: Int64, checksum: Int64) -> Sums:
    order = np.argsort(batch, kind="stable")
    batch, rows, checksum = batch[order], rows[order], checksum[order]
    first = np.flatnonzero(np.r_[True, batch[1:] != batch[:-1]]) if len(batch) else np.zeros(0, np.int64)
    if not len(first):
        return Sums(batch, rows, checksum)
    # At most 2^32 values below 2^31 are added, which 64 bits hold.
    return Sums(batch[first], np.add.reduceat(rows, first), np.add.reduceat(checksum, first) % PRIME)


class BatchSums:
    """Adds up the figures of ticks by the batch they came in, series after series."""

    def __init__(self) -> None:
        self._parts: list[Sums] = []
        self._kept = 0

    def add(self, ticks: Ticks) -> None:
        """Ticks of one symbol, feed and source."""
        weight = checksums.weight(ticks.symbols[0], ticks.feed)
        hashes = np.mod(checksums.row_hashes(ticks), PRIME) * weight % PRIME
        part = _added(ticks.tick_id >> TICK_BITS, np.ones(len(ticks), np.int64), hashes)
        self._parts.append(part)
        self._kept += len(part)
        if self._kept > COMPACT_AT:
            whole = self.total()
            self._parts, self._kept = [whole], len(whole)

    def total(self) -> Sums:
        """Of all that was added."""
        nothing = np.zeros(0, np.int64)
        parts = self._parts or [Sums(nothing, nothing, nothing)]
        return _added(
            np.concatenate([part.batch for part in parts]),
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.checksum for part in parts]),
        )


def batches(ledger: Sums, found: Sums) -> Iterable[Finding]:
    """Each batch of which the ledger says something else than the ticks, in order of batch."""
    every = np.union1d(ledger.batch, found.batch)
    columns = np.zeros((4, len(every)), np.int64)
    for offset, side in ((0, ledger), (2, found)):
        place = np.searchsorted(every, side.batch)
        columns[offset, place], columns[offset + 1, place] = side.rows, side.checksum
    differ = (columns[0] != columns[2]) | (columns[1] != columns[3])
    for batch in every[differ].tolist():
        noted, there = ledger.at(batch), found.at(batch)
        if noted is None:
            code = "batch_unknown"
        elif there is None:
            code = "batch_missing"
        elif there.rows < noted.rows:
            code = "rows_missing"
        elif there.rows > noted.rows:
            code = "rows_too_many"
        else:
            code = "content_changed"
        yield Finding(
            code=code,
            subject=batch_text(batch),
            expected=figure_text(noted) if noted else "",
            found=figure_text(there) if there else "",
        )


def batch_text(batch: int) -> str:
    """A batch as stream/seq, as the admin and the logs have it."""
    return f"batch {batch >> SEQ_BITS}/{batch & ((1 << SEQ_BITS) - 1)}"


# --- candles ----------------------------------------------------------------------------------------------------------


def minutes(expected: Bars, found: Bars, symbol: str) -> list[Finding]:
    """Where one symbol's stored minute candles of a day are not those that its ticks make, in order of time; `rev` is
    history and not compared."""
    if _same(expected, found):
        return []
    findings = []
    wanted = {at: row for row, at in enumerate(expected.time_us.tolist())}
    stored = {at: row for row, at in enumerate(found.time_us.tolist())}
    for at in sorted(wanted.keys() | stored.keys()):
        subject = f"{symbol} {expected.feed} {time_text(at)}"
        if at not in stored:
            findings.append(Finding(code="candle_missing", subject=subject, expected=_shown(expected, wanted[at])))
        elif at not in wanted:
            findings.append(Finding(code="candle_superfluous", subject=subject, found=_shown(found, stored[at])))
        else:
            findings += _fields("candle_differs", subject, _FIELDS, (expected, wanted[at]), (found, stored[at]))
    return findings


def differing(expected: Bars, found: Bars) -> list[int]:
    """The minutes of the candles that `minutes` would name."""
    if _same(expected, found):
        return []
    wanted, stored = (
        set(zip(*(getattr(bars, name).tolist() for name in ("time_us", *_FIELDS)), strict=True))
        for bars in (expected, found)
    )
    return sorted({row[0] for row in wanted ^ stored})


def _same(expected: Bars, found: Bars) -> bool:
    return len(expected) == len(found) and all(
        np.array_equal(getattr(expected, name), getattr(found, name)) for name in ("time_us", *_FIELDS)
    )


def days(expected: DailyBars, found: DailyBars) -> list[Finding]:
    """Where the stored daily candle of one symbol, feed and date is not the one that its minute candles make."""
    subject = f"{expected.symbol} {expected.feed}"
    if not len(expected):
        return [
            Finding(code="daily_superfluous", subject=f"{subject} {day_text(day)}", found=_shown(found, row))
            for row, day in enumerate(found.trade_date.tolist())
        ]
    subject = f"{subject} {day_text(int(expected.trade_date[0]))}"
    if not len(found):
        return [Finding(code="daily_missing", subject=subject, expected=_shown(expected, 0))]
    return _fields("daily_differs", subject, _DAILY_FIELDS, (expected, 0), (found, 0))


def _fields(
    code: str,
    subject: str,
    names: Sequence[str],
    expected: tuple[Bars | DailyBars, int],
    found: tuple[Bars | DailyBars, int],
) -> list[Finding]:
    findings = []
    for name in names:
        wanted, stored = (_text(*candle, name) for candle in (expected, found))
        if name != "value_frac" and wanted != stored:
            findings.append(Finding(code=code, subject=f"{subject} {name}", expected=wanted, found=stored))
    return findings


def _text(candle: Bars | DailyBars, row: int, name: str) -> str:
    """A field of a candle as a person writes it; the two halves of the traded value are one number."""
    value = int(getattr(candle, name)[row])
    if value == ABSENT:
        return "none"
    if name == "value":
        return decimal_text(value * VALUE_UNIT + int(candle.value_frac[row]), wire.VALUE_SCALE)
    if name in _PRICES:
        return decimal_text(value, wire.PRICE_SCALE)
    if name in _SIZES:
        return decimal_text(value, wire.SIZE_SCALE)
    return time_text(value) if name in _TIMES else str(value)


def _shown(candle: Bars | DailyBars, row: int) -> str:
    names = ("open", "high", "low", "close", "volume", "n")
    return " ".join(f"{name} {_text(candle, row, name)}" for name in names)


def time_text(time_us: int) -> str:
    """An instant in Seoul, to the microsecond where there is one."""
    seconds, rest = divmod(time_us, 1_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, SEOUL).replace(microsecond=rest)
    return moment.isoformat()


def day_text(day: int) -> str:
    """A trading date from days since 1970."""
    return (date_of(day)).isoformat()
