"""Which daily question was put to a vendor for which day, so that of all processes on all machines one asks it."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import Q
from django.utils.functional import Promise

from marketdata import alarms, metrics
from marketdata.models import VendorRun

MOST_TOLD = 300  # letters of an outcome


def count(job: str, now: datetime.datetime, rows: int) -> None:
    """Tell the metrics that the job ended well, with so many rows of whatever it asks for."""
    metrics.VENDOR_RUN.labels(job).set(now.timestamp())
    metrics.VENDOR_ROWS.labels(job).inc(rows)


def count_failure(job: str, failures: int = 1) -> None:
    """Tell the metrics that the vendor did not answer or refused."""
    metrics.VENDOR_FAILURES.labels(job).inc(failures)


def claim(job: str, date: datetime.date, now: datetime.datetime) -> bool:
    """Whether the caller is the one to do the job for that day. Once claimed it is not given out again."""
    VendorRun.objects.bulk_create([VendorRun(job=job)], ignore_conflicts=True)
    open_ = VendorRun.objects.filter(Q(run_date=None) | Q(run_date__lt=date), job=job)
    return open_.update(run_date=date, begun_at=now, outcome="", texts=None) == 1


def is_done(job: str, date: datetime.date) -> bool:
    """Whether the job was claimed for that day."""
    return VendorRun.objects.filter(job=job, run_date__gte=date).exists()


def note(job: str, outcome: str | Promise) -> None:
    """Keep in a few words how the job ended, a text of the catalogue in each language."""
    VendorRun.objects.filter(job=job).update(**_kept(outcome))


def finish(job: str, date: datetime.date, now: datetime.datetime, outcome: str | Promise) -> None:
    """The job is done for that day: for what may be tried again until it is, unlike what is claimed."""
    VendorRun.objects.update_or_create(job=job, defaults={"run_date": date, "begun_at": now, **_kept(outcome)})


def _kept(outcome: str | Promise) -> dict[str, Any]:
    by_language = {language: text[:MOST_TOLD] for language, text in alarms.translations(outcome).items()}
    return {"outcome": alarms.english(outcome)[:MOST_TOLD], "texts": by_language}
