"""Whether this process can serve: one look at the database and at Redis. Says yes or no, and nothing an outsider
could use."""

from __future__ import annotations

import logging

import redis
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from marketdata import live

log = logging.getLogger(__name__)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except Error as error:
        log.warning("unhealthy database error=%s", type(error).__name__)
        return False


def _redis() -> bool:
    try:
        return bool(live.connection().ping())
    except redis.RedisError as error:
        log.warning("unhealthy redis error=%s", type(error).__name__)
        return False


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when both answer. 503 without the database; without Redis stored data is still served, so that is 200 and
    said."""
    database, feed = _database(), _redis()
    status = "ok" if database and feed else "degraded" if database else "down"
    return JsonResponse({"status": status, "database": database, "redis": feed}, status=200 if database else 503)
