"""Trades that come again, where no volumes account for them: of overseas symbols and of the night. KIS may send a
record again behind a reconnect or a second registration; it is known by its time, price and size and the volume of its
day.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from terminals.batcher import Row
from terminals.wire import Kind

_SYMBOLS: Final = 50_000
_RECENT: Final = 32
_RECENT_SAVED: Final = 8
_Mark = tuple[int, int, int, int]
"""(volume of the day with it, time, price, size)."""


class Repeats:
    """The last 32 trades of each of at most 50,000 (feed, symbol); of more symbols, nothing is known to come again."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, str], deque[_Mark]] = {}
        self.count = 0
        """Trades that came again."""

    def check(self, feed: str, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """The rows that are new, and the trades among them that came before; both in their order."""
        new, again = list[Row](), list[Row]()
        for row in rows:
            mark = _mark(row)
            recent = None if mark is None else self._of(feed, row["symbol"])
            if mark is None or recent is None:
                new.append(row)
            elif mark in recent:
                again.append(row)
            else:
                recent.append(mark)
                new.append(row)
        self.count += len(again)
        return new, again

    def restore(self, feed: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Remember trades that were sent before the start."""
        for row in rows:
            mark = _mark(row)
            recent = None if mark is None else self._of(feed, row["symbol"])
            if mark is not None and recent is not None:
                recent.append(mark)

    def state(self) -> list[list[Any]]:
        """The last 8 trades of each symbol, as JSON."""
        return [[*key, [*recent][-_RECENT_SAVED:]] for key, recent in self._recent.items()]

    def load(self, state: Iterable[Sequence[Any]]) -> None:
        """Go on from what `state` gave. ValueError if it is something else."""
        try:
            for feed, symbol, marks in state:
                recent = self._of(str(feed), str(symbol))
                if recent is not None:
                    recent.extend((int(cum), int(at), int(price), int(size)) for cum, at, price, size in marks)
        except TypeError as error:
            raise ValueError(f"no recent trades: {error}") from None

    def _of(self, feed: str, symbol: str) -> deque[_Mark] | None:
        recent = self._recent.get((feed, symbol))
        if recent is None and len(self._recent) < _SYMBOLS:
            recent = self._recent[feed, symbol] = deque(maxlen=_RECENT)
        return recent


def _mark(row: Mapping[str, Any]) -> _Mark | None:
    """Of a trade that tells the volume of its day."""
    cumulative = row.get("cum_volume")
    if row["kind"] != Kind.TRADE or cumulative is None:
        return None
    return cumulative, row["time_us"], row["price"], row["size"]
