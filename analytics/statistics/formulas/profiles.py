"""Volume by the time of day, over several days, and how a day compares with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketdata.types.tick_arrays import Int64


@dataclass(frozen=True, slots=True)
class Profile:
    """How much traded over `days` days up to each of these times of the day together: microseconds since the local
    midnight of the trading date, in order, and volume in 1e-6."""

    days: int
    time_us: Int64
    volume: Int64


def build(time_us: Int64, volume: Int64, days: int) -> Profile:
    """From the candles of `days` days in any order, an element each: when it began, in microseconds since its day's
    midnight, and its volume in 1e-6."""
    times, place = np.unique(time_us, return_inverse=True)
    volumes = np.zeros(len(times), np.int64)
    np.add.at(volumes, place, volume)
    return Profile(days, times, np.cumsum(volumes))


def ratio(profile: Profile, time_us: int, volume: int, days: int) -> float:
    """The volume of a day up to and with the minute that began at a time of the day, by the mean of the profile up to
    it. NaN if the profile has fewer than `days` days, or nothing traded on them by then."""
    place = int(np.searchsorted(profile.time_us, time_us, side="right"))
    if profile.days < days or place == 0 or profile.volume[place - 1] == 0:
        return float("nan")
    return volume * profile.days / int(profile.volume[place - 1])
