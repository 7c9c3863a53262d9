"""When no market of ours trades or takes orders: the moments for work that holds up whoever writes."""

from __future__ import annotations

import datetime

from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Calendar
from marketdata.models import Market
from marketdata.types.units import HOUR_US, MINUTE_US, microseconds

BEFORE_US, AFTER_US = HOUR_US, 30 * MINUTE_US
"""So long before a phase begins, and after one ended, it is not quiet: what was begun should be done by then, and what
came late is still being stored."""


def is_quiet(now: datetime.datetime) -> bool:
    """Whether nothing is held at any venue, nor was AFTER_US ago, nor will be in BEFORE_US. On an ordinary trading day
    of Seoul that is before 07:00 and from 20:30 on. Markets whose hours nobody knows, or that never close, leave no
    such moment and are not asked."""
    now_us = microseconds(now)
    calendars = (trading_dates.calendar(market) for market in Market.objects.values_list("code", flat=True))
    return not any(_is_held(calendar, now_us) for calendar in calendars)


def _is_held(calendar: Calendar, now_us: int) -> bool:
    dates = {calendar.trade_date(at_us) for at_us in (now_us - AFTER_US, now_us + BEFORE_US)}
    return any(
        span.start_us - BEFORE_US <= now_us < span.end_us + AFTER_US for date in dates for span in calendar.phases(date)
    )
