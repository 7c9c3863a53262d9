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

from api.rest import errors, jsontext, response_schemas
from api.rest.queries import CalendarQuery, ClockQuery
from marketdata.calendar import trading_dates
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


class ClockView(APIView):
    """Whether a market is open now, and when it opens and closes next; `is_open` is of the regular session."""

    @extend_schema(
        operation_id="clock", parameters=[ClockQuery],
        responses={200: response_schemas.Clock, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        calendar, now_us = of(ClockQuery.read(request)), time.time_ns() // 1000
        opens, closes = calendar.next_regular(now_us)
        phase = calendar.phase_at(now_us)
        is_open = opens <= now_us
        change = calendar.next_phase(now_us)
        following = change and change[1]
        return Response(
            {
                "timestamp": jsontext.time(now_us),
                "is_open": is_open,
                "next_open": jsontext.time(calendar.next_regular(closes)[0] if is_open else opens),
                "next_close": jsontext.time(closes),
                "market": calendar.market,
                "phase": None if phase is None else phase.phase,
                "trading": calendar.is_open(now_us),
                "next_phase": None if following is None else following.phase,
                "next_phase_at": None if change is None else jsontext.time(change[0]),
            }
        )


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
