"""Features of many symbols as one table: which versions of which candles were known, read from the database a stretch
at a time, and the rows that `analytics.features` makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext
from rest_framework import serializers

from analytics.features import rows, versions
from analytics.features.rows import Chosen, Rows
from analytics.features.versions import FOREVER, Versions
from analytics.indicators import registry
from analytics.series import timeframes
from analytics.series.timeframes import Timeframe
from api.indicators import NAMES, NamesField, WithIndicators
from api.rest import paging, tables
from api.rest.exports import Batch, Column
from api.rest.fields import TimeframeField
from api.rest.paging import Series
from api.rest.queries import ExportQuery
from api.rest.timestamps import EARLIEST_US
from marketdata.ledger import voided
from marketdata.models import IngestBatch, IngestRequeue, VoidedTick
from marketdata.storage import storage
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import TICK_BITS, Int64, Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

PAGE_MINUTES = 10_000
MOST_BEFORE = 2 * paging.MOST_MINUTES  # minutes that the first row may rest on
_READ = ("kind", "price", "size", "trade_date")
_NAMED = 500  # batches named in one statement


class FeaturesQuery(WithIndicators, ExportQuery):
    """What a table of features is made of: parameters of an export, and the indicators."""

    timeframe = TimeframeField(required=False, help_text="of candles of minutes or hours; default 1Min")
    name = NamesField(required=False, help_text=f"{NAMES}; default all of them")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`features` becomes what the table is made of. ValidationError for a width of days and wider, whose candles
        the rollover settles and nobody saw growing."""
        attrs = super().validate({"timeframe": timeframes.MINUTE, "name": list(registry.ALL), **attrs})
        if not isinstance(attrs["timeframe"], Timeframe):
            told = gettext("of features must be of minutes or hours, such as 5Min")
            raise serializers.ValidationError({"timeframe": told})
        back = rows.reach(attrs["name"], attrs["timeframe"])
        if back * attrs["timeframe"].most_minutes > MOST_BEFORE:
            told = gettext("a row rests on {candles} candles before it, more than are read: ask for a narrower one")
            told = told.format(candles=back)
            raise serializers.ValidationError({"timeframe": told})
        grace_us = int(settings.LATE_AFTER_S * 1e6)
        attrs["features"] = Asked(timeframe=attrs["timeframe"], chosen=attrs["name"], grace_us=grace_us)
        return attrs


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a table is made of. A row is of `grace_us` after the end of its candle."""

    timeframe: Timeframe
    chosen: Chosen
    grace_us: int


def columns(asked: Asked) -> tuple[Column, ...]:
    """The columns of the table."""
    return tables.feature_columns(rows.columns(asked.chosen))


def table(found: Sequence[Series], asked: Asked) -> Iterator[Batch]:
    """The rows of every symbol, one symbol after the other, each at the times of all of them."""
    now_us = time.time_ns() // 1000
    width, times = len(columns(asked)), _times(found, asked, now_us)
    for one in sorted(found, key=lambda one: one.symbol):
        known_us = asked.timeframe.ends(times, one.timezone) + asked.grace_us
        at = 0
        for part in read(one, asked, now_us):
            until = int(np.searchsorted(times, part.bars.time_us[-1], side="right")) if len(part) else at
            yield tables.features(one, times[at:until], known_us[at:until], part, width)
            at = until
        yield tables.features(one, times[at:], known_us[at:], None, width)


def _times(found: Sequence[Series], asked: Asked, now_us: int) -> Int64:
    """When any of them has a candle. Asked without indicators, whose cost is most of it."""
    bare = replace(asked, chosen=())
    times = [np.zeros(0, np.int64)]
    for one in found:
        times.append(np.unique(np.concatenate([times.pop(), *(part.bars.time_us for part in read(one, bare, now_us))])))
    return times[0]


def read(one: Series, asked: Asked, now_us: int) -> Iterator[Rows]:
    """The rows of one series between its times, oldest first, a stretch at a time. Rows that are only known after
    `now_us` are none yet."""
    timeframe, zone = asked.timeframe, one.timezone
    back = rows.reach(asked.chosen, timeframe)
    begun_us = timeframe.start(one.first_us, zone)
    first_us = begun_us if begun_us == one.first_us else timeframe.end(one.first_us, zone)
    end_us = min(timeframe.end(one.last_us, zone), timeframe.start(now_us - asked.grace_us, zone))
    if first_us >= end_us:
        return
    kept = _before(one, asked, first_us, back)
    whole = replace(one, first_us=first_us, last_us=end_us - 1)
    since_us, after = first_us, None
    while since_us < end_us:
        page = paging.read_bars([whole], timeframes.MINUTE, after=after, limit=PAGE_MINUTES, ascending=True)
        bars = page.found[0][1] if page.found else minute_bars.empty(one.feed)
        after = page.next
        until_us = end_us if after is None else after.time_us + MINUTE_US
        kept = versions.joined([kept, _versions(one, bars, since_us, until_us)])
        since_us = until_us
        # The candle at the end of a page may go on in the next one.
        begun_us = end_us if after is None else timeframe.start(until_us - 1, zone)
        if begun_us > first_us:
            yield rows.build(
                kept, timeframe, zone,
                chosen=asked.chosen, grace_us=asked.grace_us, first_us=first_us, end_us=begun_us,
            )  # fmt: skip
            kept, first_us = rows.last(kept, timeframe, zone, begun_us, back), begun_us


def _before(one: Series, asked: Asked, first_us: int, back: int) -> Versions:
    """The versions of the candles that the first rows rest on. A candle of today may not have been there yet, so for
    each that was not always there one more is read, once: `MOST_BEFORE` bounds it."""
    kept = _earlier(one, asked, first_us, back)
    absent = min(rows.absent(kept), MOST_BEFORE // asked.timeframe.most_minutes)
    return _earlier(one, asked, first_us, back + absent) if absent else kept


def _earlier(one: Series, asked: Asked, first_us: int, back: int) -> Versions:
    """The versions of so many candles before a moment."""
    before = replace(one, first_us=EARLIEST_US, last_us=first_us - 1)
    parts, key, have = [minute_bars.empty(one.feed)], None, 0
    while have < back:
        page = paging.read_bars([before], asked.timeframe, after=key, limit=back - have, ascending=False)
        parts += (found for _series, found in page.found)
        have, key = sum(map(len, parts)), page.next
        if key is None:
            break
    wide = minute_bars.joined(parts)
    if not len(wide):
        return _versions(one, minute_bars.empty(one.feed), first_us, first_us)
    since_us = int(wide.time_us.min())
    minutes, after = [minute_bars.empty(one.feed)], None
    earlier = replace(one, first_us=since_us, last_us=first_us - 1)
    while True:
        page = paging.read_bars([earlier], timeframes.MINUTE, after=after, limit=PAGE_MINUTES, ascending=True)
        minutes += (found for _series, found in page.found)
        after = page.next
        if after is None:
            return _versions(one, minute_bars.joined(minutes), since_us, first_us)


def _versions(one: Series, bars: Bars, since_us: int, until_us: int) -> Versions:
    """All versions of the candles of the minutes since_us <= time < until_us, of which `bars` are those of today."""
    gone = list(
        VoidedTick.objects.filter(
            symbol__in=[code for code, _, _ in one.codes(since_us, until_us)],
            feed=one.feed, time_us__gte=since_us, time_us__lt=until_us,
        ).select_related("order")
    )  # fmt: skip
    revised = np.unique(
        np.concatenate(
            [bars.time_us[bars.rev > 0], np.array([row.time_us // MINUTE_US * MINUTE_US for row in gone], np.int64)]
        )
    )
    changed = np.isin(bars.time_us, revised)
    parts = [versions.unchanged(bars.take(~changed))]
    if len(revised):
        parts += _told(one, bars.take(changed), _trades(one, revised), gone)
    return versions.joined(parts)


def _trades(one: Series, minutes: Int64) -> Ticks:
    """The trades of these minutes."""
    parts = [tick_arrays.empty(one.feed)]
    for run in np.split(minutes, np.flatnonzero(np.diff(minutes) > MINUTE_US) + 1):
        for code, start_us, end_us in one.codes(int(run[0]), int(run[-1]) + MINUTE_US):
            found = storage().read_ticks(
                code, one.feed, start_us, end_us, kind=int(wire.Kind.TRADE), columns=_READ
            )  # fmt: skip
            parts.append(_alone(found))
    return tick_arrays.concatenate(parts)


def _alone(ticks: Ticks) -> Ticks:
    """Trades of one symbol, whatever it was called."""
    return replace(ticks, symbols=[""], symbol=np.zeros(len(ticks), np.int32), source_id=0)


def _told(one: Series, bars: Bars, trades: Ticks, gone: list[VoidedTick]) -> list[Versions]:
    """The versions of candles that changed. Those of which a trade is there no more, or the ledger's word on when it
    came, cannot be told."""
    taken = [_alone(part) for part in voided.parts(sorted(gone, key=lambda row: row.tick_id))]
    every = tick_arrays.concatenate([trades, *taken])
    known, found = _known(every.tick_id)
    gone_us = np.full(len(every), FOREVER, np.int64)
    gone_us[len(trades) :] = _of_ids(every.tick_id[len(trades) :], {row.tick_id: _gone_us(row) for row in gone})
    told = versions.of_trades(every, known, gone_us)
    stands = told.until_us == FOREVER
    now = {
        (minute, date): n
        for minute, date, n in zip(
            told.bars.time_us[stands].tolist(), told.bars.trade_date[stands].tolist(), told.bars.n[stands].tolist(),
            strict=True,
        )
    }  # fmt: skip
    wanted = zip(bars.time_us.tolist(), bars.trade_date.tolist(), bars.n.tolist(), strict=True)
    differs = np.array([now.get((minute, date)) != n for minute, date, n in wanted], np.bool_)
    lost = np.concatenate([bars.time_us[differs], every.time_us[~found] // MINUTE_US * MINUTE_US])
    return [
        told.take(~np.isin(told.bars.time_us, lost)),
        versions.untold(bars.take(np.isin(bars.time_us, lost))),
    ]


def _gone_us(row: VoidedTick) -> int:
    """From when on nobody was told of a tick any more: the end of the transaction that took it, though its order may
    not be through. Of one that was taken before that was noted, the end of its order; and as long as that has none it
    is not known (FOREVER), so that its candle, which has it no more, is one that cannot be told."""
    if row.gone_us is not None:
        return row.gone_us
    return FOREVER if row.order.done_at is None else int(row.order.done_at.timestamp() * 1e6)


def _known(tick_ids: Int64) -> tuple[Int64, tick_arrays.Mask]:
    """When each tick was committed, and whether that is known: by the ledger's word on its batch, or by that on the
    requeue which stored it."""
    batches = tick_ids >> TICK_BITS
    names = np.unique(batches).tolist()
    committed: dict[int, int] = {}
    again: dict[int, int] = {}
    for at in range(0, len(names), _NAMED):
        some = names[at : at + _NAMED]
        committed |= dict(IngestBatch.objects.filter(batch__in=some).values_list("batch", "committed_us"))
        for batch, at_us, spans in IngestRequeue.objects.filter(batch__in=some).values_list("batch", "at_us", "spans"):
            again |= {batch << TICK_BITS | row: at_us for span in spans for row in span[3]}
    known = _of_ids(batches, committed)
    if again:
        chosen = np.flatnonzero(np.isin(tick_ids, np.fromiter(again, np.int64, len(again))))
        known[chosen] = _of_ids(tick_ids[chosen], again)
    return known, known != FOREVER


def _of_ids(ids: Int64, told: Mapping[int, int]) -> Int64:
    """What is told of each; FOREVER where it is nothing."""
    names, place = np.unique(ids, return_inverse=True)
    return np.array([told.get(name, FOREVER) for name in names.tolist()], np.int64)[place]
