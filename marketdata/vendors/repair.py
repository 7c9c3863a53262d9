"""Fetches the vendor's minute bars for the minutes in which something of ours was lost, and tells where the two do not
agree. Whatever is missing is asked for, so a run that was ended or comes twice changes nothing."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.calendar import trading_dates
from marketdata.calendar.feed_hours import MARKET
from marketdata.maintenance import leases
from marketdata.models import Alarm
from marketdata.types.tick_arrays import decimal_text
from marketdata.types.units import MINUTE_US, SEOUL
from marketdata.vendors import gap_minutes, minutes
from marketdata.vendors.errors import VendorAway, VendorRefused
from marketdata.vendors.gap_minutes import Stretch
from marketdata.vendors.minutes import VendorBar
from terminals import wire

log = logging.getLogger(__name__)

LEASE = "vendor_repair"
FAILED, DISAGREES = "repair_failed", "repair_disagrees"
SETTLED_US = 2 * MINUTE_US  # a vendor's newest minute is not whole, and may show the volume of the one before
AT_ONCE = 30  # minutes: so many bars are in one answer of KIS
LOOK_BACK = 5  # trading days of which beat repairs what came to light late
RETRY_AFTER = datetime.timedelta(minutes=10)  # of beat, for a day with something that could not be fetched
MOST_REFUSED = 20  # series without an answer, from which on a person is told before the run is through
MOST_NAMED = 5
Progress = Callable[[str], None]


class Source(Protocol):
    """Who answers for minute bars."""

    def bars(self, symbol: str, feed: str, date: datetime.date, first_us: int, last_us: int) -> list[VendorBar]:
        """The bars of the minutes first_us to last_us, both included; in those that are not among them nothing was
        traded. VendorAway, VendorRefused."""
        ...


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run did for one trading date."""

    date: datetime.date
    fetched: int = 0  # minutes that are covered now and were not before
    replaced: int = 0
    questions: int = 0
    left: int = 0  # minutes that are not covered
    is_through: bool = True  # nothing was left for want of time
    refused: dict[str, str] = field(default_factory=dict)  # by symbol and feed, why
    differing: list[Stretch] = field(default_factory=list)
    agreeing: int = 0


def due_dates(now: datetime.datetime) -> list[datetime.date]:
    """The trading days to look at: the last few of which NARU_KIS_REPAIR_TIME and the last trade are past."""
    calendar = trading_dates.calendar(MARKET)
    date = now.astimezone(SEOUL).date()
    found: list[datetime.date] = []
    while len(found) < LOOK_BACK:
        closed_us = gap_minutes.closed_by(date) if calendar.is_session(date) else None
        at = datetime.datetime.combine(date, settings.NARU_KIS_REPAIR_TIME, SEOUL)
        if closed_us is not None and at <= now and closed_us + SETTLED_US <= now.timestamp() * 1e6:
            found.append(date)
        date = calendar.previous_session(date)
    return found


def run(
    date: datetime.date,
    source: Source,
    now: datetime.datetime,
    *,
    symbol: str | None = None,
    again: bool = False,
    progress: Progress,
    until_s: float | None = None,
) -> Outcome:
    """Fetch what is not covered of a trading date, at `now`; with `again` also what is. Ends after `until_s`
    (monotonic) with what is left for the next run. LeaseHeld if another process is at it; VendorAway when the vendor
    cannot be asked. Alarms are raised and resolved by what was found."""
    outcome = Outcome(date=date)
    with leases.hold(LEASE) as lease:
        try:
            for stretches in _by_series(gap_minutes.find(date, symbol=symbol)):
                lease.check()
                _repair(stretches, source, now, outcome, again=again, until_s=until_s)
                one = stretches[0]
                if outcome.questions:
                    progress(f"{one.feed}/{one.symbol}  {outcome.fetched:,} minutes, {outcome.questions:,} questions")
        except VendorAway as error:
            alarms.raise_alarm(FAILED, f"{date}: {error}", subject=date.isoformat())
            raise
        if symbol is None:
            _conclude(outcome)
    return outcome


