"""Who is waited for between two entries of a feed."""

import asyncio

from api.stream.channel import Channel
from api.stream.encoding import Form, Piece
from api.stream.hub import Hub
from api.stream.send_queue import SendQueue, Slow
from api.stream.subscriber import Subscriber


def waiting(one, size):
    one.send_queue.put_trades([(Piece(b"x" * size), 1, 1)])


def test_a_socket_that_hovers_about_half_is_waited_for_once_and_again_when_it_has_caught_up():
    async def rounds():
        hub, channel = Hub("redis://127.0.0.1:1", grace_us=0), Channel("krx", grace_us=0)
        one = Subscriber("krx", SendQueue(Form(), max_bytes=1000), live=True)
        one.send_queue.slow = Slow.GAP
        channel.subscribers.add(one)
        found = []
        for size in (400, 300, None, 300, None, None, 100, 600):
            waiting(one, size) if size else one.send_queue.take(1)
            waited = one.send_queue.half_full and not one.lagging
            await hub._let_send(channel)
            found.append((one.send_queue.bytes, waited, one.lagging))
        await hub.commands.aclose()
        return found

    assert asyncio.run(rounds()) == [
        (400, False, False),
        (700, True, True),
        (300, False, True),  # half is free again, and it is far from keeping up
        (600, False, True),
        (300, False, True),
        (0, False, False),
        (100, False, False),
        (700, True, True),
    ]
