"""Pictures that say what was just sent. Knows no clock: every call brings the time."""

from collections.abc import Hashable, Iterable

from terminals.batcher import Row


class Duplicates:
    """A picture equal to the last one of its symbol is one for `ttl_s` seconds; afterwards it is sent again."""

    def __init__(self, ttl_s: float = 1.0) -> None:
        self._ttl_s = ttl_s
        self._last: dict[Hashable, tuple[dict[str, object], float]] = {}
        self.looked = 0
        self.hits = 0

    def seen(self, key: Hashable, row: Row, now: float) -> bool:
        """Whether `row` need not be sent; its time does not count. If it has to be, it is remembered."""
        self.looked += 1
        picture = {name: value for name, value in row.items() if name != "time_us"}
        known = self._last.get(key)
        if known is not None and now - known[1] < self._ttl_s and known[0] == picture:
            self.hits += 1
            return True
        self._last[key] = (picture, now)
        return False

    def keep(self, keys: Iterable[Hashable]) -> None:
        """Forget all others."""
        kept = set(keys)
        self._last = {key: known for key, known in self._last.items() if key in kept}
