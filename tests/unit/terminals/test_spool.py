"""The spool keeps what it took through kills, power cuts, full disks and rotten bytes, and says what it lost."""

import contextlib
import gc
import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminals import segment_list, segments, wire
from terminals import spool as spools
from terminals.lock import Locked
from terminals.segments import HEAD_BYTES, Segment, SpoolDamaged

DAY_S = 86_400.0


def batch(rows=1, text="x"):
    return wire.encode_rows(1, "sim", 0, [{"symbol": text}] * rows)


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class Disk:
    """Remembers how much of each file an fsync has made safe; `cut` loses the rest, as a power cut may."""

    def __init__(self):
        self.safe = {}
        self.calls = 0

    def fsync(self, fd):
        found = os.fstat(fd)
        self.calls += 1
        if not stat.S_ISDIR(found.st_mode):
            self.safe[found.st_ino] = found.st_size

    def cut(self, path, keep):
        for file in path.glob("*.seg"):
            safe = self.safe[file.stat().st_ino]
            os.truncate(file, safe + int((file.stat().st_size - safe) * keep))


def killed(spool):
    """The process is gone: no sync, no mark, only the lock is lifted by the system."""
    os.close(spool._fd)
    spool._lock.release()


def contents(spool):
    return {seq: spool.get(seq) for seq in range(spool.first, spool.last + 1)}


def test_a_batch_gets_the_next_number_and_comes_back_under_it(tmp_path):
    spool = spools.Spool(tmp_path)

    assert [spool.append(batch(rows)) for rows in (3, 4)] == [1, 2]

    assert spool.get(2) == wire.reseq(batch(4), 2)
    assert (spool.first, spool.last, spool.rows_total, spool.rows(2, 9)) == (1, 2, 7, 4)
    with pytest.raises(KeyError):
        spool.get(3)


def test_a_spool_opened_again_has_everything_and_the_same_epoch(tmp_path):
    before = spools.Spool(tmp_path)
    for rows in (1, 2, 3):
        before.append(batch(rows))
    before.commit(2)
    kept, epoch = contents(before), before.epoch
    before.close()

    after = spools.Spool(tmp_path)

    assert (contents(after), after.epoch, after.committed, after.durable) == (kept, epoch, 2, 3)
    assert (after.rows_total, after.torn_bytes) == (6, 0)


def test_another_folder_is_another_epoch(tmp_path):
    assert spools.Spool(tmp_path / "a").epoch != spools.Spool(tmp_path / "b").epoch


def test_two_programs_cannot_open_one_spool(tmp_path):
    first = spools.Spool(tmp_path)

    with pytest.raises(Locked, match=str(os.getpid())):
        spools.Spool(tmp_path)
    first.close()
    spools.Spool(tmp_path).close()


def test_a_new_run_sees_when_the_last_batch_of_the_one_before_was_closed(tmp_path):
    first = spools.Spool(tmp_path)
    assert first.last_captured_us is None
    first.append(batch())
    first.close()

    assert spools.Spool(tmp_path).last_captured_us == wire.parse_header(batch()).captured_us


def test_only_what_was_synced_may_be_sent(tmp_path):
    spool = spools.Spool(tmp_path, clock=Clock())
    spool.append(batch())

    assert (spool.durable, spool.last) == (0, 1)
    assert spool.sync() == 1


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.003, 0.003), (0.2, 0.05)])
def test_a_sync_is_due_as_long_after_the_last_as_that_took_at_most_50_ms_and_at_once_for_64_kib(
    tmp_path, took_s, pause_s
):
    clock = Clock()

    def fsync(_fd):
        clock.now += took_s

    spool = spools.Spool(tmp_path, clock=clock, fsync=fsync)
    assert not spool.due(clock.now)
    spool.append(batch())
    assert spool.due(clock.now)
    spool.sync()

    spool.append(batch())
    assert not spool.due(clock.now + pause_s - 0.001)
    assert spool.due(clock.now + pause_s + 0.001)
    spool.append(batch(text="x" * 70_000))
    assert spool.due(clock.now)


