"""The first page: one live chart, the watch list and the pipeline's counters. Data comes by REST and WebSocket."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from api import access, authentication
from marketdata.reference import roles


@require_safe
@never_cache
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """For staff, and while PAGE_PUBLIC is on for anybody, who gets a cookie that may read."""
    known = access.may_read(request.user)
    if not known and not settings.PAGE_PUBLIC:
        return redirect_to_login(request.get_full_path())
    response = render(
        request,
        "api/page.html",
        {"user": request.user if known else None, "operates": access.may(request.user, roles.OPERATE)},
    )
    if not known:
        response.set_cookie(
            authentication.PAGE_COOKIE, authentication.page_cookie(), max_age=authentication.PAGE_COOKIE_S,
            httponly=True, samesite="Strict", secure=settings.BEHIND_TLS,
        )  # fmt: skip
    return response
