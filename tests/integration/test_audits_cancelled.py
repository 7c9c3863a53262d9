"""An audit costs the database no more once the connection that asked for it is gone."""

import asyncio
import threading

import pytest
from django.db import connections

from ingest.authenticator import ClientSession
from ingest.clocks import ClockOffset
from ingest.connection import Connection
from ingest.limits import Limits
from ingest.server import Server
from ingest.sessions import AUDITORS
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.ledger.session_fences import Fence
from marketdata.models import Client, IngestBatch, Source
from terminals import wire
from tests.road import secret_of

EPOCH = "0" * 16


@pytest.fixture(autouse=True)
def _database(road_database: None) -> None:
    """An empty one."""


class Line(asyncio.Transport):
    """A socket that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        """There is no buffer."""

    def write(self, data):
        self.written += data

    def is_closing(self):
        return False


def spool(name: str) -> ClientSession:
    """The spool of a registered client."""
    secret_of(name)
    client = Client.objects.get(name=name)
    return ClientSession(
        client_id=client.pk, name=name, source_id=Source.objects.get(code="REPLAY").pk, source="REPLAY",
        stream=stream_numbers.open_stream(client, EPOCH), commit=0, ranges=[], proof="00" * 32, epoch=EPOCH,
    )  # fmt: skip


def opened(server: Server, admission: ClientSession) -> tuple[Connection, Line]:
    connection, line = Connection(server.sessions), Line()
    connection.connection_made(line)
    hello = wire.Hello(
        client=admission.name, epoch=EPOCH, nonce="00" * 32, first=1, last=0, source="REPLAY", register_market=None,
        agent="test", time_us=0, proof="00" * 32,
    )  # fmt: skip
    assert connection.session is not None
    connection.session.receive(hello.encode(), 0.0)
    fence = Fence(admission.client_id, 1, "test/1")
    server.sessions._welcome(connection, hello, admission, fence, ClockOffset())
    return connection, line


def given_up(stream: int) -> list[int]:
    """The batches that a `closing` AUDIT wrote into the ledger, which shows that it was looked at."""
    batches = IngestBatch.objects.filter(state="given_up").order_by("batch").values_list("batch", flat=True)
    return [batch & batch_ledger.SEQ_MASK for batch in batches if batch >> 32 == stream]


def test_an_audit_that_waits_for_its_turn_is_cancelled_when_its_connection_ends():
    gone, stays = spool("gone"), spool("stays")
    audit = wire.Audit(ranges=((1, 2),), rows=2, checksums=wire.pack_checksums([7, 8]), closing=True).encode()

    async def scenario() -> None:
        server = Server(Limits(), instance="test")
        busy = threading.Event()
        for _ in range(AUDITORS):
            server.sessions._auditors.submit(busy.wait, 300)
        leaving, _ = opened(server, gone)
        staying, line = opened(server, stays)
        for connection in (leaving, staying):
            connection.data_received(audit)
        await asyncio.sleep(0)  # both wait for a thread
        asked = leaving.audit
        assert asked is not None
        assert staying.audit is not None

        leaving.connection_lost(None)
        await asyncio.wait([asked], timeout=300)
        busy.set()
        await staying.audit

        assert asked.cancelled()
        assert line.written.endswith(wire.Missing(ranges=[], differs=[(1, 2)]).encode())
        together = threading.Barrier(AUDITORS)

        def leave() -> None:
            together.wait(300)
            connections.close_all()

        for end in [server.sessions._auditors.submit(leave) for _ in range(AUDITORS)]:
            end.result()

    asyncio.run(scenario())

    assert given_up(stays.stream) == [1, 2]
    assert given_up(gone.stream) == []
