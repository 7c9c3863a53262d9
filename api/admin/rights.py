"""What permissions are called in the reader's language, and the choice of them: Django has their names in the database,
in English."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from django.forms import ModelMultipleChoiceField
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

_ACTIONS: dict[str, Promise] = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("view")}
OWN: dict[str, Promise] = {
    "read_data": _("May read market data"),
    "inspect": _("May read metrics and what is in memory"),
    "own_keys": _("May have API keys of their own"),
    "operate": _("May enter the administration"),
}
"""Permissions of people, beside those of single tables (`marketdata.models.Feed`)."""


def name_of(permission: Permission) -> str:
    """A permission for people: of which table, and what may be done with it."""
    content = permission.content_type
    model = content.model_class()
    action, _sep, of = permission.codename.partition("_")
    if content.app_label == "marketdata" and permission.codename in OWN:
        return str(OWN[permission.codename])
    if model is None or of != content.model or action not in _ACTIONS:
        return str(permission.name)
    return f"{capfirst(model._meta.verbose_name)} · {_ACTIONS[action]}"


class RightsField(ModelMultipleChoiceField):  # type: ignore[type-arg]  # no generic when running
    """Permissions by these names."""

    def label_from_instance(self, obj: Any) -> str:
        return name_of(obj)


def field(db_field: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a form's field for a relation, with the names of permissions if it is one to them."""
    if db_field.remote_field.model is not Permission:
        return options
    rows: QuerySet[Permission] = Permission.objects.select_related("content_type")
    return {**options, "form_class": RightsField, "queryset": rows}
