"""What the WebSocket simulator has done, in shares and frames: what a terminal's rows and gaps are compared with."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""TR and key."""


@dataclass
class Account:
    """Counts since the start. Shares are of trades of registered symbols, counted once for all sessions."""

    trades: int = 0
    """Trades of the market, registered or not."""
    sent: Counter[Key] = field(default_factory=Counter)
    """Records of trades that were sent and can be read."""
    sent_shares: Counter[Key] = field(default_factory=Counter)
    withheld_shares: Counter[Key] = field(default_factory=Counter)
    """Of trades that a registered session did not get, or cannot read."""
    last_volume: dict[Key, dict[str, int]] = field(default_factory=dict)
    """By date (YYYYMMDD), the day's volume that the last readable record told."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Frames, or records of (null), by fault."""
    books: int = 0
    expected: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    refused_connections: int = 0
    registered: int = 0
    unregistered: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By code."""
    pong_styles: Counter[str] = field(default_factory=Counter)
    pings: int = 0
    samples: list[tuple[str, str, int, int]] = field(default_factory=list)
    """(TR, code, the day's volume after it, UTC microseconds) of some trades."""
    most_registrations: int = 0

    def as_json(self) -> dict[str, Any]:
        """The same for a file, without the samples; keys of two parts are joined by a blank."""
        return {name: _flat(value) for name, value in vars(self).items() if name != "samples"}


def _flat(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {" ".join(key) if isinstance(key, tuple) else key: one for key, one in value.items()}
