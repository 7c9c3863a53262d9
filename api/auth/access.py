"""Who may read what. Told here, and asked by REST, the stream, the pages and the admin."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework import exceptions

from marketdata.models import ApiKey, Client
from marketdata.reference import readers, roles
from marketdata.types import scopes

ALL_FEEDS = scopes.ANY
EVERYBODY = "everybody"

# Whose request is being answered; nobody's where the server reads for itself.
_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class FeedForbidden(exceptions.PermissionDenied):
    """A feed that whoever asks may not read."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at the page while it is public. Reads, and nothing else."""

    name: str = "page"
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_staff: bool = False


def may_read(who: Any, feed: str | None = None) -> bool:
    """Whether a client, a named key, a person or a visitor may read; with `feed`, whether that one, or every one there
    is (ALL_FEEDS)."""
    if isinstance(who, ApiKey):
        is_usable = who.is_usable(datetime.datetime.now(datetime.UTC))
        return is_usable and _within(who.feeds, feed) and may_read(who.owner, feed)
    if isinstance(who, Client):
        return who.is_active and who.may_read and _within(who.read_feeds, feed)
    if isinstance(who, Visitor):
        return True
    return readers.may_read(who, feed)


def may_inspect(who: Any) -> bool:
    """Whether somebody may read metrics and what is in memory: every key that may read, unless its owner may not, and
    people whose role says so."""
    if isinstance(who, ApiKey):
        return may_read(who) and may_inspect(who.owner)
    return may_read(who) if isinstance(who, Client) else may(who, roles.INSPECT)


def may(person: Any, permission: str) -> bool:
    """Whether a person has one of the permissions of `marketdata.reference.roles`."""
    return readers.may(person, permission)


def is_person(who: Any) -> bool:
    """Whether it is a person who is logged in, and no key or visitor."""
    return isinstance(who, AbstractUser) and who.is_active


def alerts_of(who: Any) -> int | str | None:
    """Whose alerts somebody may see: EVERYBODY's, those of the person with this number, or None. A named key sees what
    its person does; clients and visitors have none."""
    person: Any = who.user if isinstance(who, ApiKey) else who
    if not is_person(person) or not may_read(who):
        return None
    return EVERYBODY if may(person, roles.OPERATE) else int(person.pk)


def _within(words: str, feed: str | None) -> bool:
    return feed is None or scopes.allows(words, feed)


def name_of(who: Any) -> tuple[str, int]:
    """("client" | "key" | "user" | "page", primary key), by which `named` finds the same one again."""
    if isinstance(who, Visitor):
        return "page", 0
    kind = "client" if isinstance(who, Client) else "key" if isinstance(who, ApiKey) else "user"
    return kind, int(who.pk)


def named(names: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Any]:
    """Who they are, as the database has them now. Whoever is gone is left out."""
    given = set(names)
    numbers = {kind: [number for of, number in given if of == kind] for kind in ("client", "key", "user")}
    found: list[Any] = [
        *Client.objects.filter(pk__in=numbers["client"]),
        *ApiKey.objects.select_related("client", "user").filter(pk__in=numbers["key"]),
        *get_user_model().objects.filter(pk__in=numbers["user"]),
    ]
    known = {name_of(one): one for one in found}
    return known | {name: Visitor() for name in given if name[0] == "page"}


@contextmanager
def answering(request: HttpRequest) -> Iterator[None]:
    """Within this, `require` asks whether the user of the request may read."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def require(feeds: Iterable[str]) -> None:
    """FeedForbidden unless whoever asks may read each of these feeds. Outside of a request everything may be read."""
    request = _request.get()
    if request is None:
        return
    refused = sorted(feed for feed in set(feeds) if not may_read(request.user, feed))
    if refused:
        told = _("this key or login may not read the feed {feeds}")
        raise FeedForbidden(told.format(feeds=", ".join(refused)))
