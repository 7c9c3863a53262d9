"""A person's own second factor: an app enrolled, renewed recovery codes, removal. What the steps of a login show of it,
too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import segno
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.generic import View

from api.auth import authentication, logins, sessions
from api.throttling import login_throttle
from api.throttling.login_throttle import Attempt
from marketdata.reference import second_factors

_NEW = "new_second_factor"


def guessing(request: HttpRequest, account: str, *, code: bool = True) -> AbstractContextManager[Attempt]:
    """A password or code that a person types in to prove who he is; wrong ones are counted with his failed logins."""
    return login_throttle.attempt(
        authentication.address_of(request), account, person=True, code=code, browser=logins.known_browser(request)
    )


@method_decorator((login_required, never_cache), name="dispatch")
class SecondFactorView(View):
    """GET shows a new app's secret, or what may be done with the one that there is; POST does what its `action`
    says, which takes the password, or of a person without one a code."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Http404 for an action that there is not now."""
        person: Any = request.user
        factor, action = second_factors.of(person), request.POST.get("action", "")
        if action not in (("remove", "codes") if factor else ("enrol",)):
            raise Http404
        has_password = person.has_usable_password()
        with guessing(request, person.get_username(), code=not has_password or action == "enrol") as guess:
            if guess.wait_s > 0:
                return self._page(request, wait_s=guess.wait_s)
            code, now = request.POST.get("code", "")[:32], timezone.now()
            if has_password:
                proven = person.check_password(request.POST.get("password", ""))
            else:
                proven = factor is None or second_factors.accept(person, code, now)
            codes = second_factors.enrol(person, self._secret(request), code, now) if proven and not factor else None
            if not proven or (factor is None and codes is None):
                guess.failed()
                return self._page(request, wrong=True)
        if factor is None:
            request.session.pop(_NEW, None)
            return self._changed(request, "second factor enrolled", codes)
        if action == "codes":
            return self._changed(request, "recovery codes renewed", second_factors.renew_codes(factor))
        second_factors.remove(person)
        return self._changed(request, "second factor removed", None)

    def _changed(self, request: HttpRequest, what: str, codes: list[str] | None) -> HttpResponse:
        """This session goes on, the others end: they may be somebody else's."""
        person: Any = request.user
        logins.mark_passed(request, passed=codes is not None)
        sessions.end_others(person.pk, request.session.session_key)
        logins.note(person, what)
        return redirect("account") if codes is None else codes_page(request, codes, reverse("account"))

    def _page(self, request: HttpRequest, **more: Any) -> HttpResponse:
        person: Any = request.user
        factor = second_factors.of(person)
        shown = {"factor": factor, "has_password": person.has_usable_password()}
        if factor is None:
            shown |= enrolment(self._secret(request), person)
        return answer(request, "api/second_factor.html", shown | more)

    def _secret(self, request: HttpRequest) -> str:
        """The same one until the app is enrolled, however often the page is loaded."""
        secret = second_factors.unseal(request.session.get(_NEW, ""))
        if secret is None:
            secret = second_factors.new_secret()
            request.session[_NEW] = second_factors.seal(secret)
        return secret


def enrolment(secret: str, person: Any) -> dict[str, Any]:
    """What a page shows of an app that is to be enrolled: the picture that the app reads, and the same to type in."""
    picture = segno.make_qr(second_factors.address(secret, person.get_username())).svg_inline(scale=5, light="white")
    words = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return {"picture": mark_safe(picture), "secret": words}  # noqa: S308 - drawn here, of numbers


def codes_page(request: HttpRequest, codes: list[str], next_url: str) -> HttpResponse:
    """Recovery codes, shown this once."""
    return render(request, "api/recovery_codes.html", {"codes": codes, "next": next_url})


def answer(request: HttpRequest, template: str, shown: dict[str, Any]) -> HttpResponse:
    """A page of a login; 429 with Retry-After where `wait_s` says that this person has to wait."""
    wait_s = shown.get("wait_s", 0)
    response = render(request, template, shown, status=429 if wait_s else 200)
    if wait_s:
        response["Retry-After"] = str(wait_s)
    return response
