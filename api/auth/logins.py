"""How a person gets in. Whoever has proven the first half of a login, a password or a provider's word, and needs a
second factor is nobody until he has proven that too: his session holds no user that any door could take for one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from api.auth import access, authentication, sessions
from api.auth.openid import Ended
from api.throttling import login_throttle
from marketdata.reference import roles, second_factors

HALF_S = 300
_HALF = "half_login"
_PASSED = "second_factor"
_ID_TOKEN = "id_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Half:
    """A login that wants its second factor: whose, where it goes on, the sealed secret of an app that is being enrolled
    on the way, and the login provider's token, if it came from there."""

    person: Any
    next_url: str
    sealed: str
    id_token: str


def user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """Who is logged in. A session without the second factor that its person has, or has to have by now, is nobody's:
    it began before he enrolled, or before the setting."""
    found = auth.get_user(request)
    if found.is_authenticated and not request.session.get(_PASSED) and wants_factor(found):
        return AnonymousUser()
    return found


def living(rows: Iterable[str]) -> dict[str, int]:
    """Who is logged in by each of these sessions, named by `sessions.row_of`. One that has ended is left out: logged
    out, idle for too long, of another password by now, or without the second factor that its person needs."""
    found = {}
    for row in Session.objects.filter(pk__in=set(rows), expire_date__gt=timezone.now()):
        request = HttpRequest()
        request.session = sessions.SessionStore.of_row(row)
        person = user_of(request)
        if person.is_authenticated:
            found[row.pk] = int(person.pk)
    return found


def must_have_factor(person: Any) -> bool:
    """Whether the settings ask a second factor of this person: whoever may enter the administration."""
    return settings.REQUIRE_SECOND_FACTOR and access.may(person, roles.OPERATE)


def wants_factor(person: Any) -> bool:
    return must_have_factor(person) or second_factors.of(person) is not None


def enter(
    request: HttpRequest, person: Any, next_url: str, *, passed: bool = False, id_token: str = ""
) -> HttpResponse:  # fmt: skip
    """The first half is proven: log in, or ask for the second. `person.backend` says how it was proven, `id_token` by
    which token of a login provider, and `passed` that a second factor was proven with it."""
    if passed or not wants_factor(person):
        return _log_in(request, person, HttpResponseRedirect(next_url), passed=passed, id_token=id_token)
    request.session.cycle_key()  # who knew the cookie before has not the half
    request.session[_HALF] = {
        "person": person.pk, "backend": person.backend, "hash": person.get_session_auth_hash(),
        "until": time.time() + HALF_S, "next": next_url,
        "sealed": second_factors.seal(second_factors.new_secret()), "id_token": id_token,
    }  # fmt: skip
    return redirect("rest_framework:second-factor")


def half(request: HttpRequest) -> Half | None:
    """The login that wants its second factor in this browser; None when there is none, it is too old, or the password
    was changed or the account closed meanwhile."""
    kept = request.session.get(_HALF)
    if not kept or kept["until"] < time.time():
        return None
    person: Any = auth.get_user_model()._default_manager.filter(pk=kept["person"], is_active=True).first()
    if person is None or not constant_time_compare(kept["hash"], person.get_session_auth_hash()):
        return None
    person.backend = kept["backend"]
    return Half(person, str(kept["next"]), str(kept["sealed"]), str(kept.get("id_token", "")))


def finish(request: HttpRequest, done: Half, response: HttpResponse | None = None) -> HttpResponse:
    """The second factor of a half is proven, too: log in and go on, or answer with `response`."""
    go_on = response or HttpResponseRedirect(done.next_url)
    return _log_in(request, done.person, go_on, passed=True, id_token=done.id_token)


def id_token(request: HttpRequest) -> str:
    """The token by which the login provider let in whoever is logged in; empty for who came by a password."""
    return str(request.session.get(_ID_TOKEN, ""))


def end_by_provider(ended: Ended) -> int:
    """End what the login provider has ended: logins, and those that still want their second factor. How many logins."""

    def is_over(session: Mapping[str, Any]) -> bool:
        half = session.get(_HALF) or {}
        return any(token and ended.is_of(str(token)) for token in (session.get(_ID_TOKEN), half.get("id_token")))

    people = sessions.end_where(is_over)
    for person in auth.get_user_model()._default_manager.filter(pk__in=set(people)):
        note(person, "logged out by the login provider")
    return len(people)


def mark_passed(request: HttpRequest, *, passed: bool) -> None:
    """Note with a session of somebody who is logged in that he has proven a second factor, or has none any more."""
    request.session[_PASSED] = passed


def doors() -> dict[str, Any]:
    """What the page of the login offers."""
    return {"password": settings.PASSWORD_LOGIN, "provider": settings.OIDC_LABEL if settings.OIDC_ISSUER else ""}


def known_browser(request: HttpRequest) -> str:
    """What the throttle knows this browser by."""
    return str(request.COOKIES.get(login_throttle.COOKIE, ""))


def note(person: Any, what: str, by: Any = None) -> None:
    """In the log that the admin shows."""
    LogEntry.objects.log_actions((by or person).pk, [person], CHANGE, what)


def _log_in(
    request: HttpRequest, person: Any, response: HttpResponse, *, passed: bool, id_token: str
) -> HttpResponse:  # fmt: skip
    request.session.pop(_HALF, None)
    request.session.pop(_ID_TOKEN, None)
    auth.login(request, person, person.backend)
    if id_token:
        request.session[_ID_TOKEN] = id_token
    if passed:
        mark_passed(request, passed=True)
    account = person.get_username()
    login_throttle.succeeded(authentication.address_of(request), account)
    response.set_cookie(
        login_throttle.COOKIE, login_throttle.browser_cookie(account), max_age=login_throttle.KNOWN_S,
        httponly=True, samesite="Strict", secure=settings.BEHIND_TLS,
    )  # fmt: skip
    return response
