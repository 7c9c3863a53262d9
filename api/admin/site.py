"""Titles of the administration pages, and what its sections have in common."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from marketdata.types.units import SEOUL

admin.site.site_header = _("Naru Administration")
admin.site.site_title = _("Naru")
admin.site.index_title = _("Administration")

MOST_LISTED = 10_000


def moment(time_us: int | None) -> str:
    """A time in microseconds as people in Seoul read it."""
    if time_us is None:
        return "–"
    seconds, rest = divmod(time_us, 1_000_000)
    return f"{datetime.datetime.fromtimestamp(seconds, SEOUL):%Y-%m-%d %H:%M:%S}.{rest:06d}"


class Newest(Paginator):  # type: ignore[type-arg]  # no generic when running
    """Pages of the first MOST_LISTED rows of a list: counting and skipping more would read the table. What lies behind
    them is found by the list's filters and its search."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_LISTED].count())


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic when running
    """To look at, never to change: what happened has happened."""

    actions: Any = None
    paginator = Newest
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
