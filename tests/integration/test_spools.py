"""Terminals with spools of their own on the road: what rots, is restored or grows offline is stored once or told."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from marketdata.models import Gap, Market, Symbol
from marketdata.storage import storage
from terminals import segments
from terminals import spool as spools
from terminals.connection import Address
from terminals.link import Config, Identity, Terminal
from tests.market import NINE_US, price, size
from tests.road import Road, secret_of

EVER = (-(2**62), 2**62)
NOWHERE = 1


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


def stored() -> list[int]:
    return sorted(int(seq) for seq in storage().read_ticks("005930", "krx", *EVER).seq)


def rot(path: Path, seq: int) -> None:
    """One byte of a batch changes on the disk."""
    file = min(path.glob("*.seg"))
    data = bytearray(file.read_bytes())
    offset = next(at for at, number, _ in segments.scan(bytes(data), 1) if number == seq)
    data[offset + 40] ^= 1
    file.write_bytes(data)


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
