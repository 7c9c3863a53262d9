"""What a server keeps of a terminal that is gone: its batches in flight, nothing else."""

import asyncio
import gc
import weakref

from ingest.authenticator import ClientSession
from ingest.clocks import ClockOffset
from ingest.connection import Connection
from ingest.limits import Limits
from ingest.server import Server
from marketdata.ledger.session_fences import Fence
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

    def close(self):
        pass


def opened(server):
    """A connection whose client was let in."""
    connection = Connection(server.sessions)
    connection.connection_made(Line())
    hello = wire.Hello(
        client="kis", epoch="00" * 8, nonce="00" * 32, first=1, last=0, source="KIS", register_market=None,
        agent="test", time_us=0, proof="00" * 32,
    )  # fmt: skip
    admission = ClientSession(
        client_id=1, name="kis", source_id=3, source="KIS", stream=1, commit=0, ranges=[], proof="00" * 32
    )
    assert connection.session is not None
    connection.session.receive(hello.encode(), 0.0)
    server.sessions._welcome(connection, hello, admission, Fence(1, 1, "test/1"), ClockOffset())
    return connection


async def test_an_audit_without_checksums_may_be_asked_again_when_the_database_did_not_answer():
    server = Server(Limits(), instance="test")
    connection = opened(server)
    audit = wire.Audit(ranges=((1, 1),), rows=1).encode()

    for _ in range(2):  # a unit test has no database
        connection.data_received(audit)
        await connection.audit

    assert connection.session.error is None
    assert server.sessions.errors == {}


async def test_an_audit_with_checksums_that_the_database_did_not_answer_ends_the_session():
    server = Server(Limits(), instance="test")
    connection = opened(server)

    connection.data_received(wire.Audit(ranges=((1, 1),), rows=1, checksums=wire.pack_checksums([7])).encode())
    await connection.audit

    assert connection.session.error == "server_busy"


async def test_what_was_kept_of_a_client_that_left_is_free_at_once():
    server = Server(Limits(), instance="test")
    connection = opened(server)
    assert connection.member is not None
    recent = weakref.ref(connection.member.recent)

    gc.disable()
    try:
        connection.connection_lost(None)

        assert recent() is None
    finally:
        gc.enable()
