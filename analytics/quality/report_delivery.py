"""Sends the report of quality by mail, to each recipient once for each trading date. The ledger is the date's row of
`rollover_run`: an attempt is noted before it is made, so that of several workers one makes it."""

from __future__ import annotations

import datetime
import logging
import smtplib
import time
from collections.abc import Sequence
from email.utils import make_msgid

from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from analytics.quality import report
from analytics.quality.report import Report
from marketdata import alarms
from marketdata.maintenance import rollover
from marketdata.models import RolloverRun
from marketdata.types import units

log = logging.getLogger(__name__)

FAILED = "report_failed"
TRIES = 10
FIRST_S, LONGEST_PAUSE_S = 60.0, 3600.0
"""The pause after an attempt that failed doubles up to this: ten attempts are some five hours."""
CLAIM_S = 180.0
"""An attempt that its worker did not live to note is made again after so long; longer than a task may take."""
LONGEST_S = 30.0
"""The same worker delivers alerts: recipients that a slow server has not taken by then are for the next attempt."""
_OF_ONE = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError, ValueError)
"""Refusals after which the connection still serves the other recipients."""


def send_due(now: datetime.datetime) -> bool:
    """Make the attempt that is due. Whether everybody has the report by it."""
    if not settings.QUALITY_REPORT_TO:
        alarms.resolve(FAILED)  # nobody waits for it any more
        return False
    date = due_date(now)
    run = RolloverRun.objects.filter(trade_date=date, reported_at=None).first() if date else None
    if run is None or run.report_tries >= TRIES or (run.report_next_at is not None and run.report_next_at > now):
        return False
    mine = RolloverRun.objects.filter(pk=run.pk, reported_at=None, report_tries=run.report_tries)
    claimed = now + datetime.timedelta(seconds=CLAIM_S)
    if not mine.update(report_tries=run.report_tries + 1, report_next_at=claimed):
        return False  # another worker makes it
    return _attempt(run, now, run.report_tries + 1)


def due_date(now: datetime.datetime) -> datetime.date | None:
    """The trading date whose report is of today: from QUALITY_REPORT_TIME in Seoul to the end of the day on which its
    rollover was due, whether or not that was done. None at other times."""
    date, local = rollover.newest_due(now), now.astimezone(units.SEOUL)
    is_its_day = rollover.due_at(date).astimezone(units.SEOUL).date() == local.date()
    return date if is_its_day and local.time() >= settings.QUALITY_REPORT_TIME else None


def send_now(date: datetime.date, now: datetime.datetime) -> str:
    """Send it to every recipient, also to who has it already. Returns what failed, "" if nothing did. LookupError if
    nothing is known of the date."""
    with override(settings.LANGUAGE_CODE):
        made = report.make(date, now, origin=settings.PUBLIC_ORIGIN)
    told: list[str] = []
    error = _send(date, made, settings.QUALITY_REPORT_TO, told)
    if not error:
        RolloverRun.objects.filter(trade_date=date).update(reported_at=now, reported_to=told)
        alarms.resolve(FAILED)
    return error


def _attempt(run: RolloverRun, now: datetime.datetime, attempt: int) -> bool:
    with override(settings.LANGUAGE_CODE):
        made = report.make(run.trade_date, now, origin=settings.PUBLIC_ORIGIN)
    told = list(run.reported_to)
    left = [one for one in settings.QUALITY_REPORT_TO if one not in told]
    error = _send(run.trade_date, made, left, told)
    mine = RolloverRun.objects.filter(pk=run.pk, reported_at=None, report_tries=attempt)
    if not error:
        mine.update(reported_at=datetime.datetime.now(datetime.UTC), reported_to=told)
        alarms.resolve(FAILED)
        log.info("quality reported date=%s recipients=%d", run.trade_date, len(told))
        return True
    pause = datetime.timedelta(seconds=min(FIRST_S * 2 ** (attempt - 1), LONGEST_PAUSE_S))
    mine.update(report_next_at=now + pause, reported_to=told)
    alarms.raise_alarm(
        FAILED,
        format_lazy(
            _(
                "the report of quality did not reach {left} of {all} recipients: {error} (attempt {attempt} of {most})."
                " By hand: manage.py quality_report {date} --send"
            ),
            left=len(settings.QUALITY_REPORT_TO) - len(told), all=len(settings.QUALITY_REPORT_TO), error=error,
            attempt=attempt, most=TRIES, date=run.trade_date,
        ),
        subject=run.trade_date.isoformat(),
    )  # fmt: skip
    return False


def _send(date: datetime.date, made: Report, recipients: Sequence[str], told: list[str]) -> str:
    """A mail for each over one connection; who has it is added to `told`, and noted at once. Returns the first thing
    that failed by its kind: a server's words may have an address."""
    began, failed = time.monotonic(), ""
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    try:
        with mail.get_connection() as connection:
            for recipient in recipients:
                if time.monotonic() - began > LONGEST_S:
                    return failed or "TimeoutError"
                message = EmailMultiAlternatives(
                    made.subject, made.text, to=[recipient], connection=connection,
                    headers={"Message-ID": make_msgid(f"quality-{date}", domain), "Auto-Submitted": "auto-generated"},
                )  # fmt: skip
                message.attach_alternative(made.html, "text/html")
                try:
                    message.send()
                except _OF_ONE as error:
                    failed = failed or type(error).__name__
                    continue
                told.append(recipient)
                RolloverRun.objects.filter(trade_date=date, reported_at=None).update(reported_to=told)
    except OSError as error:  # smtplib's are of these
        failed = failed or type(error).__name__
    return "" if set(recipients) <= set(told) else failed
