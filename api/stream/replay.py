"""Going on after an offset: what Redis still holds of the feed is read at the socket's own pace, then it is live,
without overlap or hole. Where Redis no longer has it, the database is read first, in the order of commits."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from django.db import Error
from redis.exceptions import RedisError

from analytics.series import timeframes
from api.rest import jsontext
from api.stream import candles, stored
from api.stream.candles import KEEP_US, Key, Reading
from api.stream.channel import (
    Channel,
    give_cancels,
    give_newest_quotes,
    give_statuses,
    give_stored,
    give_trades,
    latest_us,
)
from api.stream.hub import Hub
from api.stream.kept_entries import Kept, kept
from api.stream.requests import From
from api.stream.stored import EventKey
from api.stream.stored_pages import Cut, Had, Stored
from api.stream.subscriber import Subscriber
from marketdata.ledger import commits
from marketdata.ledger.commits import CLOCKS_US, OVERLAP_US, Place
from marketdata.realtime import feed as feeds
from marketdata.storage import StorageError
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import DAY_US, MINUTE_US

log = logging.getLogger(__name__)

ENTRIES = 20
CLOCK_ENTRIES = 10  # that tell the feed's time
LONGEST_US = DAY_US  # back from now
STEP_US = 5_000_000
"""In such steps what lies before a moment is read again, so that those who come back together read the same pages."""
PROGRESS_US = 1_000_000  # of commits, between two messages that tell how far a replay from Redis is
MOST_TOUCHED = 20_000  # minute candles that are kept in mind to be told


class Replay:
    """One socket's way back to what is live."""

    def __init__(self, hub: Hub, channel: Channel, subscriber: Subscriber) -> None:
        self._hub, self._channel, self._one = hub, channel, subscriber
        self._joined = channel.delivered or 0  # what comes behind it brings its candles by itself
        self._touched: set[Key] = set()
        self._closed_from_us: int | None = None  # candles of minutes from here on are new to it
        self._ended_us = channel.candles.ended_us
        self._latest_us = 0
        self._left = channel.left
        # Who stayed here while Redis was another one has had what this process delivered, of both. Now: what is
        # delivered from here on it does not get.
        self._stayed = channel.recent() if subscriber.left_at == self._left.epoch else None
        subscriber.left_at = None  # who has to ask once more has missed what is delivered from here on
        self._had: list[Had] = []
        self._has_statuses = False
        self._epoch = ""  # by whose offsets it is given entries; "" until then
        self._at_us: int | None = None  # up to when it has had what the database tells

    async def run(self, since: From) -> None:
        """Replay what came after `since`, tell `replay_completed`, go live. While Redis is away it waits, and goes on
        where it was; when it is another one by then, everybody has been told so (461), and the replay ends. A place
        that cannot be reached is error 460, then live."""
        hub, channel, one = self._hub, self._channel, self._one
        try:
            before = hub.epoch
            while not await self._run(since):
                await hub.until_back()
                if before and hub.epoch != before:
                    break
                before, since = hub.epoch, self._reached(since)
        except (RedisError, OSError):
            self._tell_unreachable("the replay broke off: Redis is away", 1)
        except (Error, StorageError):
            self._tell_unreachable("the replay broke off: the database does not answer", 1)
        except Exception:
            log.exception("replay failed")
            one.end(500, "internal error: the replay broke off")
        if not one.live:
            one.go_live(max(one.after, channel.delivered or 0))

    async def _run(self, since: From) -> bool:
        """False when Redis went away meanwhile."""
        try:
            await self._hub.place(self._channel)
            reason = await self._out_of_ring(since)
            # No later than now: it may be of a clock that is ahead, and others have committed more meanwhile.
            at_us = None if since.at is None else min(int(since.at.timestamp() * 1e6), _now_us())
            from_database = bool(reason) and at_us is not None and at_us > _now_us() - LONGEST_US
            if reason and not from_database:
                first, _ = await feeds.bounds(self._hub.commands, self._channel.feed)
                self._tell_unreachable(reason, first)
                return True
            await self._give_statuses(await self._committed_us(since.o) if at_us is None else at_us)
            if from_database and at_us is not None:
                cut = await self._from_database(at_us, since)
                await self._replay(cut.offset, cut.epoch)
            else:
                await self._clock_at(since.o)
                await self._replay(since.o, since.epoch)
        except (RedisError, OSError) as error:
            log.info("a replay waits for redis error=%s", type(error).__name__)
            return False
        return True

    def _reached(self, since: From) -> From:
        """Where it goes on that began at `since`."""
        if self._epoch == self._hub.epoch:
            return msgspec.structs.replace(since, epoch=self._epoch, o=self._one.after)
        if self._at_us is not None:
            return msgspec.structs.replace(since, at=datetime.datetime.fromtimestamp(self._at_us / 1e6, datetime.UTC))
        return since

    # --- from Redis ---------------------------------------------------------------------------------------------------

    async def _out_of_ring(self, since: From) -> str:
        """Why the feed cannot go on there, "" when it can."""
        hub, channel = self._hub, self._channel
        if since.epoch == hub.epoch:
            await hub.recall(channel, since.o)
        if since.epoch == hub.epoch and not channel.kept.covers(since.o):
            first, last = await feeds.bounds(hub.commands, channel.feed)
            if not first - 1 <= since.o <= last:
                return "resume out of range: that is no longer, or not yet, here"
        return "" if since.epoch == hub.epoch else "resume out of range: the feed has another epoch"

    async def _clock_at(self, offset: int) -> None:
        """Which minutes had been closed for who had everything up to an offset."""
        channel, one = self._channel, self._one
        if not _codes_of_bars(one) or self._closed_from_us is not None:
            return
        known_us = channel.kept.latest_us(offset, CLOCK_ENTRIES)
        if known_us is None:
            entries = await feeds.newest_entries(self._hub.commands, channel.feed, most=CLOCK_ENTRIES, upto=offset)
            known_us = max((latest_us(entry) for entry in entries if len(entry.bars)), default=None)
        if known_us is not None:
            self._closed_from_us = channel.candles.ended_at(known_us)

    async def _next(self) -> list[Kept]:
        """The next entries: of this process's memory, or of Redis what lies too far back."""
        hub, channel, one = self._hub, self._channel, self._one
        await asyncio.sleep(0)  # who came back together is given each entry in turn
        if (entries := channel.kept.after(one.after, ENTRIES)) is not None:
            return entries
        read = await feeds.replay(hub.commands, channel.feed, after=one.after, most=ENTRIES)
        await hub.same()  # asked afterwards: the offsets of another one mean other trades
        return [kept(one) for one in read]

    async def _replay(self, offset: int, epoch: str) -> None:
        """Give what Redis has behind an offset of an epoch, then go live; nothing once that epoch is over."""
        hub, channel, one = self._hub, self._channel, self._one
        if hub.epoch != epoch:
            return  # the offset says nothing any more
        self._epoch = epoch
        one.after, missed, candles_given = offset, False, False
        committed_us = told_us = 0
        while one.ending is None:
            entries = await self._next()
            if hub.epoch != epoch:
                return  # the hub has told, and from where it goes on
            for entry in entries:
                if entry.first > one.after + 1:
                    one.tell(T="gap", **{"from": one.after + 1, "to": entry.first - 1})
                await one.send_queue.room()
                if hub.epoch != epoch or one.ending is not None:
                    return
                self._give(entry)
                committed_us = max(committed_us, entry.committed_us)
            if committed_us >= told_us + PROGRESS_US:  # Redis may be another one when it comes back
                one.tell(T="replay_progress", at=jsontext.time(committed_us))
                told_us = committed_us
            if not entries and not candles_given:
                await self._give_candles()
                candles_given = True
                continue
            # Nothing may be awaited between this comparison and `live`: the hub delivers in between.
            behind = channel.delivered is not None and one.after < channel.delivered
            if not entries and (not behind or missed):
                if behind and channel.delivered is not None:
                    one.tell(T="gap", **{"from": one.after + 1, "to": channel.delivered})
                    one.after = channel.delivered
                one.tell(T="replay_completed", o=one.after, epoch=epoch, at=channel.committed_at)
                one.go_live(one.after)
                return
            missed = not entries

    def _give(self, entry: Kept) -> None:
        one, ticks = self._one, entry.ticks
        give_trades(entry, ticks, [one])
        give_cancels(ticks, [one])
        give_newest_quotes(ticks, one)
        if entry.first <= self._joined:
            self._touch(ticks)
        one.after = entry.last

    # --- from the database --------------------------------------------------------------------------------------------

    async def _from_database(self, begin_us: int, since: From) -> Cut:
        """Give what was committed since a moment; from where Redis goes on, unless its epoch is over by then."""
        hub, channel, one = self._hub, self._channel, self._one
        symbols = _wanted(one.channels["trades"] | one.channels["quotes"] | one.channels["bars"])
        if since.epoch == self._left.epoch:
            self._had = [self._left.had(since.o)] if self._stayed is None else [self._left.whole, self._stayed]
        start_us = (begin_us - OVERLAP_US) // STEP_US * STEP_US
        if _codes_of_bars(one) and self._closed_from_us is None:
            event_us = await hub.replays.ask(stored.latest_event_us, channel.feed, start_us, begin_us)
            self._closed_from_us = channel.candles.ended_at(begin_us if event_us is None else event_us)
        while True:
            cut = await self._cut()
            place: Place | None = Place(start_us)
            while place is not None and one.ending is None and hub.epoch == cut.epoch:
                found, place = await hub.pages.read(channel.feed, symbols, place, cut.until_us)
                for part in found:
                    await self._give_stored(part)
                if place is not None:  # who breaks off here need not begin again
                    self._at_us = place.committed_us
                    one.tell(T="replay_progress", at=jsontext.time(place.committed_us))
            if hub.epoch != cut.epoch or channel.kept.covers(cut.offset) or one.ending is not None:
                return cut
            first, _ = await feeds.bounds(hub.commands, channel.feed)
            if first - 1 <= cut.offset:
                return cut
            start_us = cut.at_us - OVERLAP_US  # it took so long that Redis went on without us

    async def _cut(self) -> Cut:
        """The same for all who come at the same time: only so do they read the same pages."""
        hub, channel = self._hub, self._channel
        async with channel.cutting:
            if channel.cut is None or not channel.cut.fresh or channel.cut.epoch != hub.epoch:
                # Asked before the database is: what is in the feed by then has been committed.
                _, offset = await feeds.bounds(hub.commands, channel.feed)
                await hub.same()
                epoch, at_us = hub.epoch, _now_us()
                until_us = await hub.replays.ask(commits.until_us, channel.feed, at_us)
                channel.cut = Cut(epoch, offset, at_us, until_us)
            return channel.cut

    async def _give_stored(self, part: Stored) -> None:
        for had in self._had:
            part = part.without(had)
        await self._one.send_queue.room()
        give_stored(part, self._one)
        give_newest_quotes(part.ticks, self._one)
        self._touch(part.ticks)
        await asyncio.sleep(0)
        if len(self._touched) > MOST_TOUCHED:
            await self._give_candles()

    # --- statuses -----------------------------------------------------------------------------------------------------

    async def _committed_us(self, offset: int) -> int | None:
        """When what lies up to an offset had been committed; None where that is not known, or nobody wants to know."""
        if not self._one.channels["statuses"]:
            return None
        entries = await feeds.newest_entries(self._hub.commands, self._channel.feed, most=1, upto=offset)
        return entries[0].committed_us if entries else None

    async def _give_statuses(self, begin_us: int | None) -> None:
        """Statuses that were committed since a moment, from the database. Those that are committed from now on it is
        told as everybody is."""
        codes, one = self._one.channels["statuses"], self._one
        if not codes or begin_us is None or self._has_statuses:
            return
        since_us, until_us = max(begin_us, _now_us() - LONGEST_US) - OVERLAP_US, _now_us() + CLOCKS_US
        after: EventKey | None = None
        while one.ending is None:
            found, after = await self._hub.replays.ask(
                stored.statuses, self._channel.feed, _wanted(codes), since_us, until_us, after
            )
            await one.send_queue.room()
            give_statuses(found, [one])
            if after is None:
                break
        self._has_statuses = True

    # --- candles ------------------------------------------------------------------------------------------------------

    def _touch(self, ticks: Ticks) -> None:
        """The candles of these ticks are to be told if they are closed and it listens to them."""
        codes = _codes_of_bars(self._one)
        if codes and len(ticks):
            self._latest_us = max(self._latest_us, int(ticks.time_us.max()))
            names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
            minutes = (ticks.time_us // MINUTE_US * MINUTE_US).tolist()
            keys = zip(names, minutes, strict=True)
            self._touched.update(key for key in keys if "*" in codes or key[0] in codes)
        if "*" in self._one.channels["dailyBars"]:
            self._channel.newest["dailyBars"].retell(
                ticks.symbols[index] for index in np.unique(ticks.symbol) if index >= 0
            )

    async def _give_candles(self) -> None:
        """Tell the candles that closed or changed before it came back, as the database has them now. Those that do so
        later are told by the hub."""
        one, channel = self._one, self._channel
        touched, self._touched = self._touched, set()
        codes = _wanted(_codes_of_bars(one))
        ended_us = channel.candles.ended_at(self._latest_us) if self._ended_us is None else self._ended_us
        begin_us = ended_us if self._closed_from_us is None else self._closed_from_us
        if codes is not None and not codes:
            return
        for start_us in _slices(touched, begin_us, ended_us):
            reading = Reading(start_us, min(start_us + KEEP_US, ended_us), codes)
            found: Bars = await self._hub.replays.ask(stored.candles, channel.feed, reading)
            rows = {candles.key_of(row): row for row in candles.rows_of(timeframes.by_minute(found))}
            changed = [row for key, row in rows.items() if key in touched and key[1] < begin_us]
            closed = [row for key, row in rows.items() if key[1] >= begin_us]
            await one.send_queue.room()
            channel.give_bars(closed, kind="b", closed=True, to=[one])
            channel.give_bars(changed, kind="u", closed=True, to=[one])

    def _tell_unreachable(self, reason: str, first: int) -> None:
        symbols = ",".join(sorted(self._one.channels["trades"] - {"*"}))
        query = urllib.parse.urlencode({"symbols": symbols, "feed": self._channel.feed, "start": ""}, safe=",")
        where: dict[str, Any] = {"epoch": self._hub.epoch, "earliest": first, "o": self._channel.delivered}
        self._one.tell(T="error", code=460, msg=reason, **where, rest=f"/v2/stocks/trades?{query}")


def go_live(channel: Channel, subscriber: Subscriber) -> None:
    """Everything the channel delivers from now on."""
    subscriber.go_live(channel.delivered or 0)


def _now_us() -> int:
    return time.time_ns() // 1000


def _codes_of_bars(one: Subscriber) -> set[str]:
    return one.channels["bars"] | one.channels["updatedBars"]


def _wanted(codes: set[str]) -> frozenset[str] | None:
    """None for all symbols."""
    return None if "*" in codes else frozenset(codes)


def _slices(touched: Iterable[Key], begin_us: int, ended_us: int) -> list[int]:
    """Where half hours start in which a candle is to be told that closed since `begin_us` or was touched."""
    starts = {minute // KEEP_US * KEEP_US for _, minute in touched if minute < ended_us}
    return sorted(starts.union(range(begin_us // KEEP_US * KEEP_US, ended_us, KEEP_US)))
