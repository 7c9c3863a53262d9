"""Named keys, issued, rotated and revoked, and which feeds roles and people read. A secret is on one page, once."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from api.admin.clients import secret_page
from api.auth import authentication
from marketdata.models import ApiKey, ReadRule
from marketdata.reference import api_keys

OVERLAP_H = 24


class RotationForm(forms.Form):
    overlap_h = forms.IntegerField(
        label=_("hours the present secret still works"),
        min_value=0,
        max_value=int(api_keys.LONGEST_OVERLAP.total_seconds()) // 3600,
        initial=OVERLAP_H,
    )


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = (
        "name", "key_id", "client", "user", "feeds", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "client")
    list_select_related = ("client", "user")
    search_fields = ("name", "key_id", "client__name", "user__username")
    fields = (
        "name", "client", "user", "feeds", "rate_limit", "expires_at", "key_id", "created_at", "last_used_at",
        "previous_until", "revoked_at", "secret",
    )  # fmt: skip
    readonly_fields = ("key_id", "created_at", "last_used_at", "previous_until", "revoked_at", "secret")
    autocomplete_fields = ("client", "user")
    actions = ("revoke",)

    @admin.display(description=_("secret"))
    def secret(self, key: ApiKey) -> str:
        if key._state.adding:
            return str(_("Shown once, after saving."))
        return format_html(
            '{} <a href="{}">{}</a>', _("Not kept, cannot be shown."),
            reverse("admin:marketdata_apikey_rotate", args=[key.pk]), _("New secret"),
        )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return ("client", "user", *self.readonly_fields) if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False  # the log names it; revoke it

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            request.new_secret = api_keys.prepare(obj)  # type: ignore[attr-defined]  # for response_add, a moment later
        super().save_model(request, obj, form, change)
        authentication.forget()

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return secret_page(self, request, obj, request.new_secret)  # type: ignore[attr-defined]

    @admin.action(description=_("Revoke"), permissions=("change",))
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        now, count = timezone.now(), 0
        for key in chosen:
            if api_keys.revoke(key, now):
                self.log_change(request, key, "revoked")
                count += 1
        authentication.forget()
        text = _("%(count)d keys revoked; their sockets close within seconds.") % {"count": count}
        self.message_user(request, text, messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:number>/rotate/", self.admin_site.admin_view(self.rotate), name="marketdata_apikey_rotate")
        return [own, *super().get_urls()]

    def rotate(self, request: HttpRequest, number: int) -> HttpResponse:
        """Asks how long the present secret shall still work. Http404 for a key that is not there, PermissionDenied for
        who may not change it."""
        key = self.get_object(request, str(number))
        if key is None:
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        form = RotationForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            shared = {**self.admin_site.each_context(request), "opts": self.opts, "key": key, "form": form}
            return TemplateResponse(request, "api/admin/rotate_key.html", shared | {"title": _("New secret")})
        hours = form.cleaned_data["overlap_h"]
        secret = api_keys.rotate(key, datetime.timedelta(hours=hours), timezone.now())
        authentication.forget()
        self.log_change(request, key, f"secret renewed; the one of before works for {hours} h")
        return secret_page(self, request, key, secret)


@admin.register(ReadRule)
class ReadRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("group", "user", "feeds")
    list_display_links = ("group", "user")
    list_select_related = ("group", "user")
    autocomplete_fields = ("group", "user")
