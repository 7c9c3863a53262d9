"""Publishes what was committed, feed by feed, to another broker: from the feed as long as that has what is next, else
from the database. A position moves only once everything before it is delivered, so what a death interrupts is published
again and never left out.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import redis
from django.conf import settings

from analytics.series import timeframes
from fanout import changes, messages, positions
from fanout.course import MOST_SYMBOLS, Course, Refill
from fanout.delivery import Delivery
from fanout.messages import Message, Page
from fanout.positions import Position
from marketdata import metrics
from marketdata.ledger import commits, voided
from marketdata.ledger.commits import OVERLAP_US, Place
from marketdata.maintenance.leases import Lease
from marketdata.models import Feed, VoidedTick
from marketdata.realtime import feed as feeds
from marketdata.realtime import stats
from marketdata.storage import storage
from marketdata.types.feed_changes import What
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

log = logging.getLogger(__name__)

ENTRIES = 50  # of a feed at a time
ROWS = 5_000
"""After so many rows of a feed all that was sent is waited for, and the position moves."""
BLOCK_MS = 200
SAVE_S = 1.0
LOOK_S = 5.0
"""How often other feeds are looked for, and whether the lease is still ours."""
OPEN_US = 10 * MINUTE_US  # minutes that may be open at once
MOST_STATISTICS, MOST_VOIDED = 500, 1_000


class Publisher:
    """Of all feeds, for who holds the lease. `turn` does what is to be done next; what it raises (of Redis, the
    database, DeliveryFailed) leaves the stored positions as they are, and another Publisher goes on from there.
    LeaseLost: somebody else publishes. `between` is called within a turn, too, and may raise to end it: whatever was
    moved by then may be saved."""

    def __init__(
        self, connection: redis.Redis, delivery: Delivery, lease: Lease, *, form: str,
        between: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._redis, self._delivery, self._lease, self._form = connection, delivery, lease, form
        self._between = between
        self._courses: dict[str, Course] = {}
        self._looked_at = self._asked_at = self._saved_at = self._checked_at = self._noted_at = -LOOK_S
        self._behind: set[str] = set()
        self._pending: dict[str, int] = {}
        self._begin(positions.take(lease.fence))

    # --- beginning ----------------------------------------------------------------------------------------------------

    def _begin(self, known: dict[str, Position]) -> None:
        for position in known.values():
            course = self._course(position)
            if position.minute_us:
                codes = commits.codes_of(None)
                bars = storage().read_minutes_of(codes, position.feed, position.minute_us, position.minute_us + OPEN_US)
                pairs = zip(bars.symbol.tolist(), bars.time_us.tolist(), strict=True)
                course.touch((bars.symbols[index], minute) for index, minute in pairs)
                course.move_clock(position.minute_us, now_us())

    def _course(self, position: Position) -> Course:
        course = Course(position, grace_us=int(settings.LATE_AFTER_S * 1e6))
        self._courses[position.feed] = course
        return course

    def look(self) -> None:
        """Look for feeds that came into being. The very first begin with what the feed still holds; one that comes
        later with the first that was committed to it since anybody looked."""
        self._looked_at = time.monotonic()
        is_first = not self._courses
        since_us = min((course.position.committed_us for course in self._courses.values()), default=0)
        for name in Feed.objects.order_by("name").values_list("name", flat=True):
            if name in self._courses:
                continue
            position = Position(name)
            if is_first:
                position.epoch = feeds.current_epoch(self._redis)
                first, _ = feeds.current_bounds(self._redis, name)
                oldest = feeds.entries_after(self._redis, name, first - 1, most=1)
                position.offset = first - 1
                position.committed_us = oldest[0].committed_us if oldest else now_us()
            else:
                position.committed_us = since_us
            position.published_us = position.committed_us  # else it would be behind since 1970 until the first delivery
            positions.add(position, self._lease.fence)
            self._course(position)

    # --- a turn -------------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Publish what is next of each feed, or wait a moment where there is nothing."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self.look()
        self._check()
        saves = now - self._asked_at >= SAVE_S
        if saves:
            self._asked_at = now
            # Asked before the feed is read: what is not there by then was given to the feed.
            self._pending = changes.pending(list(self._courses))
        for course in self._courses.values():
            if course.refill is not None:
                self._refill_on(course)
            elif not course.position.epoch:
                self._begin_refill(course)
        self._follow()
        told: list[int] = []
        for course in self._courses.values():
            if saves:
                told += self._tell_changes(course)
            self._tell_candles(course)
            if saves:
                self._tell_statistics(course)
        self._settle()
        if saves:
            self.save()
            changes.forget(told)
            changes.forget_returns({
                name: course.position.committed_us - OVERLAP_US for name, course in self._courses.items()
            })  # fmt: skip

    def _follow(self) -> None:
        """What the feeds have. Afterwards it is asked whose offsets these were."""
        live = {name: course.position.offset for name, course in self._courses.items() if course.is_live}
        if not live:
            if not any(course.refill for course in self._courses.values()):
                time.sleep(BLOCK_MS / 1000)
            return
        refilling = len(live) < len(self._courses)
        entries = feeds.follow_waiting(self._redis, dict(live), most=ENTRIES, block_ms=1 if refilling else BLOCK_MS)
        epoch = feeds.current_epoch(self._redis)
        for name in live:
            course = self._courses[name]
            if course.position.epoch != epoch:
                log.warning("feed has a new epoch feed=%s before=%s now=%s", name, course.position.epoch, epoch)
                course.position.epoch = ""
                continue
            mine = [entry for entry in entries if entry.feed == name]
            if len(mine) == ENTRIES:
                self._behind.add(name)
                course.position.newest_us = max(course.position.newest_us, mine[-1].committed_us)
            self._publish_entries(course, mine)
            if len(mine) < ENTRIES:
                self._behind.discard(name)
                course.position.newest_us = course.position.published_us

    def _publish_entries(self, course: Course, entries: Sequence[feeds.FeedEntry]) -> None:
        position, rows = course.position, 0
        reached, newest_us = position.offset, position.published_us
        for entry in entries:
            if entry.first > reached + 1:
                log.warning("feed has it no more feed=%s from=%d to=%d", position.feed, reached + 1, entry.first - 1)
                position.epoch = ""
                break
            self._publish(course, Page(entry.ticks, position.epoch, entry.first, entry.committed_us))
            reached, newest_us = entry.last, max(newest_us, entry.committed_us)
            rows += len(entry.ticks)
            if rows >= ROWS:
                self._reach(position, reached, newest_us)
                rows = 0
        if reached != position.offset:
            self._reach(position, reached, newest_us)

    def _reach(self, position: Position, offset: int, newest_us: int) -> None:
        """All before it was sent."""
        self._settle()
        position.offset, position.published_us, position.delivered_us = offset, newest_us, now_us()
        # Nor later than now: what a clock that is ahead says would leave out what others commit meanwhile.
        position.committed_us = min(newest_us, self._pending.get(position.feed, newest_us), now_us())

    def _settle(self) -> None:
        """Return once all that was sent is delivered. A turn may take long, so what does not wait for its end is done
        in between."""
        self._delivery.settle()
        self._between()
        self._check()
        if time.monotonic() - self._saved_at >= SAVE_S:
            self.save()

    def _check(self) -> None:
        """LeaseLost: somebody else publishes."""
        if time.monotonic() - self._checked_at >= LOOK_S:
            self._lease.check()
            self._checked_at = time.monotonic()

    def _publish(self, course: Course, page: Page) -> None:
        self._send(messages.of_page(page, self._form))
        if len(page.ticks):
            course.touch(messages.touched(page.ticks))
            course.move_clock(int(page.ticks.time_us.max()), now_us())

    def _send(self, found: Iterable[Message]) -> None:
        for one in found:
            self._delivery.send(one)

    # --- what the feed has no more ------------------------------------------------------------------------------------

    def _begin_refill(self, course: Course) -> None:
        position = course.position
        epoch = feeds.current_epoch(self._redis)
        _, offset = feeds.current_bounds(self._redis, position.feed)
        begun_us, since_us = now_us(), max(position.committed_us - OVERLAP_US, 0)
        until_us = commits.until_us(position.feed, begun_us)  # after the offset: what lies before it is committed
        course.refill = Refill(epoch, offset, since_us, until_us, Place(since_us), begun_us)
        position.newest_us = max(position.published_us, until_us)
        metrics.FANOUT_REFILLS.inc()
        log.info("database is read for what the feed has no more feed=%s since_us=%d", position.feed, since_us)

    def _refill_on(self, course: Course) -> None:
        """A page of it."""
        refill, position = course.refill, course.position
        if refill is None:
            return
        if not refill.is_corrected:
            # First, for the position moves with the commits: what is interrupted then goes on behind these.
            gone = _taken_back(position.feed, refill.since_us)
            rows = 0
            for ticks in itertools.chain(gone, changes.trades_back(position.feed, refill.since_us)):
                self._publish(course, Page(ticks, "", 0, 0))
                rows += len(ticks)
                if rows >= ROWS:
                    self._settle()
                    rows = 0
            self._settle()
            refill.is_corrected = True
        parts, place = commits.read(position.feed, None, refill.place, refill.until_us)
        for ticks in parts:
            self._publish(course, Page(ticks, "", 0, 0))
        if place is not None:
            self._settle()
            position.delivered_us = now_us() if parts else position.delivered_us
            refill.place = place
            position.published_us = max(position.published_us, place.committed_us)
            # Behind what waits for the feed, `published_us` may be, and `committed_us` may not.
            position.committed_us = max(position.committed_us, min(place.committed_us, refill.begun_us))
            return
        position.epoch, position.offset = refill.epoch, refill.offset
        position.published_us = max(position.published_us, refill.until_us)
        position.committed_us = refill.begun_us
        course.refill = None

    # --- candles and statistics ---------------------------------------------------------------------------------------

    def _tell_changes(self, course: Course) -> list[int]:
        """Tell daily candles that are others now, and note which minute candles are; of which changes this was."""
        feed = course.position.feed
        found = changes.of_candles(feed)
        for change in found:
            if change.what == What.MINUTES:
                course.touch(changes.minutes_of(change))
                continue
            date, symbols = changes.days_of(change)
            for some in _chunks(symbols, MOST_SYMBOLS):
                bars = storage().daily_of(date, feed, some)
                self._send(messages.of_days(date, feed, changes.begins_us(date, some), bars, self._form))
                self._settle()
        return [change.pk for change in found]

    def _tell_candles(self, course: Course) -> None:
        for keys in course.due(now_us()):
            symbols, wanted = sorted({symbol for symbol, _ in keys}), set(keys)
            first, last = min(minute for _, minute in keys), max(minute for _, minute in keys)
            bars = timeframes.by_minute(storage().read_minutes_of(symbols, course.position.feed, first, last + 1))
            pairs = [
                (bars.symbols[index], minute)
                for index, minute in zip(bars.symbol.tolist(), bars.time_us.tolist(), strict=True)
            ]
            chosen = np.array([at for at, key in enumerate(pairs) if key in wanted], np.int64)
            self._send(messages.of_bars(bars.take(chosen), self._form))
            gone = changes.taken_back(wanted.difference(pairs))
            self._send(messages.removed(course.position.feed, gone, self._form))
            self._settle()
            course.told(keys)

    def _tell_statistics(self, course: Course) -> None:
        position = course.position
        put = stats.put_since(self._redis, position.feed, position.statistics_order)
        for symbols in _chunks(sorted(put, key=put.__getitem__), MOST_STATISTICS):
            found = stats.all_results(self._redis, position.feed, symbols)
            self._send(messages.of_statistics(position.feed, found.values(), self._form))
            self._settle()
            position.statistics_order = put[symbols[-1]]

    # --- where it is --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Note where the feeds are: all that is before it was delivered, closed candles among it."""
        self._look_how_far(self._behind)
        for course in self._courses.values():
            course.position.minute_us = course.waiting_from_us()
            self._hear(course.position)
            positions.save(course.position, self._lease.fence, seen_us=now_us())
        self._saved_at = time.monotonic()

    def note_waiting(self) -> None:
        """While something is waited for: what waits for it. Moves nothing."""
        if time.monotonic() - self._noted_at < LOOK_S:
            return
        self._noted_at = time.monotonic()
        self._lease.check()
        self._look_how_far(self._courses)
        for course in self._courses.values():
            self._hear(course.position)
            positions.note(course.position, self._lease.fence, seen_us=now_us())

    def _look_how_far(self, names: Iterable[str]) -> None:
        """Ask these feeds for their newest commit."""
        asked = sorted(names)
        newest = feeds.newest(self._redis, asked) if asked else {}
        for name in asked:
            position = self._courses[name].position
            position.newest_us = max(position.published_us, newest[name].committed_us if name in newest else 0)

    def _hear(self, position: Position) -> None:
        position.hear(self._delivery.trouble, now_us())
        metrics.FANOUT_LAG.labels(position.feed).set(position.lag_s)
        metrics.FANOUT_AWAY.set(position.away_s(now_us()))


def silence() -> None:
    """How far the feeds are, only the one who publishes tells."""
    for family in metrics.FANOUT_LAG.collect():
        for sample in family.samples:
            metrics.FANOUT_LAG.labels(**sample.labels).set(0)
    metrics.FANOUT_AWAY.set(0)


def now_us() -> int:
    """The machine's time in microseconds UTC."""
    return time.time_ns() // 1000


def _taken_back(feed: str, since_us: int) -> Iterator[Ticks]:
    """Trades that were voided since a moment, and still are, as the feed tells them."""
    last = 0
    while True:
        rows = list(
            VoidedTick.objects.filter(feed=feed, gone_us__gte=since_us, tick_id__gt=last).order_by("tick_id")[
                :MOST_VOIDED
            ]
        )
        if not rows:
            return
        last = rows[-1].tick_id
        series: dict[str, list[VoidedTick]] = {}
        for row in rows:
            series.setdefault(row.symbol, []).append(row)
        for some in series.values():
            for part in voided.parts(some):
                gone = part.take(part.kind == wire.Kind.TRADE)
                gone.kind[:] = feeds.CANCELLED
                yield gone


def _chunks(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), most):
        yield names[start : start + most]
