"""Clients and their keys. A secret is on one page, once; the database has only what can verify it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api.auth import authentication
from marketdata.models import ApiKey, Client


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = (
        "name", "key_id", "source", "may_send", "feeds", "may_read", "may_register", "is_active", "last_seen_at",
        "clock_offset",
    )  # fmt: skip
    list_filter = ("is_active", "may_send", "may_read", "source")
    list_select_related = ("source",)
    search_fields = ("name", "key_id")
    search_help_text = _("Search by name or key id.")
    fields = (
        "name", "source", "may_send", "feeds", "markets", "kinds", "shares_feeds", "unique_by", "may_read",
        "read_feeds", "rate_limit", "may_register", "quotas", "is_active", "key_id", "created_at",
        "last_seen_at", "secret",
    )  # fmt: skip
    readonly_fields = ("key_id", "created_at", "last_seen_at", "secret")
    actions = None

    @admin.display(description=_("clock offset, ms"), ordering="clock_offset_us")
    def clock_offset(self, client: Client) -> str:
        return "" if client.clock_offset_us is None else f"{client.clock_offset_us / 1000:+.0f}"

    @admin.display(description=_("secret"))
    def secret(self, client: Client) -> str:
        if client._state.adding:
            return str(_("Shown once, after saving."))
        return format_html(
            '{} <a href="{}">{}</a>', _("Not kept, cannot be shown."),
            reverse("admin:marketdata_client_secret", args=[client.pk]), _("New secret"),
        )  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        return False  # the ledger refers to it; deactivate it

    def get_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        return self.fields if obj else tuple(name for name in self.fields if name not in ("created_at", "last_seen_at"))

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        if not change:
            request.new_secret = obj.renew_secret()  # type: ignore[attr-defined]  # for response_add, a moment later
        super().save_model(request, obj, form, change)
        authentication.forget()

    def response_add(self, request: HttpRequest, obj: Client, post_url_continue: str | None = None) -> HttpResponse:
        return secret_page(self, request, obj, request.new_secret)  # type: ignore[attr-defined]

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<int:number>/secret/", self.admin_site.admin_view(self.new_secret), name="marketdata_client_secret"
        )  # fmt: skip
        return [own, *super().get_urls()]

    def new_secret(self, request: HttpRequest, number: int) -> HttpResponse:
        """Asks first; then the old secret is worth nothing any more. Http404 for a client that is not there,
        PermissionDenied for who may not change it."""
        client = self.get_object(request, str(number))
        if client is None:
            raise Http404
        if not self.has_change_permission(request, client):
            raise PermissionDenied
        if request.method != "POST":
            return _page(self, request, client, "api/admin/new_secret.html", title=_("New secret"))
        secret = client.renew_secret()
        client.save(update_fields=["stored_key", "server_key"])
        authentication.forget()
        self.log_change(request, client, "secret renewed")
        return secret_page(self, request, client, secret)


def secret_page(section: Any, request: HttpRequest, owner: Client | ApiKey, secret: str) -> HttpResponse:
    """The one page that shows a new secret, of a section of the admin, with how it is used."""
    address = request.build_absolute_uri("/").rstrip("/")
    response = _page(
        section, request, owner, "api/admin/secret.html", title=_("Secret: shown only now"),
        secret=secret, address=address, stream=address.replace("http", "ws", 1),
        reads=owner.may_read if isinstance(owner, Client) else True,
        sends=isinstance(owner, Client) and owner.may_send,
    )  # fmt: skip
    response["Cache-Control"] = "no-store"
    return response


def _page(section: Any, request: HttpRequest, owner: Client | ApiKey, template: str, **context: Any) -> HttpResponse:
    shared = {**section.admin_site.each_context(request), "opts": section.opts, "client": owner}
    return TemplateResponse(request, template, shared | context)
