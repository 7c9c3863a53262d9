"""That a limit of connections or requests was met: an alarm, which is over when it is not met again for a while.

Names that clients make up have quotas (`quotas.py`), which know how much is in use at any time.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError
from django.utils.functional import Promise

from marketdata import alarms

CODE = "limit_reached"
log = logging.getLogger(__name__)


def tell(subject: str, message: str | Promise) -> None:
    """Raise the alarm of this limit, at most once a minute from this process. A database that does not take it changes
    nothing for whoever was refused."""
    try:
        alarms.raise_often(CODE, message, subject=subject)
    except (DatabaseError, InterfaceError) as error:
        log.warning("alarm not written code=%s subject=%s error=%s", CODE, subject, type(error).__name__)
