"""Puts candles right: minute candles from the ticks, daily candles from the minute candles, while workers go on."""

from __future__ import annotations

import datetime
import functools
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analytics.integrity import consistency, differences
from analytics.integrity.consistency import MOST, silent
from analytics.integrity.differences import Finding, Findings
from analytics.quality import due
from marketdata import alarms, connections
from marketdata.maintenance import dropped, leases, rollover
from marketdata.maintenance.dropped import Kind
from marketdata.maintenance.leases import Lease
from marketdata.models import RolloverRun
from marketdata.realtime import live_state, records_feed
from marketdata.storage import NotWholeError, storage
from marketdata.storage.base import Progress
from marketdata.types import checksums, minute_bars
from marketdata.types.checksums import Figure
from marketdata.types.minute_bars import Bars
from marketdata.types.units import MINUTE_US, day_of

log = logging.getLogger(__name__)

GROUP_TICKS = 200_000  # whose candles are owned at a time: for a second or so workers wait
GROUP_SYMBOLS = 50
_WHOLE_DAY = {
    Kind.MINUTES: gettext_lazy(
        "its minute candles were dropped when their time was over (RETENTION_MINUTES_DAYS), and a daily candle needs"
        " all of them: build the whole day, without --symbol and --feed"
    ),
    Kind.LEDGER: gettext_lazy(
        "its ledger rows were forgotten when their time was over (RETENTION_LEDGER_DAYS). Since then ticks that came"
        " made no minute candles, of any symbol, and daily candles need them: build the whole day, without --symbol and"
        " --feed. It is compared with what the ledger had"
    ),
}
again = functools.partial(connections.steadily, give_up_s=math.inf)  # a group may take minutes


