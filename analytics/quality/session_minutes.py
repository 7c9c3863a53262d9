"""What is missing of a session's minutes: which of them have a tick, and whether silence is longer than chance allows.

A share that seldom trades has few minutes with a tick, and that is no fault of whoever collects it. So silence counts
as lost only if it is too long for this very series: were a minute without a tick as usual as on its own usual days (and
as usual as in the rest of this day, if that is less busy), a silence of this length would come once in a million.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from marketdata.calendar.trading_calendar import Calendar, Session
from marketdata.types.tick_arrays import Int64, Mask
from marketdata.types.units import MINUTE_US

CHANCE = 1e-6
"""Of a silence, from which on it is none."""
EVIDENCE = 30
"""Minutes from which the rest of a day says how busy it is."""
BUSIEST = 0.999
"""The greatest share of minutes with a tick that is believed of anything."""
PARTS = tuple(Session)
Int8 = npt.NDArray[np.int8]
NONE = -1


class State(IntEnum):
    """Of a minute."""

    OFF = 0  # no continuous trading, or before anything is known of the series
    AHEAD = 1  # not over yet
    PRESENT = 2
    QUIET = 3  # no tick, which is usual
    HALTED = 4
    GAP = 5  # no tick, and something is known to be missing
    MISSING = 6  # no tick for longer than is usual


@dataclass(frozen=True, slots=True)
class Minutes:
    """The minutes from `start_us` on, one after another: to which part of PARTS each belongs, NONE to none."""

    start_us: int
    part: Int8

    def __len__(self) -> int:
        return len(self.part)

    def places(self, times_us: Int64) -> Int64:
        """The indices of the minutes that times (microseconds UTC) lie in, as they come; those outside are left out."""
        places = (times_us - self.start_us) // MINUTE_US
        inside: Int64 = places[(places >= 0) & (places < len(self.part))]
        return inside

    def covered(self, stretches: Sequence[tuple[int, int]]) -> Mask:
        """A mask of the minutes that any of these stretches (from, to; both included, microseconds UTC) touches."""
        found = np.zeros(len(self.part), np.bool_)
        for from_us, to_us in stretches:
            first, last = (from_us - self.start_us) // MINUTE_US, (to_us - self.start_us) // MINUTE_US
            if last >= 0:
                found[max(first, 0) : last + 1] = True
        return found


def of_session(calendar: Calendar, date: datetime.date, venue: str | None, *, always: bool = False) -> Minutes:
    """The minutes of continuous trading of a trading date at a venue (None: at any), with those between; empty on a
    closed day and where the market's hours are not known. `always` is of a market that never closes."""
    spans = [
        (one.start_us // MINUTE_US, -(-one.end_us // MINUTE_US), one.session)
        for one in calendar.phases(date, venue)
        if one.continuous
    ]
    if not spans and always and not calendar.base.hours:
        whole = calendar.trading_hours(date, None)
        spans = [(start // MINUTE_US, -(-end // MINUTE_US), Session.REGULAR) for start, end in whole]
    if not spans:
        return Minutes(0, np.zeros(0, np.int8))
    first, last = min(one[0] for one in spans), max(one[1] for one in spans)
    part = np.full(last - first, NONE, np.int8)
    for start, end, session in sorted(spans, key=lambda one: one[2] is Session.REGULAR):
        part[start - first : end - first] = PARTS.index(session)
    return Minutes(first * MINUTE_US, part)


def judge(
    minutes: Minutes,
    present: Mask,
    *,
    gap: Mask,
    halted: Mask,
    until_us: int,
    usual: Mapping[int, float],
) -> Int8:
    """The `State` of each minute. `until_us` is up to when everything has come; `usual` the share of minutes with a
    tick on usual days by part, without those of which nothing is known."""
    count = len(minutes)
    session = minutes.part != NONE
    over = np.arange(count) < (until_us - minutes.start_us) // MINUTE_US
    states = np.full(count, State.OFF, np.int8)
    states[session & ~over] = State.AHEAD
    silent = session & over & ~present
    states[silent] = State.QUIET
    for part in set(minutes.part.tolist()) - {NONE}:
        mine = minutes.part == part
        _judge_part(states, mine & over, present, mine & silent & ~gap & ~halted, usual.get(part))
    states[silent & gap] = State.GAP
    states[silent & halted] = State.HALTED
    states[present] = State.PRESENT
    return states


def _judge_part(states: Int8, mine: Mask, present: Mask, silent: Mask, usual: float | None) -> None:
    """Mark what is missing of one part of the day."""
    known = mine & (present | silent)
    if usual is None:  # expected from when it was first heard of
        heard = np.flatnonzero(present)
        begins = int(heard[0]) if len(heard) else len(states)
        before = silent & (np.arange(len(states)) < begins)
        states[before] = State.OFF
        known &= ~before
        silent = silent & ~before
    places = np.flatnonzero(silent)
    if not len(places):
        return
    ticked = int((mine & present).sum())
    total = int(known.sum())
    # Silent minutes with the same number of minutes with a tick before them are one silence.
    group = np.cumsum(mine & present)[places]
    for run in np.split(places, np.flatnonzero(np.diff(group)) + 1):
        share = _share(usual, ticked, total - len(run))
        if share > 0 and len(run) * math.log1p(-min(share, BUSIEST)) < math.log(CHANCE):
            states[run] = State.MISSING


def _share(usual: float | None, ticked: int, rest: int) -> float:
    """How usual a minute with a tick is: on usual days, and in the rest of the day if that is long enough."""
    if rest < EVIDENCE:
        return 0.0 if usual is None else usual
    now = ticked / (rest + 1)  # one more, for what has not happened yet may happen
    return now if usual is None else min(usual, now)


def counts(minutes: Minutes, states: Int8) -> dict[str, list[int]]:
    """By part: (minutes with a tick, minutes that could have had one: over, not halted and known)."""
    found = {}
    for place, part in enumerate(PARTS):
        mine = states[minutes.part == place]
        ticked = int((mine == State.PRESENT).sum())
        judged = int(((mine >= State.PRESENT) & (mine != State.HALTED)).sum())
        if judged:
            found[part.value] = [ticked, judged]
    return found


def usual_shares(days: Sequence[Mapping[str, Sequence[int]]], *, least: int = 3) -> dict[int, float]:
    """By part: the median share of minutes with a tick of these days (`counts`); at least so many, or none."""
    found = {}
    for place, part in enumerate(PARTS):
        shares = [
            ticked / judged for ticked, judged in (one[part.value] for one in days if part.value in one) if judged
        ]
        if len(shares) >= least:
            found[place] = float(np.median(shares))
    return found
