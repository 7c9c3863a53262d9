"""Taking wrong ticks back, and putting them back again. A voided tick is moved out of the tables of ticks into
`voided_tick`, whole; so candles stay a pure function of the stored ticks, and the ledger, the counts of a day, archive
and answers need not know of it.

Each series of a day is one transaction: ticks, ledger, candles, and what subscribers are to be told. An order that was
interrupted is gone on with by `resume`; what was committed is never done twice, for those ticks are not there any more.
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from analytics.integrity import consistency, repair
from marketdata import alarms
from marketdata.ledger import batch_ledger, voided
from marketdata.maintenance import dropped, leases, rollover
from marketdata.models import (
    Client,
    FeedNotice,
    IngestBatch,
    IngestBatchDay,
    IngestStream,
    RolloverRun,
    VoidedTick,
    VoidOrder,
)
from marketdata.realtime import feed as feeds
from marketdata.realtime import live_state
from marketdata.storage import NotWholeError, StorageError, storage
from marketdata.storage.base import EPOCH_DATE, HISTORY, PRICES, TEMP, Progress
from marketdata.types import checksums, minute_bars
from marketdata.types import ticks as ticks_module
from marketdata.types.checksums import Figure
from marketdata.types.minute_bars import MINUTE_US
from marketdata.types.ticks import SEQ_BITS, TICK_BITS, Mask, Ticks
from terminals import wire

log = logging.getLogger(__name__)

NEAR = datetime.timedelta(days=8)  # a trading date differs from its event's own date by no more
LATEST_US = 40 * 86_400_000_000  # a trade older than that is nobody's latest
MOST_NOTICES, MOST_NAMED = 100, 5
FAILED = "void_failed"
RECHECKED = datetime.timedelta(minutes=5)
State = RolloverRun.State
MOVED = (State.MOVED, State.AGGREGATED, State.CLEANED, State.DONE)


class NothingChosen(Exception):
    """A selection that names nothing, or something that there is not."""


class NotDone(Exception):
    """Part of an order could not be carried out; the message says what, why and what to do. The rest is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Ticks that fit everything that is given. start_us <= time < end_us. At least one of batches, client and symbols
    is given: nobody voids a whole market by leaving a word out."""

    batches: tuple[int, ...] = ()
    client: str = ""
    symbols: tuple[str, ...] = ()
    feed: str = ""
    start_us: int | None = None
    end_us: int | None = None

    def as_json(self) -> str:
        """As an order keeps it."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in ("", (), None)})

    @classmethod
    def of_json(cls, text: str) -> Selection:
        """The inverse of `as_json`."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
        found: Any = given
        return cls(**found)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How many ticks of which series went (or would go), and the order, if one was made. `dropped` are the days that
    stay as they are, for retention has been at them."""

    series: dict[tuple[datetime.date, str, str], int]
    dropped: list[datetime.date]
    order: int | None = None

    @property
    def ticks(self) -> int:
        return sum(self.series.values())


def void(selection: Selection, *, reason: str, by: str, progress: Progress = consistency.silent) -> Outcome:
    """Void what was selected. NothingChosen; leases.LeaseHeld, LeaseLost and NotDone: the order is gone on with
    later."""
    _check(selection)
    order = VoidOrder.objects.create(selection=selection.as_json(), reason=reason[:200], ordered_by=by[:150])
    log.warning("ticks are voided order=%d by=%s reason=%r selection=%s", order.pk, by, reason, order.selection)
    return _carry_out(order, progress)


def preview(selection: Selection) -> Outcome:
    """What `void` would take; changes nothing."""
    _check(selection)
    chosen = _Chosen(selection)
    dates, gone = chosen.dates()
    found = Outcome(series={}, dropped=gone)
    for date in dates:
        for symbol, feed in chosen.series(date):
            if count := len(chosen.ticks(date, symbol, feed)):
                found.series[date, symbol, feed] = count
    return found


def resume(progress: Progress = consistency.silent) -> int:
    """Go on with orders that were interrupted; how many. One that cannot be carried out is the alarm `void_failed` and
    holds up no other."""
    orders = list(VoidOrder.objects.filter(done_at=None).order_by("pk"))
    for order in orders:
        try:
            _carry_out(order, progress)
        except NotDone as error:
            alarms.raise_alarm(FAILED, str(error), subject=str(order.pk))
        except (StorageError, LookupError) as error:
            alarms.raise_alarm(FAILED, f"order {order.pk}: {type(error).__name__}: {error}", subject=str(order.pk))
    return len(orders)


