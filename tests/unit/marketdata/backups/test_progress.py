"""How far a backup is, for a person."""

from marketdata.backups.progress import Lines, line
from tests.fakes import FakeClock


def test_a_line_has_seconds_percent_bytes_and_the_step():
    assert line(12.34, "packing", 12_300_000, 24_600_000).split() == [
        "12.3", "s", "50", "%", "12.3", "MB", "packing",
    ]  # fmt: skip


def test_what_is_counted_in_pieces_shows_no_bytes():
    assert line(1.0, "comparing", 3, 12).split() == ["1.0", "s", "25", "%", "comparing"]
    assert line(1.0, "preparing", 0, None).split() == ["1.0", "s", "preparing"]


def test_a_step_is_told_when_it_begins_and_then_once_a_second():
    clock, said = FakeClock(), list[str]()
    lines = Lines(said.append, clock=clock)

    for _ in range(25):
        lines("a", 1, 2)
        clock.advance(0.1)
    lines("b")

    assert len(said) == 4
