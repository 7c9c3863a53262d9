"""Whose a socket is, by key, ticket or session, and whether he may still read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from api.auth import access, authentication, logins, sessions, tickets
from api.rest import feeds
from api.stream.subscriber import Identity
from marketdata import connections

T = TypeVar("T")
SAME_S = 1.0
"""For how long what was found out about a key stands for whoever else comes with it: many sockets of one key come back
at once when another web process ends, and each question to the database costs as much as all the rest of a resume."""
MOST_SAME = 1_000


async def asked(question: Callable[..., T], *given: Any) -> T:
    """A question to the database from the event loop, again on a new connection while the database fails for a
    moment. It may be asked twice."""
    answer: T = await database_sync_to_async(lambda: connections.steadily(lambda: question(*given)))()
    return answer


Entry = tuple[Identity | None, str | None, tuple[int, str] | None]


async def entry(way: Callable[..., Identity | None], *given: Any, feed: str) -> Entry:
    """(who comes this way, our name of the feed that was named, the code and words with which that is refused); None of
    what there is not. Together, for many come at once and each way to the thread of the database costs."""

    def asked_together() -> Entry:
        identity = connections.steadily(lambda: way(*given))
        found = None if identity is None else connections.steadily(lambda: feeds.of_stream(feed))
        if identity is None or found is None:
            return identity, None, None
        refused = connections.steadily(lambda: refusals([(identity, found)]))
        return identity, found, refused.get((identity, found))

    known: Entry = await database_sync_to_async(asked_together)()
    return known


class KeyLogins:
    """Logins by key, of which those that come at the same time with the same key, from one address and to one feed, are
    one question. A refusal stands only for those who waited for it."""

    def __init__(self) -> None:
        self._asked: dict[bytes, asyncio.Task[Entry]] = {}

    async def entry(self, key: str, secret: str, address: str, *, feed: str) -> Entry:
        """As `entry` by `by_key`, errors included."""
        mark = authentication.mark(key, secret, address, feed)
        task = self._asked.get(mark)
        if task is None:
            task = asyncio.create_task(entry(by_key, key, secret, address, feed=feed))
            if len(self._asked) < MOST_SAME:
                self._asked[mark] = task
                task.add_done_callback(lambda done: self._answered(mark, done))
        return await asyncio.shield(task)  # who leaves takes it away from nobody

    def _answered(self, mark: bytes, task: asyncio.Task[Entry]) -> None:
        is_known = not task.cancelled() and task.exception() is None and task.result()[0] is not None
        asyncio.get_running_loop().call_later(SAME_S if is_known else 0, self._asked.pop, mark, None)


def refusals(known: Iterable[tuple[Identity, str]]) -> dict[tuple[Identity, str], tuple[int, str]]:
    """Who of these may not read the feed beside, and the code and words to end the socket with."""
    given = list(known)
    readers = access.named((one.kind, one.number) for one, _feed in given)
    found: dict[tuple[Identity, str], tuple[int, str]] = {}
    for one, feed in given:
        who = readers.get((one.kind, one.number))
        if not access.may_read(who):
            found[one, feed] = 402, "auth failed: this key or login may no longer read"
        elif not access.may_read(who, feed):
            found[one, feed] = 409, f"insufficient subscription: this key or login may not read the feed {feed}"
    return found


def alerts_of(identity: Identity) -> int | str | None:
    """Whose alerts a reader may be told now, as `access.alerts_of` says."""
    name = (identity.kind, identity.number)
    return access.alerts_of(access.named([name]).get(name))


def same_origin(headers: Mapping[bytes, bytes], trusted: list[str], *, secure: bool) -> bool:
    """Whether a browser's page from here opened the socket: same scheme, host and port. A missing Origin is no browser,
    and so no. `secure` says whether the socket came by TLS, as far as the last proxy."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    if not origin or not host:
        return False
    return origin.lower() == f"{'https' if secure else 'http'}://{host}".lower() or origin in trusted


def by_key(key: str, secret: str, address: str) -> Identity | None:
    """The reader with this key; TooManyFailuresError when its address failed too often."""
    who = authentication.login(key, secret, address)
    return Identity(*access.name_of(who)) if who is not None and access.may_read(who) else None


def by_ticket(ticket: str, address: str) -> Identity | None:
    """Whoever fetched this ticket."""
    found = tickets.redeem(ticket[:100])
    if found is None:
        return None
    one = Identity(*found)
    name = (one.kind, one.number)
    return one if access.may_read(access.named([name]).get(name)) and not ended_logins([one]) else None


def by_session(session: SessionBase, _address: str) -> Identity | None:
    """A person who is logged in, with every factor that he needs."""
    request = HttpRequest()
    request.session = session
    user = logins.user_of(request)
    if not access.may_read(user):
        return None
    return Identity(*access.name_of(user), session=sessions.row_of(session.session_key or ""))


def ended_logins(known: Iterable[Identity]) -> set[str]:
    """The sessions of these that let in nobody any more, or somebody else."""
    given = {one.session: one.number for one in known if one.session}
    living = logins.living(given) if given else {}
    return {session for session, number in given.items() if living.get(session) != number}
