"""Whether a rule fires: what was measured beside its level, with the state of its episode. Pure; the time is an
argument.

An episode begins when the condition comes to be true, which fires, and is over once the value is back by more than the
band. No other may begin before the pause after an alert is over; one whose condition is true then begins then.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgpack

from analytics.alerts.judging.conditions import Direction


@dataclass(frozen=True, slots=True)
class Measured:
    """The last value since the look before, and the extremes, in the units of the level."""

    last: int
    high: int
    low: int


@dataclass(frozen=True, slots=True)
class State:
    """Of a rule and a symbol. `episode` counts those that began, `is_open` says whether the newest is not over; of a
    crossing `is_open` is on which side the value is, None while that is not known."""

    episode: int = 0
    is_open: bool | None = None
    fired_us: int = 0


ARMED = State()


@dataclass(frozen=True, slots=True)
class Step:
    """What a look brings: the state after it, episodes that began and are over, and until when (microseconds) one that
    is true has to wait."""

    state: State
    began: tuple[int, ...] = ()
    over: tuple[int, ...] = ()
    waits_until_us: int | None = None


def judge(
    direction: Direction, level: int, band: int, state: State, seen: Measured, *, now_us: int, pause_us: int
) -> Step:
    """One look at a value. A value that is beyond the level and back within one look begins an episode and ends it."""
    if state.fired_us > now_us:  # the clock went back: a pause is no longer for that
        state = replace(state, fired_us=now_us)
    if direction is Direction.CROSSING:
        return _crossing(level, band, state, seen, now_us=now_us, pause_us=pause_us)
    if direction is Direction.BELOW:
        level, seen = -level, Measured(-seen.last, -seen.low, -seen.high)
    over: tuple[int, ...] = ()
    high = seen.high
    if state.is_open:
        if seen.low >= level - band:
            return Step(state)
        state, over, high = replace(state, is_open=False), (state.episode,), seen.last
    if high < level:
        return Step(state, over=over)
    if now_us < state.fired_us + pause_us and state.episode:
        return Step(state, over=over, waits_until_us=state.fired_us + pause_us if seen.last >= level else None)
    state = State(state.episode + 1, True, now_us)
    began = (state.episode,)
    if seen.last < level - band:
        return Step(replace(state, is_open=False), began, (*over, state.episode))
    return Step(state, began, over)


def _crossing(level: int, band: int, state: State, seen: Measured, *, now_us: int, pause_us: int) -> Step:
    """From either side to the other. The first look only tells on which side the value is."""
    if state.is_open is None:
        return Step(replace(state, is_open=seen.last >= level))
    crossed = seen.low < level - band if state.is_open else seen.high >= level + band
    if not crossed:
        return Step(state)
    above = seen.last >= level
    if now_us < state.fired_us + pause_us and state.episode:
        return Step(replace(state, is_open=above))  # what happens within the pause is not told afterwards
    episode = state.episode + 1
    return Step(State(episode, above, now_us), (episode,), (episode,))


def is_quiet(start: datetime.time | None, end: datetime.time | None, at: datetime.time) -> bool:
    """Whether a time of day lies in quiet hours, which may go across midnight: start is in them, end is not."""
    if start is None or end is None or start == end:
        return False
    return start <= at < end if start < end else at >= start or at < end


def quiet_s(start: datetime.time | None, end: datetime.time | None, at: datetime.time) -> float:
    """For how many seconds of a day of 24 hours quiet hours still last, 0 outside of them."""
    if end is None or not is_quiet(start, end, at):
        return 0.0
    ends, now = (datetime.datetime.combine(datetime.date.min, one) for one in (end, at))
    return (ends - now).total_seconds() % 86_400


def pack(state: State) -> bytes:
    """A state as Redis keeps it."""
    packed: bytes = msgpack.packb([state.episode, state.is_open, state.fired_us])
    return packed


def unpack(data: bytes | None) -> State:
    """The state that was packed; ARMED for none."""
    if data is None:
        return ARMED
    fields: Sequence[object] = msgpack.unpackb(data)
    episode, is_open, fired_us = fields[:3]
    return State(int(str(episode)), None if is_open is None else bool(is_open), int(str(fired_us)))
