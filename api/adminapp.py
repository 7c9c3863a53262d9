"""Django's admin as an application whose pages are imported with the URLs, or for their check: most commands need
neither, and the pages need half of the server."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    default_site = "api.adminsite.AdminSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(app_configs: Any, **kwargs: Any) -> list[Any]:
    """Django's check of the pages, once there are any."""
    admin.autodiscover()
    return list(check_admin_app(app_configs, **kwargs))
