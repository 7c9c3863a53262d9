"""What beat calls of this room."""

from __future__ import annotations

import datetime
import logging

import redis
from celery import shared_task

from analytics import voids
from analytics.alerts import deliveries
from analytics.alerts import due as alerts
from analytics.charts import due as charts
from analytics.quality import due as quality
from analytics.quality import report_delivery
from analytics.statistics import due as statistics
from marketdata.maintenance import leases, rollover
from marketdata.storage import storage

log = logging.getLogger(__name__)

RING_S = 5.0
"""After so long nobody needs to come any more who was rung for."""


@shared_task(soft_time_limit=1800, time_limit=1860)
def finish_voids(**_: object) -> None:
    """Go on with voiding that was interrupted, and tell subscribers what they have not heard."""
    try:
        voids.resume()
    except leases.LeaseHeld as error:
        log.info("voiding waits reason=%s", error)
    while voids.announce() == voids.MOST_NOTICES:
        pass


@shared_task
def compute_statistics(**_: object) -> None:
    """Whatever is due of statistics; while there is more than one worker takes, another one is rung for."""

    def ring() -> None:
        compute_statistics.apply_async(expires=RING_S)

    try:
        statistics.compute(ring)
    except redis.RedisError as error:
        log.warning("statistics wait for redis error=%s", type(error).__name__)


@shared_task
def compute_charts(**_: object) -> None:
    """Candles for readers in SQL, of the series that are due."""
    try:
        charts.compute()
    except redis.RedisError as error:
        log.warning("cached candles wait for redis error=%s", type(error).__name__)


@shared_task
def watch_alerts(**_: object) -> None:
    """What alert rules find that nobody looked at beside a commit."""
    try:
        alerts.watch()
    except redis.RedisError as error:
        log.warning("alerts wait for redis error=%s", type(error).__name__)


@shared_task
def compute_quality(**_: object) -> None:
    """The quality of series that changed today, or were not looked at for a while."""
    try:
        quality.compute(rollover.utc_now())
    except redis.RedisError as error:
        log.warning("quality waits for redis error=%s", type(error).__name__)


@shared_task(soft_time_limit=300, time_limit=330)
def finish_quality(**_: object) -> None:
    """The quality of days that were rolled over, for good."""
    with storage().long_running():
        quality.finish(rollover.utc_now())


@shared_task
def deliver_alerts(**_: object) -> None:
    """The attempts that are due to deliver alerts to their targets."""
    deliveries.deliver(datetime.datetime.now(datetime.UTC))


@shared_task(soft_time_limit=120, time_limit=150)
def report_quality(**_: object) -> None:
    """The report of quality by mail, if it is due."""
    report_delivery.send_due(datetime.datetime.now(datetime.UTC))
