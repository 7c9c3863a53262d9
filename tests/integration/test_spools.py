"""Terminals with spools of their own on the road: what rots, is restored or grows offline is stored once or told."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.db import connection

from marketdata.ledger import stream_numbers
from marketdata.models import Alarm, Client, DeadLetter, Gap, IngestBatch, IngestBatchDay, IngestStream, Market, Symbol
from marketdata.storage import storage
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS
from terminals import segments, wire
from terminals import spool as spools
from terminals.connection import Address
from terminals.link import Config, Identity, Terminal
from tests.fakes import FakeTerminal
from tests.frozen import frozen
from tests.market import NINE_US, price, size
from tests.road import Road, secret_of
from tests.waiting import until

EVER = (-(2**62), 2**62)
NOWHERE = 1


@pytest.fixture(autouse=True)
def _compared_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminals of servers that start from now on compare what they keep each second, not every fifteen."""
    monkeypatch.setenv("INGEST_AUDIT_S", "1")


@pytest.fixture(autouse=True)
def _symbol(road: Road) -> None:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))


def terminal(road: Road, path: Path, *, port: int | None = None) -> Terminal:
    """A terminal of client `desk` that keeps its spool in `path`; `port=NOWHERE` while the line is down."""
    return Terminal(
        Config(
            address=Address("127.0.0.1", port or road.port),
            identity=Identity("desk", secret_of("desk"), "REPLAY"),
            feed="krx",
            spool=path,
            batch_rows=1,
            flush_s=0.01,
        )
    )


def take(sender: Terminal, numbers: Iterable[int]) -> None:
    """One trade a batch; its source's sequence number is `number`."""
    for number in numbers:
        fields = {"symbol": "005930", "time_us": NINE_US + number, "kind": 1, "price": price("70000")}
        sender.send([{**fields, "size": size("1"), "seq": number}])
        sender.flush()


