"""Buttons of the administration that ask a worker for work, by the road of `POST /v2/operations/…`: asked once at a
time, noted with who asked and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from api.admin.site import ReadOnly
from api.auth import access
from marketdata.maintenance import requests
from marketdata.models import AuditEntry
from marketdata.reference import roles

MOST_BATCHES = 100
TITLES = {
    "rollover": _("Do what is due"),
    "retention": _("Apply retention"),
    "backup": _("Back up now"),
    "repair": _("Fetch what is due"),
}
"""Of the works that a list has a button for."""
EXPLAINED = {
    "rollover": _("A worker moves every trading day that is over and not done to history."),
    "retention": _("A worker drops what is past its time. It cannot be undone."),
    "backup": _(
        "A worker takes a backup, restores it beside the original and compares. It may take hours of disk and "
        "processor."
    ),
    "repair": _(
        "A worker asks KIS for its bars of the minutes in which something of the last trading days was lost and that "
        "it has not told yet. They are shown beside ours, and never become ours."
    ),
}


def may(request: HttpRequest) -> bool:
    """Whether somebody may ask for work: as on the page of operations, people who operate."""
    return access.is_person(request.user) and access.may(request.user, roles.OPERATE)


def ask(section: Any, request: HttpRequest, work: str, text: str = "", **given: Any) -> None:
    """Ask, and say on the next page what came of that."""
    try:
        entry, new = requests.ask(work, by=request.user.get_username(), text=text, **given)
    except OperationalError:
        refuse(section, request, _("The broker cannot be reached, so no worker can be asked."))
        return
    told = {"text": entry.text[:200], "actor": entry.actor}
    if new:
        section.message_user(request, _("Asked a worker: %(text)s.") % told, messages.SUCCESS)
    else:
        refuse(section, request, _("Not asked again: %(text)s, asked by %(actor)s, is not over yet.") % told)


def refuse(section: Any, request: HttpRequest, words: str | Promise) -> None:
    """Say why nothing was asked."""
    section.message_user(request, words, messages.WARNING)


def _newest(works: Iterable[str]) -> list[tuple[AuditEntry, str]]:
    """What was asked last of each work, with what came of it in the reader's language."""
    found = (AuditEntry.objects.filter(action=work).order_by("-pk").first() for work in works)
    return [(entry, requests.shown(entry)) for entry in found if entry is not None]


class AskingPages(ReadOnly):
    """A list with buttons for `works`, each of which asks whether it is meant."""

    works: tuple[str, ...] = ()
    change_list_template = "api/admin/asking_list.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"marketdata_{self.opts.model_name}_ask"
        return [path("ask/<slug:work>/", self.admin_site.admin_view(self.asked), name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        works = [(work, TITLES[work]) for work in self.works] if may(request) else []
        name = f"admin:marketdata_{self.opts.model_name}_ask"
        shown = {"works": works, "ask_address": name, "asked": _newest(work for work, _title in works)}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def asked(self, request: HttpRequest, work: str) -> HttpResponse:
        """Says what would be done, and asks for it when that is sent. Http404 for what this list has no button for;
        PermissionDenied for who does not operate."""
        if work not in self.works:
            raise Http404
        if not may(request):
            raise PermissionDenied
        if request.method == "POST":
            ask(self, request, work)
            return redirect(f"admin:marketdata_{self.opts.model_name}_changelist")
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": TITLES[work]}
        shown = {"explained": EXPLAINED[work], "going": requests.going(work)}
        return TemplateResponse(request, "api/admin/ask.html", shared | shown)
