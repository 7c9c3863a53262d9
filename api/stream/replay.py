"""Going on after an offset: what the stream still holds is read at the socket's own pace, then it is live, without
overlap or hole."""

from __future__ import annotations

import urllib.parse
from typing import Any

from redis.exceptions import RedisError

from api.stream.channel import Channel, give_cancels, give_trades
from api.stream.hub import Hub
from api.stream.requests import From
from api.stream.subscriber import Subscriber
from marketdata.realtime import feed as feeds

ENTRIES = 20


async def run(hub: Hub, channel: Channel, subscriber: Subscriber, since: From) -> None:
    """Replay trades after `since`, tell `replay_completed`, go live. A place that cannot be reached is error 460,
    then live."""
    try:
        if not await _possible(hub, channel, subscriber, since):
            go_live(channel, subscriber)
            return
        await _replay(hub, channel, subscriber, since.o)
    except (RedisError, OSError):
        subscriber.tell(
            T="error", code=460, msg="the replay broke off: Redis is away", **_where(hub, channel, subscriber, 1)
        )
    if not subscriber.live:
        subscriber.go_live(max(subscriber.after, channel.delivered or 0))


def go_live(channel: Channel, subscriber: Subscriber) -> None:
    """Everything the channel delivers from now on."""
    subscriber.go_live(channel.delivered or 0)


async def _possible(hub: Hub, channel: Channel, subscriber: Subscriber, since: From) -> bool:
    first, last = await feeds.bounds(hub.commands, channel.feed)
    if since.epoch != hub.epoch:
        reason = "resume out of range: the feed has another epoch"
    elif not first - 1 <= since.o <= last:
        reason = "resume out of range: that is no longer, or not yet, here"
    else:
        return True
    subscriber.tell(T="error", code=460, msg=reason, **_where(hub, channel, subscriber, first))
    return False


def _where(hub: Hub, channel: Channel, subscriber: Subscriber, first: int) -> dict[str, Any]:
    symbols = ",".join(sorted(subscriber.channels["trades"] - {"*"}))
    query = urllib.parse.urlencode({"symbols": symbols, "feed": channel.feed, "start": ""}, safe=",")
    return {"epoch": hub.epoch, "earliest": first, "o": channel.delivered, "rest": f"/v2/stocks/trades?{query}"}


async def _replay(hub: Hub, channel: Channel, subscriber: Subscriber, offset: int) -> None:
    epoch, subscriber.after, missed = hub.epoch, offset, False
    while subscriber.ending is None:
        entries = await feeds.replay(hub.commands, channel.feed, after=subscriber.after, most=ENTRIES)
        if hub.epoch != epoch:
            return  # the hub has told, and from where it goes on
        for entry in entries:
            if entry.first > subscriber.after + 1:
                subscriber.tell(T="gap", **{"from": subscriber.after + 1, "to": entry.first - 1})
            await subscriber.send_queue.room()
            if hub.epoch != epoch or subscriber.ending is not None:
                return
            give_trades(entry, [subscriber])
            give_cancels(entry, [subscriber])
            subscriber.after = entry.last
        # Nothing may be awaited between this comparison and `live`: the hub delivers in between.
        behind = channel.delivered is not None and subscriber.after < channel.delivered
        if not behind or (not entries and missed):
            if behind and channel.delivered is not None:
                subscriber.tell(T="gap", **{"from": subscriber.after + 1, "to": channel.delivered})
                subscriber.after = channel.delivered
            subscriber.tell(T="replay_completed", o=subscriber.after)
            subscriber.go_live(subscriber.after)
            return
        missed = not entries
