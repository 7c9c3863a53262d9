"""Which person of ours somebody is whom an OpenID Connect provider has proven, and which roles that gives. Knows no
request, and believes the claims: `api.auth.openid` has proven them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from marketdata.models import OpenIdAccount
from marketdata.reference import roles


class NoPerson(Exception):
    """Nobody of ours, and nobody who may become one; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How claims are read: the claim that names a person, the one of his groups, the role of each group that has one,
    and whether somebody new gets an account."""

    name_claim: str
    groups_claim: str
    roles: Mapping[str, str]
    creates: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A person, what the login changed of him ("role operator removed"), and whether he may do anything here."""

    person: User
    changes: list[str]
    may_enter: bool


def person_of(claims: Mapping[str, Any], rules: Rules) -> Found:
    """Whose account it is, by issuer and subject, which stay; the name counts at the first login alone. The person has
    the roles of his groups from now on, and no other of `roles.ROLES`. NoPerson."""
    issuer, subject = str(claims["iss"]), str(claims["sub"])
    wanted = _roles(claims, rules)
    known = OpenIdAccount.objects.select_related("user").filter(mark=mark(issuer, subject)).first()
    changes = []
    if known is not None:
        person = known.user
    elif rules.roles and not wanted:
        raise NoPerson("no account, and no group that gives a role")
    else:
        person, change = _first_login(issuer, subject, claims, rules)
        changes.append(change)
    if not person.is_active:
        raise NoPerson("the account is closed")
    if rules.roles:
        changes += _give(person, wanted)
    return Found(person, changes, may_enter=bool(wanted or person.is_staff or not rules.roles))


def mark(issuer: str, subject: str) -> str:
    """One short name for both, which tells capitals apart on every database."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()


def _roles(claims: Mapping[str, Any], rules: Rules) -> set[str]:
    """No claim is no group: a provider that stopped telling groups gives no rights."""
    groups = claims.get(rules.groups_claim)
    named = groups if isinstance(groups, list) else [groups]
    return {rules.roles[group] for group in named if isinstance(group, str) and group in rules.roles}


def _first_login(issuer: str, subject: str, claims: Mapping[str, Any], rules: Rules) -> tuple[User, str]:
    name = _name(claims, rules)
    found = next((one for one in User.objects.filter(username=name) if one.username == name), None)
    try:
        with transaction.atomic():
            if found is None:
                if not rules.creates:
                    raise NoPerson(f"there is no account {name}, and none is made")
                found, change = User.objects.create_user(name), "account created at a login by the provider"
            elif not found.is_active:
                raise NoPerson("the account is closed")
            elif found.has_usable_password() or found.is_staff or found.is_superuser:
                raise NoPerson(f"the account {name} is not the provider's: it has a password, or is staff")
            else:
                change = "account taken into use by a login by the provider"
            OpenIdAccount.objects.create(user=found, mark=mark(issuer, subject), subject=subject[:255])
    except IntegrityError as error:
        raise NoPerson(f"the account {name} is somebody else's") from error
    return found, change


def _name(claims: Mapping[str, Any], rules: Rules) -> str:
    given = claims.get(rules.name_claim)
    if rules.name_claim == "email" and claims.get("email_verified") is not True:
        raise NoPerson("the e-mail address is not verified")
    if not isinstance(given, str) or not given or len(given) > 150:
        raise NoPerson(f"there is no claim {rules.name_claim} that could name an account")
    name = unicodedata.normalize("NFKC", given)
    try:
        User.username_validator(name)
    except ValidationError as error:
        raise NoPerson(f"the claim {rules.name_claim} has characters that no account's name has") from error
    return name


def _give(person: User, wanted: set[str]) -> list[str]:
    has = set(person.groups.filter(name__in=roles.ROLES).values_list("name", flat=True))
    person.groups.remove(*Group.objects.filter(name__in=has - wanted))
    person.groups.add(*Group.objects.filter(name__in=wanted - has))
    lost = [f"role {name} removed" for name in sorted(has - wanted)]
    return lost + [f"role {name} given" for name in sorted(wanted - has)]
