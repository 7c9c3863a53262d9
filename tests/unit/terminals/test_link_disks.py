"""A terminal whose disk is full or fails: what is not written is counted and told."""

import errno
import os

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.link import Failed, Interrupted, Terminal
from tests.unit.terminals.linking import config, rows


class FullDisk:
    """No file of the spool takes a byte more until `room` says so."""

    def __init__(self, monkeypatch, room=lambda: False):
        self.room, self._write = room, os.write
        monkeypatch.setattr("terminals.spool.os.write", self.write)

    def write(self, descriptor, data):
        if not self.room():
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(descriptor, data)


def gaps_in(path):
    told = [(wire.parse_header(payload), payload) for _seq, payload in spools.read(path / "spool")]
    return [gap for header, payload in told if header.encoding is wire.Encoding.GAP
            for gap in wire.parse_gaps(payload, header)]  # fmt: skip


def test_a_terminal_that_drops_does_not_wait_with_a_gap_while_the_disk_is_full(tmp_path, monkeypatch):
    terminal = Terminal(config(tmp_path, when_full="drop"))
    disk = FullDisk(monkeypatch)

    terminal.report_gaps([wire.Gap(1, 5, 0, "volume_hole", "A", 7), wire.Gap(1, 5, 2, "lost")])
    terminal.report_gaps([wire.Gap(4, 9, 0, "volume_hole", "A", 3)])
    terminal.send(rows(3, first=10))
    terminal.flush()
    disk.room = lambda: True
    terminal.close()

    assert terminal.stats().rows_dropped == 3
    assert gaps_in(tmp_path) == [
        wire.Gap(10, 12, 3, "spool_full"),
        wire.Gap(1, 9, 0, "volume_hole", "A", 10),
        wire.Gap(1, 5, 2, "lost"),
    ]


def test_a_stop_while_the_disk_is_full_ends_and_what_was_not_written_is_told(tmp_path, monkeypatch):
    terminal = Terminal(config(tmp_path)).start()
    terminal.send(rows(2))
    terminal.flush()
    # Nothing is free but the room that the spool keeps for this.
    FullDisk(monkeypatch, room=lambda: not (tmp_path / "spool/reserve").exists())
    terminal.send(rows(3, first=10))
    terminal.interrupt()
    with pytest.raises(Interrupted):
        terminal.report_gaps([wire.Gap(1, 5, 0, "volume_hole", "A", 7)])

    terminal.close()

    assert terminal.stats().rows_sent == 2
    assert terminal.stats().rows_dropped == 3
    assert gaps_in(tmp_path) == [wire.Gap(10, 12, 3, "spool_full"), wire.Gap(1, 5, 0, "volume_hole", "A", 7)]


def test_what_not_even_the_kept_room_takes_is_told_in_the_log_with_its_bounds(tmp_path, monkeypatch, caplog):
    terminal = Terminal(config(tmp_path))
    FullDisk(monkeypatch)
    terminal.send(rows(3, first=10))

    terminal.close()

    assert "not_told feed=sim symbol=- rows=3 missing=None from_us=10 to_us=12 reason='spool_full'" in caplog.text


def test_a_disk_that_fails_lets_the_terminal_end_and_the_next_one_in(tmp_path, monkeypatch, caplog):
    terminal = Terminal(config(tmp_path))
    terminal.send(rows(3))
    monkeypatch.setattr("terminals.spool.os.write", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))

    terminal.close()

    monkeypatch.undo()
    assert "dropped_at_end feed=sim rows=3" in caplog.text
    assert "I/O error" in caplog.text
    Terminal(config(tmp_path)).close()


def test_rows_that_were_spooled_are_not_dropped_because_a_gap_cannot_be_written(tmp_path, monkeypatch, caplog):
    terminal = Terminal(config(tmp_path, when_full="drop"))
    with monkeypatch.context() as full:
        FullDisk(full)
        terminal.report_gaps([wire.Gap(1, 5, 0, "volume_hole", "A", 7)])
    append = terminal.spool.append

    def no_gap(payload, *, beyond_capacity=False):
        if beyond_capacity:
            raise OSError(errno.EIO, "I/O error")
        return append(payload)

    monkeypatch.setattr(terminal.spool, "append", no_gap)
    terminal.send(rows(3))

    terminal.close()

    assert (terminal.stats().rows_sent, terminal.stats().rows_dropped) == (3, 0)
    assert "gap_not_written" in caplog.text
    assert "dropped_at_end" not in caplog.text


class FailingDisk:
    """The spool's `at`-th write and all that follow fail, for another reason than want of room, until it is mended."""

    def __init__(self, monkeypatch, at):
        self._left, self._write, self.mended = at, os.write, False
        monkeypatch.setattr("terminals.spool.os.write", self.write)

    def write(self, descriptor, data):
        self._left -= 1
        if self._left <= 0 and not self.mended:
            raise OSError(errno.EIO, "I/O error")
        return self._write(descriptor, data)


def test_a_disk_that_fails_ends_the_terminal_and_tells_which_rows_were_taken_and_which_were_unfit(
    tmp_path, monkeypatch
):
    terminal = Terminal(config(tmp_path, batch_rows=10))
    disk = FailingDisk(monkeypatch, at=4)
    sent = rows(95)
    sent[3]["price"] = 1.5

    with pytest.raises(Failed, match=r"spool_error.*I/O error") as failed:
        terminal.send(sent)
    with pytest.raises(Failed, match="spool_error") as again:
        terminal.send(rows(1))
    with pytest.raises(Failed, match="spool_error"):
        terminal.report_gaps([wire.Gap(1, 2, 0, "volume_hole", "A", 7)])
    disk.mended = True
    terminal.close()

    assert (failed.value.taken, failed.value.unfit, again.value.taken) == (41, [3], 0)
    assert terminal.stats().rows_sent == 40
    assert gaps_in(tmp_path) == [wire.Gap(1, 2, 0, "volume_hole", "A", 7)]


def test_rows_that_found_no_room_at_a_stop_are_known_to_who_sent_them(tmp_path):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, batch_rows=100))
    terminal.interrupt()

    with pytest.raises(Interrupted) as stopped:
        terminal.send(rows(10_000))

    terminal.close()
    assert stopped.value.taken == terminal.stats().rows_sent + terminal.stats().rows_dropped
    assert [gap.rows for gap in gaps_in(tmp_path)] == [terminal.stats().rows_dropped]
