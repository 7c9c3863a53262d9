"""The clock and the trading days of a market, in the dialect's shape."""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.rest import errors, feeds, jsontext, response_schemas
from api.rest.queries import CalendarQuery, ClockQuery
from marketdata.calendar import feed_hours, trading_dates
from marketdata.calendar.trading_calendar import Calendar

MARKET = "KRX"


def of(query: dict[str, Any]) -> Calendar:
    """The calendar asked for. UnknownMarket if there is no such market."""
    market = query.get("market") or MARKET
    try:
        return trading_dates.calendar(market)
    except LookupError as error:
        raise errors.UnknownMarket(_("there is no market {market}").format(market=market)) from error


def day(calendar: Calendar, date: datetime.date) -> dict[str, Any] | None:
    """A trading day as the dialect tells it, in the market's local time, and its instants; None if nothing trades."""
    session, regular = calendar.trading_times(date), calendar.regular_times(date)
    if session is None:
        return None
    opens, closes = regular or session
    known = calendar.day(date)
    return {
        "date": date.isoformat(),
        "open": calendar.local(opens).strftime("%H:%M"),
        "close": calendar.local(closes).strftime("%H:%M"),
        "session_open": calendar.local(session[0]).strftime("%H%M"),
        "session_close": calendar.local(session[1]).strftime("%H%M"),
        "open_at": jsontext.time(opens),
        "close_at": jsontext.time(closes),
        "certain": known.certain,
        "reason": known.reason,
    }


def clock(calendar: Calendar, feed: str | None, now_us: int) -> dict[str, Any]:
    """What the clock says at that moment: of the market's regular session, and of the phases of the venue that the feed
    is of. Without a feed the phases are those of the market's own venue, and trading is that of any."""
    venue = calendar.market if feed is None else feed_hours.venue_of(feed, calendar.market)
    traded_at = None if feed is None else venue
    continuous, silence_s = _expected(calendar, feed, now_us)
    opens, closes = calendar.next_regular(now_us)
    phase = calendar.phase_at(now_us, venue)
    is_open = opens <= now_us
    change = calendar.next_phase(now_us, venue)
    following = change and change[1]
    return {
        "timestamp": jsontext.time(now_us),
        "is_open": is_open,
        "next_open": jsontext.time(calendar.next_regular(closes)[0] if is_open else opens),
        "next_close": jsontext.time(closes),
        "market": calendar.market,
        "venue": venue,
        "phase": None if phase is None else phase.phase,
        "trading": calendar.is_open(now_us, traded_at),
        "continuous": continuous,
        "silence_s": silence_s,
        "next_phase": None if following is None else following.phase,
        "next_phase_at": None if change is None else jsontext.time(change[0]),
    }


def _expected(calendar: Calendar, feed: str | None, now_us: int) -> tuple[bool, float | None]:
    """Whether trades may come at any moment now, and from how many seconds without one on that is no accident."""
    if feed is None:
        return calendar.is_continuous(now_us), calendar.longest_silence_s(now_us)
    hours = feed_hours.continuous_hours(calendar, feed, calendar.trade_date(now_us))
    continuous = any(start <= now_us < end for start, end in hours)
    return continuous, feed_hours.longest_silence_s(calendar, feed, now_us)


class ClockView(APIView):
    """Whether a market is open now, and when it opens and closes next."""

    @extend_schema(
        operation_id="clock", parameters=[ClockQuery],
        responses={200: response_schemas.Clock, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """UnknownFeed where there is no such feed."""
        query = ClockQuery.read(request)
        feed = feeds.resolve(query["feed"]) if query.get("feed") else None
        return Response(clock(of(query), feed, time.time_ns() // 1000))


class CalendarView(APIView):
    """The trading days of a market, oldest first."""

    @extend_schema(
        operation_id="calendar", parameters=[CalendarQuery],
        responses={200: response_schemas.CalendarDay(many=True), "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = CalendarQuery.read(request)
        calendar = of(query)
        today = calendar.trade_date(time.time_ns() // 1000)
        start = query.get("start") or datetime.date((query.get("end") or today).year, 1, 1)
        end = query.get("end") or datetime.date(start.year, 12, 31)
        days = (day(calendar, date) for date in calendar.sessions(start, end))
        return Response([shown for shown in days if shown is not None])
