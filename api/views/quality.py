"""How good trading dates are, with grades and why: of a whole date, of a symbol with its minutes, of many series, and
as a map."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When
from django.http import Http404
from django.utils import translation
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.quality import days, grades
from analytics.quality import series as quality_series
from analytics.quality.days import Quality
from analytics.quality.grades import GRADES, Reason
from analytics.quality.series import SeriesDay
from analytics.quality.session_minutes import NONE, State
from api.auth import access
from api.rest import errors, jsontext, paging, response_schemas, series
from api.rest.queries import MOST_QUALITY_DAYS, QualityMapQuery, QualityOfDayQuery, QualityQuery, SymbolQualityQuery
from api.rest.timestamps import parse_day
from api.views import symbols as symbols_view
from api.views.records import number, question, readable
from marketdata.calendar import trading_dates
from marketdata.models import Gap, QualityDay, Symbol
from marketdata.storage import TickKey
from marketdata.types.units import MINUTE_US
from terminals import wire

LETTERS = {
    State.OFF: "-", State.AHEAD: "a", State.PRESENT: "p", State.QUIET: "q", State.HALTED: "h", State.GAP: "g",
    State.MISSING: "m",
}  # fmt: skip
WEIGHTS = {"B": 1, "C": 100, "D": 10_000}
"""What a day counts when series are put in order, the worst first: no number of better days is worse than one worse."""
SHOWN_DAYS = 60


def _day(date: str) -> datetime.date:
    """Http404 where it is none."""
    try:
        return parse_day(date)
    except ValueError as error:
        raise Http404 from error


def _because(found: Sequence[Reason], query: dict[str, Any]) -> list[str]:
    with translation.override(query["lang"]):
        return [one.text for one in found]


def _shown(found: Quality, reasons: Sequence[Reason], query: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": found.date, "symbol": found.symbol or None, "state": found.state, "received": found.received,
        "stored": found.stored, "repeated": found.repeated, "rejected": found.rejected_rows, "reasons": found.rejected,
        "late": found.late, "gaps": found.gaps, "missing": found.missing, "voided": found.voided,
        "cut": found.partial, "grade": grades.grade(reasons), "because": _because(reasons, query),
    }  # fmt: skip


class QualityView(APIView):
    """Of all symbols and feeds, for whoever may read all of them."""

    @extend_schema(
        operation_id="quality", parameters=[QualityOfDayQuery],
        responses={200: response_schemas.Quality, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, date: str) -> Response:
        """Errors: NoData where nothing is known of the date."""
        query = QualityOfDayQuery.read(request)
        access.require([access.ALL_FEEDS])
        day = _day(date)
        try:
            found = days.of_date(day)
        except LookupError as error:
            raise errors.NoData(_("nothing is known of {date}").format(date=day)) from error
        counts = dict(QualityDay.objects.filter(trade_date=day).values_list("grade").annotate(Count("pk")).order_by())
        told = _shown(found, found.reasons(), query)
        return Response({**told, "counts": {grade: counts.get(grade, 0) for grade in GRADES}})


class SymbolQualityView(APIView):
    """Of one symbol, on all feeds, each with its minutes as they are now."""

    @extend_schema(
        operation_id="quality_of_symbol", parameters=[SymbolQualityQuery],
        responses={200: response_schemas.Quality, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request, date: str, symbol: str) -> Response:
        """Errors: NoData where nothing is known of the date, or the symbol had no code then."""
        query = SymbolQualityQuery.read(request)
        one = series.of(symbol, query)
        access.require([access.ALL_FEEDS])
        day = _day(date)
        code = one.code_on(day)
        try:
            if code is None:
                raise LookupError
            found = replace(days.of_symbol(day, code), symbol=symbol)
        except LookupError as error:
            told = _("nothing is known of {symbol} on {date}").format(symbol=symbol, date=day)
            raise errors.NoData(told) from error
        of_feeds, final = quality_series.of_symbol(day, code, time.time_ns() // 1000)
        reasons = list(
            {
                (reason.code, repr(reason.figures)): reason
                for reason in [*found.reasons(), *(reason for feed in of_feeds for reason in feed.reasons())]
                if not (reason.code == "nothing_stored" and any(feed.lost == 0 and feed.session for feed in of_feeds))
            }.values()
        )
        shown = _shown(found, sorted(reasons, key=lambda reason: reason.grade, reverse=True), query)
        return Response({**shown, "feeds": [_detailed(feed, query, feed.feed in final) for feed in of_feeds]})


def _detailed(one: SeriesDay, query: dict[str, Any], final: bool) -> dict[str, Any]:
    row = quality_series.as_row(one, proof="", now=datetime.datetime.now(datetime.UTC))
    return {
        **_row(row, query), "final": final,
        "minutes_from": jsontext.time(one.minutes.start_us) if len(one.minutes) else None,
        "minutes": "".join(LETTERS[State(state)] for state in one.states.tolist()),
        "stretches": _stretches(one), "gap_list": [_gap(gap) for gap in one.gaps],
    }  # fmt: skip


def _stretches(one: SeriesDay) -> list[dict[str, Any]]:
    """Neighbouring minutes of the session without a tick, of the same state."""
    told = np.where((one.minutes.part == NONE) | (one.states == State.PRESENT), State.OFF, one.states)
    edges = np.flatnonzero(np.diff(told, prepend=State.OFF, append=State.OFF)).tolist()
    found = []
    for first, end in pairwise(edges):
        if told[first] != State.OFF:
            from_us, to_us = (one.minutes.start_us + place * MINUTE_US for place in (first, end - 1))
            found.append(
                {
                    "state": State(int(told[first])).name.lower(), "from": jsontext.time(from_us),
                    "to": jsontext.time(to_us), "minutes": end - first,
                }
            )  # fmt: skip
    return found


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "i": gap.pk, "S": gap.symbol, "from": jsontext.time(gap.from_us), "to": jsontext.time(gap.to_us),
        "rows": gap.rows, "missing": number(gap.missing, wire.SIZE_SCALE), "reason": gap.reason,
    }  # fmt: skip


def _row(one: QualityDay, query: dict[str, Any]) -> dict[str, Any]:
    figures = one.figures
    return {
        "date": one.trade_date, "symbol": one.symbol, "feed": one.feed, "market": one.market, "grade": one.grade,
        "because": _because(grades.from_json(figures["reasons"]), query), "final": bool(one.proof),
        "received": one.received, "stored": one.stored, "repeated": one.repeated, "rejected": one.rejected,
        "reasons": figures["refused"], "late": one.late, "voided": one.voided, "gaps": one.gaps,
        "missing": one.missing, "missing_volume": number(figures["missing_volume"], wire.SIZE_SCALE),
        "gap_s": figures["gap_s"], "session": one.session, "present": one.present, "expected": figures["expected"],
        "lost": one.lost, "coverage": round(1 - one.lost / one.session, 4) if one.session else None,
        "compared": one.compared, "differing": one.differing, "compared_with": figures["other"] or None,
        "clock_offset_ms": None if one.clock_us is None else round(one.clock_us / 1000, 1),
    }  # fmt: skip


def _chosen(request: Request, query: dict[str, Any]) -> QuerySet[QualityDay]:
    """The rows of the days, symbols, market and feeds that were asked for, of any grade. Unprocessable for too many
    days."""
    end = query.get("end") or trading_dates.calendar(days.MARKET).trade_date(time.time_ns() // 1000)
    start = query.get("start") or datetime.date.fromordinal(max(end.toordinal() - SHOWN_DAYS, 1))
    if (end - start).days >= MOST_QUALITY_DAYS:
        raise errors.Unprocessable({"start": _("at most {most} days in one answer").format(most=MOST_QUALITY_DAYS)})
    rows = QualityDay.objects.filter(trade_date__gte=start, trade_date__lte=end)
    names = readable(request, query)
    if names is not None:
        rows = rows.filter(feed__in=names)
    if query.get("market"):
        rows = rows.filter(market=query["market"])
    if query.get("symbols"):
        rows = rows.filter(symbol__in=query["symbols"])
    return rows


class QualityListView(APIView):
    """Of each trading date, symbol and feed, the newest dates first."""

    @extend_schema(
        operation_id="qualities", parameters=[QualityQuery],
        responses={
            200: response_schemas.listed("quality", response_schemas.SeriesQuality), "4XX": response_schemas.Error,
        },
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = QualityQuery.read(request)
        rows, asked = _chosen(request, query), question("quality", {**query, "lang": ""})
        if query.get("grade"):
            rows = rows.filter(grade__in=query["grade"].split(","))
        after = series.after(query, asked, [""])
        if after is not None:
            date, behind = _date(after.time_us), Q(pk__gt=after.tick_id)
            later = Q(trade_date__gt=date) if query["sort"] == "asc" else Q(trade_date__lt=date)
            rows = rows.filter(later | Q(behind, trade_date=date))
        ordered = rows.order_by("trade_date" if query["sort"] == "asc" else "-trade_date", "pk")
        found = list(ordered[: query["limit"] + 1])
        page = found[: query["limit"]]
        token = None
        if len(found) > len(page):
            token = paging.encode_token(TickKey("", page[-1].trade_date.toordinal(), page[-1].pk), asked)
        return Response({"quality": [_row(one, query) for one in page], "next_page_token": token})


def _date(ordinal: int) -> datetime.date:
    """BadToken for a number that is no date."""
    try:
        return datetime.date.fromordinal(ordinal)
    except (ValueError, OverflowError) as error:
        raise errors.BadToken(_("page_token is not one that this API gave")) from error


class QualityMapView(APIView):
    """Days by series as letters, the series with the worst grades first."""

    @extend_schema(
        operation_id="quality_map", parameters=[QualityMapQuery],
        responses={200: response_schemas.QualityMap, "4XX": response_schemas.Error},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        query = QualityMapQuery.read(request)
        rows, asked = _chosen(request, query), question("quality-map", query)
        after = series.after(query, asked, [""])
        counts: dict[datetime.date, Counter[str]] = {}
        for date, grade, count in rows.values_list("trade_date", "grade").annotate(Count("pk")).order_by():
            counts.setdefault(date, Counter())[grade] = count
        dates = sorted(counts)
        if query.get("search"):
            named = symbols_view.search(Symbol.objects.all(), query["search"])
            rows = rows.filter(symbol__in=named.values("code"))
        weight = Case(
            *(When(grade=grade, then=Value(weight)) for grade, weight in WEIGHTS.items()),
            default=Value(0), output_field=IntegerField(),
        )  # fmt: skip
        worst = (
            rows.values("symbol", "feed", "market").annotate(weight=Sum(weight)).order_by("-weight", "symbol", "feed")
        )
        if query.get("grade"):
            with_it = {
                f"has_{grade}": Count("pk", filter=Q(grade=grade)) for grade in query["grade"].split(",")
            }  # fmt: skip
            any_of = Q()
            for name in with_it:
                any_of |= Q(**{f"{name}__gt": 0})
            worst = worst.annotate(**with_it).filter(any_of)
        offset = max(after.time_us, 0) if after else 0
        total = worst.count()
        page = list(worst[offset : offset + query["limit"]])
        token = None
        if offset + len(page) < total and page:
            token = paging.encode_token(TickKey("", offset + len(page), 0), asked)
        return Response(
            {
                "dates": dates,
                "counts": [{grade: counts[date].get(grade, 0) for grade in GRADES} for date in dates],
                "series": _letters(rows, page, dates),
                "total": total,
                "next_page_token": token,
            }
        )


def _letters(
    rows: QuerySet[QualityDay], page: Sequence[Mapping[str, Any]], dates: Sequence[datetime.date]
) -> list[dict[str, Any]]:
    symbols = sorted({one["symbol"] for one in page})
    named = {one.code: one for one in Symbol.objects.filter(code__in=symbols).only("code", "name", "name_en")}
    places = {date: place for place, date in enumerate(dates)}
    found: dict[tuple[str, str], list[str]] = {}
    told = rows.filter(symbol__in=symbols).order_by().values_list("symbol", "feed", "trade_date", "grade")
    for symbol, feed, date, grade in told.iterator(10_000):
        if date in places:
            found.setdefault((symbol, feed), ["-"] * len(dates))[places[date]] = grade
    return [
        {
            "symbol": one["symbol"], "name": named[one["symbol"]].name if one["symbol"] in named else "",
            "name_en": named[one["symbol"]].name_en if one["symbol"] in named else "", "feed": one["feed"],
            "market": one["market"],
            "grades": "".join(found.get((one["symbol"], one["feed"]), [])),
        }
        for one in page
    ]  # fmt: skip