def test_what_is_taken_into_a_new_segment_during_a_sync_is_synced_later(tmp_path):
    meanwhile: list[bytes] = []

    def fsync(fd):
        while meanwhile:
            spool.append(meanwhile.pop())

    spool = spools.Spool(tmp_path, segment_bytes=1000, fsync=fsync)
    spool.append(batch(text="x" * 900))
    meanwhile.append(batch(text="y" * 300))

    spool.sync()

    assert spool.due_at() < float("inf")
    assert spool.sync() == spool.last == 2


def test_a_tail_torn_at_any_byte_is_cut_back_to_the_last_whole_batch(tmp_path):
    spool = spools.Spool(tmp_path)
    ends = [HEAD_BYTES]
    for rows in (1, 2):
        spool.append(batch(rows))
        ends.append(spool.size)
    kept = contents(spool)
    killed(spool)
    file = next(tmp_path.glob("*.seg"))
    whole = file.read_bytes()

    for length in range(HEAD_BYTES, len(whole) + 1):
        file.write_bytes(whole[:length])
        (tmp_path / "committed.json").unlink(missing_ok=True)  # nothing of it was ever synced
        again = spools.Spool(tmp_path)
        survivors = sum(end <= length for end in ends[1:])
        assert again.last == survivors
        assert contents(again) == {seq: kept[seq] for seq in range(1, survivors + 1)}
        assert again.torn_bytes == length - ends[survivors]
        assert again.append(batch()) == survivors + 1
        again.close()


def test_every_flipped_bit_of_a_record_is_noticed(tmp_path):
    spool = spools.Spool(tmp_path)
    spool.append(batch(3))
    spool.close()
    file = next(tmp_path.glob("*.seg"))
    whole = file.read_bytes()

    for bit in range(HEAD_BYTES * 8, len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert list(spools.read(tmp_path)) == []
    again = spools.Spool(tmp_path)
    assert (again.last, again.rows_total) == (1, 3), "it was synced once, so its number is not given again"
    assert again.lost_at(1).rows == 3


def test_every_flipped_bit_of_a_head_is_noticed_and_mended(tmp_path):
    spool = spools.Spool(tmp_path, segment_bytes=100)
    for _ in range(3):
        spool.append(batch(2))
    kept = contents(spool)
    spool.close()
    for file in sorted(tmp_path.glob("*.seg")):
        whole = file.read_bytes()
        for bit in range(0, 36 * 8, 5):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            file.write_bytes(damaged)
            again = spools.Spool(tmp_path)
            assert contents(again) == kept
            assert again.rows_total == 6
            again.close()
            assert file.read_bytes() == whole


def test_a_batch_that_rotted_in_an_older_segment_is_known_by_its_number(tmp_path):
    spool = spools.Spool(tmp_path, segment_bytes=300)
    for _ in range(6):
        spool.append(batch(2))
    file = min(tmp_path.glob("*.seg"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    last_of_first = int(sorted(tmp_path.glob("*.seg"))[1].stem) - 1

    with pytest.raises(SpoolDamaged, match=f"batch {last_of_first} "):
        spool.get(last_of_first)

    assert spool.get(last_of_first + 1)
    assert [seq for seq, _ in spools.read(tmp_path)] == [seq for seq in range(1, 7) if seq != last_of_first]
    assert spool.lost_at(last_of_first).rows == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["append", "sync", "commit", "kill", "power cut"]), max_size=30), st.data())
