"""Ingest server and worker as processes: what is acknowledged is stored, once, whoever dies and whatever is away."""

import contextlib
import datetime
import ipaddress
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import connection

from marketdata.models import Client, DeadLetter, IngestBatch, IngestBatchDay, Market, Symbol
from marketdata.storage import storage
from terminals import wire
from tests.fakes import FakeTerminal
from tests.frozen import frozen
from tests.integration.test_lost_connections import takes_while_busy
from tests.market import NINE_US
from tests.road import ROOT, Road, secret_of
from tests.waiting import until

EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _symbol(road: Road) -> None:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


def batch(seq: int, *, note: str = "") -> bytes:
    """One trade; its source's sequence number is the batch's."""
    row = {"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq, "note": note}
    return wire.encode_rows(seq, "krx", 1, [row])


def send(terminal: FakeTerminal, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        terminal.batch(batch(seq))


def stored() -> list[int]:
    """The sequence numbers that are in the table, in order; each is there as often as it was stored."""
    return [int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq]


def in_the_ledger() -> set[int]:
    return {one & 0xFFFFFFFF for one in IngestBatch.objects.values_list("batch", flat=True)}


def candle_rows() -> int:
    return int(storage().read_minutes("005930", "krx", *EVER).n.sum())


def one_to(last: int) -> list[int]:
    return list(range(1, last + 1))


def heard_by_the_end(terminal: FakeTerminal) -> list[wire.Message]:
    heard = terminal.until_closed()
    return [message for message in heard if not isinstance(message, wire.Heartbeat)]


# --- ends and deaths -----------------------------------------------------------------------------------------------


def test_a_server_told_to_end_says_so_and_has_stored_all_it_acknowledged(road):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    send(terminal, 1, 40)
    terminal.expect(wire.Ack)

    status = road.stop("ingest")

    last = heard_by_the_end(terminal)[-1]
    assert isinstance(last, wire.GoAway)
    assert (last.code, status) == ("shutting_down", 0)
    assert terminal.acked > 0
    assert stored()[: terminal.acked] == one_to(terminal.acked)
    until(lambda: set(stored()) == in_the_ledger(), seconds=60, what="ticks and ledger agree")


@pytest.mark.once
def test_a_server_told_to_end_waits_for_what_the_workers_still_have(road):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    with frozen(road.processes["worker"].pid):
        send(terminal, 1, 3)
        road.until(lambda: road.metric("naru_received_batches_total") == 3, seconds=60, what="three batches received")

        road.processes["ingest"].terminate()
        road.until(lambda: "draining" in road.tail("ingest"), seconds=60, what="the server drains")

    last = heard_by_the_end(terminal)[-1]
    assert isinstance(last, wire.GoAway)
    assert terminal.acked == 3
    assert road.processes.pop("ingest").wait(300) == 0  # told once: twice, while it ends, is "at once"


@pytest.mark.parametrize("victim", ["ingest", "worker"])
def test_a_process_killed_in_the_middle_loses_nothing_and_doubles_nothing(road, victim):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    send(terminal, 1, 60)
    terminal.expect(wire.Ack)

    road.kill(victim)
    {"ingest": road.ingest, "worker": road.worker}[victim]()

    if victim == "ingest":
        terminal = road.terminal("feeder", secret=terminal.secret, epoch=terminal.epoch)
        commit = terminal.login(first=1, last=60).commit
        send(terminal, commit + 1, 60)
    terminal.until_committed(60)
    assert stored() == one_to(60)
    assert candle_rows() == 60


def test_a_message_that_died_with_its_worker_is_driven_again(road):
    road.ingest()
    road.worker()
    terminal = road.terminal("feeder")
    terminal.login()
    # A stopped process still takes the message that Redis hands to its open connection, and takes it to its grave.
    with frozen(road.processes["worker"].pid):
        send(terminal, 1, 3)
        road.until(lambda: road.metric("naru_received_batches_total") == 3, seconds=60, what="three batches received")
        road.kill("worker")
    road.worker()

    terminal.until_committed(3)
    assert stored() == one_to(3)


def test_a_terminal_that_comes_back_goes_on_where_the_ledger_ends(road):
    road.ingest()
    road.worker()
    with road.terminal("feeder") as first:
        first.login()
        send(first, 1, 5)
        first.until_committed()

    with road.terminal("feeder", secret=first.secret, epoch=first.epoch) as second:
        welcome = second.login(first=1, last=9)
        send(second, 3, 9)
        second.until_committed(9)

    assert (welcome.commit, list(welcome.ranges)) == (5, [])
    assert stored() == one_to(9)
    assert road.metric("naru_repeated_batches_total") >= 3


def test_a_number_used_again_for_other_content_is_kept_aside_and_told(road):
    road.ingest()
    road.worker()
    with road.terminal("feeder") as terminal:
        terminal.login()
        send(terminal, 1, 2)
        terminal.until_committed()

        terminal.batch(batch(1, note="other"))
        told = terminal.expect(wire.Reject)

    assert (told.seq, told.code) == (1, "checksum_mismatch")
    assert DeadLetter.objects.count() == 1
    assert stored() == one_to(2)


@pytest.mark.once
def test_a_number_under_way_cannot_be_used_for_other_content(road):
    road.ingest()
    with road.terminal("feeder") as terminal:
        terminal.login()
        terminal.batch(batch(1))

        terminal.batch(batch(1, note="other"))

        assert terminal.last_words()[0] == "bad_seq"


def test_what_the_ledger_lost_is_found_by_an_audit_and_taken_again(road):
    road.ingest()
    road.worker()
    with road.terminal("feeder") as terminal:
        terminal.login()
        send(terminal, 1, 4)
        terminal.until_committed()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM temp_market_data WHERE seq IN (2, 3)")
        lost = list(IngestBatch.objects.order_by("batch").values_list("batch", flat=True))[1:3]
        for ledger in (IngestBatch, IngestBatchDay):
            ledger.objects.filter(batch__in=lost).delete()

        terminal.say(wire.Audit(ranges=((1, 4),), rows=4))
        missing = terminal.expect(wire.Missing)
        send(terminal, 2, 3)
        until(lambda: stored() == one_to(4), seconds=60, what="the lost batches are back")

    assert list(missing.ranges) == [(2, 3)]


@pytest.mark.once
def test_a_client_that_is_switched_off_is_shown_out(road):
    road.ingest()
    with road.terminal("feeder") as terminal:
        terminal.login()

        Client.objects.filter(name="feeder").update(is_active=False)

        assert terminal.last_words()[0] == "not_authorised"


# --- Redis or the database away ------------------------------------------------------------------------------------


@pytest.mark.once
def test_redis_may_go_and_come_back_and_nothing_is_lost(road, redis_server):
    road.ingest()
    road.worker()
    with road.terminal("feeder") as terminal:
        terminal.login()
        send(terminal, 1, 3)
        terminal.until_committed()

        redis_server.kill()
        send(terminal, 4, 8)
        road.until(lambda: road.metric("naru_publish_failures_total") > 0, seconds=60, what="the broker is missed")
        redis_server.start()

        terminal.until_committed(8)
        send(terminal, 9, 10)
        terminal.until_committed(10)

    assert stored() == one_to(10)
    assert candle_rows() == 10


@contextmanager
def database_away(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server killed; or the SQLite file held by a writer who does not let go. The road's terminals go on saying
    that they live while the server starts again, which may take long."""
    if connection.vendor != "sqlite":
        server = request.getfixturevalue(f"{request.getfixturevalue('vendor')}_server")
        connection.close()
        server.kill()
        try:
            yield
        finally:
            with ThreadPoolExecutor(1) as aside:
                starting = aside.submit(server.start)
                request.getfixturevalue("road").until(starting.done, seconds=240, what="the database started again")
                starting.result()
    else:
        with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as raw:
            raw.execute("BEGIN IMMEDIATE")
            yield
            raw.execute("ROLLBACK")


def test_the_database_may_go_and_come_back_and_nothing_is_lost(road, request):
    road.ingest()
    road.worker()
    with road.terminal("feeder") as terminal:
        terminal.login()
        send(terminal, 1, 3)
        terminal.until_committed()

        with database_away(request):
            send(terminal, 4, 8)
            road.until(
                lambda: road.metric("naru_received_batches_total") == 8, seconds=60, what="eight batches received"
            )
            acked_meanwhile = terminal.acked

        terminal.until_committed(8)
        send(terminal, 9, 10)
        terminal.until_committed(10)

    assert acked_meanwhile == 3
    assert stored() == one_to(10)
    assert candle_rows() == 10


def test_a_terminal_that_logs_in_while_the_database_is_away_is_asked_to_come_again(road, request, server_or_skip):
    road.ingest()
    secret = secret_of("feeder")

    with database_away(request), road.terminal("feeder", secret=secret) as terminal:
        terminal.say(terminal.hello())

        assert terminal.last_words()[0] == "server_busy"


@pytest.fixture
def server_or_skip(vendor: str) -> None:
    if vendor == "sqlite":
        pytest.skip("SQLite has no server that could be away; readers do not wait for its writers")


# --- back-pressure -------------------------------------------------------------------------------------------------

OLDEST = "naru_oldest_batch_received_timestamp_seconds"
LIMIT = 1 << 20
BIG = "x" * 200_000
SLACK = 3 * (256 << 10) + len(BIG)  # what one read of each connection may bring before it is stopped


@pytest.fixture
def full(road_database, redis_server, redis, tmp_path) -> Iterator[Road]:
    """A server that may hold one MiB, and no worker that would take it."""
    Symbol.objects.get_or_create(code="005930", defaults={"market": Market.objects.get(code="KRX")})
    with Road(tmp_path / "full", redis_server.url, INGEST_MAX_INFLIGHT_BYTES=str(LIMIT)) as made:
        made.ingest()
        yield made


def push(road: Road, terminal: FakeTerminal, seqs: range) -> bytes:
    """Send batches until the server reads no more; what is left to send."""
    left = b"".join(wire.encode(wire.FrameType.BATCH, batch(seq, note=BIG)) for seq in seqs)
    terminal.seq = seqs[-1]
    terminal.silent = True  # a heartbeat must not fall into the middle of a batch
    terminal.socket.settimeout(2.0)
    view = memoryview(left)
    while view:
        try:
            view = view[terminal.socket.send(view[: 64 << 10]) :]
        except TimeoutError:
            if road.metric("naru_reading_paused"):
                break
    terminal.socket.settimeout(terminal.seconds)  # whoever sends the rest may wait until the server reads again
    return bytes(view)


@pytest.mark.once
def test_a_full_server_stops_reading_and_goes_on_when_workers_come(full):
    terminal = full.terminal("eager")
    terminal.login()

    left = push(full, terminal, range(1, 121))
    held = full.metric("naru_inflight_bytes")
    paused = full.metric("naru_reading_paused")
    until(lambda: full.metric(OLDEST) > 0, seconds=60, what="since when the oldest waits")

    sender = _sending(terminal, left)  # a frame it has begun goes on as soon as the server reads again
    full.worker()
    terminal.until_committed(120)
    sender.join()
    assert left, "the server took 24 MB though it may hold one"
    assert LIMIT < held < LIMIT + SLACK
    assert paused == 1
    assert stored() == one_to(120)
    until(lambda: full.metric("naru_inflight_bytes") == 0, seconds=60, what="nothing is held any more")
    until(lambda: full.metric("naru_reading_paused") == 0, seconds=60, what="it is read again")
    until(lambda: full.metric(OLDEST) == 0, seconds=60, what="none waits any more")


@pytest.mark.once
def test_while_the_server_is_full_another_client_is_still_let_in_though_not_read(full):
    eager = full.terminal("eager")
    eager.login()
    left = push(full, eager, range(1, 121))

    with full.terminal("latecomer") as latecomer:
        latecomer.login()
        latecomer.batch(batch(1))
        held = full.metric("naru_inflight_bytes")
        sender = _sending(eager, left)
        full.worker()
        latecomer.until_committed(1)
    eager.until_committed(120)
    sender.join()

    assert held < LIMIT + SLACK
    assert sorted(stored()) == sorted([1, *one_to(120)])


@pytest.mark.once
def test_a_client_that_leaves_while_it_is_not_read_is_no_longer_counted_as_paused(full):
    terminal = full.terminal("eager")
    terminal.login()
    push(full, terminal, range(1, 121))

    terminal.close()

    until(lambda: full.metric("naru_connections") == 0, seconds=60, what="the connection is gone")
    assert full.metric("naru_reading_paused") == 0


def _sending(terminal: FakeTerminal, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=terminal.send, args=(data,), daemon=True)
    thread.start()
    return thread


# --- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signed itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "naru")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure(road_database, redis_server, redis, tmp_path, certificate) -> Iterator[Road]:
    cert, key = certificate
    tls = {"INGEST_TLS_CERT": str(cert), "INGEST_TLS_KEY": str(key)}
    with Road(tmp_path / "secure", redis_server.url, **tls) as made:
        made.ingest()
        yield made


def replay(road: Road, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A real terminal that replays two trades."""
    file, key = folder / "two.csv", folder / "key"
    file.write_text(
        "symbol,ts,price,size,side,seq\nA,1703545200000000000,1.5,2,B,1\nA,1703545200000000001,1.25,2,A,2\n"
    )
    key.write_text(secret_of("replayer"))
    command = ["-m", "terminals", "replay", str(file), "--speed", "0", "--register-market", "CME", "--from-start"]
    link = ["--server", f"127.0.0.1:{road.port}", "--client", "replayer", "--key-file", str(key)]
    spool = ["--spool", str(folder / "spool")]
    return subprocess.run(
        [sys.executable, *command, *link, *spool, *options], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.mark.once
def test_when_the_certificate_ends_is_a_metric(secure, certificate):
    ends = x509.load_pem_x509_certificate(certificate[0].read_bytes()).not_valid_after_utc

    assert secure.metric("naru_certificate_end_timestamp_seconds") == ends.timestamp()


@pytest.mark.once
def test_a_real_terminal_delivers_over_tls_to_a_server_whose_certificate_it_was_given(secure, certificate, tmp_path):
    secure.worker()

    done = replay(secure, tmp_path, "--ca-file", str(certificate[0]))

    assert done.returncode == 0, done.stderr
    assert storage().read_ticks("A", "replay", *EVER).seq.tolist() == [1, 2]


@pytest.mark.once
def test_as_many_clients_as_may_be_are_taken_while_the_server_is_busy(road):
    """So they come after a restart; what is beyond the backlog waits for whole seconds."""
    road.ingest()

    assert takes_while_busy(road.processes["ingest"], ("127.0.0.1", road.port), 400)


@pytest.mark.once
def test_a_proof_made_for_another_certificate_is_worth_nothing(secure, certificate):
    with secure.terminal("feeder", ca_file=str(certificate[0]), binding="ab" * 32) as between:
        between.say(between.hello())

        assert between.last_words()[0] == "not_authorised"


@pytest.mark.once
def test_a_plain_connection_to_a_tls_server_learns_nothing(secure):
    with socket.create_connection(("127.0.0.1", secure.port), timeout=20) as plain:
        plain.sendall(wire.Heartbeat(time_us=1, last=0).encode())

        heard = plain.recv(4096)

    assert b"nonce" not in heard
    assert len(heard) < 16  # an alert of TLS at most