def gone(road: Road, *, batches: int) -> FakeTerminal:
    """A terminal that ended when these many batches of its, of one trade each, were committed."""
    road.ingest()
    road.worker()
    first = road.terminal("feeder")
    first.login()
    for seq in range(1, batches + 1):
        first.rows([{"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}])
    first.until_committed()
    first.close()
    return first


def stored() -> list[int]:
    return sorted(int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq)


def rot(path: Path, seq: int) -> None:
    """One byte of a batch changes on the disk."""
    file = min(path.glob("*.seg"))
    data = bytearray(file.read_bytes())
    offset = next(at for at, number, _ in segments.scan(bytes(data), 1) if number == seq)
    data[offset + 40] ^= 1
    file.write_bytes(data)


@pytest.mark.once
def test_rot_in_the_middle_of_a_spool_costs_the_batch_it_hit_and_no_other(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    with terminal(road, path) as sender:
        take(sender, range(1, 11))
        assert sender.wait_committed(60)
    with terminal(road, path, port=NOWHERE) as sender:
        take(sender, range(11, 31))
    rot(path, 5)
    rot(path, 20)

    with terminal(road, path) as sender:
        assert sender.wait_committed(60)

    assert stored() == [number for number in range(1, 31) if number != 20]
    (gap,) = Gap.objects.all()
    assert (gap.batch & 0xFFFFFFFF, gap.rows, gap.reason, gap.feed) == (20, 1, "spool_damaged", "krx")
    assert gap.from_us <= gap.to_us
    assert len(list((path / "quarantine").iterdir())) == 2


@pytest.mark.once
def test_a_segment_that_vanished_is_one_gap_and_the_rest_goes_on(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    with terminal(road, path, port=NOWHERE) as sender:
        take(sender, range(1, 4))
        sender.spool.sync()
    spool = spools.Spool(path, segment_bytes=300)
    payload = spool.get(1)
    for _ in range(9):
        spool.append(payload)
    last = spool.last
    spool.close()
    files = sorted(path.glob("*.seg"))
    files[2].unlink()
    first_lost, first_kept = int(files[2].stem), int(files[3].stem)

    with terminal(road, path) as sender:
        assert sender.wait_committed(60)
        assert sender.spool.committed == last

    (gap,) = Gap.objects.all()
    assert gap.batch & 0xFFFFFFFF == first_kept - 1
    assert gap.rows == first_kept - first_lost
    assert len(stored()) == last - gap.rows


def restored(road: Road, path: Path, *, first: int = 5, last: int = 10) -> None:
    """A spool put back to the image that was made when it had `first` batches; `last` were committed since."""
    with terminal(road, path) as sender:
        take(sender, range(1, first + 1))
        assert sender.wait_committed(60)
    shutil.copytree(path, path.with_name("image"))
    with terminal(road, path) as sender:
        take(sender, range(first + 1, last + 1))
        assert sender.wait_committed(60)
    shutil.rmtree(path)
    shutil.move(path.with_name("image"), path)


def alarms() -> list[tuple[str, str]]:
    """Those of spools: a busy machine may have a slow Redis as well, and hear late what a terminal says the time is."""
    others = Alarm.objects.exclude(code__startswith="redis_").exclude(code__in=("clock_offset", "server_clock"))
    return sorted(others.values_list("code", "subject"))


def forget(stream: int, above: int) -> None:
    """What a replica that lagged does not have when it takes over."""
    low = (stream << SEQ_BITS) + above
    IngestBatchDay.objects.filter(batch__gt=low).delete()
    IngestBatch.objects.filter(batch__gt=low).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data WHERE tick_id >= %s", [(low + 1) << TICK_BITS])
        cursor.execute("DELETE FROM market_data_minute")


def test_a_restored_spool_that_grew_offline_is_stored_under_a_new_epoch(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    restored(road, path)
    with terminal(road, path, port=NOWHERE) as sender:
        take(sender, range(101, 109))
        old = sender.spool.epoch

    with terminal(road, path) as sender:
        assert sender.wait_committed(90)
        take(sender, [201])
        assert sender.wait_committed(60)
        stats = sender.stats()

    assert stored() == [*range(1, 11), *range(101, 109), 201]
    assert alarms() == [("spool_differs", "desk")]
    alarm = Alarm.objects.get(code="spool_differs")
    assert old in alarm.message
    assert "batch 6 " in alarm.message
    assert (DeadLetter.objects.count(), Gap.objects.count(), IngestStream.objects.count()) == (0, 0, 2)
    assert spools.epoch_of(path) != old
    assert stats.rows_rejected == 0


@pytest.mark.once
def test_a_restored_spool_that_is_only_behind_loses_nothing_of_what_comes_next(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    restored(road, path)

    with terminal(road, path) as sender:
        take(sender, [101])
        assert sender.wait_committed(90)

    assert stored() == [*range(1, 11), 101]
    assert alarms() == [("spool_differs", "desk")]


@pytest.mark.once
def test_a_batch_that_rotted_in_a_restored_spool_is_told_as_a_gap(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    restored(road, path)
    with terminal(road, path, port=NOWHERE) as sender:
        take(sender, range(101, 109))
    rot(path, 7)
    rot(path, 12)

    with terminal(road, path) as sender:
        assert sender.wait_committed(90)

    # Under one of the two numbers the ledger has something: what was here is lost and told all the same.
    assert stored() == [*range(1, 11), *(number for number in range(101, 109) if number not in (102, 107))]
    assert list(Gap.objects.values_list("reason", "rows")) == [("spool_damaged", 1)] * 2


@pytest.mark.once
def test_a_spool_restored_again_and_again_stores_each_row_once(road, tmp_path):
    road.ingest()
    road.worker()
    path = tmp_path / "spool"
    restored(road, path)
    with terminal(road, path, port=NOWHERE) as sender:
        take(sender, range(101, 104))
    # The machine dies between the round that closed the old epoch and the beginning of the new one.
    with road.terminal("desk", epoch=spools.epoch_of(path)) as fake:
        fake.login(first=1, last=8, compares=True)
        known = [payload for _, payload in spools.read(path)]
        packed = wire.pack_checksums([wire.checksum(payload) for payload in known])
        fake.say(wire.Audit(((1, 8),), 8, packed, closing=True))
        answer = fake.expect(wire.Missing)
        assert (list(answer.ranges), list(answer.differs)) == ([], [(6, 8)])

    with terminal(road, path) as sender:
        assert sender.wait_committed(90)

    assert stored() == [*range(1, 11), *range(101, 104)]


def test_a_failover_under_connected_terminals_is_made_good(road, tmp_path):
    road.ingest()
    road.worker()
    with terminal(road, tmp_path / "spool") as sender:
        take(sender, range(1, 21))
        assert sender.wait_committed(60)
        forget(IngestStream.objects.get().pk, 10)
        take(sender, range(21, 31))
        assert sender.wait_committed(60)

        until(lambda: stored() == list(range(1, 31)), seconds=90, what="what the failover lost")
        until(lambda: sender.spool.confirmed == 30, seconds=60, what="a comparison of all of it")

    assert not Gap.objects.exists()
    assert alarms() == [("ledger_lost", "desk")]


@pytest.mark.parametrize("comes_again", [False, pytest.param(True, marks=pytest.mark.once)])
def test_a_spool_whose_number_a_failover_lost_keeps_it_and_shares_it_with_nobody(road, tmp_path, comes_again):
    """It was numbered a moment ago, so the replica knows neither the number nor the first batches."""
    road.ingest()
    road.worker()
    sender = terminal(road, tmp_path / "spool").start()
    take(sender, range(1, 4))
    assert sender.wait_committed(60)
    number = IngestStream.objects.get().pk
    forget(number, 0)
    IngestStream.objects.all().delete()
    take(sender, range(4, 6))
    assert sender.wait_committed(60)
    if comes_again:
        sender.close()
        sender = terminal(road, tmp_path / "spool").start()

    with road.terminal("another") as another:
        another.login()
        for seq in range(101, 106):
            another.rows([{"symbol": "005930", "time": NINE_US + seq, "price": "70000", "size": 1, "seq": seq}])
        another.until_committed()
        take(sender, range(6, 8))

        until(lambda: stored() == [*range(1, 8), *range(101, 106)], seconds=90, what="all rows of both, each once")
        until(lambda: sender.spool.confirmed == 7, seconds=60, what="a comparison of all of it")

    sender.close()
    assert IngestStream.objects.get(client__name="desk").pk == number
    assert not DeadLetter.objects.exists()


@pytest.mark.once
def test_nothing_is_let_go_before_a_comparison_confirmed_it(road, tmp_path):
    road.ingest()
    road.worker()
    with terminal(road, tmp_path / "spool") as sender:
        take(sender, range(1, 4))
        assert sender.wait_committed(60)

        until(lambda: sender.spool.confirmed == 3, seconds=60, what="the comparison after the acknowledgement")

    assert spools.Spool(tmp_path / "spool").confirmed == 3


@pytest.mark.once
def test_other_content_under_a_known_number_is_kept_aside_while_workers_are_busy(road):
    first = gone(road, batches=3)
    with frozen(road.processes["worker"].pid), road.terminal("feeder", secret=first.secret, epoch=first.epoch) as again:
        again.login(last=10)
        other = [{"symbol": "005930", "time": NINE_US + 9, "price": "1", "size": 1, "seq": 333}]

        again.batch(wire.encode_rows(3, "krx", 1, other))  # nobody but the poll of the ledger can answer

        told = again.expect(wire.Reject)

    assert (told.seq, told.code) == (3, "checksum_mismatch")
    assert list(DeadLetter.objects.values_list("code", flat=True)) == ["checksum_mismatch"]
    assert alarms() == [("checksum_mismatch", "feeder")]
    assert stored() == [1, 2, 3]


def test_a_hole_that_no_spool_fills_any_more_is_told_once(road):
    first = gone(road, batches=20)
    forget(IngestStream.objects.get().pk, 5)
    road.kill("ingest")
    road.ingest()

    for _ in range(2):
        with road.terminal("feeder", secret=first.secret, epoch=first.epoch) as again:
            assert again.login(first=16, last=20).commit == 15

    (gap,) = Gap.objects.all()
    assert (gap.batch & 0xFFFFFFFF, gap.feed, gap.rows) == (6, "krx", 0)
    assert gap.reason == f"ledger_hole: batches 6 to 15 of epoch {first.epoch}"
    assert gap.from_us == NINE_US + 5
    assert alarms() == [("ledger_hole", "feeder")]
    assert Alarm.objects.get(code="ledger_hole").count == 1


def test_a_long_ledger_with_a_hole_at_its_start_is_told_in_spans(road):
    road.ingest()
    road.worker()
    first = road.terminal("feeder")
    first.login()
    first.close()
    stream, count = stream_numbers.open_stream(Client.objects.get(name="feeder"), first.epoch), 20_000
    row = {"state": "stored", "feed": "krx", "rows": 0, "stored": 0, "rejected": 0, "checksum": 1}
    IngestBatch.objects.bulk_create(
        [
            IngestBatch(batch=(stream << SEQ_BITS) + seq, received_us=1, committed_us=1, **row)
            for seq in range(2, count + 2)
        ],
        batch_size=500,
    )

    with road.terminal("feeder", secret=first.secret, epoch=first.epoch) as again:
        welcome = again.login(first=1, last=count + 10)
        assert (welcome.commit, list(welcome.ranges)) == (0, [(2, count + 1)])
        again.rows([{"symbol": "005930", "time": NINE_US, "price": "70000", "size": 1, "seq": 1}])
        again.until_committed(count + 1)
