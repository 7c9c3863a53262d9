"""What came in is kept as it came, within bounds, and goes through the same decoder again at any speed."""

import contextlib
import itertools
import os

import pytest

from terminals import command, recording, sources, wire
from terminals.sources.contract import WrongInput
from tests.unit.terminals.linking import SECRET, Server

SECOND_NS = 1_000_000_000


class Ticking:
    """Both clocks of a recorder: a second further at each look, unless told otherwise."""

    def __init__(self, step_ns=SECOND_NS):
        self._mono = itertools.count(0, step_ns)
        self._wall = itertools.count(1_700_000_000 * SECOND_NS, step_ns)

    def recorder(self, path, max_bytes=1 << 20):
        return recording.FileRecorder(
            path, max_bytes=max_bytes, mono=lambda: next(self._mono), wall=lambda: next(self._wall)
        )


class Pace:
    """Time that passes when it is waited for, and how long each wait was. `stop_after` waits it is over."""

    def __init__(self, stop_after=1_000_000):
        self.time, self.waits, self._stop_after = 100.0, [], stop_after

    def now_us(self):
        return 0

    def now(self):
        return self.time

    def wait(self, seconds):
        self.waits.append(seconds)
        self.time += seconds
        return len(self.waits) <= self._stop_after


CONTENTS = [
    "0|H0STCNT0|001|005930^090000^70000",
    "한글 and a lone surrogate \ud800",
    b"bytes that are text",
    b"\xff\x00 bytes that are none",
    "",
    b"",
    'quotes " and\nlines\u2028',
]


def test_text_and_bytes_come_back_as_they_came(tmp_path):
    with Ticking().recorder(tmp_path / "in.jsonl") as recorder:
        for content in CONTENTS:
            recorder.note("ws", content)

    notes = list(recording.read(tmp_path / "in.jsonl"))

    assert [note.data for note in notes] == CONTENTS
    assert {note.channel for note in notes} == {"ws"}
    steps = [after.mono_us - before.mono_us for before, after in itertools.pairwise(notes)]
    assert steps == [1_000_000] * (len(CONTENTS) - 1)
    assert notes[0].wall_us > 1_700_000_000_000_000
    assert [note.starts for note in notes] == [True] + [False] * (len(CONTENTS) - 1)


def test_a_recording_keeps_to_its_size_and_loses_the_oldest(tmp_path):
    path, most = tmp_path / "in.jsonl", 16_000
    with Ticking().recorder(path, most) as recorder:
        for number in range(1000):
            recorder.note("ws", f"{number:05d}" + "x" * 100)

    kept = [int(note.data[:5]) for note in recording.read(path)]

    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= most
    assert len(list(tmp_path.iterdir())) == recording.PARTS
    assert kept == list(range(kept[0], 1000))
    assert 50 < len(kept) < 200


def test_a_note_larger_than_a_part_is_kept_whole(tmp_path):
    with Ticking().recorder(tmp_path / "in.jsonl", 800) as recorder:
        for letter in "abc":
            recorder.note("ws", letter * 500)

    assert [note.data[0] for note in recording.read(tmp_path / "in.jsonl")] == ["a", "b", "c"]


def test_a_second_run_goes_on_behind_a_line_that_a_kill_tore(tmp_path, caplog):
    path = tmp_path / "in.jsonl"
    for run in ("first", "second"):
        with Ticking().recorder(path) as recorder:
            recorder.note("ws", run)
            recorder.note("ws", run + " again")
        if run == "first":
            path.write_bytes(path.read_bytes()[:-10])

    notes = list(recording.read(path))

    assert [(note.data, note.starts) for note in notes] == [("first", True), ("second", True), ("second again", False)]
    assert "line 3 is left out" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="modes mean little on Windows")
