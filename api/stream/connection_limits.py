"""How many sockets there may be, of one key or person and in all, and which of them have to go."""

from __future__ import annotations

import asyncio
import logging

from channels.db import database_sync_to_async
from django.db import Error
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from api.stream.sharing import KINDS, RENEW_S, Sharing
from api.stream.socket_logins import (
    KeyLogins,
    alerts_of,
    asked,
    ended_logins,
    refusals,
)
from api.stream.subscriber import Identity, Subscriber
from api.stream.task_cancellation import end
from marketdata import metrics
from marketdata.limits import reached
from marketdata.limits.unauthenticated import Unauthenticated

log = logging.getLogger(__name__)
CHECK_EVERY_S = 15.0


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
        """Note whose socket it is, unless there is no room. The oldest of the same reader goes when there are too
        many."""
        same = sorted(
            (one for one in self.inside if one.identity == identity and one.ending is None), key=lambda one: one.age
        )
        most = self._most_of(identity.kind)
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

    def _most_of(self, kind: str) -> int:
        """How many one reader of this kind may have. A person, and all visitors of the public page together, have half
        of all that a process has room for: nobody takes the room of all others."""
        return self.most_per_key if kind in ("client", "key") else max(self.most // 2, 1)

    async def _renew(self) -> None:
        """See to it that one key or person has no more sockets in all web processes than it may. While Redis is away
        each sees to its own."""
        while self.inside:
            try:
                gone = await self._sharing.renew(self.inside, {kind: self._most_of(kind) for kind in KINDS})
            except (RedisError, OSError) as error:
                log.info("sockets of other web processes are not known error=%s", type(error).__name__)
                gone = []
            for one in gone:
                most = self._most_of(one.identity.kind) if one.identity is not None else 0
                words = f"newer ones took over, there may be {most} of them in all web processes"
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
