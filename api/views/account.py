"""A person's own sessions and keys: seen, ended, and keys issued and rotated. A secret is on one page, once."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.decorators import login_required
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from api.auth import access, authentication, sessions
from marketdata.models import ApiKey
from marketdata.reference import api_keys, roles, second_factors

OVERLAP = datetime.timedelta(hours=24)
MOST_KEYS = 20


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic when running
    class Meta:
        model = ApiKey
        fields = ("name", "feeds", "expires_at")
        widgets = {"expires_at": forms.DateTimeInput(attrs={"type": "datetime-local"})}  # noqa: RUF012 - Django's shape


@method_decorator((login_required, never_cache), name="dispatch")
class AccountView(View):
    """GET shows; POST does what its `action` says."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Http404 for an action that there is not, or a session or key that is not this person's."""
        actions: dict[str, Callable[[HttpRequest], HttpResponse]] = {
            "end": self._end, "end_others": self._end_others, "issue": self._issue, "rotate": self._rotate,
            "revoke": self._revoke,
        }  # fmt: skip
        chosen = actions.get(request.POST.get("action", ""))
        if chosen is None:
            raise Http404
        return chosen(request)

    def _page(self, request: HttpRequest, **more: Any) -> HttpResponse:
        may_issue = access.may(request.user, roles.OWN_KEYS)
        shown = {
            "sessions": sessions.of_person(_person(request), request.session.session_key),
            "keys": _keys(request),
            "form": KeyForm(initial={"feeds": "*"}) if may_issue else None,
            "overlap_h": int(OVERLAP.total_seconds()) // 3600,
            "factor": second_factors.of(request.user),
            "operates": access.may(request.user, roles.OPERATE),
        }
        return render(request, "api/account.html", shown | more)

    def _end(self, request: HttpRequest) -> HttpResponse:
        rows = [one.row for one in sessions.of_person(_person(request), None)]
        if request.POST.get("session") not in rows:
            raise Http404
        Session.objects.filter(pk=request.POST["session"]).delete()
        return redirect("account")

    def _end_others(self, request: HttpRequest) -> HttpResponse:
        sessions.end_others(_person(request), request.session.session_key)
        return redirect("account")

    def _issue(self, request: HttpRequest) -> HttpResponse:
        if not access.may(request.user, roles.OWN_KEYS):
            raise Http404
        form = KeyForm(request.POST, instance=ApiKey(user_id=_person(request)))
        if _keys(request).filter(revoked_at=None).count() >= MOST_KEYS:
            form.add_error(None, _("You have as many keys as one person may: revoke one first."))
        if not form.is_valid():
            return self._page(request, form=form)
        fields = {name: form.cleaned_data[name] for name in KeyForm.Meta.fields}
        try:
            key, secret = api_keys.issue(user=form.instance.user, **fields)
        except (ValidationError, api_keys.NotIssued):
            form.add_error("name", _("You have a key of this name."))
            return self._page(request, form=form)
        _note(request, key, ADDITION, "issued")
        return self._page(request, key=key, secret=secret)

    def _rotate(self, request: HttpRequest) -> HttpResponse:
        key = _own_key(request)
        secret = api_keys.rotate(key, OVERLAP, timezone.now())
        authentication.forget()
        _note(
            request, key, CHANGE, f"secret renewed; the one of before works for {OVERLAP.total_seconds() / 3600:.0f} h"
        )
        return self._page(request, key=key, secret=secret)

    def _revoke(self, request: HttpRequest) -> HttpResponse:
        key = _own_key(request)
        api_keys.revoke(key, timezone.now())
        authentication.forget()
        _note(request, key, CHANGE, "revoked")
        return redirect("account")


def _person(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _keys(request: HttpRequest) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(user_id=_person(request))


def _own_key(request: HttpRequest) -> ApiKey:
    """Http404 for one that is somebody else's or has ended."""
    number = request.POST.get("key", "")
    key = _keys(request).filter(pk=number, revoked_at=None).first() if number.isdecimal() and len(number) < 19 else None
    if key is None:
        raise Http404
    return key


def _note(request: HttpRequest, key: ApiKey, what: int, message: str) -> None:
    """In the log that the admin shows."""
    LogEntry.objects.log_actions(_person(request), [key], what, message)
