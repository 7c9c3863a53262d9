"""A compressed day of KIS: how many records, how fast the day goes by, and what goes wrong when."""

from __future__ import annotations

from typing import Any

TRADES = 1_200_000
TRADES_PER_S = 4_000
QUIET_TRADES_PER_S, QUIET_S = 1_200, 20
"""Before the day proper: a steady stream without a fault of the WebSocket, at which the latency of an ordinary load is
measured."""
QUIET_TRADES = QUIET_TRADES_PER_S * QUIET_S
SYMBOLS = 200
APPKEYS = 11
BOOK_SHARE = 0.2
"""Of the trades of a stock whose book is registered."""
REST_FAULTS = {"quota": 0.004, "server": 0.002, "html": 0.002, "hang": 0.0005, "slow": 0.002, "reset": 0.002}
"""Chances of a call."""
SESSION_S = 6.5 * 3600
START = "2026-11-20T09:00:00"
"""A trading day of the past; the opening of the regular session."""
END = "2026-11-20T15:29:59"
"""Its clock stands still then: what is missing behind a stock's last trade of a day no later day shows."""

# (share of the day's trades after which it happens, fault, arguments): tests/simulators/kis/script.py has the words.
SCRIPT: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (0.0005, "burst", {"count": 2_000}),
    (0.02, "empty", {"count": 50}),
    (0.04, "nonsense", {"count": 50}),
    (0.05, "width", {"kind": "CNT0", "width": 46}),
    (0.06, "width", {"kind": "ASP0", "width": 59}),
    (0.08, "drop", {"count": 300}),
    (0.10, "expected", {"count": 200}),
    (0.12, "width", {"kind": "CNT0", "width": 48}),
    (0.13, "width", {"kind": "ASP0", "width": 64}),
    (0.15, "wrong_count", {"count": 20}),
    (0.18, "bytes", {"count": 20}),
    (0.20, "null", {"count": 20}),
    (0.22, "no_code", {"count": 10}),
    (0.24, "short", {"count": 10}),
    (0.26, "width", {"kind": "CNT0", "width": 47}),
    (0.27, "width", {"kind": "ASP0", "width": 62}),
    (0.30, "repeat", {"count": 100}),
    (0.33, "garbage", {}),
    (0.34, "not_text", {}),
    (0.35, "unknown_tr", {}),
    (0.38, "halt", {"count": 50}),
    (0.42, "silence", {"seconds": 2.0}),
    (0.48, "skew", {"seconds": 90}),
    (0.52, "skew", {"seconds": -90}),
    (0.56, "late_answers", {"count": 5}),
    (0.57, "cut", {}),
    (0.64, "drop", {"count": 300}),
    (0.68, "lose_answers", {"count": 5}),
    (0.69, "refuse", {"count": 2}),
    (0.70, "close", {}),
    (0.78, "half_open", {"seconds": 2.0}),
    (0.84, "width", {"kind": "ASP0", "width": 63}),
    (0.90, "burst", {"count": 5_000}),
)


def script(trades: int, *, after: int = 0) -> list[dict[str, Any]]:
    """The steps of a day of so many trades, which begins after so many others, as the simulator reads them."""
    return [{"after": after + int(trades * share), "fault": fault, **arguments} for share, fault, arguments in SCRIPT]
