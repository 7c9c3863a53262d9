"""What changed of a feed otherwise than by a commit, and is to be told: candles made anew, daily candles, trades that
were put back or judged again. The database has each noted with the change (`marketdata.types.feed_changes`)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db.models import Min

from analytics.series import timeframes
from fanout.messages import Key
from marketdata.calendar import trading_dates
from marketdata.ledger import commits
from marketdata.maintenance import dropped
from marketdata.models import FeedChange, FeedNotice, FeedPending, IngestBatchDay, IngestRequeue, Symbol
from marketdata.types.feed_changes import What
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import SEOUL, day_of

MOST = 200  # changes of a feed at a time


def of_candles(feed: str) -> list[FeedChange]:
    """The oldest that were not told."""
    return list(FeedChange.objects.filter(feed=feed, what__in=(What.MINUTES, What.DAYS)).order_by("pk")[:MOST])


def minutes_of(change: FeedChange) -> list[tuple[str, int]]:
    """Symbol and minute of the candles that a change of MINUTES names."""
    return [(change.symbol, minute) for minute in json.loads(change.content)]


def days_of(change: FeedChange) -> tuple[datetime.date, list[str]]:
    """The trading date and the symbols that a change of DAYS names."""
    content = json.loads(change.content)
    return datetime.date.fromisoformat(content["date"]), content["symbols"]


def forget(numbers: Sequence[int]) -> None:
    """These were delivered."""
    FeedChange.objects.filter(pk__in=numbers).delete()


def forget_returns(before_us: Mapping[str, int]) -> None:
    """Whatever was committed to a feed before this was published: so were the trades that had been put back by then."""
    for feed, before in before_us.items():
        passed = FeedChange.objects.filter(feed=feed, what=What.TICKS, changed_us__lt=before).order_by("pk")
        if numbers := list(passed.values_list("pk", flat=True)[:MOST]):
            forget(numbers)


def begins_us(date: datetime.date, symbols: Sequence[str]) -> dict[str, int]:
    """When a trading date begins where each of these symbols is traded: local midnight, as REST has it."""
    zones = dict(Symbol.objects.filter(code__in=symbols).values_list("code", "market__timezone"))
    return {symbol: timeframes.midnight_us(day_of(date), zones.get(symbol, SEOUL.key)) for symbol in symbols}


def taken_back(keys: Iterable[Key]) -> list[Key]:
    """Sorted, of minute candles that are not there those of which every trade was taken back. What retention removed
    is not, nor what came for its date since."""
    found = sorted(keys)
    markets = dict(Symbol.objects.filter(code__in={symbol for symbol, _ in found}).values_list("code", "market_id"))
    dates = {
        key: trading_dates.calendar(markets[key[0]]).trade_date(key[1]) for key in found if key[0] in markets
    }  # fmt: skip
    gone = dropped.minutes_gone(set(dates.values()))
    return [key for key in found if dates.get(key) not in gone]


def trades_back(feed: str, since_us: int) -> Iterator[Ticks]:
    """Trades that were put back, and rows that were judged again, since a moment, and are stored now."""
    for change in FeedChange.objects.filter(feed=feed, what=What.TICKS).order_by("pk").iterator(1):
        content = json.loads(change.content)
        dates = [datetime.date.fromisoformat(content["date"])]
        yield from commits.of_ids(feed, change.symbol, dates, content["first_us"], content["last_us"], content["ids"])
    for requeued in IngestRequeue.objects.filter(feed=feed, at_us__gte=since_us, stored__gt=0).order_by("pk"):
        dates = list(IngestBatchDay.objects.filter(batch=requeued.batch).values_list("trade_date", flat=True))
        for symbol, first_us, last_us, rows in requeued.spans:
            ids = [requeued.batch << TICK_BITS | row for row in rows]
            yield from commits.of_ids(feed, symbol, dates, first_us, last_us, ids)


def pending(feeds: Sequence[str]) -> dict[str, int]:
    """By feed: just before the oldest commit, correction or judgement that the feed may not have been given yet."""
    oldest = [
        *FeedPending.objects.order_by().values_list("feed").annotate(Min("committed_us")),
        *IngestRequeue.objects.filter(announced=False).order_by().values_list("feed").annotate(Min("at_us")),
    ]
    if (noticed_us := FeedNotice.objects.aggregate(oldest=Min("committed_us"))["oldest"]) is not None:
        oldest += [(feed, noticed_us) for feed in feeds]  # of which of them a notice is, only its ticks say
    found: dict[str, int] = {}
    for feed, time_us in oldest:
        found[feed] = min(found.get(feed, time_us), time_us - 1)
    return found
