"""Whether this process lives, and whether it can serve. Both are open; reasons are for those who are known."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import redis
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from api.auth import authentication
from marketdata.realtime import live_state

log = logging.getLogger(__name__)

KEPT_S = 1.0  # however many ask, the database is asked so often
_kept: tuple[float, dict[str, str]] = (float("-inf"), {})
_are_applied = False


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200: the process takes requests and answers. Asks nobody else: a restart of this process would not mend them."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when requests can be served, 503 when not. Without Redis stored data is still served: 200 and `degraded`.

    Whoever has a key or is logged in is told why; to others it is a word.
    """
    found = _checked()
    missing = {name for name, reason in found.items() if reason}
    status = "ok" if not missing else "degraded" if missing == {"redis"} else "unavailable"
    content: dict[str, object] = {"status": status}
    if authentication.is_known(request):
        content["checks"] = {name: reason or "ok" for name, reason in found.items()}
    return JsonResponse(content, status=503 if status == "unavailable" else 200)


def _checked() -> dict[str, str]:
    """What is wrong with each thing that is needed; an empty text when nothing is."""
    global _kept
    if time.monotonic() - _kept[0] > KEPT_S:
        checks: dict[str, Callable[[], str]] = {"database": _database, "migrations": _migrations, "redis": _redis}
        found = {name: check() for name, check in checks.items()}
        for name, reason in found.items():
            if reason:
                log.warning("not ready %s reason=%s", name, reason)
        _kept = (time.monotonic(), found)
    return _kept[1]


def _database() -> str:
    """Answers, and may be written: an UPDATE of no row is refused wherever one of many would be."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE job_lease SET owner = owner WHERE job = ''")
        return ""
    except Error as error:
        return f"the database does not answer or may not be written: {_said(error)}"


def _migrations() -> str:
    """Asked until they are there: a process does not outlive an update."""
    global _are_applied
    try:
        executor = MigrationExecutor(connection) if not _are_applied else None
        _are_applied = executor is None or not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        return f"the database does not say which migrations it has: {_said(error)}"
    return "" if _are_applied else "migrations are missing: manage.py migrate"


def _redis() -> str:
    """Answers, and takes what is written: a full one refuses."""
    try:
        live_state.connection().set("naru:readyz", "1", ex=60)
        return ""
    except redis.RedisError as error:
        return f"Redis does not answer or is full: {_said(error)}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:200]
