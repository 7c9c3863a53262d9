"""The roles of people, and what each may do: this table is the one place. `migrate` makes Django's groups of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MappingProxyType

from django.contrib.auth.models import Group, Permission

READ = "marketdata.read_data"
INSPECT = "marketdata.inspect"
OWN_KEYS = "marketdata.own_keys"
OPERATE = "marketdata.operate"

VIEWER = (READ,)
QUANT = (*VIEWER, INSPECT, OWN_KEYS)
OPERATOR = (
    *QUANT, OPERATE, "marketdata.view_*", "marketdata.*_symbol", "marketdata.*_calendaroverride",
    "marketdata.*_voidorder", "marketdata.change_feedowner", "admin.view_logentry", "django_celery_beat.view_*",
)  # fmt: skip
ADMIN = ("*",)
ROLES = MappingProxyType({"viewer": VIEWER, "quant": QUANT, "operator": OPERATOR, "admin": ADMIN})
"""By name of a group: permissions as Django names them, `*` for any part."""


def make_groups() -> None:
    """After migrate: the groups have what the table says, no more and no less."""
    known = {
        f"{one.content_type.app_label}.{one.codename}": one for one in Permission.objects.select_related("content_type")
    }
    for name, words in ROLES.items():
        group, _made = Group.objects.get_or_create(name=name)
        group.permissions.set(one for label, one in known.items() if any(fnmatchcase(label, word) for word in words))
