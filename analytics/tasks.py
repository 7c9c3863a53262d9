"""What beat calls of this room."""

from __future__ import annotations

import logging

from celery import shared_task

from analytics import voids
from marketdata.maintenance import leases

log = logging.getLogger(__name__)


@shared_task(soft_time_limit=1800, time_limit=1860)
def finish_voids(**_: object) -> None:
    """Go on with voiding that was interrupted, and tell subscribers what they have not heard."""
    try:
        voids.resume()
    except leases.LeaseHeld as error:
        log.info("voiding waits reason=%s", error)
    while voids.announce() == voids.MOST_NOTICES:
        pass
