"""When trades of a feed, and so its terminals, are to be expected: by the hours of the markets of its symbols. Only
clients that may send and whose source tells of now count: a replay that ended is no outage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from django.db.models import QuerySet

from marketdata.calendar import feed_hours, trading_dates
from marketdata.models import Client, FeedOwner, Market, Symbol
from marketdata.realtime import live_state
from marketdata.types import scopes

KEEP_S = 60.0
"""Who sends what changes seldom."""
MOST_CLIENTS = 512  # INGEST_MAX_CLIENTS of one ingest server, unless it is raised
HOURS, DAY = "hours", "day"
_PIECE = 500


@dataclass(slots=True)
class _Known:
    """Whose word the answers are, as it was last read."""

    markets: dict[str, list[str]] = field(default_factory=dict)
    clients: dict[str, set[str]] = field(default_factory=dict)
    has_venues: bool = False


class Expectations:
    """Asked by one thread at a time. Moments are UTC microseconds."""

    def __init__(self, *, keep_s: float = KEEP_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s, self._clock = keep_s, clock
        self._known = _Known()
        self._read_at = float("-inf")

    def read(self, feeds: Iterable[str]) -> None:
        """Look up the symbols and the senders of feeds that have trades, and of all that somebody owns. Whatever
        database and Redis raise."""
        if self._clock() - self._read_at <= self._keep_s:
            return
        clients = _feeds_by_client(set(feeds))
        every: set[str] = set().union(*clients.values())
        self._known = _Known(
            markets={feed: sorted(_markets(feed)) for feed in sorted(every)},
            clients=clients,
            has_venues=Market.objects.filter(code=feed_hours.MARKET).exists(),
        )
        self._read_at = self._clock()

    def open_feeds(self, now_us: int) -> dict[str, bool]:
        """Whether trades may be printed at a market that a feed tells of, where that is known."""
        found = {
            feed: any(trading_dates.calendar(market).is_open(now_us, market) for market in markets)
            for feed, markets in self._known.markets.items()
            if markets and feed not in feed_hours.VENUES and feed not in feed_hours.BY_NIGHT
        }
        if self._known.has_venues:
            calendar = trading_dates.calendar(feed_hours.MARKET)
            found |= {feed: calendar.is_open(now_us, venue) for feed, venue in feed_hours.VENUES.items()}
        return found

    def silences(self, now_us: int) -> dict[str, float]:
        """From how many seconds without a commit on something is wrong with a feed; 0 while nothing is to be expected
        of it, or not known to be."""
        found = {}
        for feed, markets in self._known.markets.items():
            calendars = map(trading_dates.calendar, markets)
            limits = (feed_hours.longest_silence_s(calendar, feed, now_us) for calendar in calendars)
            found[feed] = min((limit for limit in limits if limit is not None), default=0.0)
        return found

    def clients(self, now_us: int) -> dict[tuple[str, str], bool]:
        """Whether a client should be here, by its name and by what that is known: HOURS, orders or trades are taken at
        a market of its feeds; DAY, a market of its feeds whose hours are not known has a trading day."""
        found = {}
        for client, feeds in self._known.clients.items():
            known = {how for feed in feeds for how in self._expected_by(feed, now_us)}
            found.update({(client, how): how in known for how in (HOURS, DAY)})
        return found

    def _expected_by(self, feed: str, now_us: int) -> Iterator[str]:
        for market in self._known.markets[feed]:
            calendar = trading_dates.calendar(market)
            if not calendar.base.hours or feed in feed_hours.BY_NIGHT:
                if calendar.is_session(calendar.trade_date(now_us)):
                    yield DAY
            elif calendar.phases_at(now_us, feed_hours.venue_of(feed, market)):
                yield HOURS


def _senders() -> QuerySet[Client]:
    live = Client.objects.filter(is_active=True, may_send=True, source__max_age_s__isnull=False)
    return live.order_by("name")[:MOST_CLIENTS]


def _feeds_by_client(there: set[str]) -> dict[str, set[str]]:
    """The feeds of each client: those of which it owns a symbol, else those that are there and that it may send to."""
    owned: dict[int, set[str]] = {}
    for client, feed in FeedOwner.objects.exclude(client=None).order_by().values_list("client", "feed").distinct():
        owned.setdefault(client, set()).add(feed)
    return {
        name: owned.get(client) or {feed for feed in there if scopes.allows(words, feed)}
        for client, name, words in _senders().values_list("pk", "name", "feeds")
    }


def _markets(feed: str) -> set[str]:
    """Where the symbols of a feed trade: those it has a latest trade of, or that somebody owns there."""
    codes = live_state.symbols(feed) or list(FeedOwner.objects.filter(feed=feed).values_list("symbol", flat=True))
    found: set[str] = set()
    for start in range(0, len(codes), _PIECE):
        chosen = Symbol.objects.filter(code__in=codes[start : start + _PIECE], is_active=True)
        found.update(chosen.order_by().values_list("market_id", flat=True).distinct())
    return found
