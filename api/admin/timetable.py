"""The timetable, as django-celery-beat shows it: what is done with many tasks at once is noted in the log as well, and
the page needs no script within itself."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

from api import timetable_names

NOTED = ("enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks")

admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class TimetableAdmin(PeriodicTaskAdmin):  # type: ignore[misc]  # the package has no types
    change_form_template = "api/admin/periodic_task.html"
    list_display = ("named", "enabled", "every", "last_run_at", "total_run_count", "task_name")
    list_filter = ("enabled", "one_off", "last_run_at")

    class Media:
        js = ("api/periodic_task.js",)

    @admin.display(description=_("name"), ordering="name")
    def named(self, task: PeriodicTask) -> str:
        return timetable_names.shown(task.name)

    # The package's own words for these two are English in every language.
    @admin.display(description=_("Every"))
    def every(self, task: PeriodicTask) -> str:
        return str(task.scheduler)

    @admin.display(description=_("Task"), ordering="task")
    def task_name(self, task: PeriodicTask) -> str:
        return str(task.task)

    def response_action(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> HttpResponseBase | None:
        action = request.POST.get("action", "")
        everything = (
            queryset
            if request.POST.get("select_across") == "1"
            else queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        )
        chosen: list[Any] = list(everything) if action in NOTED else []
        response: HttpResponseBase | None = super().response_action(request, queryset)
        for task in chosen if response is not None else ():
            self.log_change(request, task, action)
        return response
