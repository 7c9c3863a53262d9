"""When records are to be expected of a feed, and how much silence is too much. Data with dates, in Seoul time.
A terminal knows no holidays: silence is told, and answered with one new connection, never with a loop of them.
"""

import datetime
from dataclasses import dataclass
from typing import Final

from terminals.sources.kis import korean_time
from terminals.sources.kis.layouts import KRX, NXT, UNIFIED

_EPOCH: Final = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Phase:
    """From `start` to `end` (HH:MM:SS) of each weekday since `since`, silence of `silence_s` is too long."""

    feed: str
    name: str
    start: str
    end: str
    since: str
    silence_s: float


# KRX has its after-market since 2026-09-14; NXT trades since 2025-03-04 (docs/calendar.md has the sources). In the last
# ten minutes of the regular session and in a volatility interruption nothing trades.
PHASES: Final = (
    Phase(KRX, "regular", "09:00:00", "15:20:00", "2016-08-01", 120.0),
    Phase(KRX, "after_market", "16:00:00", "20:00:00", "2026-09-14", 600.0),
    Phase(NXT, "pre_market", "08:00:00", "08:50:00", "2025-03-04", 300.0),
    Phase(NXT, "main", "09:00:30", "15:20:00", "2025-03-04", 120.0),
    Phase(NXT, "after_market", "15:40:00", "20:00:00", "2025-03-04", 600.0),
    Phase(UNIFIED, "pre_market", "08:00:00", "08:50:00", "2025-03-04", 300.0),
    Phase(UNIFIED, "regular", "09:00:00", "15:20:00", "2025-03-04", 120.0),
    Phase(UNIFIED, "after_market", "15:40:00", "20:00:00", "2025-03-04", 600.0),
)


def expected(feeds: frozenset[str], now_us: int) -> Phase | None:
    """The phase in which silence of all these feeds is soonest too long, if any trades now; of a feed that is not in
    the table nothing is expected."""
    date = _EPOCH + datetime.timedelta(days=korean_time.date_of(now_us))
    if date.weekday() >= 5:
        return None
    seconds = korean_time.time_of_day_s(now_us)
    open_now = [
        one
        for one in PHASES
        if one.feed in feeds
        and datetime.date.fromisoformat(one.since) <= date
        and _seconds(one.start) <= seconds < _seconds(one.end)
    ]
    return min(open_now, key=lambda one: one.silence_s, default=None)


def began_s_ago(phase: Phase, now_us: int) -> float:
    """How long the phase has been going on: what was silent before it says nothing."""
    return float(korean_time.time_of_day_s(now_us) - _seconds(phase.start))


def _seconds(text: str) -> int:
    return sum(int(part) * unit for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True))
