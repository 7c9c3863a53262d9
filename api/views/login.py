"""The one login of page, API and admin, in one step or two. Failures are counted as those of keys are."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from api.auth import logins
from api.throttling.login_throttle import Attempt
from api.views.second_factor import answer, codes_page, enrolment, guessing
from marketdata.reference import second_factors


class Login(LoginView):
    """Name and password."""

    template_name = "api/login.html"
    redirect_authenticated_user = False
    _attempt: Attempt

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.PASSWORD_LOGIN:
            turned_off = _("Logins by password are turned off.")
            shown = self.get_context_data(form=None, problem=turned_off)
            return render(request, self.template_name, shown, status=403)
        account = request.POST.get("username", "")[:150]
        with guessing(request, account, code=False) as self._attempt:
            if self._attempt.wait_s > 0:
                shown = self.get_context_data(form=None, wait_s=self._attempt.wait_s)
                return answer(request, self.template_name, shown)
            return super().post(request, *args, **kwargs)

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return super().get_context_data(**more) | {"doors": logins.doors()}

    def form_valid(self, form: Any) -> HttpResponse:
        return logins.enter(self.request, form.get_user(), self.get_success_url())

    def form_invalid(self, form: Any) -> HttpResponse:
        """Counted whoever asks: to be logged in as somebody is no leave to guess another's password."""
        self._attempt.failed()
        return super().form_invalid(form)


@method_decorator(never_cache, name="dispatch")
class SecondStep(View):
    """A code of the app or a recovery code; or, of whom has to have an app and has none yet, its enrolment."""

    def get(self, request: HttpRequest) -> HttpResponse:
        half = logins.half(request)
        return redirect("rest_framework:login") if half is None else _step(request, half)

    def post(self, request: HttpRequest) -> HttpResponse:
        half = logins.half(request)
        if half is None:
            return redirect("rest_framework:login")
        with guessing(request, half.person.get_username()) as guess:
            if guess.wait_s > 0:
                return _step(request, half, wait_s=guess.wait_s)
            code, now = request.POST.get("code", "")[:32], timezone.now()
            if second_factors.of(half.person) is not None:
                if second_factors.accept(half.person, code, now):
                    return logins.finish(request, half)
            else:
                secret = second_factors.unseal(half.sealed)
                codes = second_factors.enrol(half.person, secret, code, now) if secret else None
                if codes:
                    logins.note(half.person, "second factor enrolled")
                    return logins.finish(request, half, codes_page(request, codes, half.next_url))
            guess.failed()
            return _step(request, half, wrong=True)


def _step(request: HttpRequest, half: logins.Half, **more: Any) -> HttpResponse:
    secret = None if second_factors.of(half.person) else second_factors.unseal(half.sealed)
    shown = enrolment(secret, half.person) if secret else {}
    return answer(request, "api/second_step.html", shown | more)
