"""What is marked on the chart of a series: where something is missing, trades that were taken back, and, below the
time axis, what master files told of the symbol."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from analytics.series.timeframes import DateFrame, Timeframe
from api.rest.paging import Series
from marketdata.calendar import trading_dates
from marketdata.ledger import gap_reasons
from marketdata.models import Gap, SymbolChange, VoidedTick
from marketdata.types.tick_arrays import decimal_text
from marketdata.types.units import day_of, moment_of
from terminals import wire

MOST = 500
"""Marks of each kind in an answer; the newest of them."""
_DAY_S, _US = 86_400, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark at a time (seconds since 1970) with one letter and the words that are shown over it."""

    id: str
    time: int
    color: str
    label: str
    text: str


def on_bars(one: Series, timeframe: Timeframe | DateFrame) -> list[Mark]:
    """Gaps and taken-back trades within the series' times, by time. A gap is marked where it begins."""
    return sorted([*_gaps(one, timeframe), *_voided(one, timeframe)], key=lambda mark: (mark.time, mark.id))


def columns(marks: Iterable[Mark]) -> dict[str, list[Any]]:
    """The answer of `/marks`: a table by columns."""
    rows = list(marks)
    return {
        "id": [mark.id for mark in rows],
        "time": [mark.time for mark in rows],
        "color": [mark.color for mark in rows],
        "text": [mark.text for mark in rows],
        "label": [mark.label for mark in rows],
        "labelFontColor": ["white"] * len(rows),
        "minSize": [14] * len(rows),
    }


def on_times(one: Series) -> list[dict[str, Any]]:
    """The answer of `/timescale_marks`: listing, new names and delisting, within the series' times."""
    stretches = one.codes(one.first_us, one.last_us + 1)
    found = SymbolChange.objects.filter(_any(
        Q(symbol=code, found_at__gte=_moment(start), found_at__lt=_moment(end)) for code, start, end in stretches
    ))  # fmt: skip
    told = [
        {
            "id": f"change-{row.pk}",
            "time": int(row.found_at.timestamp()),
            "color": "blue",
            "label": {"listed": "N", "returned": "N", "renamed": "R", "delisted": "D"}[row.what],
            "tooltip": [row.get_what_display(), " → ".join(name for name in (row.before, row.after) if name)],
        }
        for row in found.order_by("found_at", "pk")[:MOST]
    ]
    for before, after in pairwise(one.held):
        if after.start is not None and one.first_us <= (at := one.begins_us(after.start)) <= one.last_us:
            told.append({
                "id": f"code-{after.start}", "time": at // _US, "color": "blue", "label": "C",
                "tooltip": [_("another code"), f"{before.code} → {after.code}"],
            })  # fmt: skip
    return sorted(told, key=lambda mark: mark["time"])


def _gaps(one: Series, timeframe: Timeframe | DateFrame) -> Iterable[Mark]:
    stretches = one.codes(one.first_us, one.last_us + 1)
    rows = Gap.objects.filter(
        _any(Q(symbol__in=(code, ""), from_us__lt=end, to_us__gte=start) for code, start, end in stretches),
        feed=one.feed,
    )
    for row in rows.order_by("-to_us", "-pk")[:MOST]:
        lost = (
            _("%(volume)s shares missing") % {"volume": decimal_text(row.missing, wire.SIZE_SCALE)}
            if row.missing is not None
            else _("%(rows)d rows missing") % {"rows": row.rows}
            if row.rows
            else _("something may be missing")
        )
        yield Mark(
            id=f"gap-{row.pk}", time=_bar_of(one, max(row.from_us, one.first_us), timeframe), color="red", label="!",
            text=f"{lost} · {_span(one, row.from_us, row.to_us)} · {gap_reasons.words(row.reason)}",
        )  # fmt: skip


def _voided(one: Series, timeframe: Timeframe | DateFrame) -> Iterable[Mark]:
    """One mark for each order and bar, which may have taken back many trades."""
    stretches = one.codes(one.first_us, one.last_us + 1)
    rows = VoidedTick.objects.filter(
        _any(Q(symbol=code, time_us__gte=start, time_us__lt=end) for code, start, end in stretches), feed=one.feed
    ).order_by("-time_us")
    counted: dict[tuple[int, int], int] = {}
    for order, time_us in rows.values_list("order_id", "time_us")[: 20 * MOST]:
        key = order, _bar_of(one, time_us, timeframe)
        counted[key] = counted.get(key, 0) + 1
    for (order, at), trades in list(counted.items())[:MOST]:
        text = _("%(trades)d ticks taken back (order %(order)d)") % {"trades": trades, "order": order}
        yield Mark(id=f"void-{order}-{at}", time=at, color="yellow", label="x", text=text)


def _any(conditions: Iterable[Q]) -> Q:
    """Whatever fulfils one of these; nothing if there are none."""
    return functools.reduce(operator.or_, conditions, Q(pk__in=[]))


def _bar_of(one: Series, time_us: int, timeframe: Timeframe | DateFrame) -> int:
    """Where the candle of a time stands: the library shows a mark at the candle that it names."""
    if isinstance(timeframe, Timeframe):
        return timeframe.start(time_us, one.timezone) // _US
    date = trading_dates.calendar(one.market).trade_date(time_us)
    return timeframe.first(day_of(date)) * _DAY_S


def _span(one: Series, from_us: int, to_us: int) -> str:
    """Local times of a gap's bounds; the date once when it is the same."""
    local = trading_dates.calendar(one.market).local
    begin, end = local(from_us), local(to_us)
    return f"{begin:%Y-%m-%d %H:%M:%S}–{end:{'%H:%M:%S' if begin.date() == end.date() else '%Y-%m-%d %H:%M:%S'}}"


def _moment(time_us: int) -> datetime.datetime:
    return moment_of(time_us)
