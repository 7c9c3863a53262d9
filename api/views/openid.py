"""A login by the OpenID Connect provider of the settings: sent there, and back, and ended when it ends it. What goes
wrong is told on the page of the login, and why in the log."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from django.conf import settings
from django.contrib.auth.views import LogoutView
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from api.auth import logins, openid
from marketdata.reference import openid_accounts

log = logging.getLogger(__name__)

COOKIE = "naru_openid"
AWAY_S = 600  # so long somebody may be at the provider
BACKEND = "django.contrib.auth.backends.ModelBackend"


class NoRole(Exception):
    """A person whose groups at the provider give no role here."""


@require_GET
@never_cache
def begin(request: HttpRequest) -> HttpResponse:
    """Http404 where the settings name no provider."""
    try:
        address, begun = openid.begin(_provider(), _back(request))
    except (openid.ProviderAway, openid.NotProven) as error:
        return _problem(request, error)
    response = redirect(address)
    response.set_cookie(
        COOKIE, signing.dumps({**dataclasses.asdict(begun), "next": _next(request)}, salt=COOKIE),
        max_age=AWAY_S, path=reverse("rest_framework:openid"), httponly=True, samesite="Lax",
        secure=settings.BEHIND_TLS,
    )  # fmt: skip
    return response


@require_GET
@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """Http404 where the settings name no provider."""
    provider = _provider()
    try:
        kept = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=AWAY_S)
        next_url = str(kept.pop("next"))
        login = openid.finish(provider, openid.Begun(**kept), request.GET.dict(), _back(request))
        found = openid_accounts.person_of(login.claims, _rules())
        for change in found.changes:
            logins.note(found.person, change)
        if not found.may_enter:
            raise NoRole("no group that gives a role")
    except (
        signing.BadSignature, openid.ProviderAway, openid.ProviderRefused, openid.NotProven,
        openid_accounts.NoPerson, NoRole,
    ) as error:  # fmt: skip
        response = _problem(request, error)
    else:
        person: Any = found.person
        person.backend = BACKEND
        amr = login.claims.get("amr")
        passed = isinstance(amr, list) and not set(settings.OIDC_TRUSTED_AMR).isdisjoint(map(str, amr))
        response = logins.enter(request, person, next_url, passed=passed, id_token=login.id_token)
    response.delete_cookie(COOKIE, path=reverse("rest_framework:openid"))
    return response


@csrf_exempt  # the provider itself asks, with a token that it signed
@require_POST
@never_cache
def ended(request: HttpRequest) -> HttpResponse:
    """The provider has ended somebody's login, and so do we (OpenID Connect Back-Channel Logout 1.0). Http404 where the
    settings name no provider."""
    try:
        count = logins.end_by_provider(openid.ended(_provider(), request.POST.get("logout_token", "")))
    except (openid.ProviderAway, openid.NotProven) as error:
        log.warning("logout by the provider failed error=%s reason=%s", type(error).__name__, str(error)[:200])
        text = "the logout token is not right" if isinstance(error, openid.NotProven) else "your keys cannot be read"
        return JsonResponse({"error": "invalid_request", "error_description": text}, status=400)
    log.info("logout by the provider sessions=%d", count)
    return HttpResponse()


class Logout(LogoutView):
    """Whoever came by the provider is logged out there as well, if it offers that: by a page that leads on, for no form
    of ours may lead to another site (`form-action`)."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        token, address = logins.id_token(request), None
        if token and settings.OIDC_ISSUER:
            back = request.build_absolute_uri(reverse("rest_framework:login"))
            address = openid.logout(_provider(), token, back)
        response: HttpResponse = super().post(request, *args, **kwargs)
        if address is None:
            return response
        return render(request, "api/logged_out.html", {"address": address, "provider": settings.OIDC_LABEL})


def _problem(request: HttpRequest, error: Exception) -> HttpResponse:
    """The page of the login, with what its reader can do about it."""
    log.warning("login by the provider failed error=%s reason=%s", type(error).__name__, str(error)[:200])
    status = 403
    if isinstance(error, openid.ProviderAway):
        status, text = 503, _("The login provider does not answer now. Try again in a moment.")
    elif isinstance(error, openid.ProviderRefused):
        text = _("The login provider let nobody in.")
    elif isinstance(error, signing.BadSignature):
        text = _("This login took too long, or began in another browser. Begin anew.")
    elif isinstance(error, openid.NotProven):
        text = _(
            "What the login provider answered proves nothing. Begin anew; if it happens again, tell an administrator."
        )
    elif isinstance(error, NoRole):
        text = _("Your groups at the login provider give you no role here. Ask an administrator.")
    else:
        text = _("There is no account here for you. Ask an administrator.")
    return render(request, "api/login.html", {"problem": text, "doors": logins.doors()}, status=status)


def _provider() -> openid.Provider:
    if not settings.OIDC_ISSUER:
        raise Http404
    return openid.Provider(
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET, settings.OIDC_SCOPES
    )


def _rules() -> openid_accounts.Rules:
    return openid_accounts.Rules(
        settings.OIDC_NAME_CLAIM, settings.OIDC_GROUPS_CLAIM, settings.OIDC_ROLES, settings.OIDC_CREATE_ACCOUNTS
    )


def _back(request: HttpRequest) -> str:
    """What the provider has to know as our redirect URI."""
    return request.build_absolute_uri(reverse("rest_framework:openid-back"))


def _next(request: HttpRequest) -> str:
    """Within this server alone."""
    given = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(given, {request.get_host()}, require_https=request.is_secure())
    return given if is_ours else resolve_url(settings.LOGIN_REDIRECT_URL)
