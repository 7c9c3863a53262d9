"""People, as Django has them, and whether they log in with a second factor, which can be taken from who lost it.
Who may change people changes nobody with rights that he has not himself, and gives rights only if he has every one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from api.admin import rights
from api.admin.site import ReadOnly
from api.auth import logins, sessions
from marketdata.models import OpenIdAccount
from marketdata.reference import second_factors

_GIVE_RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister((User, Group))  # Django's own pages of them, which the import above has registered


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # no generic when running
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "in_two_steps")
    list_select_related = ("second_factor",)
    actions = ("reset_second_factor",)

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **options: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **rights.field(db_field, options))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or _has_no_more(obj, request.user))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or _has_no_more(obj, request.user))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        has_every = _rights(request.user) == _every()
        return super().get_readonly_fields(request, obj) if has_every else _GIVE_RIGHTS

    @admin.display(description=_("login in two steps"), boolean=True)
    def in_two_steps(self, person: User) -> bool:
        return hasattr(person, "second_factor")

    @admin.action(description=_("Reset the second factor"), permissions=("change",))
    def reset_second_factor(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        """PermissionDenied if one of them has rights that who asks has not."""
        if not all(self.has_change_permission(request, person) for person in chosen):
            raise PermissionDenied
        count = 0
        for person in chosen:
            if second_factors.remove(person):
                sessions.end_others(person.pk, None)
                logins.note(person, "second factor reset", by=request.user)
                count += 1
        text = _("Reset: {count}. They log in with the password alone, or enrol anew where that is required.")
        messages.success(request, text.format(count=count))


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **options: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **rights.field(db_field, options))


def _has_no_more(person: User, asking: Any) -> bool:
    return _rights(person) <= _rights(asking)


def _rights(person: Any) -> set[int]:
    """Permissions, those of a closed account, too; a superuser has every one."""
    if person.is_superuser:
        return _every()
    mine = Permission.objects.filter(Q(user=person) | Q(group__user=person))
    return set(mine.values_list("pk", flat=True))


def _every() -> set[int]:
    return set(Permission.objects.values_list("pk", flat=True))


@admin.register(OpenIdAccount)
class OpenIdAccountAdmin(ReadOnly):
    """Deleted, the person's next login by the provider is a first one again."""

    list_display = ("user", "subject", "linked_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "subject")
    fields = ("user", "subject", "linked_at")

    def has_delete_permission(self, request: HttpRequest, obj: OpenIdAccount | None = None) -> bool:
        may_delete = request.user.has_perm("marketdata.delete_openidaccount")
        return may_delete and (obj is None or _has_no_more(obj.user, request.user))
