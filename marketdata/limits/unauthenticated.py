"""Connections that have not said who they are: how many there may be, and which has to go when there are too many.

One rule for terminals, WebSockets and HTTP. Room is made by the oldest connection of the address that holds the most,
so whoever fills the limit turns himself away, and not somebody with a key who comes for a moment.
"""

from __future__ import annotations

import ipaddress
from typing import Generic, TypeVar

T = TypeVar("T")


def caller(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 network that an IPv6 address lies in."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class Unauthenticated(Generic[T]):
    """At most `most` connections, and `most_of_caller` of one caller; the older ones give way."""

    def __init__(self, *, most: int, most_of_caller: int) -> None:
        self._most, self._most_of_caller = most, most_of_caller
        self._by_caller: dict[str, dict[T, None]] = {}
        self._callers: dict[T, str] = {}

    def __len__(self) -> int:
        return len(self._callers)

    def __contains__(self, one: object) -> bool:
        return one in self._callers

    def enter(self, one: T, address: str, *, shared: bool = False) -> T | None:
        """Take it in; returns the connection that has to go for it, which is no longer counted.

        `shared` says that many callers come by this address (a proxy): then only the limit in all holds.
        """
        who = caller(address)
        self._by_caller.setdefault(who, {})[one] = None
        self._callers[one] = who
        if not shared and len(self._by_caller[who]) > self._most_of_caller:
            return self._oldest_of(who)
        if len(self) > self._most:
            return self._oldest_of(max(self._by_caller, key=lambda name: len(self._by_caller[name])))
        return None

    def leave(self, one: T) -> None:
        """It said who it is, or it is gone."""
        who = self._callers.pop(one, None)
        if who is not None:
            del self._by_caller[who][one]
            if not self._by_caller[who]:
                del self._by_caller[who]

    def _oldest_of(self, who: str) -> T:
        oldest = next(iter(self._by_caller[who]))
        self.leave(oldest)
        return oldest
