"""Rot is not a torn tail: whatever bytes change or vanish, each whole batch is kept and each lost one is told."""

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminals import segments, wire
from terminals import spool as spools
from terminals.gap_filling import GapFillingReader
from tests.unit.terminals.test_spool import Clock, batch, contents, killed

COMMITTED = 7
BATCHES = 20
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(path, *, segment_bytes=600, **options):
    """A spool of 20 batches in several segments, the first 7 committed; the batches by number."""
    spool = spools.Spool(path, segment_bytes=segment_bytes, **options)
    for number in range(1, BATCHES + 1):
        spool.append(wire.encode_rows(1, "krx", 1000 * number, [{"symbol": f"s{number}"}] * (number % 4 + 1)))
    spool.sync()
    spool.commit(COMMITTED)
    return spool, contents(spool)


def places(path):
    """(file, start, end) of each batch's record, found without the code that looks for rot."""
    found = {}
    for file in sorted(path.glob("*.seg")):
        data, at, seq = file.read_bytes(), segments.HEAD_BYTES, int(file.stem)
        while at < len(data):
            end = at + segments.RECORD_BYTES + int.from_bytes(data[at : at + 4], "little")
            found[seq] = (file, at, end)
            at, seq = end, seq + 1
    return found


def check(path, kept, whole, *, rows_known=True):
    """Opened again, `whole` are there unchanged, and every other one that was not committed is told as lost."""
    assert {seq: kept[seq] for seq in whole} == {seq: data for seq, data in spools.read(path) if seq in kept}
    spool = spools.Spool(path, segment_bytes=600)
    mended = GapFillingReader(spool, "krx")

    assert spool.first <= COMMITTED + 1
    assert spool.last == BATCHES
    for seq in range(spool.first, BATCHES + 1):
        payload = mended.get(seq)
        assert mended.get(seq) == payload
        assert wire.parse_header(payload).seq == seq
        if seq in whole:
            assert payload == kept[seq]
        else:
            lost = spool.lost_at(seq)
            told = mended.get(lost.last)
            header = wire.parse_header(told)
            (gap,) = wire.parse_gaps(told, header)
            assert header.encoding is wire.Encoding.GAP
            assert gap.reason.startswith("spool_damaged")
            assert seq <= COMMITTED or lost.first > COMMITTED
            assert not any(gap.from_us < 1000 * one < gap.to_us for one in whole)
    if rows_known:
        assert spool.rows_total == sum(wire.parse_header(payload).rows for payload in kept.values())
    assert spool.append(batch()) == BATCHES + 1
    spool.close()
    again = spools.Spool(path, segment_bytes=600)
    assert [again.get(seq) for seq in sorted(whole)] == [kept[seq] for seq in sorted(whole)]
    again.close()


@SETTINGS
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3), st.data())
def test_changed_bytes_anywhere_cost_the_batches_they_hit_and_no_other(tmp_path_factory, flips, data):
    path = tmp_path_factory.mktemp("spool")
    spool, kept = filled(path)
    spool.close()
    where = places(path)
    files = sorted(path.glob("*.seg"))
    hit = set()
    for part, change in flips:
        file = data.draw(st.sampled_from(files))
        content = bytearray(file.read_bytes())
        at = int(part * len(content))
        content[at] ^= change
        file.write_bytes(content)
        hit |= {seq for seq, (one, start, end) in where.items() if one == file and start <= at < end}

    # The same byte changed twice may be as it was: what counts is what the record's checksum says.
    whole = set(kept) - hit
    whole |= {seq for seq in hit if _is_whole(where[seq], kept[seq])}
    check(path, kept, whole)


def _is_whole(place, payload):
    file, start, end = place
    return file.read_bytes()[start:end] == segments.record(wire.parse_header(payload).seq, payload)


@SETTINGS
@given(st.sets(st.integers(0, 9), min_size=1, max_size=3))
def test_segments_that_vanish_cost_their_own_batches(tmp_path_factory, victims):
    path = tmp_path_factory.mktemp("spool")
    spool, kept = filled(path)
    spool.close()
    where, files = places(path), sorted(path.glob("*.seg"))
    gone = {files[victim % len(files)] for victim in victims}

    for file in gone:
        file.unlink()

    check(path, kept, {seq for seq, (file, _, _) in where.items() if file not in gone})


