"""The terminal's own list has a line for every batch in the spool, whatever was killed when."""

import errno
import json
import os
import zlib

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.journal import Journal, JournalError


def lines(path):
    return [(line["seq"], line["rows"]) for line in map(json.loads, path.read_text().splitlines())]


def test_a_line_that_a_kill_prevented_or_tore_is_made_up_from_the_spool(tmp_path):
    path, spool = tmp_path / "journal", spools.Spool(tmp_path / "spool")
    journal = Journal(path, spool)
    for rows in (1, 2, 3):
        payload = wire.encode_rows(1, "sim", 0, [{}] * rows)
        seq = spool.append(payload)
        if seq == 1:
            journal.note(seq, payload)
    with path.open("a") as file:
        file.write('{"epoch": "')
    journal.close()

    Journal(path, spool).close()

    assert lines(path) == [(1, 1), (2, 2), (3, 3)]


def test_a_line_names_epoch_and_checksum(tmp_path):
    path, spool = tmp_path / "journal", spools.Spool(tmp_path / "spool")
    spool.append(wire.encode_rows(9, "sim", 0, [{}]))

    Journal(path, spool).close()

    assert json.loads(path.read_text()) == {
        "epoch": spool.epoch, "seq": 1, "rows": 1, "crc32": zlib.crc32(spool.get(1)[8:])
    }  # fmt: skip


@pytest.mark.parametrize("bytes_taken", [0, 5])
def test_a_line_that_the_disk_does_not_take_costs_no_batch_and_is_made_up(tmp_path, monkeypatch, bytes_taken):
    path, spool = tmp_path / "journal", spools.Spool(tmp_path / "spool")
    journal = Journal(path, spool)
    real = os.write

    def full(descriptor, data):
        if bytes_taken:
            return real(descriptor, data[:bytes_taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    for rows in (1, 2, 3, 4):
        payload = wire.encode_rows(1, "sim", 0, [{}] * rows)
        seq = spool.append(payload)
        with monkeypatch.context() as disk:
            if seq in (2, 3):
                disk.setattr(os, "write", full)
            journal.note(seq, payload)
    journal.close()

    assert lines(path) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_spool_that_cannot_be_read_for_a_line_fails_no_batch_that_was_spooled(tmp_path, monkeypatch, caplog):
    path, spool = tmp_path / "journal", spools.Spool(tmp_path / "spool")
    journal = Journal(path, spool)

    def broken(seq):
        raise OSError(errno.EIO, "I/O error")

    for rows in (1, 2, 3):
        payload = wire.encode_rows(1, "sim", 0, [{}] * rows)
        seq = spool.append(payload)
        if seq > 1:  # a line is missing, so it is looked up
            with monkeypatch.context() as disk:
                disk.setattr(spool, "get", broken)
                journal.note(seq, payload)
                assert lines(path) == []
    journal.close()

    assert lines(path) == [(1, 1), (2, 2), (3, 3)]
    assert caplog.text.count("not_noted") == 1


@pytest.mark.parametrize("content", ["symbol,ts,price\n", "a line", '{"seq": 1}\n', "[]\n", '"epoch"\n'])
def test_a_file_of_something_else_is_no_journal_and_is_left_as_it_is(tmp_path, content):
    (tmp_path / "other").write_text(content)

    with pytest.raises(JournalError, match="--journal"):
        Journal(tmp_path / "other", spools.Spool(tmp_path / "spool"))

    assert (tmp_path / "other").read_text() == content
