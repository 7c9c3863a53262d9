"""Whether a vendor's holidays are those of our calendar. A date on which the two differ is an alarm until they
agree."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.calendar import trading_dates
from marketdata.calendar.feed_hours import MARKET
from marketdata.models import Alarm
from marketdata.types.units import SEOUL
from marketdata.vendors import runs
from marketdata.vendors.errors import VendorAway, VendorRefused

log = logging.getLogger(__name__)

JOB, DIFFERS, FAILED = "holidays", "calendar_differs", "holidays_failed"
DAYS_AHEAD = 60


def compare(opens: Mapping[datetime.date, bool], today: datetime.date) -> list[datetime.date]:
    """The dates from `today` on that differ from our calendar, with an alarm for each; the alarms of dates that agree,
    or that are over, are resolved. `opens` says whether the vendor thinks the market opens."""
    calendar = trading_dates.calendar(MARKET)
    differing = []
    for date, is_open in sorted(opens.items()):
        if not today <= date < today + datetime.timedelta(days=DAYS_AHEAD):
            continue
        day, words = calendar.day(date), {True: _("open"), False: _("closed")}
        if day.is_open == is_open:
            alarms.resolve(DIFFERS, subject=date.isoformat())
            continue
        differing.append(date)
        reason = f" ({day.reason})" if day.reason else ""
        alarms.raise_alarm(
            DIFFERS,
            format_lazy(
                _("{date:%Y-%m-%d %a}: the vendor says {theirs}, our calendar says {ours}{reason}"),
                date=date,
                theirs=words[is_open],
                ours=words[day.is_open],
                reason=reason,
            ),
            subject=date.isoformat(),
        )
    for subject in Alarm.objects.filter(code=DIFFERS, cleared_at=None).values_list("subject", flat=True):
        if subject < today.isoformat():
            alarms.resolve(DIFFERS, subject=subject)
    return differing


def check_due(ask: Callable[[datetime.date], Mapping[datetime.date, bool]], now: datetime.datetime) -> bool:
    """Ask once a day, whichever process comes first, and compare. False if it was asked today. The vendor allows one
    call a day, so a failed one is an alarm and made good tomorrow."""
    today = now.astimezone(SEOUL).date()
    if not runs.claim(JOB, today, now):
        return False
    try:
        opens = ask(today)
    except (VendorAway, VendorRefused) as error:
        alarms.raise_alarm(
            FAILED,
            format_lazy(
                _("holidays could not be asked on {date}: {error}; tomorrow again"), date=today, error=str(error)
            ),
        )
        runs.note(JOB, str(error))
        runs.count_failure(JOB)
        return True
    alarms.resolve(FAILED)
    differing = compare(opens, today)
    runs.note(JOB, format_lazy(_("{dates} dates, {differing} differ"), dates=len(opens), differing=len(differing)))
    runs.count(JOB, now, len(opens))
    log.info("holidays compared dates=%d differing=%d", len(opens), len(differing))
    return True