@SETTINGS
@given(st.integers(0, 9), st.floats(0, 1))
def test_a_segment_cut_short_anywhere_costs_what_was_cut(tmp_path_factory, victim, part):
    path = tmp_path_factory.mktemp("spool")
    spool, kept = filled(path)
    spool.close()
    where, files = places(path), sorted(path.glob("*.seg"))
    file = files[victim % len(files)]
    length = int(part * file.stat().st_size)

    os.truncate(file, length)

    check(path, kept, {seq for seq, (one, _, end) in where.items() if one != file or end <= length})


@SETTINGS
@given(st.sampled_from(["spool.json", "committed.json"]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_beside_the_segments_costs_no_batch(tmp_path_factory, name, part, change):
    path = tmp_path_factory.mktemp("spool")
    spool, kept = filled(path)
    spool.close()
    content = bytearray((path / name).read_bytes())
    content[int(part * len(content))] ^= change
    (path / name).write_bytes(content)

    again = spools.Spool(path, segment_bytes=600)

    assert (again.epoch, contents(again), again.durable) == (spool.epoch, kept, BATCHES)
    assert again.committed in (0, COMMITTED)
    again.close()


def test_heads_and_a_record_that_rot_together_cost_no_count(tmp_path):
    spool, kept = filled(tmp_path)
    spool.close()
    where, files = places(tmp_path), sorted(tmp_path.glob("*.seg"))
    middle = files[len(files) // 2]
    victim, (_, start, _) = next((seq, place) for seq, place in where.items() if place[0] == middle)
    for file, at in ((files[0], 0), (files[-1], 0), (middle, start + segments.RECORD_BYTES + 12)):
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.write_bytes(content)

    check(tmp_path, kept, set(kept) - {victim})


def test_a_length_that_rotted_hides_no_record_behind_it(tmp_path):
    spool, kept = filled(tmp_path, segment_bytes=1 << 20)
    spool.close()
    file, start, _end = places(tmp_path)[9]
    content = bytearray(file.read_bytes())
    content[start : start + 4] = (1 << 19).to_bytes(4, "little")
    file.write_bytes(content)

    check(tmp_path, kept, set(kept) - {9})

    assert [one.name for one in (tmp_path / "quarantine").iterdir()] == [f"{file.stem}-{start}"]


def test_a_stretch_of_zeros_is_told_as_one_gap_with_its_bounds(tmp_path):
    spool, kept = filled(tmp_path, segment_bytes=1 << 20)
    spool.close()
    where = places(tmp_path)
    file, start, end = where[10][0], where[10][1], where[14][2]
    content = bytearray(file.read_bytes())
    content[start:end] = bytes(end - start)
    file.write_bytes(content)

    check(tmp_path, kept, set(kept) - set(range(10, 15)))

    mended = GapFillingReader(spools.Spool(tmp_path), "krx")
    payload = mended.get(14)
    rows = sum(wire.parse_header(kept[seq]).rows for seq in range(10, 15))
    assert wire.parse_gaps(payload, wire.parse_header(payload)) == [
        wire.Gap(9_000, 15_000, rows, "spool_damaged: batches 10 to 14")
    ]
    assert [wire.parse_header(mended.get(seq)).rows for seq in range(10, 14)] == [0, 0, 0, 0]


def test_a_torn_tail_behind_which_nothing_was_synced_is_cut_and_no_gap(tmp_path):
    spool, kept = filled(tmp_path)
    spool.append(batch())
    killed(spool)
    file = max(tmp_path.glob("*.seg"))
    os.truncate(file, file.stat().st_size - 3)

    again = spools.Spool(tmp_path)

    assert (again.last, again.torn_bytes > 0) == (BATCHES, True)
    assert contents(again) == kept
    assert not (tmp_path / "quarantine").exists()


def test_a_batch_that_was_written_behind_a_torn_one_is_kept(tmp_path):
    spool, _ = filled(tmp_path, segment_bytes=1 << 20)
    for _ in range(2):
        spool.append(batch(2))
    last = spool.get(BATCHES + 2)
    killed(spool)
    file, start, end = places(tmp_path)[BATCHES + 1]
    content = bytearray(file.read_bytes())
    content[start + 20 : end] = bytes(end - start - 20)  # a power cut lost one page and not the next
    file.write_bytes(content)

    again = spools.Spool(tmp_path)

    assert (again.last, again.get(BATCHES + 2)) == (BATCHES + 2, last)
    assert again.lost_at(BATCHES + 1).first == BATCHES + 1


class Disk:
    """An fsync that fails as often as it is told; what it did not take is not on the disk, whatever it says later."""

    def __init__(self):
        self.failures = 0
        self.error = errno.EIO

    def fsync(self, fd):
        if self.failures:
            self.failures -= 1
            raise OSError(self.error, os.strerror(self.error))
        os.fsync(fd)


def test_after_a_failed_fsync_the_batches_are_written_again_into_another_file(tmp_path):
    disk, clock = Disk(), Clock()
    spool = spools.Spool(tmp_path, fsync=disk.fsync, clock=clock)
    for _ in range(3):
        spool.append(batch(2))
    spool.sync()
    for _ in range(2):
        spool.append(batch(1))
    kept, synced = contents(spool), places(tmp_path)[3][2]
    disk.failures = 1

    assert spool.sync() == 5

    first, second = sorted(tmp_path.glob("*.seg"))
    assert second.name == "0000000004.seg"
    first.write_bytes(first.read_bytes()[:synced] + bytes(99))  # the system dropped its pages
    assert contents(spool) == kept
    assert (spool.append(batch()), spool.rows_total) == (6, 9)
    spool.close()
    again = spools.Spool(tmp_path)
    assert {seq: again.get(seq) for seq in kept} == kept
    assert again.last == 6


def test_while_the_disk_refuses_nothing_counts_as_durable(tmp_path):
    disk = Disk()
    spool = spools.Spool(tmp_path, fsync=disk.fsync)
    spool.append(batch())
    disk.failures = 2

    with pytest.raises(OSError, match="Input/output error"):
        spool.sync()
    assert spool.durable == 0
    disk.failures, disk.error = 1, errno.ENOSPC
    with pytest.raises(spools.SpoolFull):
        spool.append(batch())
    assert (spool.durable, spool.last) == (0, 1)

    assert spool.append(batch()) == 2
    assert spool.sync() == 2
    kept = contents(spool)
    spool.close()
    assert dict(spools.read(tmp_path)) == kept


def test_a_full_disk_at_a_sync_is_a_full_spool_and_loses_nothing(tmp_path):
    disk = Disk()
    spool = spools.Spool(tmp_path, fsync=disk.fsync)
    spool.append(batch(2))
    disk.failures, disk.error = 2, errno.ENOSPC

    with pytest.raises(spools.SpoolFull):
        spool.sync()

    assert spool.sync() == 1
    spool.close()
    assert [seq for seq, _ in spools.read(tmp_path)] == [1]


def test_a_disk_that_cannot_read_a_block_costs_the_batches_in_it(tmp_path, monkeypatch):
    spool, kept = filled(tmp_path, segment_bytes=1 << 20)
    size = spool.size
    spool.close()
    bad = range(2048, 4096)
    whole = {seq for seq, (_, start, end) in places(tmp_path).items() if end <= bad.start or start >= bad.stop}

    class Sick:
        """A file with an unreadable stretch."""

        def __init__(self, path):
            self.file = path.open("rb", buffering=0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, at, *how):
            return self.file.seek(at, *how)

        def read(self, count=-1):
            at = self.file.tell()
            end = size if count < 0 else at + count
            if at < bad.stop and end > bad.start:
                raise OSError(errno.EIO, "bad sector")
            return self.file.read(count)

    assert size > 4096 or whole
    monkeypatch.setattr(segments, "_BLOCK", 512)
    monkeypatch.setattr(segments, "_opened", Sick)
    check(tmp_path, kept, whole)


def claim_more_rows(path, seq):
    """Damage that says of a batch it had 256 rows more."""
    file, start, _end = places(path)[seq]
    content = bytearray(file.read_bytes())
    content[start + segments.RECORD_BYTES + 13] ^= 1
    file.write_bytes(content)


def test_a_changed_number_of_rows_in_the_newest_segment_is_not_believed(tmp_path):
    spool, kept = filled(tmp_path / "spool")
    spool.close()
    claim_more_rows(tmp_path / "spool", BATCHES - 1)

    check(tmp_path / "spool", kept, set(kept) - {BATCHES - 1})


@pytest.mark.parametrize("liar", [9, 14])
def test_of_several_damaged_batches_the_one_with_a_changed_number_of_rows_takes_nothing_from_the_other(tmp_path, liar):
    spool, kept = filled(tmp_path / "spool", segment_bytes=1_000_000)
    spool.close()
    claim_more_rows(tmp_path / "spool", liar)
    file, _start, end = places(tmp_path / "spool")[23 - liar]
    content = bytearray(file.read_bytes())
    content[end - 1] ^= 1
    file.write_bytes(content)

    spool = spools.Spool(tmp_path / "spool", segment_bytes=1_000_000)

    assert [(one.first, one.rows) for one in (spool.lost_at(9), spool.lost_at(14))] == [(9, 2), (14, 3)]
    assert spool.rows_total == sum(wire.parse_header(payload).rows for payload in kept.values())
