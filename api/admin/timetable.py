"""The timetable, as django-celery-beat shows it: what is done with many tasks at once is noted in the log as well, and
the page needs no script within itself."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django_celery_beat.admin import CrontabScheduleAdmin, PeriodicTaskAdmin
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from api import timetable_names

NOTED = ("enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks")

admin.site.unregister([PeriodicTask, CrontabSchedule])


@admin.register(CrontabSchedule)
class CrontabAdmin(CrontabScheduleAdmin):  # type: ignore[misc]  # the package has no types
    """The package's own, whose words for it are those of the server's locale."""

    list_display = ("__str__", "in_words")
    fields = ("in_words", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ("in_words",)

    @admin.display(description=_("in words"))
    def in_words(self, row: CrontabSchedule) -> str:
        return timetable_names.crontab(row) if row.pk else "–"


@admin.register(PeriodicTask)
class TimetableAdmin(PeriodicTaskAdmin):  # type: ignore[misc]  # the package has no types
    change_form_template = "api/admin/periodic_task.html"
    list_display = ("named", "enabled", "every", "last_run_at", "total_run_count", "task_name")
    list_filter = ("enabled", "one_off", "last_run_at")
    date_hierarchy = None  # of when they begin, which few say

    class Media:
        js = ("api/periodic_task.js",)

    @admin.display(description=_("name"), ordering="name")
    def named(self, task: PeriodicTask) -> str:
        return timetable_names.shown(task.name)

    # The package's own words for these two are English in every language.
    @admin.display(description=_("Every"))
    def every(self, task: PeriodicTask) -> str:
        return timetable_names.every(task)

    @admin.display(description=_("Task"), ordering="task")
    def task_name(self, task: PeriodicTask) -> str:
        return str(task.task)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().changeform_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            crontabs = CrontabSchedule.objects.all()
            response.context_data["readable_crontabs"] = {row.pk: timetable_names.crontab(row) for row in crontabs}
        return response

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
