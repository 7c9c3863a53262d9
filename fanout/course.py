"""One feed on its way out: where it is, and which candles are to be told. Knows no database, broker or wall clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analytics.series.feed_clock import FeedClock
from fanout.messages import Key
from fanout.positions import Position
from marketdata.ledger.commits import Place

MOST_WAITING = 65_536
SPAN_US = 1_800_000_000
"""Candles that are read from the database at once lie within half an hour."""
MOST_SYMBOLS = 500
"""As many symbols are read at once."""


@dataclass(slots=True)
class Refill:
    """What is read from the database: first what was taken back or put back since `since_us`, then commits from behind
    `place` up to `until_us`. Then the feed goes on behind `offset` of `epoch`, which was asked before, as was
    `begun_us`: nothing is between the two."""

    epoch: str
    offset: int
    since_us: int
    until_us: int
    place: Place
    begun_us: int
    is_corrected: bool = False


class Course:
    """The position of a feed, how it goes on, and the candles whose minute is not over or that are to be read."""

    def __init__(self, position: Position, *, grace_us: int) -> None:
        self.position = position
        self.refill: Refill | None = None
        self._clock = FeedClock(grace_us=grace_us)
        self._waiting: set[Key] = set()

    @property
    def is_live(self) -> bool:
        """Whether it goes on in the feed."""
        return self.refill is None and bool(self.position.epoch)

    def touch(self, keys: Iterable[Key]) -> None:
        """These candles are others now."""
        self._waiting.update(keys)

    def move_clock(self, event_us: int, now_us: int) -> None:
        """An event of this time was seen."""
        self._clock.move(event_us, now_us)

    def due(self, now_us: int) -> list[list[Key]]:
        """Candles to be read and told now, in readings: closed ones that changed. When too many wait, open ones, too:
        they are told again when they change."""
        ended_us = self._clock.ended(now_us)
        if ended_us is None:  # nothing was seen of the feed yet: what changed is older
            ended_us = self._clock.ended_at(now_us)
        everything = len(self._waiting) > MOST_WAITING
        chosen = sorted(
            (key for key in self._waiting if everything or key[1] < ended_us),
            key=lambda key: (key[1] // SPAN_US, key[0], key[1]),
        )
        readings: list[list[Key]] = []
        symbols: set[str] = set()
        for key in chosen:
            if not readings or readings[-1][0][1] // SPAN_US != key[1] // SPAN_US or (
                key[0] not in symbols and len(symbols) >= MOST_SYMBOLS
            ):  # fmt: skip
                readings.append([])
                symbols = set()
            readings[-1].append(key)
            symbols.add(key[0])
        return readings

    def told(self, keys: Iterable[Key]) -> None:
        """These were delivered as they are."""
        self._waiting.difference_update(keys)

    def waiting_from_us(self) -> int:
        """The earliest minute that waits to be told; 0 if none does."""
        return min((minute for _, minute in self._waiting), default=0)