class NothingToBuildFrom(Exception):
    """There are no ticks or only some of them, so the candles are all that is left of the day; or no such symbol or
    feed on that day. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """Which candles of a day were (or, with `dry_run`, would be) put right, as `consistency.Report` has it.
    `changed` minute candles were written or deleted; `daily` candles were made, None if it was not their time."""

    date: datetime.date
    dry_run: bool
    series: int
    changed: int
    daily: int | None
    findings: tuple[Finding, ...]
    counts: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "date": self.date.isoformat()}


def rebuild_candles(
    date: datetime.date,
    *,
    symbols: Sequence[str] | None = None,
    feed: str | None = None,
    dry_run: bool = False,
    most: int = MOST,
    progress: Progress = silent,
) -> Rebuilt:
    """Make the minute candles of a trading date what its ticks make, all or those of some symbols or of one feed, and
    then its daily candles if the rollover had made them. Only what is wrong is written. A worker who is about to change
    one of these candles waits a moment; nothing of his is lost or counted twice.

    consistency.UnknownDay, NothingToBuildFrom, leases.LeaseHeld (the rollover is at it) and LeaseLost say why not.
    """
    if dry_run:
        return _Repair(date, None, most, progress).run(symbols, feed)
    with leases.hold(leases.UPKEEP) as lease:  # nobody moves or drops the day meanwhile
        return _Repair(date, lease, most, progress).run(symbols, feed)


class _Repair:
    """One call of `rebuild_candles`; without a lease it only looks."""

    def __init__(self, date: datetime.date, lease: Lease | None, most: int, progress: Progress) -> None:
        self._date, self._lease, self._progress = date, lease, progress
        self._found, self._changed = Findings(most), 0

    def run(self, symbols: Sequence[str] | None, feed: str | None) -> Rebuilt:
        date = self._date
        with storage().snapshot():
            run, counted, waiting = consistency.figures_of(date)
            _all_ticks_there(date, run, counted)
        gone = dropped.kinds(date)
        if gone and (symbols is not None or feed is not None):
            raise NothingToBuildFrom(f"{date}: {_WHOLE_DAY[_first(gone)]}")
        series = storage().day_series(date)
        chosen = [
            (symbol, one)
            for symbol, one in series
            if (feed is None or one == feed) and (symbols is None or symbol in symbols)
        ]
        _all_there(date, series, symbols, feed)
        for one in sorted({one for _symbol, one in chosen}):
            self._minutes(one, [symbol for symbol, other in chosen if other == one], counted)
        return Rebuilt(
            date=date,
            dry_run=self._lease is None,
            series=len(chosen),
            changed=self._changed,
            daily=self._daily(run, series, set(waiting), None if chosen == series else set(chosen)),
            findings=tuple(self._found.named),
            counts=self._found.counts,
        )

    def _minutes(self, feed: str, symbols: Sequence[str], counted: Mapping[tuple[str, str], Figure]) -> None:
        self._progress(
            _("{date} {feed}: {number:,} symbols to compare").format(date=self._date, feed=feed, number=len(symbols))
        )
        stored = storage().read_day_minutes(self._date, feed)
        wrong = [s for s, findings in consistency.compare_minutes(self._date, stored, symbols) if findings]
        before = dict(consistency.by_symbol(stored, wrong))
        for group in _groups(wrong, {symbol: counted.get((symbol, feed), Figure()).rows for symbol in wrong}):
            self._check()
            written, findings, changed = again(functools.partial(self._put_right, feed, group, before))
            self._changed += written
            if written:
                _announce(feed, changed)
            self._found.add(findings)
            self._progress(
                _("{date} {feed} {first}–{last}: {number:,} differences").format(
                    date=self._date, feed=feed, first=group[0], last=group[-1], number=len(findings)
                )
            )

    def _put_right(
        self, feed: str, symbols: Sequence[str], before: Mapping[str, Bars]
    ) -> tuple[int, list[Finding], list[tuple[str, int]]]:
        """The candles of these symbols, in one transaction that owns them: how many were written, what was wrong, and
        the (symbol, minute) of those that were."""
        store, findings, changed = storage(), [], []
        only_looking = self._lease is None
        with store.snapshot() if only_looking else store.own_minutes(self._date, feed, symbols):
            wanted = [consistency.from_ticks(self._date, symbol, feed) for symbol in symbols]
            for bars in wanted:
                symbol, stored = bars.symbols[0], self._stored(bars, before[bars.symbols[0]])
                findings += differences.minutes(bars, stored, symbol)
                changed += [(symbol, minute) for minute in differences.differing(bars, stored)]
            written = 0 if only_looking else store.replace_minutes(self._date, minute_bars.concatenate(wanted))
            if written:
                due.ungrade(self._date)
        return written, findings, changed

    def _stored(self, wanted: Bars, before: Bars) -> Bars:
        """A symbol's candles as they are by now, between the first and the last minute that was or should be there:
        what a worker added beyond them since then is right."""
        times = [*wanted.time_us.tolist(), *before.time_us.tolist()]
        bars = storage().read_minutes(wanted.symbols[0], wanted.feed, min(times), max(times) + MINUTE_US)
        return bars.take(bars.trade_date == day_of(self._date))

    def _daily(
        self,
        run: RolloverRun | None,
        series: Sequence[tuple[str, str]],
        waiting: set[tuple[str, str]],
        built: set[tuple[str, str]] | None,
    ) -> int | None:
        """`built` are the series whose minute candles were just made what all of their ticks make, None: all."""
        if run is None or run.state not in consistency.AGGREGATED:
            return None  # the rollover will make them
        consistency.compare_daily(self._date, series, waiting, self._found, self._progress, alone=True)
        if self._lease is None:
            return None
        self._check()
        try:
            daily = again(lambda: storage().build_daily(self._date, rollover.windows(self._date), proven=built))
        except NotWholeError as error:
            raise NothingToBuildFrom(
                _(
                    "{date}: the minute candles were put right, the daily candles stay as they are: "
                    "{error}. Without --symbol and --feed all of them are built"
                ).format(date=self._date, error=error)
            ) from error
        RolloverRun.objects.filter(pk=run.pk).update(daily=daily, aggregated_at=rollover.utc_now())
        alarms.resolve(rollover.NOT_WHOLE, subject=self._date.isoformat())
        return daily

    def _check(self) -> None:
        if self._lease is not None:
            self._lease.check()


def _announce(feed: str, keys: Sequence[tuple[str, int]]) -> None:
    """Tell subscribers which candles, by symbol and minute, are others than before. Without Redis they stay as they had
    them; the database is right."""
    pipeline = live_state.connection().pipeline(transaction=False)
    records_feed.publish_candles(pipeline, feed, keys)
    try:
        pipeline.execute()
    except redis.RedisError as error:
        log.warning("candles were made anew and not announced feed=%s error=%s", feed, type(error).__name__)


def _first(gone: Collection[str]) -> Kind:
    """Of what was dropped of a day the kind whose absence weighs most for its candles; ticks are refused before."""
    return Kind.MINUTES if Kind.MINUTES in gone else Kind.LEDGER


def _all_ticks_there(date: datetime.date, run: RolloverRun | None, counted: Mapping[tuple[str, str], Figure]) -> None:
    """NothingToBuildFrom unless every tick that was acknowledged of the day is stored. A difference that a person
    accepted is no hindrance, save for ticks that are missing: the candles still have them."""
    gone = Kind.TICKS in dropped.kinds(date)
    if not counted:
        why = (
            "they were dropped when their time was over (RETENTION_TICKS_DAYS). The whole day may be in the archive or"
            " in a backup"
            if gone
            else "none came, or all were voided"
        )
        raise NothingToBuildFrom(
            _("{date}: there are no ticks to build from: {why}; the candles stay as they are").format(
                date=date, why=why
            )
        )
    total = checksums.total(counted.values())
    if gone:
        raise NothingToBuildFrom(
            _(
                "{date}: the ticks of this day were dropped when their time was over "
                "(RETENTION_TICKS_DAYS), and the {rows:,} that are there came later: they are not the "
                "whole of it. The candles stay as they are; the whole day may be in the archive or in "
                "a backup"
            ).format(date=date, rows=total.rows)
        )
    expected = dropped.expected(date)
    if total.rows < expected.rows or (total != expected and not (run is not None and run.accepted)):
        raise NothingToBuildFrom(
            _(
                "{date}: the ledger has {rows:,} ticks (checksum {checksum}), stored are "
                "{total_rows:,} (checksum {total_checksum}), so the candles may know more than the "
                "ticks and stay as they are. `manage.py verify_day {date}` names each difference and "
                "docs/consistency.md says what to do; when the ticks are whole again, build the candles"
            ).format(
                date=date,
                rows=expected.rows,
                checksum=expected.checksum,
                total_rows=total.rows,
                total_checksum=total.checksum,
            )
        )


def _all_there(
    date: datetime.date, series: Sequence[tuple[str, str]], symbols: Sequence[str] | None, feed: str | None
) -> None:
    """NothingToBuildFrom unless each symbol and the feed that were asked for are there on that day."""
    feeds = sorted({one for _, one in series})
    if feed is not None and feed not in feeds:
        raise NothingToBuildFrom(
            _("{feed}: no such feed on {date}. There: {feeds}").format(feed=feed, date=date, feeds=", ".join(feeds))
        )
    there = {symbol for symbol, one in series if feed in (None, one)}
    if unknown := [symbol for symbol in symbols or () if symbol not in there]:
        raise NothingToBuildFrom(
            _("{unknown}: has neither ticks nor candles on {date}").format(unknown=", ".join(unknown), date=date)
            + (f" in {feed}" if feed else "")
        )


def _groups(symbols: Sequence[str], ticks: Mapping[str, int]) -> Iterator[list[str]]:
    """Symbols together as long as they are few and have few ticks."""
    group: list[str] = []
    held = 0
    for symbol in symbols:
        if group and (held + ticks[symbol] > GROUP_TICKS or len(group) == GROUP_SYMBOLS):
            yield group
            group, held = [], 0
        group.append(symbol)
        held += ticks[symbol]
    if group:
        yield group