def test_whatever_happens_in_whatever_order_a_synced_batch_survives(tmp_path_factory, steps, data):
    path, disk, clock = tmp_path_factory.mktemp("spool"), Disk(), Clock()

    def opened():
        return spools.Spool(path, segment_bytes=400, clock=clock, wall=clock, fsync=disk.fsync)

    spool, synced = opened(), 0
    model: dict[int, bytes] = {}
    for number, step in enumerate(steps):
        clock.now += 0.01
        if step == "append":
            payload = batch(number % 3 + 1, text=f"t{number}")
            seq = spool.append(payload)
            assert seq == max(model, default=0) + 1
            model[seq] = wire.reseq(payload, seq)
        elif step == "sync":
            synced = spool.sync()
            assert synced == max(model, default=0)
        elif step == "commit" and model:
            spool.commit(data.draw(st.integers(0, spool.durable)))
        elif step in ("kill", "power cut"):
            synced = spool.durable
            killed(spool)
            if step == "power cut":
                disk.cut(path, data.draw(st.floats(0, 1)))
            spool = opened()
            if step == "kill":
                assert spool.last == max(model, default=0)
            assert spool.last >= synced
            model = {seq: payload for seq, payload in model.items() if seq <= spool.last}
        assert spool.durable >= synced
    assert contents(spool) == model
    assert spool.rows_total == sum(wire.parse_header(payload).rows for payload in model.values())
    spool.sync()
    assert dict(spools.read(path)) == model
    spool.close()


def test_a_committed_segment_stays_a_day_after_its_commit(tmp_path):
    wall = Clock()
    spool = spools.Spool(tmp_path, segment_bytes=200, keep_s=DAY_S, wall=wall, clock=wall)
    for _ in range(6):
        spool.append(batch())
    wall.now += 10 * DAY_S

    assert spool.trim() == 0, "old, but not committed"
    spool.commit(spool.last)
    assert spool.trim() == 0, "committed just now"
    wall.now += DAY_S + 1
    assert spool.trim() == 0, "no comparison has confirmed it yet"
    spool.confirm(1, spool.last)
    assert spool.trim() > 0

    assert spool.first == spool.last + 1 or spool.get(spool.first)
    assert spool.rows_total == 6
    assert spool.append(batch()) == 7


def test_a_full_spool_refuses_until_something_is_committed(tmp_path):
    spool = spools.Spool(tmp_path, capacity_bytes=2000)
    with contextlib.suppress(spools.SpoolFull):
        for _ in range(100):
            spool.append(batch())
    taken = spool.last
    assert 0 < taken < 100
    assert spool.size <= 2000
    with pytest.raises(spools.SpoolFull, match="none committed"):
        spool.append(batch())

    assert spool.append(batch(), beyond_capacity=True) == taken + 1
    spool.commit(spool.last)
    with pytest.raises(spools.SpoolFull):
        spool.append(batch())
    assert spool.pressed, "the next comparison is wanted at once"
    spool.confirm(1, spool.last)
    assert spool.append(batch()) == taken + 2
    assert spool.rows_total == taken + 2


def test_a_full_disk_leaves_no_half_batch(tmp_path, monkeypatch):
    spool = spools.Spool(tmp_path)
    spool.append(batch())
    real = os.write

    def half(fd, data):
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(spools.SpoolFull, match="disk"):
        spool.append(batch())
    monkeypatch.undo()

    assert spool.append(batch(2)) == 2
    spool.close()
    assert [seq for seq, _ in spools.read(tmp_path)] == [1, 2]
    assert spools.Spool(tmp_path).torn_bytes == 0


def test_a_server_that_lost_commits_gets_them_again(tmp_path):
    spool = spools.Spool(tmp_path)
    for _ in range(5):
        spool.append(batch())
    spool.sync()
    spool.commit(5)

    spool.resume(2)

    assert spool.committed == 2
    spool.commit(9)
    assert spool.committed == 5, "nobody commits what is not there"


