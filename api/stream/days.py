"""Which days of a feed are to be read and told. Knows no wall clock and no database.

As with closed candles, entries tell what to read, never what to say: a day is the newest daily candle of its symbol as
REST has it at that moment. It is read at most once a second and told when it is another than was told last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api.stream.candles import ALL, Row, rows_of
from marketdata.types.minute_bars import Bars

EVERY_US = 1_000_000
MOST_READ = 200
"""Symbols of one reading: with more that trade, each has its turn, and the candles of minutes do not wait for them."""


@dataclass(frozen=True, slots=True)
class NewestDays:
    """The newest daily candle of each of some symbols, and which of these days are over."""

    bars: Bars
    over: npt.NDArray[np.bool_]


class Days:
    """The days of one feed. `touch` and `retell` say what happened, `due` what to read now, and `done` takes the
    answer, or `failed` gives the symbols back."""

    def __init__(self) -> None:
        self._due: dict[str, None] = {}  # in the order they came
        self._told: dict[str, tuple[Row, bool]] = {}
        self._read_us: int | None = None

    def touch(self, symbols: Iterable[str], watched: Collection[str]) -> None:
        """Trades of these came or were taken back; only `watched` ones are read."""
        self._due.update((symbol, None) for symbol in symbols if ALL in watched or symbol in watched)

    def retell(self, symbols: Iterable[str]) -> None:
        """Tell these whatever was told before: somebody came who has not had them."""
        for symbol in symbols:
            self._told.pop(symbol, None)
            self._due[symbol] = None

    def missed(self, watched: Collection[str]) -> None:
        """A part of the feed was not seen: what was told is to be compared, and what is watched by name."""
        self.touch([*self._told, *(symbol for symbol in watched if symbol != ALL)], watched)

    def due(self, watched: Collection[str], now_us: int) -> list[str]:
        """The symbols to read next; none within a second of the reading before."""
        if not watched:
            self._due.clear()
            self._told.clear()
        if not self._due or (self._read_us is not None and 0 <= now_us - self._read_us < EVERY_US):
            return []
        self._read_us = now_us
        symbols = list(self._due)[:MOST_READ]
        for symbol in symbols:
            del self._due[symbol]
        return symbols

    def failed(self, symbols: Iterable[str]) -> None:
        """They could not be read, and are due again."""
        self._due.update(dict.fromkeys(symbols))

    def done(self, found: NewestDays) -> list[tuple[Row, bool]]:
        """(candle, whether its day is over) of those that are news."""
        news = []
        for row, over in zip(rows_of(found.bars), found.over.tolist(), strict=True):
            if self._told.get(row[0]) != (row, over):
                self._told[row[0]] = (row, over)
                news.append((row, over))
        return news
