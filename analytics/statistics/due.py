"""Computes the statistics that are due, and puts them where they are read: Redis, cache_stats_data, the stream.

A bell a second calls `compute`, which takes series until none is due; whoever leaves some rings for one more worker. It
does not matter how many do so, nor whether a bell is lost: what is due stays due (`marketdata.realtime.stats`).
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db.models import Count, Max, Q

from analytics.alerts import due as due_alerts
from analytics.charts import due as charts
from analytics.quality import due as quality
from analytics.series import index_closes
from analytics.statistics import indices, market, series
from marketdata import metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import rollover
from marketdata.models import AdjustmentFactor, Market, RolloverRun, Symbol, VoidOrder
from marketdata.realtime import alerts, live_state, records_feed, stats
from marketdata.realtime import feed as feed_stream
from marketdata.realtime.stats import Statistics, Taken
from marketdata.reference import corporate_actions
from marketdata.storage import StorageError, storage
from marketdata.storage.base import EVENTS, CachedStats

log = logging.getLogger(__name__)

LONGEST_S = 5.0
"""Caches and clocks wait for the same worker."""
INDEX_DAYS = datetime.timedelta(days=2 * series.DAYS)
"""In which the dates of betas lie."""
SEEDED_TOGETHER = 500
"""Rows of cache_stats_data of one question."""


def compute(ring: Callable[[], None] = lambda: None, *, longest_s: float = LONGEST_S) -> int:
    """Compute whatever is due, for at most so many seconds; `ring` is called once when others can help. Returns how
    many results were put in place."""
    connection, began, put = live_state.connection(), time.monotonic(), 0
    mark_all_if_changed(connection)
    while time.monotonic() - began < longest_s:
        taken = stats.take(connection, most=stats.MOST)
        if taken is None:
            break
        quality.changed(connection, taken.series)
        charts.changed(connection, taken.series)
        if taken.left and ring is not _silent:
            ring()
            ring = _silent
        for feed, pairs in groupby(sorted(taken.series), key=lambda pair: pair[0]):
            put += _compute(connection, feed, taken, [symbol for _, symbol in pairs])
    return put


def recompute(
    *, symbols: Sequence[str] = (), feed: str | None = None, date: datetime.date | None = None, longest_s: float
) -> int:
    """Compute anew, with nothing of what was noted on the way, and whatever else is due: of these symbols and this
    feed, by default of all that traded on `date`, without one of all that have statistics or are collected; and their
    candles for readers in SQL. Of all, also what the events of that date, or of all that are there, tell of indices.
    Returns how many series that were."""
    if not symbols and feed is None:
        index_closes.fill(storage().dates(EVENTS) if date is None else [date])
    connection = live_state.connection()
    pairs = set(_known() if date is None else storage().day_series(date))
    chosen = sorted(
        (name, symbol)
        for symbol, name in pairs
        if symbol and (not symbols or symbol in symbols) and (feed is None or name == feed)
    )
    for name, group in groupby(chosen, key=lambda pair: pair[0]):
        codes = [symbol for _, symbol in group]
        stats.forget(connection, name, codes)
        stats.mark(connection, name, codes)
    compute(longest_s=longest_s)
    charts.write(connection, chosen)
    return len(chosen)


def _known() -> set[tuple[str, str]]:
    """The (symbol, feed) of all that have statistics or are collected."""
    collected = Symbol.objects.filter(is_active=True).values_list("code", "primary_feed")
    return {*storage().stats_series(), *collected}


def _silent() -> None:
    """Who has rung does not ring again."""


def _compute(connection: redis.Redis, feed: str, taken: Taken, symbols: list[str]) -> int:
    try:
        found = _bodies(connection, feed, symbols)
    except (redis.RedisError, StorageError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        if storage().is_transient(error):
            raise
        if len(symbols) > 1:  # by halves, so that one that cannot be computed stops no other and costs little
            half = len(symbols) // 2
            return sum(_compute(connection, feed, taken, part) for part in (symbols[:half], symbols[half:]))
        log.exception("statistics cannot be computed feed=%s symbol=%s", feed, symbols[0])
        found = {}
    return _put(connection, feed, taken, symbols, found)


def _bodies(connection: redis.Redis, feed: str, symbols: Sequence[str]) -> dict[str, bytes]:
    """Of each symbol; NOTHING where there is nothing to tell."""
    now = datetime.datetime.now(datetime.UTC)
    codes = [symbol for symbol in symbols if symbol != stats.MARKET]
    found = dict.fromkeys(symbols, stats.NOTHING)
    if codes:
        found |= series.bodies(feed, codes, connection, now, index=settings.STATS_INDEX)
    if stats.MARKET in symbols:
        made = market.body(feed, connection, now)
        found |= {} if made is None else {stats.MARKET: made}
    return found


def _put(connection: redis.Redis, feed: str, taken: Taken, symbols: Sequence[str], found: Mapping[str, bytes]) -> int:
    storage().put_stats(
        [
            CachedStats(
                symbol=symbol, feed=feed, name=stats.ROWS if symbol else stats.MARKET_ROW, body=body.decode(),
                at_us=taken.revision,
            )
            for symbol, body in found.items()
        ]
    )  # fmt: skip
    put = stats.settle(connection, feed, taken, symbols, found)
    if put:
        records_feed.publish_stats(connection, feed, put)
        if alerts.mark_by_statistics(connection, feed, put):
            due_alerts.evaluate_beside([feed])
    metrics.STATISTICS.inc(len(put))
    return len(put)


def mark_all_if_changed(connection: redis.Redis) -> bool:
    """Mark every series when something changed that no commit tells of: the trading day, a rollover, daily candles made
    anew, voided ticks, corporate actions and names of shares, closes of earlier dates of indices that are told as
    events; and in a Redis that was emptied or started again, which may have lost what was due. Returns whether that was
    so."""
    _seed(connection)
    state = _state(connection, rollover.utc_now())
    if connection.get(stats.BEGUN) == state:
        return False
    pairs = sorted((feed, symbol) for symbol, feed in _known())
    for feed, group in groupby(pairs, key=lambda pair: pair[0]):
        stats.mark(connection, feed, (symbol for _, symbol in group))
    stats.mark_known(connection)
    connection.set(stats.BEGUN, state)
    return True


def _seed(connection: redis.Redis) -> None:
    """Give a Redis that was emptied or started again what cache_stats_data has, as old as it is: what readers see until
    all of it was computed anew. Whoever does it at the same time does the same."""
    epoch = feed_stream.current_epoch(connection)
    if connection.get(stats.SEEDED) == epoch.encode():
        return
    put, pairs = 0, sorted((feed, symbol) for symbol, feed in storage().stats_series())
    for feed, group in groupby(pairs, key=lambda pair: pair[0]):
        for name, symbols in ((stats.MARKET_ROW, [stats.MARKET]), (stats.ROWS, [symbol for _, symbol in group])):
            for start in range(0, len(symbols), SEEDED_TOGETHER):
                rows = storage().read_stats(feed, name, symbols[start : start + SEEDED_TOGETHER])
                put += stats.seed(
                    connection, feed, [Statistics(one.symbol, one.at_us, one.body.encode()) for one in rows]
                )
    connection.set(stats.SEEDED, epoch)
    log.info("statistics filled from the database results=%d epoch=%s", put, epoch)


def _state(connection: redis.Redis, now: datetime.datetime) -> bytes:
    """Changes whenever what is computed from may have changed without a commit."""
    actions = AdjustmentFactor.objects.aggregate(rows=Count("pk"), newest=Max("changed_at"))
    renames = [(one.old, one.new, one.since) for one in corporate_actions.renames()]
    runs = RolloverRun.objects.aggregate(
        done=Count("pk", filter=Q(state=RolloverRun.State.DONE)), made=Max("aggregated_at")
    )
    orders = VoidOrder.objects.aggregate(rows=Count("done_at"), done=Max("done_at"), restored=Max("restored_at"))
    days = {
        code: trading_dates.calendar(code).trade_date(int(now.timestamp()) * 1_000_000)
        for code in Market.objects.order_by("code").values_list("code", flat=True)
    }
    current = rollover.current_date(now)  # whose closes go on
    closes = [
        (code, one.trade_date.tolist(), one.close.tolist())
        for code, one in index_closes.since(current - INDEX_DAYS, current).items()
    ]
    told = (
        current, days, runs, orders, actions, renames, settings.STATS_INDEX, indices.read(settings.STATS_INDEX),
        closes, feed_stream.current_epoch(connection),
    )  # fmt: skip
    return hashlib.sha256(repr(told).encode()).digest()
