"""Tells of alerts that are stored: on the stream, and to the targets of their rules. An alert is announced once it says
so itself (`announced_at`); whoever dies before leaves it to the next, so it may be on the stream twice, with its id."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable
from typing import Any

from marketdata import metrics
from marketdata.models import Alert, AlertDelivery, AlertRule
from marketdata.realtime import live_state, records_feed

MOST = 500
LOCK, LOCK_MS = "naru:alerts-announcing", 5_000
"""Spares subscribers most repetitions; nothing depends on it."""
AGAIN = "naru:alerts-announce-again"
"""Somebody stored an alert and found another one announcing, who may have looked before."""
# KEYS: lock, again. Ends the turn unless somebody came meanwhile: nobody's alert waits for the bell. Returns 1, or 0.
_END = """
if redis.call('DEL', KEYS[2]) == 1 then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
# KEYS: lock, again. ARGV: milliseconds. Begins a turn, or notes that there is more; in one step, for who ends a turn
# between a look at the lock and the note would not see it.
_BEGIN = """
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then
  redis.call('DEL', KEYS[2])
  return 1
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return 0
"""

for _kind in AlertRule.Kind.values:  # of what is not there, Prometheus does not see the first one
    metrics.ALERTS.labels(_kind)


def announce() -> int:
    """Whatever is not announced yet; of who else is at it, that there is more. Returns how many alerts that were."""
    connection, total, is_over = live_state.connection(), 0, False
    if not connection.eval(_BEGIN, 2, LOCK, AGAIN, LOCK_MS):
        return 0
    try:
        while not is_over:
            found = _announce_some()
            total += found
            is_over = found < MOST and bool(connection.eval(_END, 2, LOCK, AGAIN))
    finally:
        if not is_over:
            connection.delete(LOCK)
    return total


def _announce_some() -> int:
    rows = list(Alert.objects.filter(announced_at=None).order_by("pk")[:MOST])
    if not rows:
        return 0
    connection = live_state.connection()
    by_feed: dict[str, list[dict[str, Any]]] = {}
    everywhere = live_state.feeds() if any(not row.feed for row in rows) else []
    for row in rows:
        for feed in [row.feed] if row.feed else everywhere:
            by_feed.setdefault(feed, []).append(told(row))
    pipeline = connection.pipeline(transaction=False)
    for feed, told_of in by_feed.items():
        records_feed.publish_alerts(pipeline, feed, told_of)
    pipeline.execute()
    _queue_deliveries(rows)
    now = datetime.datetime.now(datetime.UTC)
    is_new = Alert.objects.filter(pk__in=[row.pk for row in rows], announced_at=None).update(announced_at=now)
    if is_new:
        now_us = time.time_ns() // 1000
        for row in rows:
            metrics.ALERTS.labels(row.kind).inc()
            metrics.ALERT_SECONDS.observe(max(now_us - (row.committed_us or now_us), 0) / 1e6)
    return len(rows)


def told(row: Alert) -> dict[str, Any]:
    """An alert as it travels to web processes; times in microseconds."""
    return {
        "id": row.pk, "owner": row.owner_id, "rule": row.rule_id, "name": row.name, "kind": row.kind, "feed": row.feed,
        "symbol": row.symbol, "value": row.value, "message": row.message, "texts": row.texts or {},
        "event_us": row.event_us, "fired_us": int(row.fired_at.timestamp() * 1e6), "quiet": row.quiet,
    }  # fmt: skip


def _queue_deliveries(rows: Iterable[Alert]) -> None:
    """A row of the ledger for each target of a rule, save in its quiet hours."""
    loud: dict[int, list[int]] = {row.rule_id: [] for row in rows if row.rule_id is not None and not row.quiet}
    if not loud:
        return
    pairs = AlertRule.targets.through.objects.filter(alertrule__in=list(loud), alerttarget__enabled=True).values_list(
        "alertrule", "alerttarget"
    )
    for rule, target in pairs:
        loud[rule].append(target)
    now = datetime.datetime.now(datetime.UTC)
    AlertDelivery.objects.bulk_create(
        [
            AlertDelivery(alert=row, target_id=target, next_at=now)
            for row in rows
            if row.rule_id is not None and not row.quiet
            for target in loud.get(row.rule_id, ())
        ],
        ignore_conflicts=True,
    )
