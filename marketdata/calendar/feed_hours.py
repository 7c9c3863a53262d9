"""Which hours of a market a feed has, and how long it may be silent in them: the one definition for the page, alerts
and metrics. Feeds that nobody knows the hours of are never called late."""

from __future__ import annotations

import datetime

from marketdata.calendar.trading_calendar import Calendar, Session

MARKET = "KRX"  # whose calendar has the hours of these feeds
VENUES: dict[str, str | None] = {"krx": "KRX", "nxt": "NXT", "unified": None}
"""The feeds that tell of everything at a venue of the calendar; None is any of them."""
BY_NIGHT = frozenset({"kis_night"})
"""Feeds of symbols that trade by day as well, told while their market is closed. Hours of the night are in no file."""
CHOSEN_S = 300.0
"""Feeds that are not a venue's own have what somebody chose of it, so they may be silent for longer."""


def venue_of(feed: str, market: str) -> str | None:
    """The venue of a market's calendar whose hours a feed has; None is any. Feeds of no venue have those of the
    market's own."""
    return VENUES.get(feed, market) if market == MARKET else market


def are_known(calendar: Calendar, feed: str) -> bool:
    """Whether anybody knows when trades of a market may come by a feed; where nobody does, silence says nothing."""
    return feed not in BY_NIGHT and calendar.hours_known


def continuous_hours(calendar: Calendar, feed: str, date: datetime.date) -> list[tuple[int, int]]:
    """The stretches [start_us, end_us) of a date in which a trade of the feed may come at any moment; none where its
    hours are not known."""
    if not are_known(calendar, feed):
        return []
    return calendar.continuous_hours(date, venue_of(feed, calendar.market))


def stretches(calendar: Calendar, feed: str, time_us: int) -> list[tuple[int, int]]:
    """The `continuous_hours` of the date of a moment; where trading went on over the end of the date before, from the
    beginning of that one: a market that never closes is not silent anew each day."""
    date = calendar.trade_date(time_us)
    before, found = (continuous_hours(calendar, feed, one) for one in (date - datetime.timedelta(days=1), date))
    if before and found and before[-1][1] == found[0][0]:
        found[0] = before[-1][0], found[0][1]
    return found


def longest_silence_s(calendar: Calendar, feed: str, time_us: int) -> float | None:
    """From how many seconds without a trade of this market on something is wrong with a feed at that moment; None while
    nothing is to be expected of it, or not known to be. A feed that is not a venue's own need not have trades of before
    and after the regular session."""
    if feed in BY_NIGHT:
        return None
    if feed in VENUES:
        return calendar.longest_silence_s(time_us, VENUES[feed]) if calendar.market == MARKET else None
    limit = calendar.longest_silence_s(time_us, calendar.market, sessions=(Session.REGULAR,))
    return None if limit is None else max(limit, CHOSEN_S)
