"""The first page: one live chart, the watch list and the pipeline's counters. Data comes by REST and WebSocket."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from api import access, authentication, login_throttle
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


class Login(LoginView):
    """The one login of page, API and admin; failures are counted as those of keys are."""

    template_name = "api/login.html"
    redirect_authenticated_user = False

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wait_s = login_throttle.wait_s(*self._who(), person=True, browser=self._browser())
        if wait_s > 0:
            form = self.get_form_class()(request)
            response = render(request, self.template_name, {"form": form, "wait_s": wait_s}, status=429)
            response["Retry-After"] = str(wait_s)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        address, account = self._who()
        login_throttle.succeeded(address, account)
        response = super().form_valid(form)
        response.set_cookie(
            login_throttle.COOKIE, login_throttle.browser_cookie(account), max_age=login_throttle.KNOWN_S,
            httponly=True, samesite="Strict", secure=settings.BEHIND_TLS,
        )  # fmt: skip
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """Counted whoever asks: to be logged in as somebody is no leave to guess another's password."""
        login_throttle.failed(*self._who(), person=True, browser=self._browser())
        return super().form_invalid(form)

    def _browser(self) -> str:
        return self.request.COOKIES.get(login_throttle.COOKIE, "")

    def _who(self) -> tuple[str, str]:
        return authentication.address_of(self.request), self.request.POST.get("username", "")[:150]
