"""A socket is read no faster than its messages are taken."""

import asyncio

from api.stream.flow_control import MESSAGE_BYTES, MOST_WAITING_BYTES, FlowControl


class Transport:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def pauseProducing(self):  # noqa: N802 - Twisted's name
        self.told.append("pause")

    def resumeProducing(self):  # noqa: N802
        self.told.append("resume")


def take(pressure, *events):
    """What the consumer receives, one after another."""
    queue = list(events)

    async def receive():
        return queue.pop(0)

    async def all_of_them():
        taken = pressure.counting(receive)
        return [await taken() for _ in events]

    return asyncio.run(all_of_them())


def test_reading_pauses_while_too_much_waits_and_goes_on_when_half_is_taken():
    transport, size = Transport(), 1 << 13
    pressure = FlowControl(transport)
    many = MOST_WAITING_BYTES // (size + MESSAGE_BYTES) + 1
    for _ in range(many - 1):
        pressure.came(size)
    assert transport.told == []

    pressure.came(size)
    pressure.came(size)
    assert transport.told == ["pause"]

    text = {"type": "websocket.receive", "text": "가" * (size // 3) + "x" * (size % 3)}
    assert take(pressure, text) == [text]
    assert transport.told == ["pause"]
    take(pressure, *[{"type": "websocket.receive", "bytes": b"x" * size, "text": None}] * many)
    assert transport.told == ["pause", "resume"]

    for _ in range(many):
        pressure.came(size)
    assert transport.told == ["pause", "resume", "pause"]


def test_empty_messages_count_as_well():
    transport = Transport()
    pressure = FlowControl(transport)

    for _ in range(MOST_WAITING_BYTES // MESSAGE_BYTES + 1):
        pressure.came(0)

    assert transport.told == ["pause"]


def test_what_is_no_message_is_passed_on_uncounted():
    pressure = FlowControl(Transport())
    events = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]

    assert take(pressure, *events) == events


def test_without_a_transport_nothing_is_paused():
    FlowControl().came(1 << 30)
