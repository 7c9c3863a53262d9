"""Of which symbols the newest state of something is to be read and told. Knows no wall clock and no database.

As with closed candles, entries tell what to read, never what to say: a state is what REST has at that moment, read
at most so often a symbol, and told when it is another than was told last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, TypeVar

from api.stream.candles import ALL

T = TypeVar("T")


class Newest(Generic[T]):
    """The states of one kind on one feed, by symbol. `touch` and `retell` say what happened, `due` what to read now,
    and `done` takes the answer, or `failed` gives the symbols back. There is at most one reading in `every_us`, of at
    most `most` symbols: with more, each has its turn, and what else is read does not wait for them. What changed and
    what somebody came for have half of a reading each, so that who names very many keeps nobody else waiting."""

    def __init__(self, *, every_us: int, most: int) -> None:
        self._every_us, self._most = every_us, most
        self._changed: dict[str, None] = {}  # in the order they came
        self._came_for: dict[str, None] = {}  # the same
        self._told: dict[str, T] = {}
        self._read_us: int | None = None

    def touch(self, symbols: Iterable[str], watched: Collection[str]) -> None:
        """These may have changed; only `watched` ones are read."""
        if watched:
            self._changed.update((symbol, None) for symbol in symbols if ALL in watched or symbol in watched)

    def retell(self, symbols: Iterable[str]) -> None:
        """Tell these whatever was told before: somebody came who has not had them."""
        for symbol in symbols:
            self._told.pop(symbol, None)
            self._came_for[symbol] = None

    def missed(self, watched: Collection[str]) -> None:
        """A part of the feed was not seen: what was told is to be compared, and what is watched by name."""
        self.touch([*self._told, *(symbol for symbol in watched if symbol != ALL)], watched)

    def due(self, watched: Collection[str], now_us: int) -> list[str]:
        """The symbols to read next. What nobody watches any more is forgotten."""
        if not watched:
            self._changed.clear()
            self._came_for.clear()
            self._told.clear()
        waits = self._changed or self._came_for
        if not waits or (self._read_us is not None and 0 <= now_us - self._read_us < self._every_us):
            return []
        self._read_us = now_us
        changed = [symbol for symbol in self._changed if ALL in watched or symbol in watched]
        came_for = [symbol for symbol in self._came_for if symbol in watched]
        symbols = came_for[: max(self._most - len(changed), self._most // 2)]
        symbols = list(dict.fromkeys([*symbols, *changed[: self._most - len(symbols)]]))
        read = set(symbols)
        self._changed = {symbol: None for symbol in changed if symbol not in read}
        self._came_for = {symbol: None for symbol in came_for if symbol not in read}
        return symbols

    def failed(self, symbols: Iterable[str]) -> None:
        """They could not be read, and are due again."""
        self._changed.update(dict.fromkeys(symbols))

    def done(self, found: Mapping[str, T]) -> list[T]:
        """The states that are news."""
        news = [state for symbol, state in found.items() if self._told.get(symbol) != state]
        self._told.update(found)
        return news
