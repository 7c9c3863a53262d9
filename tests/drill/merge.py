"""What a subscriber of the drill of the feed has, merged as docs/api/stream.md tells a client to."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
import numpy as np

UNNUMBERED = 1


class Message(msgspec.Struct):
    """What a subscriber looks at."""

    T: str
    o: int | None = None
    i: int | None = None
    t: str | None = None
    at: str | None = None
    epoch: str | None = None
    code: int | None = None
    msg: str | None = None


class Told:
    """The trades and the epochs that any subscriber of this process was told, numbered as they came first."""

    def __init__(self) -> None:
        self.trades: dict[int, int] = {}
        self.epochs: dict[str, int] = {}

    def places(self, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The numbers of these trades, -1 for one that nobody was told."""
        return np.array([self.trades.get(one, -1) for one in ids.tolist()], np.int64)


class Merge:
    """`kept` has the ids in the order in which they came. A trade that comes again is dropped where a client has to
    expect that: while it is given what it missed, and when it had the trade from the database or of another epoch.
    Any other that comes again is kept twice, which is what the drill looks for."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._had = bytearray()  # by number of the trade: 0, `UNNUMBERED`, or above it the number of its epoch
        self.epoch, self.o = "", 0
        self.at: str | None = None
        self.served = ""  # the epoch of what comes now
        self._goes_on = False  # what comes follows offset `_o` without a hole
        self.asking = False  # what comes is not yet the answer to what was asked last
        self.kept = array("q")
        self.repeated = self.twice = 0
        self.trades = self.unnumbered = 0  # of the resume that is going on
        self.missing = False

    def ask(self) -> dict[str, Any]:
        """What a `subscribe` has to say of where it goes on."""
        self.asking, self.missing = True, bool(self.epoch)
        self.trades = self.unnumbered = 0
        if not self.missing:
            return {}
        return {"from": {"epoch": self.epoch, "o": self.o, **({"at": self.at} if self.at else {})}}

    def listed(self, message: Message) -> None:
        """A `subscription`: what follows answers the request."""
        self.asking, self.served = False, message.epoch or ""
        if not self.epoch:
            self._settle(message)
        self._goes_on = self.served == self.epoch

    def completed(self, message: Message) -> bool:
        """A `replay_completed`; False when it is of an earlier request than the last."""
        if self.asking:
            return False
        self._settle(message)
        self.served, self.missing = self.epoch, False
        return True

    def refused(self, message: Message) -> None:
        """An error after which it has to ask again: what comes meanwhile does not follow what it had."""
        self.asking = self.missing = True
        self.served = message.epoch or self.served

    def moment(self, message: Message) -> None:
        """A `replay_progress` or `hb`: everything up to this moment was told."""
        if not self.asking and (message.T == "replay_progress" or not self.missing):
            self.at = message.at or self.at

    def trade(self, message: Message) -> bool:
        """Whether it is kept."""
        if self.missing:
            self.trades += 1
        if message.o is None:
            self.unnumbered += 1
            self._goes_on = False
        elif not self.missing or (self._goes_on and not self.asking):
            self.twice += message.o <= self.o  # an offset that it had: never, or the order is wrong
            self.o = message.o
        kind = UNNUMBERED if message.o is None else self._kind()
        trade = message.i or 0
        place = self._told.trades.setdefault(trade, len(self._told.trades))
        if place >= len(self._had):
            self._had.extend(bytes(place + 1024 - len(self._had)))
        before = self._had[place]
        if before and (self.missing or before != kind):
            self.repeated += 1
            return False
        self._had[place] = before or kind
        self.kept.append(trade)
        return True

    def lacks(self, places: np.ndarray[Any, Any]) -> int:
        """How many trades of these numbers it has not."""
        had = np.zeros(max(len(self._told.trades), len(self._had)) + 1, bool)  # one more: the place of -1
        had[: len(self._had)] = np.frombuffer(bytes(self._had), np.uint8)
        return int(np.count_nonzero(~had[places]))

    def _kind(self) -> int:
        epochs = self._told.epochs
        return UNNUMBERED + 1 + epochs.setdefault(self.served, len(epochs))

    def _settle(self, message: Message) -> None:
        self.epoch, self.o = message.epoch or "", message.o or 0
        self.at = message.at or self.at
