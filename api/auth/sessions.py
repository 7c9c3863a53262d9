"""Login sessions in the database, found by a hash of the cookie: whoever reads the table cannot become anybody. One
that is not used for SESSION_IDLE_S ends."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request


def row_of(cookie: str) -> str:
    """The primary key of the row of this cookie; 40 characters, as many as the column has."""
    return hashlib.blake2b(cookie.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


class SessionStore(db.SessionStore):
    """Django's own, except that `session_key` (the cookie's value) is never what the database holds."""

    def _get_session_from_db(self) -> Any:
        return self._found(self.model.objects.filter(**self._live()).first())

    async def _aget_session_from_db(self) -> Any:
        return self._found(await self.model.objects.filter(**self._live()).afirst())

    def _live(self) -> dict[str, Any]:
        return {"session_key": row_of(self.session_key or ""), "expire_date__gt": timezone.now()}

    def _found(self, row: Any) -> Any:
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        return super().exists(row_of(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(row_of(session_key))

    def create_model_instance(self, data: Any) -> Any:
        return self._hashed(super().create_model_instance(data))

    async def acreate_model_instance(self, data: Any) -> Any:
        return self._hashed(await super().acreate_model_instance(data))

    @classmethod
    def of_row(cls, row: Session) -> SessionStore:
        """What a row holds, to be looked at: the cookie it belongs to is not known."""
        store = cls()
        store._session_cache = row.get_decoded()  # type: ignore[attr-defined]  # where Django's own keeps it
        return store

    @staticmethod
    def _hashed(row: Any) -> Any:
        row.session_key = row_of(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(row_of(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            await super().adelete(row_of(key))


@dataclass(frozen=True, slots=True)
class Login:
    """A session of a person: the key of its row, which is no cookie, and what was noted at the login."""

    row: str
    began: str
    address: str
    agent: str
    ends_at: datetime.datetime
    is_this: bool


def of_request(request: Request) -> str:
    """The session by which the REST framework knows who asks, as `row_of` names it; empty for a key and a visitor."""
    is_login = isinstance(request.successful_authenticator, SessionAuthentication)
    return row_of(request.session.session_key or "") if is_login else ""


def note_login(request: HttpRequest) -> None:
    """Keep with a new login when, from where and with what, so that its owner knows it again."""
    request.session["began"] = timezone.localtime().strftime("%Y-%m-%d %H:%M")
    request.session["address"] = str(request.META.get("REMOTE_ADDR") or "")
    request.session["agent"] = request.headers.get("User-Agent", "")[:200]


def of_person(person: int, cookie: str | None) -> list[Login]:
    """The sessions of a person that have not ended, the newest first; `cookie` marks the one that asks. The table names
    nobody, so every row of it is opened."""
    found = []
    for row in Session.objects.filter(expire_date__gt=timezone.now()).order_by("-expire_date"):
        kept = row.get_decoded()
        if kept.get(SESSION_KEY) == str(person):
            began, address, agent = (str(kept.get(name, "")) for name in ("began", "address", "agent"))
            is_this = cookie is not None and row.pk == row_of(cookie)
            found.append(Login(row.pk, began, address, agent, row.expire_date, is_this))
    return found


def end_others(person: int, cookie: str | None) -> None:
    """End every session of a person but that of the cookie."""
    rows = [one.row for one in of_person(person, cookie) if not one.is_this]
    Session.objects.filter(pk__in=rows).delete()


def end_where(is_over: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """End the sessions of whose content that is so, logins and halves of them; the numbers of the people who were
    logged in, once for each. Every row is opened."""
    rows, people = [], []
    for row in Session.objects.filter(expire_date__gt=timezone.now()):
        kept = row.get_decoded()
        if is_over(kept):
            rows.append(row.pk)
            people += [str(kept[SESSION_KEY])] if SESSION_KEY in kept else []
    Session.objects.filter(pk__in=rows).delete()
    return people


def keep_alive(session: Any, now: float) -> None:
    """Let a login that is in use begin its idle time anew, written at most once in a twentieth of it."""
    try:
        is_login = session.accessed and SESSION_KEY in session
    except DatabaseError:  # it could not be looked up before, and the answer is there by now
        return
    if is_login and now - float(session.get("used", 0.0)) > settings.SESSION_COOKIE_AGE / 20:
        session["used"] = now
