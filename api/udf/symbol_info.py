"""What a charting library has to know of a symbol: hours, holidays, how many decimals. Facts of the fields:
TradingView's *Symbology* and *Trading sessions* pages (charting_library_docs, 2025-06)."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from marketdata.calendar import trading_dates
from marketdata.calendar.feed_hours import VENUES
from marketdata.calendar.trading_calendar import Calendar
from marketdata.models import Market, Symbol
from marketdata.types.categories import FUNDS, KRX_SHARES
from terminals import wire

RESOLUTIONS = {
    **{str(minutes): f"{minutes}Min" for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 45)},
    **{str(60 * hours): f"{hours}Hour" for hours in (1, 2, 3, 4, 6, 12)},
    **{word: name for unit, name in (("D", "1Day"), ("W", "1Week"), ("M", "1Month")) for word in (unit, f"1{unit}")},
    **{f"{months}M": f"{months}Month" for months in (2, 3, 4, 6, 12)},
}
"""Our timeframe by the library's resolution, which are minutes or end with D, W or M; `D` is also written `1D`."""
SUPPORTED = [name for name in RESOLUTIONS if not name.isalpha()]
TYPES = {
    "stock": (),
    "index": ("index",),
    "futures": ("futures",),
    "option": ("options", "elw"),
    "fund": ("etf", "etn"),
}
"""The library's symbol types, and our categories of each; a stock is what is nothing else."""
_WHOLE_UNITS = ("", *KRX_SHARES, *FUNDS)
_WEEK = 7


def type_of(category: str) -> str:
    """The library's type of a category."""
    return next((name for name, of in TYPES.items() if category in of), "stock")


def of_type(kind: str) -> QuerySet[Symbol]:
    """The symbols of one of the library's types."""
    others = [word for of in TYPES.values() for word in of]
    if TYPES[kind]:
        return Symbol.objects.filter(category__in=TYPES[kind])
    return Symbol.objects.exclude(category__in=others)


def hours(market: Market, feed: str, now: datetime.datetime) -> dict[str, str]:
    """When a market is open on a feed's venue, as `/symbols` tells it: the same for all its symbols."""
    return _hours(trading_dates.calendar(market.code), market, VENUES.get(feed), now.date())


@functools.lru_cache(maxsize=64)
def _hours(calendar: Calendar, market: Market, venue: str | None, today: datetime.date) -> dict[str, str]:
    """Kept as long as the calendar is the same, which is another object once anything of it or its market was
    changed."""
    return {
        "session": session(calendar, market, venue, _ordinary(calendar, today)),
        "session_holidays": holidays(calendar),
        "corrections": corrections(calendar, market, venue),
    }


def described(symbol: Symbol, feed: str, price: int | None, open_at: dict[str, str]) -> dict[str, Any]:
    """A symbol as `/symbols` answers. `price`, in 1e-8, is its latest one: where it has more decimals than are usual
    for its kind, so has the chart. `open_at` are the `hours` of its market and feed."""
    market = symbol.market
    return {
        "name": symbol.code,
        "ticker": symbol.code,
        "full_name": f"{market.code}:{symbol.code}",
        "description": symbol.name or symbol.name_en or symbol.code,
        "type": type_of(symbol.category),
        "exchange": VENUES.get(feed) or market.code,
        "listed_exchange": market.code,
        "timezone": market.timezone,
        "minmov": 1,
        "pricescale": 10 ** decimals(symbol, price),
        **open_at,
        "has_intraday": True,
        "intraday_multipliers": ["1"],
        "has_daily": True,
        "has_weekly_and_monthly": True,
        "supported_resolutions": SUPPORTED,
        "volume_precision": 0 if symbol.category in _WHOLE_UNITS and market.timezone == "Asia/Seoul" else 4,
        "data_status": "streaming",
        "format": "price",
        "currency_code": "KRW" if market.timezone == "Asia/Seoul" else "USD",
        "expired": symbol.delisted_on is not None,
    }


def decimals(symbol: Symbol, price: int | None) -> int:
    """How many decimals prices are shown with: none for Korean stocks, else two, and as many as the price has."""
    usual = 0 if symbol.market.timezone == "Asia/Seoul" and symbol.category in _WHOLE_UNITS else 2
    if price is None:
        return usual
    needed = wire.PRICE_SCALE
    while needed > usual and price % 10 ** (wire.PRICE_SCALE - needed + 1) == 0:
        needed -= 1
    return needed


def session(calendar: Calendar, market: Market, venue: str | None, date: datetime.date) -> str:
    """The hours in which trades are printed on an open date: `0900-1533,1540-2000`, in the market's time zone."""
    if not calendar.base.hours:
        if market.open_on_weekends:
            return "24x7"
        start = datetime.timedelta(days=1) - datetime.timedelta(seconds=market.trade_date_shift_s)
        text = _clock(start % datetime.timedelta(days=1))
        return f"{text}-{text}"  # one that does not end after it began began the evening before
    return ",".join(
        f"{_clock_us(calendar, start_us)}-{_clock_us(calendar, end_us)}"
        for start_us, end_us in calendar.trading_hours(date, venue)
    )


def holidays(calendar: Calendar) -> str:
    """The weekdays of the known years on which the market is closed: `20261225,20261231`."""
    return ",".join(
        date.strftime("%Y%m%d")
        for date in _known_dates(calendar)
        if date.weekday() < 5 and not calendar.is_session(date)
    )


def corrections(calendar: Calendar, market: Market, venue: str | None) -> str:
    """The dates with hours of their own, by their hours: `1000-1633:20261119;…`."""
    dates: dict[str, list[str]] = {}
    for date in _known_dates(calendar):
        if calendar.day(date).is_shifted:
            dates.setdefault(session(calendar, market, venue, date), []).append(date.strftime("%Y%m%d"))
    return ";".join(f"{hours}:{','.join(of)}" for hours, of in dates.items() if hours)


def _known_dates(calendar: Calendar) -> Sequence[datetime.date]:
    return sorted(calendar.base.days.keys() | calendar.overrides.keys())


def _ordinary(calendar: Calendar, today: datetime.date) -> datetime.date:
    """The next trading day, from today on, with the usual hours."""
    date = today
    for _ in range(2 * _WEEK):
        if calendar.is_session(date) and not calendar.day(date).is_shifted:
            return date
        date += datetime.timedelta(days=1)
    return today


def _clock(of_day: datetime.timedelta) -> str:
    minutes = of_day // datetime.timedelta(minutes=1)
    return f"{minutes // 60:02d}{minutes % 60:02d}"


def _clock_us(calendar: Calendar, time_us: int) -> str:
    """A time on the market's wall, in whole minutes: a beginning within a minute counts as its start."""
    return calendar.local(time_us).strftime("%H%M")
