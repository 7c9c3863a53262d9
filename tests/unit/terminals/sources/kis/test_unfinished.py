import dataclasses

import pytest

from terminals.sources.kis.intake_items import Lost
from terminals.sources.kis.planner import Registration
from terminals.sources.kis.unfinished import Unfinished, UnfinishedFile

TRADE, BOOK = Registration("H0STCNT0", "005930"), Registration("H0STASP0", "005930")
KEPT = Unfinished(
    registered=frozenset([TRADE, BOOK]),
    going_on=((BOOK, 7, "disconnected"),),
    losses=frozenset([Lost("krx", "005930", 1, 2, "disconnected", is_counted=True), Lost("nxt", None, 3, 4, "book:x")]),
    told_on=(20777, 5),
    until_us=9,
    offset_us=1_700_000,
)


def test_what_one_terminal_keeps_the_next_one_finds(tmp_path):
    UnfinishedFile(tmp_path).save(KEPT)

    found = UnfinishedFile(tmp_path).load()
    assert found is not None
    assert dataclasses.asdict(found) == dataclasses.asdict(KEPT)  # the offset too, which == leaves out


def test_it_is_written_when_it_changes_and_not_for_a_little_of_the_clock(tmp_path):
    file = UnfinishedFile(tmp_path)
    file.save(KEPT)
    path = next(tmp_path.iterdir())
    path.unlink()

    file.save(dataclasses.replace(KEPT, offset_us=KEPT.offset_us + 900_000))
    assert not path.exists()

    file.save(dataclasses.replace(KEPT, offset_us=KEPT.offset_us + 1_100_000))
    found = file.load()
    assert found is not None
    assert found.offset_us == KEPT.offset_us + 1_100_000


@pytest.mark.parametrize("text", ["", "{", "[]", '{"registered": [["H0STCNT0", "005930"]]}', '{"registered": 1}'])
def test_what_is_damaged_is_not_used(tmp_path, text):
    UnfinishedFile(tmp_path).save(KEPT)
    next(tmp_path.iterdir()).write_text(text)

    assert UnfinishedFile(tmp_path).load() is None


def test_a_disk_that_is_full_is_tried_again(tmp_path):
    folder = tmp_path / "spool"
    file = UnfinishedFile(folder)
    file.save(KEPT)
    assert file.load() is None

    folder.mkdir()
    file.save(KEPT)
    assert file.load() == KEPT
