"""Who is asking: a client or a named key by id and secret, staff by session, or the visitor of a public page. Nobody
else gets in."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
import secrets
import time

from django.conf import settings
from django.core import signing
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.auth import access
from api.auth.access import Visitor
from api.throttling import login_throttle, rates
from marketdata.models import ApiKey, Client
from marketdata.reference import credentials, roles

KEY_HEADER, SECRET_HEADER = "APCA-API-KEY-ID", "APCA-API-SECRET-KEY"
REMEMBER_S = 3.0  # how long a deactivated client or revoked key may still be let in
OUTAGE_S = 600.0  # how long a key that was proven right is known to views that need no database
SEEN_EVERY = datetime.timedelta(minutes=5)
USED_EVERY = datetime.timedelta(minutes=1)
PAGE_COOKIE = "naru_page"
PAGE_COOKIE_S = 12 * 3600
_MOST_REMEMBERED = 1000
_pepper = secrets.token_bytes(32)
_remembered: dict[
    bytes, tuple[float, Client | ApiKey]
] = {}  # by key and secret: when they were last proven right, and whose


class TooManyFailuresError(Exception):
    """This address failed too often; `wait_s` says when it may try again. In English, as sockets are told."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many failed logins; try again in {wait_s} s")
        self.wait_s = wait_s


def login(key_id: str, secret: str, address: str) -> Client | ApiKey | None:
    """The active client of this key, or the named key itself, or None, which is counted. A success holds for
    `REMEMBER_S`. TooManyFailuresError while the address or the key has to wait."""
    named = mark(key_id, secret)
    kept = _remembered.get(named)
    now = time.monotonic()
    if kept is not None and now - kept[0] < REMEMBER_S:
        return kept[1]
    with login_throttle.attempt(address, key_id, secret=secret) as attempt:
        if attempt.wait_s > 0:
            raise TooManyFailuresError(attempt.wait_s)
        found = credentials.verify(key_id[:64], secret[:256])
        if found is None:
            _remembered.pop(named, None)
            attempt.failed()
            return None
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[named] = (now, found)
    login_throttle.was_right(key_id, secret)
    _note_use(found)
    return found


def known_lately(key_id: str, secret: str) -> Client | ApiKey | None:
    """The client or named key that this process found right within the last `OUTAGE_S`; it may be deactivated since."""
    kept = _remembered.get(mark(key_id, secret))
    return kept[1] if kept is not None and time.monotonic() - kept[0] < OUTAGE_S else None


def mark(*given: str) -> bytes:
    """A name for what a caller presented, by which it is found again in this process and nowhere else."""
    return hashlib.blake2b(json.dumps(given).encode(), key=_pepper).digest()


def _note_use(found: Client | ApiKey) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if isinstance(found, Client):
        if found.last_seen_at is None or now - found.last_seen_at > SEEN_EVERY:
            Client.objects.filter(pk=found.pk).update(last_seen_at=now)
    elif found.last_used_at is None or now - found.last_used_at > USED_EVERY:
        # Asked again, for another process may have noted it meanwhile.
        long_ago = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
        ApiKey.objects.filter(long_ago, pk=found.pk).update(last_used_at=now)


def forget() -> None:
    """Let every login be checked anew."""
    _remembered.clear()


class KeyAuthentication(BaseAuthentication):
    """Key id and secret in two headers, as the dialect has it. A view may say `needs_no_database`: while the database
    does not answer, it lets in a key that was proven right lately."""

    def authenticate(self, request: Request) -> tuple[Client | ApiKey, str] | None:
        key_id, secret = request.headers.get(KEY_HEADER), request.headers.get(SECRET_HEADER)
        if key_id is None and secret is None:
            return None
        try:
            return _client(request, key_id or "", secret or "")
        except (OperationalError, InterfaceError):
            view = (request.parser_context or {}).get("view")
            client = known_lately(key_id or "", secret or "") if getattr(view, "needs_no_database", False) else None
            if client is None:
                raise
            return _counted(request, client)

    def authenticate_header(self, request: Request) -> str:
        return f'{KEY_HEADER} realm="naru"'


