"""Which symbols are left alone for a while because KIS had no answer for them. Knows no clock: calls bring the time."""

import random
from collections.abc import Hashable, Iterable
from typing import Final

FIRST_S: Final = 5.0
MOST_S: Final = 300.0


class SymbolBackoff:
    """After each refusal of a symbol it waits twice as long, 5 seconds to 5 minutes, less a random quarter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._refused: dict[Hashable, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._refused)

    def __contains__(self, symbol: Hashable) -> bool:
        """Whether it was refused the last time."""
        return symbol in self._refused

    def waits(self, symbol: Hashable, now: float) -> bool:
        """It is not its time yet."""
        known = self._refused.get(symbol)
        return known is not None and now < known[1]

    def refused(self, symbol: Hashable, now: float) -> float:
        """One more refusal; answers for how many seconds the symbol is left alone."""
        failures = self._refused.get(symbol, (0, 0.0))[0] + 1
        wait_s = min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 10)) * self._rng.uniform(0.75, 1.0)
        self._refused[symbol] = (failures, now + wait_s)
        return wait_s

    def answered(self, symbol: Hashable) -> None:
        """It has an answer again."""
        self._refused.pop(symbol, None)

    def keep(self, symbols: Iterable[Hashable]) -> None:
        """Forget all others."""
        kept = set(symbols)
        self._refused = {symbol: known for symbol, known in self._refused.items() if symbol in kept}