def test_a_recording_is_for_its_own_user(tmp_path):
    before = os.umask(0)
    try:
        Ticking().recorder(tmp_path / "in.jsonl").close()
    finally:
        os.umask(before)

    assert (tmp_path / "in.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_is_counted_and_stops_nobody_and_it_goes_on_when_it_can(tmp_path, caplog):
    recorder = Ticking().recorder(tmp_path / "in.jsonl", 800)
    for _ in range(recording.PARTS):
        recorder.note("ws", "a" * 90)
    last = tmp_path / f"in.jsonl.{recording.PARTS - 1}"
    last.unlink()
    last.mkdir()
    (last / "in the way").touch()

    for _ in range(3):
        recorder.note("ws", "b" * 90)
    (last / "in the way").unlink()
    last.rmdir()
    recorder.note("ws", "c" * 90)
    recorder.close()

    assert recorder.lost == 3
    assert caplog.text.count("not_recorded") == 1
    assert "lost=3" in caplog.text
    assert list(recording.read(tmp_path / "in.jsonl"))[-1].data == "c" * 90


@pytest.mark.parametrize("content", [None, b"", b"symbol,ts,price\nA,1,2\n", b"{}\n[]\n1\n"])
def test_what_is_no_recording_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "in.jsonl").write_bytes(content)

    with pytest.raises(WrongInput, match=r"in\.jsonl"):
        list(recording.read(tmp_path / "in.jsonl"))


@pytest.mark.parametrize(("speed", "waited"), [(1.0, [0, 1, 3, 0, 2]), (2.0, [0, 0.5, 1.5, 0, 1]), (0.0, [0] * 5)])
def test_notes_come_at_their_pace_and_a_second_run_begins_at_once(speed, waited):
    notes = [
        recording.Note("ws", str(at), at * 1_000_000, 0, starts)
        for at, starts in [(50, True), (51, False), (54, False), (7, True), (9, False)]
    ]
    pace = Pace()

    given = list(recording.paced(notes, pace, speed=speed))

    assert given == notes
    assert pace.waits == waited


def test_a_stop_ends_it_between_two_notes():
    notes = [recording.Note("ws", "", at, 0) for at in range(5)]

    assert len(list(recording.paced(notes, Pace(stop_after=2), speed=0.0))) == 2


# A source whose input is a symbol and a price in a line.
MODULE = """
from terminals.wire import Kind

CODE, FEED, MARKET, WHEN_FULL = "REPLAY", "lines", None, "block"


def add_arguments(parser):
    parser.add_argument("--lines", nargs="+", default=[])


class Decoder:
    def take(self, note, terminal):
        symbol, price = note.data.split()
        terminal.send([{"symbol": symbol, "price": int(price), "time_us": note.wall_us, "kind": Kind.TRADE, "size": 1}])


class Source:
    def __init__(self, arguments):
        self.lines, self.recorder = arguments.lines, arguments.recorder

    def describe(self):
        return "lines"

    def run(self, terminal, pace):
        for line in self.lines:
            self.recorder.note("line", line)
        return False


open_source = Source


def open_decoder(arguments):
    return Decoder()
"""


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """The options of a source that records, registered as `lines`."""
    (tmp_path / "naru_lines.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sources.SOURCES, "lines", sources.Entry("naru_lines", "lines"))
    monkeypatch.setenv("NARU_KEY", SECRET)
    monkeypatch.setattr(command, "_CLOCK_S", 0.1)  # a server that is not there tells no time
    return ["--client", "t1", "--spool", str(tmp_path / "spool")]


def test_what_a_source_recorded_is_played_through_its_own_decoder(tmp_path, lines):
    file = str(tmp_path / "in.jsonl")
    live = command.main(["lines", "--lines", "A 5", "B 7", "--record", file, "--server", "127.0.0.1:1", *lines])
    with contextlib.closing(Server()) as server:
        played = command.main(["play", "lines", file, "--pace", "0", "--server", str(server.address), *lines])

        rows = [row for seq in sorted(server.fake.held) for row in wire.decode_columns(server.fake.held[seq])]

    assert (live, played) == (0, 0)
    assert [(row["symbol"], row["price"]) for row in rows] == [("A", 5), ("B", 7)]


def test_a_source_that_records_nothing_is_not_played(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NARU_KEY", SECRET)

    words = [
        "play",
        "simulate",
        str(tmp_path / "x"),
        "--server",
        "a:1",
        "--client",
        "t",
        "--spool",
        str(tmp_path / "s"),
    ]

    assert command.main(words) == command.WRONG_INPUT
    assert "simulate" in capsys.readouterr().err
