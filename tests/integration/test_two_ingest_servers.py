"""Two ingest servers on one database: a client is connected once over both, and what its session of before still has
under way is stored as what it is, or not at all."""

import socket
from contextlib import ExitStack

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingest import authenticator
from marketdata.ledger import session_fences, stream_numbers
from marketdata.ledger.session_fences import Fence
from marketdata.models import Client, IngestBatch, IngestStream, Market, SessionFence, Symbol
from marketdata.storage import storage
from terminals import wire
from tests.fakes import FakeTerminal
from tests.frozen import frozen
from tests.market import NINE_US
from tests.road import Road, secret_of
from tests.servers import free_port
from tests.waiting import until

EVER = (-(2**62), 2**62)
OTHER_EPOCH = "22" * 8


@pytest.fixture(autouse=True)
def _symbol(road: Road) -> None:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


@pytest.fixture
def second(road: Road) -> int:
    """The port of a second ingest server beside the road's own, which runs as well."""
    port = free_port()
    road.ingest()
    road.start("ingest2", ["manage.py", "runingest"], INGEST_PORT=str(port))

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, seconds=60, what=f"the second ingest server\n{road.tail('ingest2')}")
    return port


def at(port: int, like: FakeTerminal | None = None, *, epoch: str | None = None) -> FakeTerminal:
    """A connection of the client `feeder`, with the spool of another one unless `epoch` says otherwise."""
    return FakeTerminal(
        port, client="feeder", secret=secret_of("feeder"), epoch=epoch or (like.epoch if like is not None else None)
    )


def batch(seq: int) -> bytes:
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}
    return wire.encode_rows(seq, "krx", 1, [row])


def stored() -> list[int]:
    return [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]


def last_word(terminal: FakeTerminal) -> wire.Message:
    return [message for message in terminal.until_closed() if not isinstance(message, wire.Heartbeat)][-1]


def test_who_logs_in_at_another_server_ends_its_session_at_the_first_and_goes_on_where_it_was(road: Road, second: int):
    road.worker()
    with at(road.port) as old:
        old.login()
        for seq in range(1, 21):
            old.batch(batch(seq))
        old.until_committed(10)

        with at(second, old) as new:
            welcome = new.login(first=1, last=20)
            old.batch(batch(21))  # late, by the session that is over: nobody answers it, the new one has it as well
            for seq in range(welcome.commit + 1, 31):
                new.batch(batch(seq))
            gone = last_word(old)
            new.until_committed(30)

            assert isinstance(gone, wire.GoAway)
            assert gone.code == "superseded"
            assert stored() == list(range(1, 31))
            assert SessionFence.objects.get().number == 2
            with at(road.port, new) as again:  # and back
                assert again.login(first=1, last=30).commit == 30
                assert isinstance(last_word(new), wire.GoAway)


def test_without_redis_a_server_finds_out_by_itself(road: Road, second: int, redis_server):
    with at(road.port) as old:
        old.login()
        redis_server.kill()
        try:
            with at(second, old) as new:
                new.login()
                gone = last_word(old)
        finally:
            redis_server.start()

    assert isinstance(gone, wire.GoAway)
    assert gone.code == "superseded"


def test_the_first_batch_of_a_session_that_is_over_does_not_make_its_spool_the_newest(road: Road, second: int):
    road.worker()
    first_server = road.processes["ingest"].pid
    with ExitStack() as connected:
        old = connected.enter_context(at(road.port))
        old.login()
        with frozen(first_server):  # it hears of nothing, and reads the batch when all is over
            old.batch(batch(1))
            new = connected.enter_context(at(second, epoch=OTHER_EPOCH))
            new.login()
            new.batch(batch(1))
            new.until_committed(1)

        gone = last_word(old)
        new.batch(batch(2))
        new.until_committed(2)

    assert isinstance(gone, wire.GoAway)
    assert gone.code == "superseded"
    assert [stream.epoch for stream in IngestStream.objects.all()] == [OTHER_EPOCH]
    with at(road.port, epoch=OTHER_EPOCH) as again:
        assert again.login(first=1, last=2).commit == 2


def test_a_session_that_is_over_gives_up_no_batches(road_database: None):
    secret_of("feeder")
    client = Client.objects.get(name="feeder")
    old, _ = session_fences.take(client.pk, "one/1")
    stream = stream_numbers.open_stream(client, OTHER_EPOCH)
    admission = authenticator.ClientSession(
        client_id=client.pk, name=client.name, source_id=1, source="REPLAY", stream=stream, commit=0, ranges=[],
        proof="", epoch=OTHER_EPOCH,
    )  # fmt: skip
    giving_up = wire.Audit(ranges=[(1, 2)], rows=2, checksums=wire.pack_checksums([11, 22]), closing=True)
    new, previous = session_fences.take(client.pk, "two/1")

    with pytest.raises(session_fences.SupersededError):
        authenticator.audit(admission, giving_up, old)

    assert previous == "one/1"
    assert not IngestBatch.objects.exists()
    authenticator.audit(admission, giving_up, new)
    assert IngestBatch.objects.filter(state="given_up").count() == 2


def test_a_database_that_lost_the_newest_logins_ends_no_session(road_database: None):
    secret_of("feeder")
    client = Client.objects.get(name="feeder")
    for _login in range(3):
        fence, _ = session_fences.take(client.pk, "one/1")

    SessionFence.objects.update(number=1, holder="long ago/1")
    assert authenticator.ended([fence]) == ([], [])
    assert SessionFence.objects.get().number == 3

    SessionFence.objects.all().delete()
    assert isinstance(authenticator.open_stream(fence, OTHER_EPOCH), int)
    assert authenticator.ended([fence]) == ([], [])
    assert SessionFence.objects.get().holder == "one/1"


def test_of_two_servers_that_were_given_the_same_number_the_one_that_the_database_names_stays(road_database: None):
    secret_of("feeder")
    client = Client.objects.get(name="feeder")
    session_fences.take(client.pk, "two/1")
    one, two = Fence(client.pk, 1, "one/1"), Fence(client.pk, 1, "two/1")

    assert authenticator.ended([one]) == ([], [client.pk])
    assert authenticator.ended([two]) == ([], [])
    Client.objects.update(is_active=False)
    assert authenticator.ended([two]) == ([client.pk], [])


def test_the_clock_of_a_session_that_is_over_is_not_noted(road_database: None):
    secret_of("feeder")
    client = Client.objects.get(name="feeder")
    old, _ = session_fences.take(client.pk, "one/1")
    new, _ = session_fences.take(client.pk, "two/1")

    authenticator.keep_offsets({new: 20, old: 10})

    assert Client.objects.get(pk=client.pk).clock_offset_us == 20


def test_what_one_session_over_all_servers_costs_the_database(road_database: None):
    """A login two statements in a transaction; a look at everybody's sessions the one that rights took before."""
    secret_of("feeder")
    client = Client.objects.get(name="feeder")
    fence, _ = session_fences.take(client.pk, "one/1")

    with CaptureQueriesContext(connection) as login:
        session_fences.take(client.pk, "one/1")
    with CaptureQueriesContext(connection) as look:
        authenticator.ended([Fence(client.pk, fence.number + 1, "one/1")])

    assert sum("session_fence" in one["sql"] for one in login) == 2
    assert len(login) <= 4  # with BEGIN and COMMIT
    assert len(look) == 1
