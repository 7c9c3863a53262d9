"""Volume by the time of day, over several days, and how a day compares with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketdata.types.tick_arrays import Int64
from marketdata.types.units import MINUTE_US

Float64 = npt.NDArray[np.float64]


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


def recent_ratios(profile: Profile, time_us: Int64, volume: Int64, days: int, most: int) -> Float64:
    """The volume of the newest 1, 2, … `most` minutes of a day, with that of its last candle, each by the mean of the
    profile in the same minutes. Candles are in order, times and volumes as those of `build`. NaN if the profile
    has fewer than `days` days, or nothing traded on them in those minutes."""
    ratios = np.full(most, np.nan)
    if profile.days < days or not len(time_us):
        return ratios
    last = int(time_us[-1])
    begins = last - MINUTE_US * np.arange(most)
    usual = _between(profile.time_us, np.append(0, profile.volume), begins, last)
    traded = _between(time_us, np.append(0, np.cumsum(volume)), begins, last)
    np.divide(traded * profile.days, usual, out=ratios, where=usual > 0)
    return ratios


def _between(times: Int64, up_to: Int64, begins: Int64, last: int) -> Int64:
    """Of sums up to and with each of these times, 0 first: what each stretch from `begins` to `last` adds."""
    found: Int64 = up_to[np.searchsorted(times, last, side="right")] - up_to[np.searchsorted(times, begins)]
    return found
