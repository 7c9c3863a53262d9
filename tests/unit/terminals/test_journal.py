"""The terminal's own list has a line for every batch in the spool, whatever was killed when."""

import json
import zlib

from terminals import spool as spools
from terminals import wire
from terminals.journal import Journal


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
