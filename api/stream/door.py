"""Who may come in and stay: how many sockets, how many of one key, and whether its owner may still read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.db import Error
from django.http import HttpRequest
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from api.auth import access, authentication, logins, sessions, tickets
from api.rest import feeds
from api.stream.sharing import RENEW_S, Sharing
from api.stream.subscriber import Identity, Subscriber
from api.stream.task_cancellation import end
from marketdata import connections, metrics
from marketdata.limits import reached
from marketdata.limits.unauthenticated import Unauthenticated

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_EVERY_S = 15.0
SAME_S = 1.0
"""For how long what was found out about a key stands for whoever else comes with it: many sockets of one key come back
at once when another web process ends, and each question to the database costs as much as all the rest of a resume."""
MOST_SAME = 1_000


class ConnectionLimits:
    """The sockets of this process: those of readers in `inside`, those that have not logged in in `waiting`."""

    def __init__(
        self, *, most: int, most_per_key: int, most_symbols: int, sharing: Sharing, waiting: Unauthenticated[Subscriber]
    ) -> None:  # fmt: skip
        self.most, self.most_per_key, self.most_symbols, self._sharing = most, most_per_key, most_symbols, sharing
        self.inside: set[Subscriber] = set()
        self.waiting = waiting
        self.by_key = KeyLogins()
        self._checker: asyncio.Task[None] | None = None
        self._renewer: asyncio.Task[None] | None = None

    def enter(self, subscriber: Subscriber, address: str) -> None:
        """A socket that may log in now; an older one has to go when too many wait."""
        gone = self.waiting.enter(subscriber, address)
        if gone is not None:
            metrics.TURNED_AWAY.labels("websocket").inc()
            gone.end(406, "connection limit exceeded: too many connections have not logged in")
        metrics.UNAUTHENTICATED.labels("websocket").set(len(self.waiting))

    def leave(self, subscriber: Subscriber) -> None:
        self.waiting.leave(subscriber)
        metrics.UNAUTHENTICATED.labels("websocket").set(len(self.waiting))
        self.inside.discard(subscriber)
        self._named()
        if not self.inside and self._checker is not None:
            self._checker.cancel()
            self._checker = None

    def room_for_symbols(self, identity: Identity | None) -> int:
        """How many symbols a reader may name beside those that it and all others have named. One alone has half of
        all at most, and so have the visitors of the public page together: nobody takes the room of all others."""
        alone = sum(one.named for one in self.inside if one.identity == identity)
        return min(self.most_symbols - self._named(), max(self.most_symbols // 2, 1) - alone)

    def _named(self) -> int:
        named = sum(one.named for one in self.inside)
        metrics.STREAM_SYMBOLS.set(named)
        return named

    async def close(self) -> None:
        """End the tasks."""
        await end(self._checker, self._renewer)
        self._checker = self._renewer = None

    def add_reader(self, subscriber: Subscriber, identity: Identity) -> bool:
        """Note whose socket it is, unless there is no room. The oldest of the same key goes when there are too many,
        and the oldest of the public page's when those have half of all: visitors leave room for readers."""
        same = sorted(
            (one for one in self.inside if one.identity == identity and one.ending is None), key=lambda one: one.age
        )
        of_key, of_page = self.most_per_key, max(self.most // 2, 1)
        most = {"client": of_key, "key": of_key, "page": of_page}.get(identity.kind, self.most)
        if len(self.inside) >= self.most and len(same) < most:
            return False
        for one in same[: max(len(same) + 1 - most, 0)]:
            one.end(406, f"connection limit exceeded: a newer one took over, there may be {most} of them")
        self.waiting.leave(subscriber)
        metrics.UNAUTHENTICATED.labels("websocket").set(len(self.waiting))
        self.inside.add(subscriber)
        if self._checker is None or self._checker.done():
            self._checker = asyncio.create_task(self._check())
        if self._renewer is None or self._renewer.done():
            self._renewer = asyncio.create_task(self._renew())
        subscriber.identity = identity
        return True

    async def _renew(self) -> None:
        """See to it that one key has no more sockets in all web processes than it may. While Redis is away each sees to
        its own."""
        while self.inside:
            try:
                gone = await self._sharing.renew(self.inside, self.most_per_key)
            except (RedisError, OSError) as error:
                log.info("sockets of other web processes are not known error=%s", type(error).__name__)
                gone = []
            for one in gone:
                words = f"newer ones took over, there may be {self.most_per_key} of them in all web processes"
                one.end(406, f"connection limit exceeded: {words}")
            await asyncio.sleep(RENEW_S)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            known = {(one.identity, one.feed) for one in self.inside if one.identity is not None}
            listening = {one.identity for one in self.inside if one.identity is not None and one.channels["alerts"]}
            by_login = [one.identity for one in self.inside if one.identity is not None and one.identity.session]
            try:
                refused = await asked(refusals, known)
                over = await asked(ended_logins, by_login)
                whose = {who: await asked(alerts_of, who) for who in listening}
            except Error as error:
                log.warning("sockets cannot be checked error=%s", type(error).__name__)
                continue
            for one in list(self.inside):
                if one.identity in whose:
                    one.alerts_of = whose[one.identity]
                if one.identity is not None and (one.identity, one.feed) in refused:
                    one.end(*refused[one.identity, one.feed])
                elif one.identity is not None and one.identity.session in over:
                    one.end(402, "auth failed: this login has ended")


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


async def tell_full(most: int) -> None:
    """Raise the alarm that a reader found no room."""
    told = format_lazy(
        _(
            "{most:,} readers' sockets are open in a web process, as many as may be, and others are turned away. Raise"
            " WS_MAX_CONNECTIONS, or start another web process"
        ),
        most=most,
    )
    await database_sync_to_async(reached.tell)("websockets", told)


async def tell_no_room(most: int) -> None:
    """Raise the alarm that a reader could not name more symbols."""
    told = format_lazy(
        _(
            "The readers of a web process may name {most:,} symbols, one of them alone half as many, and cannot"
            " subscribe to more. Raise WS_MAX_SYMBOLS_IN_ALL, start another web process, or let readers subscribe to *"
        ),
        most=most,
    )
    await database_sync_to_async(reached.tell)("stream symbols", told)


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