def _by_series(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """The stretches of one symbol and feed, together."""
    group: list[Stretch] = []
    for one in stretches:
        if group and (group[0].symbol, group[0].feed) != (one.symbol, one.feed):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _repair(
    stretches: list[Stretch],
    source: Source,
    now: datetime.datetime,
    outcome: Outcome,
    *,
    again: bool,
    until_s: float | None,
) -> None:
    symbol, feed = stretches[0].symbol, stretches[0].feed
    settled_us = int(now.timestamp() * 1e6) - SETTLED_US
    every = {one.minute_us for stretch in stretches for one in stretch.minutes}
    uncovered = {at for stretch in stretches for at in stretch.uncovered}
    wanted = {at for at in (every if again else uncovered) if at <= settled_us}
    if wanted and until_s is not None and time.monotonic() >= until_s:
        wanted, outcome.is_through = set(), False
    if not wanted:
        outcome.left += len(uncovered)
        _compare(stretches, outcome)
        return
    try:
        found = _fetch(symbol, feed, wanted, source, outcome)
    except VendorRefused as error:
        outcome.refused[f"{feed}/{symbol}"] = str(error)
        outcome.left += len(uncovered)
        log.warning("minutes not fetched feed=%s symbol=%s date=%s reason=%s", feed, symbol, outcome.date, error)
        return
    stored = minutes.store(symbol, feed, outcome.date, found, now)
    outcome.fetched += stored.new
    outcome.replaced += stored.replaced
    outcome.left += len(uncovered - wanted)
    volumes = minutes.volumes(outcome.date, feed, [symbol]).get(symbol, {})
    _compare([stretch.with_vendor(volumes) for stretch in stretches], outcome)


def _fetch(symbol: str, feed: str, wanted: set[int], source: Source, outcome: Outcome) -> list[VendorBar]:
    """The bars of these minutes, newest first, a question for those that lie within AT_ONCE minutes."""
    left, found = sorted(wanted, reverse=True), []
    while left:
        chosen = [at for at in left if left[0] - at < AT_ONCE * MINUTE_US]
        bars = source.bars(symbol, feed, outcome.date, chosen[-1], chosen[0])
        outcome.questions += 1
        told = {bar.minute_us: bar for bar in bars}
        found += [told.get(at, VendorBar(minute_us=at)) for at in chosen]
        left = left[len(chosen) :]
    return found


def _compare(stretches: list[Stretch], outcome: Outcome) -> None:
    for stretch in stretches:
        if stretch.difference:
            outcome.differing.append(stretch)
        elif stretch.difference == 0:
            outcome.agreeing += 1


def _conclude(outcome: Outcome) -> None:
    """Raise or resolve the alarms of the date."""
    subject = outcome.date.isoformat()
    if not outcome.is_through and len(outcome.refused) <= MOST_REFUSED:
        return  # the next run goes on
    if outcome.refused:
        named = ", ".join(f"{series} ({reason})" for series, reason in list(outcome.refused.items())[:MOST_NAMED])
        alarms.raise_alarm(
            FAILED,
            format_lazy(
                _("{date}: no minute bars for {number} series: {named}"),
                date=subject,
                number=len(outcome.refused),
                named=named,
            ),
            subject=subject,
        )
    elif not outcome.left:
        alarms.resolve(FAILED, subject=subject)
    if outcome.differing:
        alarms.raise_alarm(
            DISAGREES,
            format_lazy(
                _("{date}: in {number} stretches the vendor's volume is not ours and what is missing: {named}"),
                date=subject,
                number=len(outcome.differing),
                named="; ".join(disagreement(one) for one in outcome.differing[:MOST_NAMED]),
            ),
            subject=subject,
        )
    elif not outcome.left:
        alarms.resolve(DISAGREES, subject=subject)


def disagreement(stretch: Stretch) -> str:
    """A stretch in which the volumes do not agree, in a few words."""
    ours = sum(one.ours for one in stretch.minutes)
    theirs = sum(one.vendors or 0 for one in stretch.minutes)
    numbers = (decimal_text(size, wire.SIZE_SCALE) for size in (theirs, ours, stretch.missing or 0))
    return "{}/{} {}: vendor {}, ours {}, missing {}".format(
        stretch.feed, stretch.symbol, gap_minutes.iso(stretch.minutes[0].minute_us), *numbers
    )


def run_due(dates: Iterable[datetime.date], source: Source, now: datetime.datetime, *, until_s: float) -> list[Outcome]:
    """Repair those of `dates` that have anything to fetch; what failed, RETRY_AFTER later. Ends after `until_s`
    (monotonic). VendorAway, LeaseHeld as `run`."""
    outcomes = []
    failed = set(
        Alarm.objects.filter(code=FAILED, cleared_at=None, seen_at__gt=now - RETRY_AFTER).values_list(
            "subject", flat=True
        )
    )
    for date in dates:
        if time.monotonic() >= until_s:
            break
        if date.isoformat() not in failed and any(stretch.uncovered for stretch in gap_minutes.find(date, ours=False)):
            outcomes.append(run(date, source, now, progress=log.debug, until_s=until_s))
    return outcomes
