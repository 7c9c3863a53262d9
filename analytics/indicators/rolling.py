"""What indicators are made of: aggregates over a window that moves along, and smoothing that forgets. Each over a whole
array, and for the newest value alone.

Nothing is added to a running sum and taken from it again, so nothing drifts however long the array is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Columns = tuple[Float64, ...]
Merge = Callable[[Columns, int, Columns, int], Columns]
"""The aggregate of two windows that lie beside each other, from the aggregates of the left and the right one, each with
how many values it has."""

CHUNK = 16_384  # rows whose aggregates are made at once: they stay in a core's cache


def nothing(rows: int) -> Float64:
    """A value for each row, none of which is known."""
    return np.full(rows, np.nan)


def windows(columns: Columns, period: int, merge: Merge) -> Columns:
    """The aggregate of each window of `period` values; that of rows 0 to period - 1 comes first, so there are
    period - 1 fewer than rows. `columns` are the aggregates of windows of one value. Made of windows of 1, 2, 4, ...
    values: O(rows x log(period)), and each aggregate rests on its own values only."""
    rows = max(len(columns[0]) - period + 1, 0)
    made = tuple(np.empty(rows) for _ in columns)
    for start in range(0, rows, CHUNK):
        end = min(start + CHUNK, rows)
        part = tuple(column[start : end + period - 1] for column in columns)
        for whole, found in zip(made, _windows(part, period, merge, end - start), strict=True):
            whole[start:end] = found
    return made


def _windows(columns: Columns, period: int, merge: Merge, rows: int) -> Columns:
    done, have = columns, 0  # aggregates of the first `have` values of each window
    size = 1
    while True:
        if period & size:
            right = tuple(column[have : have + rows] for column in columns)
            done = merge(done, have, right, size) if have else right
            have += size
            if have == period:
                return done
        columns = merge(
            tuple(column[:-size] for column in columns), size, tuple(column[size:] for column in columns), size
        )
        size *= 2


def _add(left: Columns, _left_size: int, right: Columns, _right_size: int) -> Columns:
    return (left[0] + right[0],)


def _smaller(left: Columns, _left_size: int, right: Columns, _right_size: int) -> Columns:
    return (np.minimum(left[0], right[0]),)


def _greater(left: Columns, _left_size: int, right: Columns, _right_size: int) -> Columns:
    return (np.maximum(left[0], right[0]),)


def sums(values: Float64, period: int) -> Float64:
    """The sum of each row's window of `period` values, which ends there; NaN where it would begin before the first."""
    return behind(windows((values,), period, _add)[0], len(values))


def lowest(values: Float64, period: int) -> Float64:
    """As `sums`, the smallest value."""
    return behind(windows((values,), period, _smaller)[0], len(values))


def highest(values: Float64, period: int) -> Float64:
    """As `sums`, the greatest value."""
    return behind(windows((values,), period, _greater)[0], len(values))


def behind(values: Float64, rows: int) -> Float64:
    """The last of so many rows, with NaN in front of them."""
    if len(values) == rows:
        return values
    return np.concatenate([nothing(rows - len(values)), values])


def recurrence(values: Float64, decay: float, gain: float, before: float) -> Float64:
    """y[t] = decay x y[t - 1] + gain x values[t], where y before the first row is `before`. O(rows): about sqrt(rows)
    stretches are walked side by side, then each is given what the one before it ended with."""
    rows = len(values)
    length = max(math.isqrt(rows), 1)
    stretches = -(-rows // length)
    padded = np.zeros(stretches * length)
    padded[:rows] = values
    steps = np.empty((length, stretches))  # a step of all stretches is a row
    np.multiply(padded.reshape(stretches, length).T, gain, out=steps)
    scaled = np.empty(stretches)
    for at in range(1, length):
        np.multiply(steps[at - 1], decay, out=scaled)
        steps[at] += scaled
    weights = decay ** np.arange(1, length + 1)
    whole, carried = float(weights[-1]), np.empty(stretches)
    for at, last in enumerate(steps[-1].tolist()):
        carried[at] = before
        before = last + whole * before
    for at, weight in enumerate(weights.tolist()):
        np.multiply(carried, weight, out=scaled)
        steps[at] += scaled
    return steps.T.reshape(-1)[:rows]


def smoothed(values: Float64, period: int, weight: float) -> Float64:
    """y[t] = y[t - 1] + weight x (values[t] - y[t - 1]), beginning with the mean of the first `period` values at row
    period - 1; NaN before. Leading NaN values count as not there."""
    first = int(np.argmin(np.isnan(values))) if len(values) else 0
    start = first + period
    if start > len(values):
        return nothing(len(values))
    seed = math.fsum(values[first:start].tolist()) / period
    made = nothing(len(values))
    made[start - 1] = seed
    if start < len(values):
        made[start:] = recurrence(values[start:], 1 - weight, weight, seed)
    return made


class Window:
    """The newest `period` values: those before, and one that may still change."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._before: deque[float] = deque(maxlen=period - 1)

    def next(self, value: float, keep: bool) -> Sequence[float] | None:
        """The window that ends with this value, oldest first; None where history is short. With `keep` the value is
        final and the next one comes behind it. O(period)."""
        whole = [*self._before, value] if len(self._before) == self._period - 1 else None
        if keep:
            self._before.append(value)
        return whole


class Smoothing:
    """`smoothed` for the newest value. O(1), and O(period) for the first."""

    def __init__(self, period: int, weight: float) -> None:
        self._first, self._period, self._weight = Window(period), period, weight
        self._value = math.nan

    def next(self, value: float, keep: bool) -> float:
        """As `Window.next`, the smoothed value; NaN where history is short. A NaN counts as not there."""
        if math.isnan(value):
            return math.nan
        if math.isnan(self._value):
            window = self._first.next(value, keep)
            made = math.nan if window is None else math.fsum(window) / self._period
        else:
            made = self._value + self._weight * (value - self._value)
        if keep:
            self._value = made
        return made
