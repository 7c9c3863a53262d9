"""Who changed what: in these pages, and by command."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.utils.translation import gettext_lazy as _

from api.admin import history
from api.admin.site import ReadOnly
from marketdata.maintenance import requests
from marketdata.models import AuditEntry


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnly):
    list_display = ("action_time", "user", "what", "content_type", "object_repr", "message")
    list_filter = ("action_flag", "content_type", "user")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "change_message", "user__username")
    fields = ("action_time", "user", "what", "content_type", "object_id", "object_repr", "message")

    @admin.display(description=_("what"), ordering="action_flag")
    def what(self, entry: LogEntry) -> str:
        return str(entry.get_action_flag_display())

    @admin.display(description=_("message"))
    def message(self, entry: LogEntry) -> str:
        return history.in_words(entry)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("at", "actor", "text", "ended")
    list_filter = ("action",)
    search_fields = ("actor", "text")
    fields = ("at", "actor", "action", "text", "ended")

    @admin.display(description=_("outcome"), ordering="outcome")
    def ended(self, entry: AuditEntry) -> str:
        return requests.shown(entry)
