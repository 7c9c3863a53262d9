"""`manage.py calendar`: prints a year of a market's calendar, or checks the checked-in one against exchange_calendars,
which is needed for that alone and never by a running server."""

from __future__ import annotations

import datetime
import importlib
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext as _

from marketdata.calendar import trading_calendar, trading_dates
from marketdata.calendar.trading_calendar import Base, Calendar
from marketdata.types.units import SEOUL
from terminals import wire

LIBRARY = {"KRX": "XKRX"}
CLOSED = "closed"
Opening = Mapping[datetime.date, str]  # "09:00-15:30" by date; a date that is missing is closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A date on which the checked-in calendar and the library do not agree. `known` is where the library's mistake was
    recorded, or empty."""

    date: datetime.date
    ours: str
    theirs: str
    known: str

    def __str__(self) -> str:
        ours, theirs = ((_("closed") if hours == CLOSED else hours).ljust(11) for hours in (self.ours, self.theirs))
        known = _("known correction ({source})").format(source=self.known) if self.known else _("NOT EXPLAINED")
        told = _("{date}  here {ours}  library {theirs}  {known}")
        return told.format(date=_dated(self.date), ours=ours, theirs=theirs, known=known)


def regular_hours(calendar: Calendar) -> Opening:
    """The regular sessions of all checked-in dates, as opening and closing of the continuous and closing phases."""
    zone, found = SEOUL, {}
    for date in calendar.sessions(calendar.base.first_date, calendar.base.last_date):
        hours = calendar.regular_hours(date)
        if hours is not None:
            midnight = datetime.datetime.combine(date, datetime.time(), zone)
            found[date] = "-".join(f"{midnight + at:%H:%M}" for at in hours)
    return found


def library_hours(market: str, first: datetime.date, last: datetime.date) -> tuple[str, Opening]:
    """The library's version and its sessions. ImportError when it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 4.13.2 uses what pandas 3.1 deprecates
        library = importlib.import_module("exchange_calendars")  # 3.3 s and pandas: here only
        found = library.get_calendar(LIBRARY[market], start=first.isoformat(), end=last.isoformat())
        hours = {
            session.date(): "-".join(f"{row[at].tz_convert('Asia/Seoul'):%H:%M}" for at in ("open", "close"))
            for session, row in found.schedule.iterrows()
        }
    return str(library.__version__), hours


def differences(
    base: Base, ours: Opening, theirs: Opening, known: Mapping[datetime.date, tuple[str, str]]
) -> Iterator[Difference]:
    """What differs, by date; `known` has by date what a wrong library says and the source that corrects it."""
    for ordinal in range(base.first_date.toordinal(), base.last_date.toordinal() + 1):
        date = datetime.date.fromordinal(ordinal)
        here, there = ours.get(date, CLOSED), theirs.get(date, CLOSED)
        if here != there:
            says, source = known.get(date, ("", ""))
            yield Difference(date=date, ours=here, theirs=there, known=source if says == there else "")


def corrections(market: str) -> dict[datetime.date, tuple[str, str]]:
    """The library's recorded mistakes."""
    return {
        datetime.date.fromisoformat(row["date"]): (row["library"], row["source"])
        for row in trading_calendar.rows("corrections", market)
    }


class Command(BaseCommand):
    help = _("Print the trading calendar of a year, or check the checked-in one.")
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--market", default="KRX", help=_("market (KRX)"))
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--year",
            type=wire.options.between(1900, 2200),
            help=_("closed and shifted days and hours"),
        )
        what.add_argument("--check", action="store_true", help=_("compare with the library"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check(options["market"])
        else:
            self._print_year(options["market"], options["year"])

    def _check(self, market: str) -> None:
        if market not in LIBRARY:
            raise CommandError(
                _("{market}: nothing is checked in. There is: {there}").format(market=market, there=", ".join(LIBRARY))
            )
        base = trading_calendar.base(market)
        try:
            version, theirs = library_hours(market, base.first_date, base.last_date)
        except ImportError as error:
            raise CommandError(
                _("exchange_calendars is not installed: pip install exchange_calendars ({error})").format(error=error)
            ) from error
        known = corrections(market)
        found = list(differences(base, regular_hours(Calendar(base, {})), theirs, known))
        for difference in found:
            self.stdout.write(str(difference))
        for date in sorted(known.keys() - {difference.date for difference in found}):
            told = _("{date}  the library is right by now: the line in corrections.csv can go")
            self.stdout.write(told.format(date=_dated(date)))
        wrong = [difference for difference in found if not difference.known]
        summary = _(
            "{market} {first}–{last}, exchange_calendars {version}: {differences} differences, "
            "{unexplained} not explained"
        ).format(
            market=market,
            first=base.first_date.year,
            last=base.last_date.year,
            version=version,
            differences=len(found),
            unexplained=len(wrong),
        )
        if wrong:
            raise CommandError(summary)
        self.stdout.write(summary)

    def _print_year(self, market: str, year: int) -> None:
        try:
            calendar = trading_dates.calendar(market)
        except LookupError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            self.stderr.write(_("without calendar_override, which cannot be read: {error}").format(error=error))
            calendar = Calendar(trading_calendar.base(market), {})
        if not datetime.MINYEAR < year < datetime.MAXYEAR:
            raise CommandError(_("{year} is no year").format(year=year))
        for line in _year(calendar, year):
            self.stdout.write(line)


def _year(calendar: Calendar, year: int) -> Iterator[str]:
    first, last = datetime.date(year, 1, 1), datetime.date(year, 12, 31)
    trading = calendar.sessions(first, last)
    known = "" if calendar.covers(first) and calendar.covers(last) else _(" – GUESSED: weekdays only")
    yield _("{market} {year}: {number} trading days{known}").format(
        market=calendar.market, year=year, number=len(trading), known=known
    )
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        date = datetime.date.fromordinal(ordinal)
        day = calendar.day(date)
        if day.is_open == (date.weekday() < 5) and not day.is_shifted and date not in calendar.overrides:
            continue
        state = (
            _("closed")
            if not day.is_open
            else _("open {opens}, close {closes}").format(opens=_moved(day.open_shift), closes=_moved(day.close_shift))
        )
        doubt = "" if day.certain else _(" [expected]")
        yield f"{_dated(date)}  {state}  {day.reason}{doubt}  ({day.source})"
    before: list[str] = []
    for date in trading:
        hours = [] if calendar.day(date).is_shifted else list(_hours(calendar, date))
        if hours and hours != before:
            yield _("{date:%Y-%m-%d} from here on").format(date=date)
            yield from hours
            before = hours


def _hours(calendar: Calendar, date: datetime.date) -> Iterator[str]:
    for span in calendar.phases(date):
        begin, end = (calendar.local(at).time() for at in (span.start_us, span.end_us))
        orders = "" if span.trading else _("  orders only")
        yield f"  {span.venue} {begin:%H:%M:%S}–{end:%H:%M:%S}  {span.session:<7}  {span.phase}{orders}"


def _moved(shift: datetime.timedelta) -> str:
    minutes = shift // datetime.timedelta(minutes=1)
    return _("{minutes:+d} min").format(minutes=minutes) if minutes else "±0"


def _dated(date: datetime.date) -> str:
    return f"{date} {WEEKDAYS_ABBR[date.weekday()]}"
