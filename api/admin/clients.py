"""Clients and their keys, who of them is connected, and how they are used. A secret is on one page, once; the database
has only what can verify it."""

from __future__ import annotations

from typing import Any, Final

import redis
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api.admin.site import moment
from api.auth import authentication
from marketdata.models import ApiKey, Client, Symbol
from marketdata.realtime import live_state

COMMANDS: Final = {
    "INFOMAX": "infomax", "BLOOMBERG": "bloomberg", "KIS": "kis", "REPLAY": "replay", "SIMULATOR": "simulate",
}  # fmt: skip
"""What `python -m terminals` calls each source that it has, by the code with which a terminal logs in."""
_ARGUMENTS: Final = {"replay": " trades.csv", "simulate": ""}  # of the others there is more than a command line holds


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = (
        "name", "key_id", "source", "may_send", "feeds", "may_read", "is_active", "last_seen_at", "clock_offset",
    )  # fmt: skip
    list_filter = ("is_active", "may_send", "may_read", "source")
    list_select_related = ("source",)
    search_fields = ("name", "key_id")
    search_help_text = _("Search by name or key id.")
    fields = (
        "name", "source", "may_send", "feeds", "markets", "kinds", "shares_feeds", "unique_by", "may_read",
        "read_feeds", "rate_limit", "may_register", "quotas", "is_active", "key_id", "created_at",
        "last_seen_at", "secret", "examples",
    )  # fmt: skip
    readonly_fields = ("key_id", "created_at", "last_seen_at", "secret", "examples")
    actions = ("enable", "disable")

    def get_list_display(self, request: HttpRequest) -> Any:
        """With who is connected at this moment, as the ingest servers say, asked once for a list."""
        now = _connected()

        @admin.display(description=_("connected"), empty_value="–")
        def connected(client: Client) -> str | None:
            told = None if now is None else now.get(client.name)
            if told is None:
                return str(_("unknown")) if now is None else None
            return f"{moment(int(told['since'] * 1_000_000))[:19]} · {told.get('address') or ''}".rstrip(" ·")

        return (*self.list_display, connected)

    @admin.action(description=_("Enable"), permissions=("change",))
    def enable(self, request: HttpRequest, chosen: QuerySet[Client]) -> None:
        self._set(request, chosen, active=True)

    @admin.action(description=_("Disable: its connections close within seconds"), permissions=("change",))
    def disable(self, request: HttpRequest, chosen: QuerySet[Client]) -> None:
        self._set(request, chosen, active=False)

    def _set(self, request: HttpRequest, chosen: QuerySet[Client], *, active: bool) -> None:
        changed = list(chosen.exclude(is_active=active))
        chosen.update(is_active=active)
        authentication.forget()
        for client in changed:
            self.log_change(request, client, f"is_active = {active}")
        self.message_user(request, _("%(count)d clients changed.") % {"count": len(changed)}, messages.SUCCESS)

    @admin.display(description=_("examples"))
    def examples(self, client: Client) -> str:
        if client._state.adding:
            return "–"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:marketdata_client_examples", args=[client.pk]), _("To copy")
        )

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
        return (
            self.fields
            if obj
            else tuple(name for name in self.fields if name not in ("created_at", "last_seen_at", "examples"))
        )

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        if not change:
            request.new_secret = obj.renew_secret()  # type: ignore[attr-defined]  # for response_add, a moment later
        super().save_model(request, obj, form, change)
        authentication.forget()

    def response_add(self, request: HttpRequest, obj: Client, post_url_continue: str | None = None) -> HttpResponse:
        return secret_page(self, request, obj, request.new_secret)  # type: ignore[attr-defined]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:number>/secret/", view(self.new_secret), name="marketdata_client_secret"),
            path("<int:number>/examples/", view(self.shown_examples), name="marketdata_client_examples"),
            *super().get_urls(),
        ]

    def shown_examples(self, request: HttpRequest, number: int) -> HttpResponse:
        """How the client is used, without its secret. Http404 for a client that is not there, PermissionDenied for who
        may not see it."""
        client = self.get_object(request, str(number))
        if client is None:
            raise Http404
        if not self.has_view_permission(request, client):
            raise PermissionDenied
        return _page(
            self, request, client, "api/admin/examples_page.html", title=_("Examples"), **_used(request, client)
        )

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
    response = _page(
        section, request, owner, "api/admin/secret.html", title=_("Secret: shown only now"), secret=secret,
        **_used(request, owner),
    )  # fmt: skip
    response["Cache-Control"] = "no-store"
    return response


def _used(request: HttpRequest, owner: Client | ApiKey) -> dict[str, Any]:
    """What the examples name: addresses as whoever asks sees them, and a feed of the owner's."""
    address = request.build_absolute_uri("/").rstrip("/")
    host = request.get_host().rsplit(":", 1)[0] if not request.get_host().endswith("]") else request.get_host()
    feed = Symbol.objects.filter(is_active=True).order_by("code").values_list("primary_feed", flat=True).first()
    sends = isinstance(owner, Client) and owner.may_send and owner.source is not None
    return {
        "address": address, "stream": address.replace("http", "ws", 1), "feed": feed or "krx",
        "ingest": f"{host}:{settings.INGEST_PORT}", "sends": sends,
        "reads": owner.may_read if isinstance(owner, Client) else True,
        **(_sending(owner, f"{host}:{settings.INGEST_PORT}") if isinstance(owner, Client) and sends else {}),
    }  # fmt: skip


def _sending(client: Client, server: str) -> dict[str, Any]:
    """What a terminal of the client's source is started with. The command is "" where the terminals have no such
    source."""
    command = COMMANDS.get(client.source.code, "") if client.source else ""
    tls = " --tls" if settings.INGEST_TLS_CERT else ""
    return {
        "command": command, "configured": command not in _ARGUMENTS,
        "arguments": _ARGUMENTS.get(command, f" --config {command}.toml"),
        "link": f"--server {server}{tls} --client {client.name} --key-file naru.key --spool spool",
    }  # fmt: skip


def _connected() -> dict[str, dict[str, Any]] | None:
    """What the ingest servers say of each connected client, by name; None while Redis is away."""
    try:
        servers = live_state.status()["ingest"]
    except redis.RedisError:
        return None
    return {one["client"]: one for server in servers for one in server.get("clients", [])}


def _page(section: Any, request: HttpRequest, owner: Client | ApiKey, template: str, **context: Any) -> HttpResponse:
    shared = {**section.admin_site.each_context(request), "opts": section.opts, "client": owner}
    return TemplateResponse(request, template, shared | context)
