"""The administration as a site: who may enter it, how its pages are arranged, and the bar that they share with the
pages of the desk."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from marketdata.types import titles


class AdminSite(admin.AdminSite):
    site_url = None  # the bar leads to the pages

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """As Django does, with a list that answers to what it offers (`api.adminlists`)."""
        from api import adminlists

        super().register(model_or_iterable, adminlists.bounded(admin_class or admin.ModelAdmin), **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Whose role may operate, whether or not Django calls them staff."""
        from api.auth import access  # the REST framework, which most commands do without
        from marketdata.reference import roles

        return access.may(request.user, roles.OPERATE)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """As Django has it, and what the bar shows."""
        from api.views import page

        shown = super().each_context(request)
        return {**shown, **page.bar_of(request.user)} if shown["has_permission"] else shown

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """By what the pages are about, not by application."""
        from api.admin import sections

        return sections.arranged(super().get_app_list(request, app_label), request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With what each alarm is called, and what to do about it."""
        from api import remedies

        return super().index(request, {"remedies": remedies.REMEDIES, "titles": titles, **(extra_context or {})})

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The one of all pages, which knows the login provider."""
        from api.views.openid import Logout

        return Logout.as_view()(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Wrong passwords of before are counted with failed logins: it may be somebody else's hand at an open page."""
        from api.rest import errors
        from api.views.second_factor import guessing

        if request.method != "POST":
            return super().password_change(request, extra_context)
        with guessing(request, request.user.get_username(), code=False) as guess:
            if guess.wait_s > 0:
                return errors.too_many(request, guess.wait_s)
            response: Any = super().password_change(request, extra_context)
            form = (getattr(response, "context_data", None) or {}).get("form")  # none once it was changed
            if form is not None and "old_password" in form.errors:
                guess.failed()
            return response
