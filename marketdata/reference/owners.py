"""Which client a feed of a symbol belongs to. The first that sends it owns it; another one is refused, unless the feed
or the client is shared on purpose. Kept in the database, where the unique key decides between two that come at once.

An owner that is switched off, or may not send any more, owns nothing: whoever sends next takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence

from django.db.models import Q, QuerySet

from marketdata.models import Client, FeedOwner

PIECE = 500
OVERLAP_US = 60_000_000  # a change may be committed that much later than the time it carries


def now_us() -> int:
    """Wall clock in microseconds."""
    return time.time_ns() // 1000


class Owners:
    """What one process knows: read whole once, then what changed, at most every `keep_s` seconds."""

    def __init__(self, *, keep_s: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s, self._clock = keep_s, clock
        self._owner: dict[str, dict[str, int | None]] = {}  # feed -> symbol -> client
        self._refused: dict[tuple[str, str, int], float] = {}
        self._read_at = float("-inf")
        self._changed_us = 0

    def owns(self, feed: str, symbols: Iterable[str], client: Client) -> bool:
        """Whether the feed of all these symbols is known to belong to the client; takes nothing that belongs to
        nobody."""
        self._refresh()
        return {client.pk}.issuperset(map(self._owner.get(feed, {}).get, symbols))

    def owned(self, feed: str, symbols: Sequence[str], client: Client) -> set[str]:
        """Those of the symbols whose feed belongs to the client, which now includes those that belonged to nobody."""
        self._refresh()
        known = self._owner.setdefault(feed, {})
        mine = {symbol for symbol in symbols if known.get(symbol) == client.pk}
        now = self._clock()
        asked = [
            symbol
            for symbol in symbols
            if symbol not in mine and now >= self._refused.get((feed, symbol, client.pk), now)
        ]
        for start in range(0, len(asked), PIECE):
            part = asked[start : start + PIECE]
            found = claim(feed, part, client)
            known |= found
            mine |= {symbol for symbol, owner in found.items() if owner == client.pk}
        if len(self._refused) > 100_000:
            self._refused.clear()
        for symbol in asked:
            if symbol not in mine:
                self._refused[feed, symbol, client.pk] = now + self._keep_s
        return mine

    def of_others(self, feed: str, symbols: Iterable[str], client: Client) -> set[str]:
        """Those of the symbols whose feed belongs to another client that may send; takes nothing that belongs to
        nobody."""
        self._refresh()
        known = self._owner.get(feed, {})
        owners = ((symbol, known.get(symbol)) for symbol in symbols)
        others = {symbol: owner for symbol, owner in owners if owner is not None and owner != client.pk}
        active = _active(set(others.values())) if others else set()
        return {symbol for symbol, owner in others.items() if owner in active}

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at < self._keep_s:
            return
        rows = FeedOwner.objects.filter(changed_us__gte=self._changed_us - OVERLAP_US)
        for feed, symbol, client, changed_us in rows.values_list("feed", "symbol", "client", "changed_us").iterator():
            self._owner.setdefault(feed, {})[symbol] = client
            self._changed_us = max(self._changed_us, changed_us)
        self._read_at = now


def names(series: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The name of the client that owns each (feed, symbol), without those that nobody owns."""
    symbols = sorted({symbol for _, symbol in series})
    found: dict[tuple[str, str], str] = {}
    for start in range(0, len(symbols), PIECE):
        rows = FeedOwner.objects.filter(symbol__in=symbols[start : start + PIECE]).exclude(client=None)
        for feed, symbol, name in rows.values_list("feed", "symbol", "client__name"):
            if (feed, symbol) in series:
                found[feed, symbol] = name
    return found


def claim(feed: str, symbols: Sequence[str], client: Client) -> dict[str, int | None]:
    """Take what belongs to nobody; the owner of each symbol then."""
    rows = FeedOwner.objects.filter(feed=feed, symbol__in=symbols)
    there = dict(rows.values_list("symbol", "client"))
    new = [symbol for symbol in sorted(symbols) if symbol not in there]
    if new:
        made = [FeedOwner(feed=feed, symbol=symbol, client=client, changed_us=now_us()) for symbol in new]
        FeedOwner.objects.bulk_create(made, ignore_conflicts=True)
    others = {owner for owner in there.values() if owner not in (None, client.pk)}
    gone = others - _active(others)
    if gone or None in there.values():
        rows.filter(Q(client=None) | Q(client__in=gone)).update(client=client, changed_us=now_us())
    return dict(rows.values_list("symbol", "client"))


def _active(clients: Collection[int]) -> set[int]:
    """Those of the clients that may send."""
    active = Client.objects.filter(pk__in=clients, is_active=True, may_send=True)
    return set(active.values_list("pk", flat=True))


def _chosen(client: Client | None, feed: str | None, symbols: Iterable[str]) -> Q:
    chosen = Q(client=client) if client is not None else ~Q(client=None)
    if feed is not None:
        chosen &= Q(feed=feed)
    wanted = list(symbols)
    return chosen & Q(symbol__in=wanted) if wanted else chosen


def release(client: Client | None, *, feed: str | None = None, symbols: Iterable[str] = ()) -> int:
    """Let nobody own these any more, so that the next who sends them does; how many. Workers know within seconds."""
    return FeedOwner.objects.filter(_chosen(client, feed, symbols)).update(client=None, changed_us=now_us())


def release_rows(rows: QuerySet[FeedOwner]) -> int:
    """As `release`, of chosen rows."""
    return rows.exclude(client=None).update(client=None, changed_us=now_us())


def transfer(client: Client, to: Client, *, feed: str | None = None, symbols: Iterable[str] = ()) -> int:
    """Give what one client owns to another; how many. Workers know within seconds."""
    return FeedOwner.objects.filter(_chosen(client, feed, symbols)).update(client=to, changed_us=now_us())
