"""What a person may do, and which feeds he may read, as the database has it now. Clients, keys and visitors are the
matter of `api.auth.access`, which asks this for people."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import Q

from marketdata.models import ReadRule
from marketdata.reference import roles
from marketdata.types import scopes


def may(person: Any, permission: str) -> bool:
    """Whether a person has one of the permissions of `marketdata.reference.roles`. Whom Django calls staff has them
    all, as before there were roles; which tables staff see and change is their permissions' matter."""
    if not isinstance(person, AbstractUser) or not person.is_active:
        return False
    return person.is_staff or person.has_perm(permission)


def may_read(person: Any, feed: str | None = None) -> bool:
    """Whether a person may read; with `feed`, whether that one, or every one there is (`scopes.ANY`)."""
    return may(person, roles.READ) and (feed is None or any(scopes.allows(words, feed) for words in _rules(person)))


def _rules(person: AbstractUser) -> list[str]:
    """The scopes of which one has to allow a feed."""
    if person.is_superuser:
        return [scopes.ANY]
    of_both = Q(user=person) | Q(group__user=person)
    rules = list(ReadRule.objects.filter(of_both))
    own = [rule.feeds for rule in rules if rule.user_id is not None]
    return own or [rule.feeds for rule in rules] or [scopes.ANY]
