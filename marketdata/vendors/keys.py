"""Whether there are keys to ask KIS with. Asked before anything is imported that asks."""

from __future__ import annotations

import logging
import os

from django.conf import settings

log = logging.getLogger(__name__)

MISSING = "no keys of KIS are configured (NARU_KIS_KEYS_FILE, docs/operations.md)"
_told = False


def are_there() -> bool:
    """Whether a file is named or the environment has an appkey, as terminals read it; if they can be used is found
    when they are."""
    return bool(settings.NARU_KIS_KEYS_FILE or os.environ.get("NARU_KIS_APPKEY", "").strip())


def are_there_or_told() -> bool:
    """As `are_there`; says in the log that nothing is asked without, once in a process."""
    global _told
    if are_there():
        return True
    if not _told:
        _told = True
        log.info("KIS is not asked for minutes, symbols and holidays reason=%s", MISSING)
    return False
