"""A new epoch takes over from the old one at once: whenever the machine dies, the spool is the one or the other."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.checkpoint import Checkpoint
from terminals.gap_filling import GapFillingReader
from terminals.journal import Journal
from tests.unit.terminals.test_spool import Clock, batch, contents, killed
from tests.unit.terminals.test_spool_rot import filled, places

TAKEN = [(6, 9), (12, 15)]


def texts(payloads):
    """What batches carry, whatever their numbers are."""
    return [payload[8:] for payload in payloads]


def wanted(kept, taken=TAKEN, upto=18):
    return texts(payload for seq, payload in kept.items() if seq > upto or any(a <= seq <= b for a, b in taken))


def renew(spool, *, taken=TAKEN, upto=18):
    GapFillingReader(spool, "krx").renew(taken, upto)


def test_what_was_taken_and_what_came_since_is_numbered_from_one(tmp_path):
    spool, kept = filled(tmp_path)
    epoch, rows_total, origin = spool.epoch, spool.rows_total, spool.origin

    renew(spool)

    assert spool.epoch != epoch
    assert (spool.first, spool.last, spool.durable, spool.committed, spool.confirmed) == (1, 10, 10, 0, 0)
    assert texts(contents(spool).values()) == wanted(kept)
    assert [wire.parse_header(payload).seq for payload in contents(spool).values()] == list(range(1, 11))
    assert (spool.rows_total, spool.origin) == (rows_total, origin)
    assert [spool.renumbered(epoch, seq) for seq in (5, 6, 9, 10, 12, 18, 20)] == [0, 1, 4, 4, 5, 8, 10]
    assert spool.append(kept[1]) == 11
    spool.close()
    again = spools.Spool(tmp_path, segment_bytes=600)
    assert (again.epoch, again.last, again.rows_total) == (spool.epoch, 11, spool.rows_total)
    assert spools.epoch_of(tmp_path) == spool.epoch
    assert dict(spools.read(tmp_path)) == contents(again)


def test_a_machine_that_dies_at_any_moment_has_the_old_epoch_or_the_new_one(tmp_path):
    states: list[Path] = []

    def fsync(_fd):
        if armed:
            copy = tmp_path / f"state{len(states)}"
            shutil.copytree(tmp_path / "spool", copy)
            states.append(copy)

    armed = False
    spool, kept = filled(tmp_path / "spool", fsync=fsync)
    old = spool.epoch
    armed = True
    renew(spool)
    armed = False

    assert len(states) > 4
    found = []
    for state in states:
        after = spools.Spool(state, segment_bytes=600)
        found.append(after.epoch == old)
        if after.epoch == old:
            assert contents(after) == kept
        else:
            assert texts(contents(after).values()) == wanted(kept)
        after.close()
        assert not list(state.glob("epoch-*")) or after.epoch != old
    assert found == sorted(found, reverse=True)
    assert {True, False} == set(found)


def test_a_spool_may_be_renewed_again_and_again(tmp_path):
    spool, kept = filled(tmp_path)

    renew(spool)
    first = spool.epoch
    renew(spool, taken=[(2, 3)], upto=8)

    assert texts(contents(spool).values()) == [*wanted(kept)[1:3], *wanted(kept)[8:]]
    killed(spool)
    again = spools.Spool(tmp_path, segment_bytes=600)
    assert again.epoch == spool.epoch
    assert len(list((tmp_path / f"replaced-{again.epoch}").glob(f"epoch-{first}"))) == 1


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "I/O error")], ids=["synced", "failed"])
def test_a_sync_that_a_new_epoch_overtakes_says_nothing_of_its_batches(tmp_path, error):
    overtaking: list[Callable[[], None]] = []

    def fsync(_fd):
        if overtaking:
            overtaking.pop()()
            if error:
                raise error

    spool = spools.Spool(tmp_path, fsync=fsync)
    for _ in range(20):
        spool.append(batch())
    overtaking.append(lambda: renew(spool, taken=[], upto=18))

    spool.sync()

    assert (spool.first, spool.last, spool.durable) == (1, 2, 2)
    spool.append(batch())
    assert (spool.last, spool.durable) == (3, 2)  # it leaves only once it is synced
    assert spool.sync() == 3
    spool.close()
    assert contents(spools.Spool(tmp_path)).keys() == {1, 2, 3}


def test_the_old_epoch_is_kept_aside_for_a_day(tmp_path):
    wall = Clock()
    spool, _kept = filled(tmp_path, wall=wall)
    files = [path.name for path in sorted(tmp_path.glob("*.seg"))]

    renew(spool)

    aside = tmp_path / f"replaced-{spool.epoch}"
    assert [path.name for path in sorted(aside.iterdir())] == files
    wall.now = aside.stat().st_mtime + 86_399
    spool.trim()
    assert aside.exists()
    wall.now += 2
    spool.trim()
    assert not aside.exists()


def test_a_lost_batch_is_told_in_the_new_epoch_too(tmp_path):
    spool, kept = filled(tmp_path)
    spool.close()
    file, start, _end = places(tmp_path)[7]
    content = bytearray(file.read_bytes())
    content[start + 40] ^= 1
    file.write_bytes(content)
    spool = spools.Spool(tmp_path, segment_bytes=600)

    renew(spool)

    header = wire.parse_header(spool.get(2))
    assert header.encoding is wire.Encoding.GAP
    assert [gap.reason for gap in wire.parse_gaps(spool.get(2), header)] == ["spool_damaged"]
    assert texts([spool.get(1), spool.get(3)]) == texts([kept[6], kept[8]])
    assert spool.last == 10


def test_without_room_the_old_epoch_stays(tmp_path):
    full = False

    def fsync(_fd):
        if full:
            raise OSError(28, "No space left on device")

    spool, kept = filled(tmp_path, fsync=fsync)
    epoch, full = spool.epoch, True

    with pytest.raises(spools.SpoolFull):
        renew(spool)

    full = False
    assert (spool.epoch, contents(spool)) == (epoch, kept)
    assert not list(tmp_path.glob("epoch-*"))
    renew(spool)
    assert spool.last == 10


def test_a_replay_goes_on_where_it_was(tmp_path):
    file = tmp_path / "ticks.csv"
    file.write_text("anything")
    spool = spools.Spool(tmp_path / "spool")
    position = Checkpoint(spool, file)
    position.begin(100)
    for _ in range(3):
        spool.append(wire.encode_rows(1, "krx", 0, [{}] * 10))

    renew(spool, taken=[(2, 3)], upto=3)

    assert Checkpoint(spool, file).begin(100) == 30


def test_the_journal_lists_the_batches_under_their_new_numbers(tmp_path):
    spool = spools.Spool(tmp_path / "spool")
    journal = Journal(tmp_path / "journal", spool)
    for rows in (1, 2, 3):
        payload = wire.encode_rows(1, "krx", 0, [{}] * rows)
        journal.note(spool.append(payload), payload)
    GapFillingReader(spool, "krx", renewed=journal.renewed).renew([(2, 3)], 3)
    journal.close()

    lines = (tmp_path / "journal").read_text().splitlines()

    assert len(lines) == 5
    assert [f'"epoch": "{spool.epoch}", "seq": {seq}' in lines[2 + seq] for seq in (1, 2)] == [True, True]
