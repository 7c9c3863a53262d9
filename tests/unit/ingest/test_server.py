"""What a server keeps of a terminal that is gone: its batches in flight, nothing else."""

import asyncio
import gc
import weakref

from ingest.clocks import ClockOffset
from ingest.connection import Connection
from ingest.gatekeeper import Admission
from ingest.limits import Limits
from ingest.server import Server
from terminals import wire


class Line(asyncio.Transport):
    """A socket to nowhere."""

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def write(self, data):
        pass

    def is_closing(self):
        return False


async def test_the_ring_of_a_client_that_left_is_free_at_once():
    server = Server(Limits(), instance="test")
    connection = Connection(server)
    connection.connection_made(Line())
    hello = wire.Hello(
        client="kis",
        epoch="00" * 8,
        nonce="00" * 32,
        first=1,
        last=0,
        source="KIS",
        register_market=None,
        agent="test",
        time_us=0,
        proof="00" * 32,
    )
    admission = Admission(
        client_id=1, name="kis", source_id=3, source="KIS", stream=1, commit=0, ranges=[], proof="00" * 32
    )
    server._welcome(connection, hello, admission, ClockOffset())
    assert connection.member is not None
    ring = weakref.ref(connection.member.ring)

    gc.disable()
    try:
        connection.connection_lost(None)

        assert ring() is None
    finally:
        gc.enable()