class BasicKeyAuthentication(BaseAuthentication):
    """The same pair as user name and password, for collectors of metrics, which know nothing else."""

    def authenticate(self, request: Request) -> tuple[Client | ApiKey, str] | None:
        kind, _, coded = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            key_id, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise exceptions.AuthenticationFailed(gettext("the Authorization header cannot be read")) from None
        return _client(request, key_id, secret)

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="naru"'


class PageAuthentication(BaseAuthentication):
    """The cookie that the public page gave. Worth nothing once PAGE_PUBLIC is off."""

    def authenticate(self, request: Request) -> tuple[Visitor, None] | None:
        cookie = request.COOKIES.get(PAGE_COOKIE)
        if cookie is None or not page_cookie_valid(cookie):
            return None
        return Visitor(), None


def _client(request: Request, key_id: str, secret: str) -> tuple[Client | ApiKey, str]:
    try:
        client = login(key_id, secret, address_of(request))
    except TooManyFailuresError as error:
        told = gettext("too many failed logins; try again in {seconds} s")
        raise exceptions.Throttled(error.wait_s, told.format(seconds=error.wait_s)) from error
    if client is None:
        raise exceptions.AuthenticationFailed(gettext("unknown key or wrong secret"))
    return _counted(request, client)


def _counted(request: Request, client: Client | ApiKey) -> tuple[Client | ApiKey, str]:
    """The client or named key, unless it asks too often. Each named key has a count of its own."""
    if isinstance(client, Client):
        who, name = f"key:{client.pk}", f"client {client.name}"
    else:
        who, name = f"key:named:{client.pk}", f"key {client.key_id}"
    rate = rates.of_known(request, who, name, client.rate_limit)
    if rate.exceeded:
        raise exceptions.Throttled(rate.reset_s, gettext("too many requests"))
    return client, client.key_id


def brings_key(request: HttpRequest) -> bool:
    """Whether a key came with a request, right or wrong: in the dialect's headers or as basic authentication."""
    return any(name in request.headers for name in (KEY_HEADER, SECRET_HEADER, "Authorization"))


def address_of(request: Request | HttpRequest) -> str:
    """The caller's address; behind a proxy of ours `api.web.proxies` has put the real one here."""
    return str(request.META.get("REMOTE_ADDR") or "unknown")


def is_known(request: HttpRequest) -> bool:
    """Whether a key or a login that may read came with a request, outside of the REST framework."""
    key_id, secret = request.headers.get(KEY_HEADER), request.headers.get(SECRET_HEADER)
    try:
        asking = login(key_id, secret or "", address_of(request)) if key_id is not None else request.user
    except (TooManyFailuresError, DatabaseError):
        return False
    try:
        return access.may_read(asking)
    except DatabaseError:  # a session could not be looked up
        return False


def page_cookie() -> str:
    """A cookie for a visitor of the public page."""
    return signing.dumps("visitor", salt=PAGE_COOKIE)


def page_cookie_valid(cookie: str) -> bool:
    if not settings.PAGE_PUBLIC:
        return False
    try:
        signing.loads(cookie, salt=PAGE_COOKIE, max_age=PAGE_COOKIE_S)
    except signing.BadSignature:
        return False
    return True


class MayRead(BasePermission):
    message = "this key may not read"

    def has_permission(self, request: Request, view: object) -> bool:
        return access.may_read(request.user)


class MayInspect(BasePermission):
    """For metrics and what is in memory: the public page is not enough."""

    message = "this needs a key, or a login whose role may inspect"

    def has_permission(self, request: Request, view: object) -> bool:
        return access.may_inspect(request.user)


class Operates(BasePermission):
    """For what changes how Naru runs: people who are logged in. Keys read and nothing else."""

    message = "this needs a login whose role may operate"

    def has_permission(self, request: Request, view: object) -> bool:
        return access.may(request.user, roles.OPERATE)


class ReadsEverything(BasePermission):
    """For what shows ticks of every feed at once."""

    message = "this needs a key or a login that may read every feed"

    def has_permission(self, request: Request, view: object) -> bool:
        return access.may_read(request.user, access.ALL_FEEDS)
