"""People, as Django has them, and whether they log in with a second factor, which can be taken from who lost it."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from api import logins, sessions
from api.admin.site import ReadOnly
from marketdata.models import OpenIdAccount
from marketdata.reference import second_factors

admin.site.unregister(User)  # Django's own page of it, which the import above has registered


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "in_two_steps")
    list_select_related = ("second_factor",)
    actions = ("reset_second_factor",)

    @admin.display(description=_("login in two steps"), boolean=True)
    def in_two_steps(self, person: User) -> bool:
        return hasattr(person, "second_factor")

    @admin.action(description=_("Reset the second factor"), permissions=("change",))
    def reset_second_factor(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        count = 0
        for person in chosen:
            if second_factors.remove(person):
                sessions.end_others(person.pk, None)
                logins.note(person, "second factor reset", by=request.user)
                count += 1
        text = _("Reset: {count}. They log in with the password alone, or enrol anew where that is required.")
        messages.success(request, text.format(count=count))


@admin.register(OpenIdAccount)
class OpenIdAccountAdmin(ReadOnly):
    """Deleted, the person's next login by the provider is a first one again."""

    list_display = ("user", "subject", "linked_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "subject")
    fields = ("user", "subject", "linked_at")

    def has_delete_permission(self, request: HttpRequest, obj: OpenIdAccount | None = None) -> bool:
        return request.user.has_perm("marketdata.delete_openidaccount")