def _check(selection: Selection) -> None:
    if not (selection.batches or selection.client or selection.symbols):
        raise NothingChosen(_("name a batch, a client or a symbol"))
    if selection.client and not Client.objects.filter(name=selection.client).exists():
        raise NothingChosen(_("{client}: no such client").format(client=selection.client))
    missing = set(selection.batches) - set(batch_ledger.checksums(selection.batches))
    if missing:
        names = ", ".join(f"{number >> SEQ_BITS}/{number & batch_ledger.SEQ_MASK}" for number in sorted(missing))
        raise NothingChosen(_("{names}: no such batch in the ledger").format(names=names))


class _Chosen:
    """A selection, looked up."""

    def __init__(self, selection: Selection) -> None:
        self._given = selection
        streams = IngestStream.objects.filter(client__name=selection.client).values_list("pk", flat=True)
        self._streams = list(streams) if selection.client else None

    def dates(self) -> tuple[list[datetime.date], list[datetime.date]]:
        """The trading dates that may have some; and those of them that stay as they are, for their ticks or candles
        were dropped: what is left of such a day is not the whole of it, and nothing is made of it."""
        given, days = self._given, IngestBatchDay.objects.order_by()
        if given.batches:
            days = days.filter(batch__in=given.batches)
        if given.start_us is not None:
            days = days.filter(trade_date__gte=_date(given.start_us) - NEAR)
        if given.end_us is not None:
            days = days.filter(trade_date__lte=_date(given.end_us) + NEAR)
        found: set[datetime.date] = set()
        if self._streams is None:
            found |= set(days.values_list("trade_date", flat=True).distinct())
        for stream in self._streams or ():
            low = stream << SEQ_BITS
            mine = days.filter(batch__gte=low, batch__lte=low | batch_ledger.SEQ_MASK)
            found |= set(mine.values_list("trade_date", flat=True).distinct())
        gone = {date for date in found if dropped.kinds(date)}
        return sorted(found - gone), sorted(gone)

    def series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) pairs of the date that may have some."""
        given = self._given
        return [
            (symbol, feed)
            for symbol, feed in storage().day_series(date)
            if (not given.symbols or symbol in given.symbols) and given.feed in ("", feed)
        ]

    def ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        """The chosen ticks of a series."""
        found = storage().read_day_ticks(date, symbol, feed)
        chosen: Mask = np.ones(len(found), bool)
        if self._given.batches:
            chosen &= np.isin(found.tick_id >> TICK_BITS, np.array(self._given.batches, np.int64))
        if self._streams is not None:
            chosen &= np.isin(found.tick_id >> (TICK_BITS + SEQ_BITS), np.array(self._streams, np.int64))
        if self._given.start_us is not None:
            chosen &= found.time_us >= self._given.start_us
        if self._given.end_us is not None:
            chosen &= found.time_us < self._given.end_us
        return found.take(chosen)


def _date(time_us: int) -> datetime.date:
    return EPOCH_DATE + datetime.timedelta(microseconds=time_us)


def _carry_out(order: VoidOrder, progress: Progress) -> Outcome:
    """NotDone names what of the order is left; nothing of it holds up the rest."""
    chosen, left = _Chosen(Selection.of_json(order.selection)), list[str]()
    with leases.hold(leases.UPKEEP) as lease:  # nobody moves or drops the day meanwhile
        dates, gone = chosen.dates()
        found = Outcome(series={}, dropped=gone, order=order.pk)
        # Days of which all was taken before an interruption are in the ledger no more.
        begun = set(VoidedTick.objects.filter(order=order).order_by().values_list("trade_date", flat=True).distinct())
        for date in sorted(begun.union(dates)):
            for symbol, feed in chosen.series(date) if date in dates else ():
                lease.check()
                job = functools.partial(_void_series, order, chosen, date, symbol, feed)
                try:
                    count = repair.again(job)
                except NotWholeError as error:
                    left.append(str(error))
                    continue
                if count:
                    found.series[date, symbol, feed] = count
                    progress(
                        _("{date} {feed} {symbol}: {count:,} ticks").format(
                            date=date, feed=feed, symbol=symbol, count=count
                        )
                    )
            lease.check()
            try:
                _daily(date, order)
            except NotWholeError as error:
                left.append(_("{date} daily candles: {error}").format(date=date, error=error))
        if left:
            raise NotDone(
                _(
                    "of order {pk} is left: {few}. It is tried again every half minute; `manage.py void "
                    "--restore {pk}` puts back what it took and gives it up"
                ).format(pk=order.pk, few=_few(left))
            )
        VoidOrder.objects.filter(pk=order.pk).update(done_at=datetime.datetime.now(datetime.UTC))
    alarms.resolve(FAILED, subject=str(order.pk))
    return found


def _few(words: Sequence[str]) -> str:
    return "; ".join(words[:MOST_NAMED]) + (f"; and {len(words) - MOST_NAMED:,} more" if words[MOST_NAMED:] else "")


def _daily(date: datetime.date, order: VoidOrder) -> None:
    """The daily candles of a day of which this order took ticks, if there are any. NotWholeError: they stay as they
    are."""
    run = RolloverRun.objects.filter(trade_date=date, aggregated_at__isnull=False).first()
    if run is None or not VoidedTick.objects.filter(order=order, trade_date=date).exists():
        return
    if dropped.Kind.MINUTES in dropped.kinds(date):  # since the order took them
        log.warning("daily candles keep what was voided date=%s order=%d: no minute candles", date, order.pk)
        return
    # Minute candles have fewer trades because orders took them, not because something is missing; another order that
    # is not through may have taken some as well.
    taken = VoidedTick.objects.filter(trade_date=date).filter(Q(order=order) | Q(order__done_at=None))
    proven = set(taken.order_by().values_list("symbol", "feed").distinct())
    daily = repair.again(lambda: storage().build_daily(date, rollover.windows(date), proven=proven))
    RolloverRun.objects.filter(pk=run.pk).update(daily=daily)
    alarms.resolve(rollover.NOT_WHOLE, subject=date.isoformat())


def _refuse_remainder(date: datetime.date, symbol: str, feed: str) -> None:
    """NotWholeError if a minute candle has more trades than the ticks that are stored make: made anew from them it
    would lose what they do not know. Inside `own_minutes`."""
    made = consistency.from_ticks(date, symbol, feed)
    trades = dict(zip(made.time_us.tolist(), made.n.tolist(), strict=True))
    stored = storage().read_day_minutes(date, feed, symbol)
    if more := sum(n > trades.get(at, 0) for at, n in zip(stored.time_us.tolist(), stored.n.tolist(), strict=True)):
        raise NotWholeError(
            f"{date} {feed} {symbol}: {more:,} minute candles have more trades than the ticks that are stored, so"
            f" nothing of this series was changed. `manage.py verify_day {date}` names what is missing"
        )


def _void_series(order: VoidOrder, chosen: _Chosen, date: datetime.date, symbol: str, feed: str) -> int:
    """One transaction: what is chosen of a series goes. NotWholeError: nothing of it went."""
    store = storage()
    with store.own_minutes(date, feed, [symbol]):
        ticks = chosen.ticks(date, symbol, feed)
        if not len(ticks):
            return 0
        _refuse_remainder(date, symbol, feed)
        wanted = set(ticks.tick_id.tolist())
        places = store.tick_places(date, symbol, feed)
        sources = {tick_id: source for place in places.values() for tick_id, source in place.items()}
        for place, known in places.items():
            mine = ticks.take(np.array([tick_id in known for tick_id in ticks.tick_id.tolist()], bool))
            if len(mine) and store.delete_ticks(place, mine) != len(mine):
                raise StorageError("ticks went while they were voided; nothing was changed")
            if place == HISTORY:
                _adjust_run(date, _figure(voided.by_source(mine, sources)))
        days = _take_prices(ticks)
        VoidedTick.objects.bulk_create(
            [
                VoidedTick(
                    tick_id=tick_id, order=order, symbol=symbol, feed=feed, source_id=sources[tick_id],
                    trade_date=date, time_us=int(ticks.time_us[row]),
                    record=json.dumps(ticks.record(row) | days.get(tick_id, {})),
                )
                for row, tick_id in enumerate(ticks.tick_id.tolist())
            ],
            batch_size=500,
        )  # fmt: skip
        _adjust_ledger(voided.by_source(ticks, sources), -1)
        store.replace_minutes(date, consistency.from_ticks(date, symbol, feed))
        cancels = ticks.take(ticks.kind == wire.Kind.TRADE)
        cancels.kind[:] = feeds.CANCELLED
        _note(cancels)
        # As late as can be: until the transaction ends readers see the candles that have these ticks.
        taken = VoidedTick.objects.filter(order=order, trade_date=date, symbol=symbol, feed=feed, gone_us=None)
        taken.update(gone_us=batch_ledger.now_us())
        return len(wanted)


def _take_prices(ticks: Ticks) -> dict[int, dict[str, str]]:
    """Remove what these snapshots of a series told of their day: by tick_id, as a record has it."""
    snapshots = ticks.take(ticks.kind == wire.Kind.SNAPSHOT)
    if not len(snapshots):
        return {}
    first_us, last_us = int(snapshots.time_us.min()), int(snapshots.time_us.max())
    wanted = set(snapshots.tick_id.tolist())
    symbol = snapshots.symbols[int(snapshots.symbol[0])]
    told = storage().read_prices(symbol, snapshots.feed, first_us, last_us + 1)
    days = {one.tick_id: one.day_record() for one in told if one.tick_id in wanted}
    if storage().delete_prices(snapshots) != len(days):
        raise StorageError("prices went while their snapshots were voided; nothing was changed")
    return days


def _figure(parts: Iterable[Ticks]) -> Figure:
    return checksums.total(figure for part in parts for figure in checksums.of_ticks(part).values())


def _adjust_run(date: datetime.date, gone: Figure) -> None:
    """What the rollover noted of a day in history follows, so that the next comparison finds what it expects; and its
    archive has ticks that do not count any more, so it is made anew."""
    run = RolloverRun.objects.filter(trade_date=date, state__in=MOVED).first()
    if run is not None and gone.rows:
        now = Figure(run.rows or 0, run.checksum or 0) - gone
        RolloverRun.objects.filter(pk=run.pk).update(rows=now.rows, checksum=now.checksum, archived_at=None)


def _adjust_ledger(parts: Iterable[Ticks], sign: int) -> None:
    changes: dict[tuple[int, int], Figure] = {}
    for part in parts:
        for key, figure in checksums.by_batch(part, part.tick_id >> TICK_BITS).items():
            changes[key] = changes.get(key, Figure()) + figure
    batch_ledger.adjust_days(changes, sign)


def _note(ticks: Ticks) -> None:
    """Subscribers are to hear of it, a thousand ticks at a time."""
    for start in range(0, len(ticks), 1000):
        part = ticks.take(np.arange(start, min(start + 1000, len(ticks))))
        FeedNotice.objects.create(payload=ticks_module.pack(part), committed_us=batch_ledger.now_us())


# --- back again -------------------------------------------------------------------------------------------------------


def restore(order: VoidOrder, *, by: str, progress: Progress = consistency.silent) -> int:
    """Put back every tick an order took; how many. They enter the day like late ticks. May be called again. NotDone
    names what stays voided; nothing of it holds up the rest. leases.LeaseHeld and LeaseLost: call it again."""
    log.warning("voided ticks are put back order=%d by=%s", order.pk, by)
    count, left = 0, list[str]()
    with leases.hold(leases.UPKEEP) as lease:
        groups = VoidedTick.objects.filter(order=order).order_by("trade_date", "feed", "symbol")
        keys = groups.values_list("trade_date", "feed", "symbol").annotate(ticks=Count("tick_id"))
        for date, feed, symbol, ticks in list(keys):
            if dropped.kinds(date):
                left.append(
                    _("{date} {feed} {symbol}: of this day ticks or candles were dropped").format(
                        date=date, feed=feed, symbol=symbol
                    )
                )
                continue
            storage().ensure_partitions([date], (TEMP, PRICES))
            lease.check()
            try:
                repair.again(functools.partial(_restore_series, order, date, symbol, feed))
            except NotWholeError as error:
                left.append(str(error))
                continue
            progress(
                _("{date} {feed} {symbol}: {count:,} ticks").format(date=date, feed=feed, symbol=symbol, count=ticks)
            )
            count += ticks
        now = datetime.datetime.now(datetime.UTC)
        VoidOrder.objects.filter(pk=order.pk).update(
            restored_at=None if left else now, done_at=order.done_at or order.created_at
        )
    alarms.resolve(FAILED, subject=str(order.pk))
    if left:
        raise NotDone(_("{count:,} put back; these stay voided: {few}").format(count=count, few=_few(left)))
    return count


def _restore_series(order: VoidOrder, date: datetime.date, symbol: str, feed: str) -> None:
    store = storage()
    with store.own_minutes(date, feed, [symbol]):
        _refuse_remainder(date, symbol, feed)
        rows = VoidedTick.objects.filter(order=order, trade_date=date, symbol=symbol, feed=feed)
        kept = list(rows.order_by("time_us", "tick_id"))
        parts, categories = voided.parts(kept), voided.categories(kept)
        for part in parts:
            told = ticks_module.with_day(part)
            if store.load(TEMP, part) != len(part) or (
                told is not None and store.load_prices(told, categories) != len(told)
            ):
                raise StorageError("a voided tick is stored as well; nothing was changed")
        _adjust_ledger(parts, +1)
        rows.delete()
        store.replace_minutes(date, consistency.from_ticks(date, symbol, feed))
        for part in parts:
            _note(part.take(part.kind == wire.Kind.TRADE))


# --- telling it -------------------------------------------------------------------------------------------------------


def announce(*, most: int = MOST_NOTICES) -> int:
    """Tell the feed what was voided or put back, each once, in the order it was decided; how many notices."""
    notices = list(FeedNotice.objects.order_by("pk")[:most])
    for notice in notices:
        ticks = ticks_module.unpack(bytes(notice.payload))
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


def of_batches(rows: Iterable[IngestBatch]) -> Selection:
    """The selection of these batches."""
    return Selection(batches=tuple(sorted(row.batch for row in rows)))
