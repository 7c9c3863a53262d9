"""One reader per process: follows the feeds that somebody listens to and hands each entry out in memory.

Redis may go away: sockets stay, the reader comes back with growing pauses. When it finds another Redis than before (a
new epoch)
everybody is told from which offset the feed goes on. What a candle's time brings about is seen to ten times a second.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.rest import errors
from api.stream import encoding, stored
from api.stream.candles import Reading
from api.stream.channel import Channel
from api.stream.database_thread import DatabaseThread
from api.stream.kept_entries import kept
from api.stream.stored_pages import StoredPages
from api.stream.subscriber import Subscriber
from api.stream.task_cancellation import end
from marketdata import metrics
from marketdata.logs import configuration
from marketdata.realtime import feed as feeds
from marketdata.realtime import records_feed, redis_clients
from marketdata.tracing import spans
from marketdata.types.minute_bars import Bars

log = logging.getLogger(__name__)
steps = logging.getLogger(configuration.BATCHES)

BLOCK_MS = 500
BEAT_S = 0.1
CHECK_EPOCH_S = 1.0  # also an emptied Redis is noticed
FORMING_EVERY_BEATS = 3  # at most 3.3 a second and symbol
HEARTBEAT_S = 5.0
LINGER_S = 30.0
WAITS, WAIT_S = 10, 0.002
NEWEST = 10  # entries that tell the feed's time
RECALLED = 200  # entries that are read at a time for who comes back
PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
AWAY_S = 30.0  # for how long who is being given what it missed waits for Redis


class Hub:
    """The feeds of this process. Lives on one event loop; `close` ends its tasks.

    `_channels` is emptied only while no task reads, and a channel is followed only once its place is known: nothing
    else may happen to it between two awaits of the reader.
    """

    def __init__(self, redis_url: str, *, grace_us: int) -> None:
        self._url, self._grace_us = redis_url, grace_us
        self._channels: dict[str, Channel] = {}
        self._reading: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._noticing: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._reader: Any = None
        self._connects = self._known_connects = 0
        self._checked_at = 0.0
        self.database = DatabaseThread("stream-candles")
        self.replays = DatabaseThread("stream-replays")  # beside the candles, which are not to wait for them
        self.pages = StoredPages(self.replays)
        self.commands: Any = redis_clients.async_client(
            redis_url, socket_timeout=5, socket_connect_timeout=3,
            retry=Retry(NoBackoff(), 1),  # a kept connection may be to a Redis that is gone
        )  # fmt: skip
        self.epoch = ""
        self.away = False

    def channel(self, feed: str) -> Channel:
        """The channel of a feed, followed from now on."""
        if feed not in self._channels:
            self._channels[feed] = Channel(feed, grace_us=self._grace_us)
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())
            self._follow()
        return self._channels[feed]

    def _follow(self) -> None:
        self._reading = asyncio.create_task(self._read())
        self._announcing = asyncio.create_task(self._announce())
        self._noticing = asyncio.create_task(self._notice())

    async def join(self, subscriber: Subscriber) -> Channel:
        """Let a subscriber listen. While Redis is away it waits with everybody else."""
        channel = self.channel(subscriber.feed)
        channel.subscribers.add(subscriber)
        if channel.delivered is None:
            # Once for all who come at the same time: a new web process is given all sockets of another one.
            if channel.setting_out is None or channel.setting_out.done():
                channel.setting_out = asyncio.create_task(self._set_out(channel))
            await asyncio.shield(channel.setting_out)
        return channel

    async def _set_out(self, channel: Channel) -> None:
        """Find out where a feed is, if Redis tells."""
        try:
            await self.place(channel)
            await self._find_records(channel)
        except (RedisError, OSError) as error:
            log.warning("feed cannot be joined yet feed=%s error=%s", channel.feed, type(error).__name__)

    async def place(self, channel: Channel) -> None:
        """Returns once it is known which Redis it is and where a feed is in it. RedisError or OSError while it is
        away."""
        if not self.epoch:
            self.epoch = await feeds.epoch(self.commands)
        if channel.delivered is None:
            await self._find_place(channel)

    async def same(self) -> None:
        """What was read of Redis just now is of the epoch that is known: RedisError if it is another one, of which
        nobody has been told yet."""
        if await feeds.epoch(self.commands) != self.epoch:
            raise RedisError("another Redis, which nobody has been told of yet")

    def leave(self, subscriber: Subscriber) -> None:
        channel = self._channels.get(subscriber.feed)
        if channel is not None:
            channel.subscribers.discard(subscriber)

    async def close(self) -> None:
        """End the tasks and the connections."""
        await end(*(channel.setting_out for channel in self._channels.values()))
        await end(self._beating, self._reading, self._announcing, self._noticing, self._returning)
        self._beating = self._reading = self._announcing = self._noticing = None
        await self.database.close()
        await self.replays.close()
        await self.commands.aclose()

    def everybody(self) -> Iterable[Subscriber]:
        return [one for channel in self._channels.values() for one in channel.subscribers]

    async def _find_place(self, channel: Channel) -> None:
        """Set out from the newest entry. Candles are read from the database after this, and so have at least what was
        published before it."""
        _, last = await feeds.bounds(self.commands, channel.feed)
        newest = await feeds.newest_entries(self.commands, channel.feed, most=NEWEST)
        if channel.delivered is None:
            channel.begin(last, newest, time.time_ns() // 1000)

    async def recall(self, channel: Channel, offset: int) -> None:
        """Have in memory what came after an offset, as far as Redis has it and there is room; once for all who ask at
        the same time."""
        async with channel.recalling:
            epoch = self.epoch
            while (upto := channel.kept.wanted_before(offset)) is not None:
                found = await feeds.newest_entries(self.commands, channel.feed, most=RECALLED, upto=upto)
                # Asked afterwards: it is the Redis whose offsets are meant, and was when it gave them.
                is_same = await feeds.epoch(self.commands) == epoch == self.epoch
                if not is_same or not channel.kept.prepend([kept(entry) for entry in reversed(found)]):
                    return

    async def until_back(self) -> None:
        """Returns when Redis answers and is the one whose epoch is known: of another one everybody is told first.
        RedisError or OSError when that takes too long. One look for all who wait."""
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._return())
        await asyncio.shield(self._returning)

    async def _return(self) -> None:
        limit = time.monotonic() + AWAY_S
        while True:
            await asyncio.sleep(random.uniform(PAUSE_S / 2, PAUSE_S))  # noqa: S311 - spreads questions, guards nothing
            try:
                if await feeds.epoch(self.commands) == self.epoch:
                    return
            except (RedisError, OSError):
                if time.monotonic() > limit:
                    raise
            if time.monotonic() > limit:
                raise RedisError("another Redis, which nobody has been told of yet")

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._read_on()
        finally:
            await self._disconnect()

    async def _read_on(self) -> None:
        pause = PAUSE_S
        while True:
            try:
                await self._connect()
                self.away, pause = False, PAUSE_S
                while True:
                    await self._round()
            except (RedisError, OSError) as error:
                self.away = True
                log.warning("feed reader lost redis error=%s", type(error).__name__)
            except Exception:
                # An entry that cannot be read must not end the stream: it is skipped, and told.
                log.exception("feed reader failed")
                await self._skip()
            await self._disconnect()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads reconnects, guards nothing
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _connect(self) -> None:
        # One connection, never quietly renewed: each new one may lead to another server.
        self._reader = redis_clients.async_client(
            self._url, socket_timeout=5, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected, single_connection_client=True,
        )  # fmt: skip
        await self._check_epoch()

    async def _connected(self, connection: Any) -> None:
        self._connects += 1
        await connection.on_connect()

    async def _disconnect(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            try:
                await reader.aclose()
            except (RedisError, OSError):
                log.debug("closing a broken connection failed")

    async def _check_epoch(self) -> None:
        epoch = await feeds.epoch(self._reader)
        self._known_connects, self._checked_at = self._connects, time.monotonic()
        if epoch == self.epoch:
            return
        # Asked before anything changes: when Redis goes away meanwhile, the new epoch is noticed once more.
        followed = [channel for channel in self._channels.values() if channel.delivered is not None]
        ends = [(await feeds.bounds(self._reader, channel.feed))[1] for channel in followed] if self.epoch else []
        before, self.epoch = self.epoch, epoch
        if not before:
            return
        metrics.STREAM_RESTARTS.inc()
        log.warning("feed has a new epoch before=%s now=%s", before, epoch)
        for channel, last in zip(followed, ends, strict=True):
            channel.leave(before)
            channel.missed(last)
            for one in channel.subscribers:
                one.after = 0  # offsets are counted anew
                one.left_at = before if one.live and not one.send_queue.skipped else None
            self._tell_gap(channel, "the feed began anew; fetch by REST what may be missing")

    def _tell_gap(self, channel: Channel, message: str) -> None:
        for one in channel.subscribers:
            one.tell(T="error", code=461, msg=message, epoch=self.epoch, o=channel.delivered)

    async def _round(self) -> None:
        for channel in list(self._channels.values()):
            if channel.delivered is None:
                await self._find_place(channel)
        positions = {
            name: channel.delivered for name, channel in self._channels.items() if channel.delivered is not None
        }
        if not positions:
            await asyncio.sleep(BEAT_S)
            return
        entries = await feeds.follow(self._reader, positions, block_ms=BLOCK_MS)
        if self._connects != self._known_connects or time.monotonic() - self._checked_at > CHECK_EPOCH_S:
            epoch = self.epoch
            await self._check_epoch()
            if epoch != self.epoch:
                return
        for entry in entries:
            channel = self._channels[entry.feed]
            delivered = channel.delivered or 0
            if entry.last > delivered:
                if entry.first > delivered + 1:  # trimmed before it was read
                    channel.missed(entry.first - 1)
                    self._tell_gap(channel, "a part of the feed was overwritten before it was read; fetch it by REST")
                read_ns = time.time_ns()
                channel.deliver(entry, read_ns // 1000)
                if entry.traces and spans.on():
                    _traced(entry, read_ns, len(channel.subscribers))
                if entry.traces and steps.isEnabledFor(logging.DEBUG):
                    steps.debug(
                        "batch delivered feed=%s offset=%d sockets=%d", entry.feed, entry.last,
                        len(channel.subscribers), extra={"traces": entry.traces},
                    )  # fmt: skip
                await self._let_send(channel)

    async def _let_send(self, channel: Channel) -> None:
        """Let sockets send between two entries: who keeps up is waited for a little, who does not only once."""
        await asyncio.sleep(0)
        for _ in range(WAITS):
            full = [one for one in channel.subscribers if one.live and one.send_queue.half_full]
            if all(one.lagging for one in full):
                break
            await asyncio.sleep(WAIT_S)
        for one in channel.subscribers:
            # Until it is nearly empty: one that reads too slowly hovers about half, and would be waited for each time.
            one.lagging = one.send_queue.half_full or (one.lagging and not one.send_queue.nearly_empty)

    async def _skip(self) -> None:
        try:
            for channel in list(self._channels.values()):
                _, last = await feeds.bounds(self.commands, channel.feed)
                if channel.delivered is None:
                    continue  # it has not set out yet
                channel.missed(last)
                self._tell_gap(channel, "a part of the feed could not be read; fetch it by REST")
        except (RedisError, OSError) as error:
            log.warning("feed cannot be skipped yet error=%s", type(error).__name__)

    # --- order books and statuses -------------------------------------------------------------------------------------

    async def _find_records(self, channel: Channel) -> None:
        if channel.records is None:
            channel.follow_records(await records_feed.newest(self.commands, channel.feed))

    async def _notice(self) -> None:
        """Order books and statuses, beside the reader: trades do not wait for them."""
        pause = PAUSE_S
        while True:
            try:
                await self._notice_round()
                pause = PAUSE_S
                continue
            except (RedisError, OSError) as error:
                log.warning("records of feeds cannot be read yet error=%s", type(error).__name__)
            except Exception:
                log.exception("records of feeds cannot be read; those that wait are left out")
                for channel in self._channels.values():
                    channel.records = None
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads reconnects, guards nothing
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _notice_round(self) -> None:
        for channel in list(self._channels.values()):
            await self._find_records(channel)
        positions = {name: channel.records for name, channel in self._channels.items() if channel.records is not None}
        if not positions:
            await asyncio.sleep(BEAT_S)
            return
        for notice in await records_feed.follow(self.commands, positions, block_ms=BLOCK_MS):
            self._channels[notice.feed].deliver_records(notice)
        for name, place in positions.items():
            self._channels[name].records = place
        await asyncio.sleep(0)

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _announce(self) -> None:
        """Candles, beside the reader: a slow database holds up no trade."""
        failing: dict[str, str] = {}  # by feed: the error that was logged last
        while True:
            await asyncio.sleep(BEAT_S)
            for channel in list(self._channels.values()):
                try:
                    await channel.announce(self._candles, time.time_ns() // 1000)
                    await channel.announce_newest(self._newest, time.time_ns() // 1000)
                    failing.pop(channel.feed, None)
                except Exception as error:
                    name = type(error).__name__
                    if failing.get(channel.feed) != name:
                        failing[channel.feed] = name
                        unknown = errors.outage(error) is None
                        log.warning("candles cannot be read yet feed=%s error=%s", channel.feed, name, exc_info=unknown)
                    metrics.STREAM_CANDLES_UNREAD.inc()
                    await asyncio.sleep(PAUSE_S)

    async def _candles(self, feed: str, reading: Reading) -> Bars:
        return await self.database.ask(stored.candles, feed, reading)

    async def _newest(self, name: str, feed: str, symbols: Sequence[str]) -> Mapping[str, Any]:
        return await self.database.ask(stored.NEWEST[name], feed, symbols)

    async def snapshots(self, channel: Channel, symbols: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Where these symbols stand."""
        return await self.replays.ask(stored.snapshots, channel.feed, symbols)

    async def _beat(self) -> None:
        beats, heartbeat_at, alone_since = 0, time.monotonic() + HEARTBEAT_S, None
        while True:
            await asyncio.sleep(BEAT_S)
            beats += 1
            now = time.monotonic()
            if beats % FORMING_EVERY_BEATS == 0:
                for channel in self._channels.values():
                    channel.give_forming()
            if now >= heartbeat_at:
                heartbeat_at = now + HEARTBEAT_S
                self._give_heartbeats()
            if self.everybody():
                alone_since = None
            elif alone_since is None:
                alone_since = now
            elif now - alone_since > LINGER_S:
                if await self._rest():
                    return
                alone_since = None

    def _give_heartbeats(self) -> None:
        for channel in self._channels.values():
            for one in channel.subscribers:
                if one.heartbeat and one.live:
                    one.tell(
                        T="hb", o=channel.delivered, t=encoding.now(), epoch=self.epoch, at=channel.committed_at,
                        stalled=self.away,
                    )  # fmt: skip

    async def _rest(self) -> bool:
        """Nobody listens any more: stop reading until somebody comes. False if somebody came while this waited; then
        reading goes on where it stopped."""
        await end(self._reading, self._announcing, self._noticing)
        await self.database.close()
        await self.replays.close()
        if self.everybody():
            self._follow()
            return False
        self._channels.clear()
        self._beating = self._reading = self._announcing = self._noticing = None
        return True


def _traced(entry: feeds.FeedEntry, read_ns: int, sockets: int) -> None:
    """Each batch of an entry is with the subscribers of this process."""
    told: dict[str, spans.Value] = {"naru.feed": entry.feed, "naru.offset": entry.last, "naru.sockets": sockets}
    for trace in entry.traces:
        spans.record("deliver", trace, read_ns, time.time_ns(), attributes=told)
