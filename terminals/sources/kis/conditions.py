"""What is known of each stock beside its prices: whether it is halted or in a volatility interruption, and changes."""

from typing import Final

_SYMBOLS: Final = 20_000
_NO_VI: Final = ("", "N", "0")


class Conditions:
    """The first word on a stock is a change only if it is not the ordinary state. Bounded by 20,000 stocks."""

    def __init__(self) -> None:
        self.halted: set[tuple[str, str]] = set()
        self._vi: dict[tuple[str, str], str] = {}

    def halt(self, feed: str, symbol: str, flag: str) -> bool | None:
        """Whether trading in it is halted, if that changed; `flag` is Y or N, anything else says nothing."""
        key = (feed, symbol)
        if flag == "Y" and key not in self.halted and len(self.halted) < _SYMBOLS:
            self.halted.add(key)
            return True
        if flag == "N" and key in self.halted:
            self.halted.remove(key)
            return False
        return None

    def vi(self, feed: str, symbol: str, code: str) -> str | None:
        """The code it had before, if that is another one."""
        key, now = (feed, symbol), "" if code in _NO_VI else code
        before = self._vi.get(key, "")
        if now == before:
            return None
        if now:
            if key not in self._vi and len(self._vi) >= _SYMBOLS:
                return None
            self._vi[key] = now
        else:
            del self._vi[key]
        return before
