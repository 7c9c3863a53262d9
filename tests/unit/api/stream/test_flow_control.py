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


def take(control, *events):
    """What the consumer receives, one after another."""
    queue = list(events)

    async def receive():
        return queue.pop(0)

    async def all_of_them():
        taken = control.counting(receive)
        return [await taken() for _ in events]

    return asyncio.run(all_of_them())


def test_reading_pauses_while_too_much_waits_and_goes_on_when_half_is_taken():
    transport, size = Transport(), 1 << 13
    control = FlowControl(transport)
    many = MOST_WAITING_BYTES // (size + MESSAGE_BYTES) + 1
    for _ in range(many - 1):
        control.came(size)
    assert transport.told == []

    control.came(size)
    control.came(size)
    assert transport.told == ["pause"]

    text = {"type": "websocket.receive", "text": "가" * (size // 3) + "x" * (size % 3)}
    assert take(control, text) == [text]
    assert transport.told == ["pause"]
    take(control, *[{"type": "websocket.receive", "bytes": b"x" * size, "text": None}] * many)
    assert transport.told == ["pause", "resume"]

    for _ in range(many):
        control.came(size)
    assert transport.told == ["pause", "resume", "pause"]


def test_empty_messages_count_as_well():
    transport = Transport()
    control = FlowControl(transport)

    for _ in range(MOST_WAITING_BYTES // MESSAGE_BYTES + 1):
        control.came(0)

    assert transport.told == ["pause"]


def test_what_is_no_message_is_passed_on_uncounted():
    control = FlowControl(Transport())
    events = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]

    assert take(control, *events) == events


def test_without_a_transport_nothing_is_paused():
    FlowControl().came(1 << 30)
