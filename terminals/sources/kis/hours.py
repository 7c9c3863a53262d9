"""When records are to be expected of a feed, and how much silence is too much. Data with dates, in Seoul time.

Days that are not ordinary are in `DAYS` and `CLOSED`, as the server's calendar has them (marketdata/calendar/data, with
the sources; a test compares the two). A day that nobody told of is taken for an ordinary one: silence is told, and
answered with one new connection, never with a loop of them.
"""

import datetime
from dataclasses import dataclass
from typing import Final, Literal

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
    start_follows: Literal["opening", "closing"] = "opening"
    """Whose shift moves it on a day that begins or ends at another time."""
    end_follows: Literal["opening", "closing", "clock"] = "closing"
    held_when_late: bool = True

    def on(self, date: datetime.date) -> tuple[int, int] | None:
        """From when to when it is held, in seconds since midnight; None if it is not."""
        text = date.isoformat()
        opening, closing = DAYS.get(text, (0, 0))
        if date.weekday() >= 5 or text in CLOSED or text < self.since or (opening > 0 and not self.held_when_late):
            return None
        shifts = {"opening": opening, "closing": closing, "clock": 0}
        start = _seconds(self.start) + 60 * shifts[self.start_follows]
        return start, _seconds(self.end) + 60 * shifts[self.end_follows]


# KRX has its after-market since 2026-09-14; NXT trades since 2025-03-04 (docs/calendar.md has the sources). In the last
# ten minutes of the regular session and in a volatility interruption nothing trades.
PHASES: Final = (
    Phase(KRX, "regular", "09:00:00", "15:20:00", "2016-08-01", 120.0),
    Phase(KRX, "after_market", "16:00:00", "20:00:00", "2026-09-14", 600.0, "closing", "clock"),
    Phase(NXT, "pre_market", "08:00:00", "08:50:00", "2025-03-04", 300.0, "opening", "opening", held_when_late=False),
    Phase(NXT, "main", "09:00:30", "15:20:00", "2025-03-04", 120.0),
    Phase(NXT, "after_market", "15:40:00", "20:00:00", "2025-03-04", 600.0, "closing", "clock"),
    Phase(
        UNIFIED, "pre_market", "08:00:00", "08:50:00", "2025-03-04", 300.0, "opening", "opening", held_when_late=False
    ),
    Phase(UNIFIED, "regular", "09:00:00", "15:20:00", "2025-03-04", 120.0),
    Phase(UNIFIED, "after_market", "15:40:00", "20:00:00", "2025-03-04", 600.0, "closing", "clock"),
)
DAYS: Final = {
    "2026-11-19": (60, 60),  # the day of the CSAT
    "2027-01-04": (60, 0),  # the first trading day of the year
    "2027-11-18": (60, 60),
}
"""Minutes by which the regular session opens and closes later."""
CLOSED: Final = frozenset(
    {
        "2026-09-24", "2026-09-25", "2026-10-05", "2026-10-09", "2026-12-25", "2026-12-31",
        "2027-01-01", "2027-02-08", "2027-02-09", "2027-03-01", "2027-05-03", "2027-05-05", "2027-05-13", "2027-07-19",
        "2027-08-16", "2027-09-14", "2027-09-15", "2027-09-16", "2027-10-04", "2027-10-11", "2027-12-27", "2027-12-31",
    }
)  # fmt: skip
"""Weekdays on which nothing is traded, from 2026-09-14 on."""


def expected(feeds: frozenset[str], now_us: int) -> Phase | None:
    """The phase in which silence of all these feeds is soonest too long, if any trades now; of a feed that is not in
    the table nothing is expected."""
    seconds = korean_time.time_of_day_s(now_us)
    open_now = [
        one
        for one in PHASES
        if one.feed in feeds and (bounds := one.on(_date(now_us))) is not None and bounds[0] <= seconds < bounds[1]
    ]
    return min(open_now, key=lambda one: one.silence_s, default=None)


def began_s_ago(phase: Phase, now_us: int) -> float:
    """How long the phase has been going on: what was silent before it says nothing."""
    bounds = phase.on(_date(now_us))
    return 0.0 if bounds is None else float(korean_time.time_of_day_s(now_us) - bounds[0])


def _date(now_us: int) -> datetime.date:
    return _EPOCH + datetime.timedelta(days=korean_time.date_of(now_us))


def _seconds(text: str) -> int:
    return sum(int(part) * unit for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True))
