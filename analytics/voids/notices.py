"""Tells the feed what was voided or put back, and corrects the latest trades."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import numpy as np

from marketdata.models import FeedNotice, VoidedTick
from marketdata.realtime import feed as feeds
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import DAY_US, MINUTE_US
from terminals import wire

MOST_NOTICES = 100
LATEST_US = 40 * DAY_US  # a trade older than that is nobody's latest
RECHECKED = datetime.timedelta(minutes=5)


def announce(*, most: int = MOST_NOTICES) -> int:
    """Tell the feed what was voided or put back, each once, in the order it was decided; how many notices."""
    notices = list(FeedNotice.objects.order_by("pk")[:most])
    for notice in notices:
        ticks = tick_arrays.unpack(bytes(notice.payload))
        pipeline = live_state.connection().pipeline(transaction=False)
        note = feeds.void_note(notice.pk, notice.committed_us)  # the feed takes each once
        feeds.publish(pipeline, ticks, _bars(ticks), notes=[note], committed_us=notice.committed_us)
        live_state.remember(pipeline, ticks)
        pipeline.execute()
        _correct_latest(ticks.feed, set(ticks.symbols))
        notice.delete()
    _recheck_latest()
    return len(notices)


def _bars(ticks: Ticks) -> minute_bars.Bars:
    """The candles of these ticks' minutes as they are now; a minute that has none any more is left out."""
    parts = []
    for index, symbol in enumerate(ticks.symbols):
        minutes = np.unique(ticks.time_us[ticks.symbol == index] // MINUTE_US) * MINUTE_US
        if len(minutes):
            found = storage().read_minutes(symbol, ticks.feed, int(minutes[0]), int(minutes[-1]) + 1)
            parts.append(found.take(np.isin(found.time_us, minutes)))
    return minute_bars.concatenate(parts) if parts else minute_bars.empty(ticks.feed)


def _correct_latest(feed: str, symbols: Iterable[str]) -> None:
    """A latest trade that was voided gives way to the latest that is valid."""
    known = live_state.latest(feed, sorted(symbols))
    ids = {symbol: int(found["tick_id"] or 0) for symbol, found in known.items()}
    gone = set(VoidedTick.objects.filter(tick_id__in=ids.values()).values_list("tick_id", flat=True))
    for symbol, tick_id in ids.items():
        if tick_id in gone:
            end_us = int(known[symbol]["time_us"] or 0) + 1
            start_us = end_us - LATEST_US
            valid = storage().read_ticks(symbol, feed, start_us, end_us, kind=wire.Kind.TRADE, limit=1, ascending=False)
            live_state.replace(feed, symbol, tick_id, valid)


def _recheck_latest() -> None:
    """A worker that stored a tick before it was voided may have told of it after: look again for a while."""
    recent = datetime.datetime.now(datetime.UTC) - RECHECKED
    series: dict[str, set[str]] = {}
    rows = VoidedTick.objects.filter(order__created_at__gte=recent).order_by().values_list("feed", "symbol")
    for feed, symbol in rows.distinct():
        series.setdefault(feed, set()).add(symbol)
    for feed, symbols in series.items():
        _correct_latest(feed, symbols)