def test_the_indexes_of_finished_files_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(segment_list, "_INDEXED", 5)
    spool = spools.Spool(tmp_path, segment_bytes=300)
    for _ in range(40):
        spool.append(batch())
    spool.commit(spool.last)

    for seq in range(1, 41):
        end = spool.piece(seq, 40, 10)
        assert seq <= end <= seq + 9
        assert spool.checksum(seq) == wire.checksum(spool.get(seq))

    kept = [len(one.index.rows) for one in spool._segments.files[:-1] if one.index is not None]
    assert 1 <= len(kept) < len(spool._segments.files) // 2
    assert sum(kept) <= 5 + kept[0]


def test_the_index_of_a_file_that_was_let_go_is_forgotten(tmp_path):
    spool = spools.Spool(tmp_path, capacity_bytes=2_000, segment_bytes=300)
    for _ in range(20):
        for _ in range(5):  # files are finished before what is in them is committed
            spool.append(batch())
        spool.commit(spool.last)
        for seq in range(spool.first, spool.last + 1):
            spool.piece(seq, spool.last, 10)
        spool.confirm(1, spool.last)

    alive = [one for one in gc.get_objects() if isinstance(one, Segment) and one.path.parent == tmp_path]
    assert spool.first > 50
    assert {one.path.name for one in alive} == {path.name for path in segments.files(tmp_path)}
    spool.close()


def test_a_spool_is_readable_while_a_terminal_writes_to_it(tmp_path):
    spool = spools.Spool(tmp_path, segment_bytes=300)
    for rows in range(1, 6):
        spool.append(batch(rows))

    assert [(seq, wire.parse_header(payload).rows) for seq, payload in spools.read(tmp_path)] == [
        (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)
    ]  # fmt: skip
    assert spools.epoch_of(tmp_path) == spool.epoch


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"naru_spool":1,"epoch":"xyz","created_us":1}', b"[1]"])
def test_a_damaged_header_is_made_up_from_the_segments(tmp_path, content):
    before = spools.Spool(tmp_path)
    before.append(batch())
    kept = contents(before)
    before.close()
    (tmp_path / "spool.json").unlink()
    if content is not None:
        (tmp_path / "spool.json").write_bytes(content)

    assert spools.epoch_of(tmp_path) == before.epoch
    after = spools.Spool(tmp_path)

    assert (after.epoch, contents(after)) == (before.epoch, kept)
    assert json.loads((tmp_path / "spool.json").read_bytes())["epoch"] == before.epoch


def test_a_folder_that_tells_no_epoch_is_no_spool(tmp_path):
    spools.Spool(tmp_path).close()
    (tmp_path / "committed.json").unlink()
    (tmp_path / "0000000001.seg").write_bytes(b"nothing")
    (tmp_path / "spool.json").write_bytes(b"nothing")
    with pytest.raises(spools.SpoolError, match="damaged"):
        spools.Spool(tmp_path)

    (tmp_path / "spool.json").unlink()
    with pytest.raises(spools.SpoolError, match="tell no epoch"):
        spools.Spool(tmp_path)
    with pytest.raises(spools.SpoolError, match="no spool directory"):
        list(spools.read(tmp_path / "elsewhere"))


def test_a_segment_of_another_spool_is_not_taken_for_ours(tmp_path):
    spools.Spool(tmp_path / "a").close()
    spools.Spool(tmp_path / "b").close()
    (tmp_path / "a" / "0000000001.seg").replace(tmp_path / "b" / "0000000001.seg")

    with pytest.raises(SpoolDamaged, match="another spool"):
        spools.Spool(tmp_path / "b")


def test_the_last_number_of_an_epoch_is_the_last(tmp_path):
    spool = spools.Spool(tmp_path)
    spool.last = wire.MAX_SEQ

    with pytest.raises(spools.SpoolError, match="new spool directory"):
        spool.append(batch())


def test_a_mark_that_is_nonsense_is_only_a_lost_hint(tmp_path):
    spool = spools.Spool(tmp_path)
    spool.append(batch())
    spool.commit(1)
    spool.close()
    (tmp_path / "committed.json").write_bytes(b"nonsense")

    assert spools.Spool(tmp_path).committed == 0
