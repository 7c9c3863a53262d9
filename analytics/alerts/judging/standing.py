"""What is measured for rules that no commit brings: silence of a market that is open, absence of a terminal, alarms.
Times are microseconds and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from analytics.alerts.judging.episodes import Measured, State


def silence_s(last_us: int | None, stretches: Sequence[tuple[int, int]], now_us: int) -> int:
    """For how many whole seconds nothing came although trading goes on: since the last trade, or since the stretch
    [start, end) of trading began. 0 outside of all of them: a closed market is not silent."""
    for start_us, end_us in stretches:
        if start_us <= now_us < end_us:
            since_us = start_us if last_us is None else max(start_us, last_us)
            return max(0, now_us - since_us) // 1_000_000
    return 0


def absence(since_us: int | None, level_s: int, state: State, now_us: int) -> Measured:
    """Seconds since something was there, `since_us` as far as that is known, None for what is there. What was told as
    absent stays so when since when is not known any more."""
    if since_us is None:
        return Measured(0, 0, 0)
    seconds = max(0, now_us - since_us) // 1_000_000
    if state.is_open:
        seconds = max(seconds, level_s)
    return Measured(seconds, seconds, seconds)


def alarm(raised_us: int, *, is_active: bool, state: State, changed_us: int) -> Measured:
    """1 while it is so, 0 otherwise; with the extremes of what came and went since the rule last fired, or was made."""
    is_new = raised_us > max(state.fired_us, changed_us)
    active = int(is_active)
    return Measured(active, 1 if is_active or is_new else 0, 0 if is_new or not is_active else 1)
