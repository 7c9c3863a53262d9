"""How many requests a minute a caller may make, and what is left of them. Strangers have a bucket by address, apart
from everybody who is known."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from api.throttling import counters
from marketdata import metrics
from marketdata.limits import reached
from marketdata.limits.unauthenticated import caller

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests: the limit, what is left of it, and the seconds until it begins anew."""

    limit: int
    remaining: int
    reset_s: int
    exceeded: bool


def of_known(request: HttpRequest | Request, who: str, name: str, limit: int | None = None) -> Rate:
    """One request more of somebody known, such as "key:7"; `name` is for people, `limit` is one of its own."""
    rate = _take(request, who, limit or settings.API_RATE_LIMIT)
    if rate.exceeded:
        told = format_lazy(
            _(
                "more than {limit:,} requests a minute by {name}: the rest is answered with 429. If that is on purpose,"
                " raise {setting}"
            ),
            limit=rate.limit, name=name, setting=_("its own limit") if limit else "API_RATE_LIMIT",
        )  # fmt: skip
        reached.tell(f"requests {name}", told)
    return rate


def of_unknown(request: HttpRequest, address: str) -> Rate:
    """One request more of an address that has not said who it is."""
    return _take(request, f"address:{caller(address)}", settings.API_RATE_LIMIT_UNKNOWN)


def _take(request: HttpRequest | Request, who: str, limit: int) -> Rate:
    (told,) = counters.add([(f"rate:{who}", WINDOW_S)])
    rate = Rate(limit, max(limit - told.count, 0), max(math.ceil(told.left_s), 1), told.count > limit)
    if rate.exceeded:
        metrics.RATE_LIMITED.labels(who.partition(":")[0]).inc()
    plain = request._request if isinstance(request, Request) else request
    plain.rate = rate  # type: ignore[attr-defined]  # for `show`, when the answer is there
    return rate


def of(request: HttpRequest) -> Rate | None:
    """What was counted for this request, if it was."""
    found: Rate | None = getattr(request, "rate", None)
    return found


def show(request: HttpRequest, response: HttpResponse) -> None:
    """The headers that clients of the dialect read; `Reset` is a time, seconds since 1970."""
    rate = of(request)
    if rate is not None:
        response["X-RateLimit-Limit"] = str(rate.limit)
        response["X-RateLimit-Remaining"] = str(rate.remaining)
        response["X-RateLimit-Reset"] = str(math.ceil(time.time()) + rate.reset_s)
        if rate.exceeded:
            response["Retry-After"] = str(rate.reset_s)
