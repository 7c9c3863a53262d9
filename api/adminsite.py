"""The administration as a site: who may enter it."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest


class AdminSite(admin.AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """Whose role may operate, whether or not Django calls them staff."""
        from api import access  # the REST framework, which most commands do without
        from marketdata.reference import roles

        return access.may(request.user, roles.OPERATE)
