"""A replay sends what the file says, to the digit, and refuses a file that is wrong before it sends a row."""

import csv
from decimal import Decimal

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.batcher import Row
from terminals.position import Position
from terminals.sources.replay import BadFile, Replay, check, read

HEADER = "symbol,ts,price,size,side,seq\n"
SAMPLE = HEADER + (
    "ESH4,1703545200000000000,4800.25,44,N,6000\n"
    "ESH4,1703545200085275419,4800.25,5,B,6006\n"
    "ESH4,1703545200097787583,4800.5,1,A,6008\n"
    "ESH4,1703545200097787583,4800.5,1,A,6008\n"
)


class FakePace:
    """Time passes only by waiting; `stop_after` waits it says stop."""

    def __init__(self, stop_after=None):
        self.time, self.waits, self._stop_after = 100.0, [], stop_after

    def now(self):
        return self.time

    def now_us(self):
        return int(self.time * 1_000_000)

    def wait(self, seconds):
        self.time += seconds
        self.waits.append(seconds)
        return self._stop_after is None or len(self.waits) < self._stop_after


class FakeTerminal:
    """Puts rows straight into a spool, one batch a call."""

    def __init__(self, path):
        self.spool = spools.Spool(path)
        self.rows = []

    def send(self, rows):
        self.rows += rows
        self.spool.append(wire.encode_rows(1, "replay", 0, rows))

    def flush(self):
        pass


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trades.csv"
    path.write_text(SAMPLE)
    return path


def sent(chunks):
    return [row for chunk in chunks for row in chunk]


def test_every_cell_arrives_exactly(file):
    rows = list(read(file))

    with file.open() as opened:
        for row, line in zip(rows, csv.DictReader(opened), strict=True):
            assert row["symbol"] == line["symbol"]
            assert row["time_us"] == int(line["ts"]) // 1000
            assert Decimal(row["price"]).scaleb(-8) == Decimal(line["price"])
            assert Decimal(row["size"]).scaleb(-4) == Decimal(line["size"])
            assert row["side"] == {"B": wire.Side.BUY, "A": wire.Side.SELL, "N": wire.Side.UNKNOWN}[line["side"]]
            assert row["seq"] == int(line["seq"])
    assert rows[2] == rows[3], "two equal trades are two trades"


def test_empty_cells_and_missing_columns_are_absent(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("price,symbol,ts\n-1.5,A B,1\n")

    assert list(read(path)) == [
        {"symbol": "A B", "time_us": 0, "kind": 1, "price": -150_000_000, "size": None, "side": None, "seq": None}
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ESH4,1,NaN,1,B,1", "NaN"), ("ESH4,1,1e3,1,B,1", "1e3"), ("ESH4,1,1.123456789,1,B,1", "8 decimal places"),
        ("ESH4,x,1,1,B,1", "'x'"), ("ESH4,-1,1,1,B,1", "'-1'"), ("ESH4,1,1,1.23456,B,1", "4 decimal places"),
        ("ESH4,1,1,1,X,1", "side 'X'"), (",1,1,1,B,1", "symbol ''"), ("삼성,1,1,1,B,1", "symbol"),
        ("ESH4,1,1,1,B", "fewer cells"), ("ESH4,1,1,1,B,1,2", "more or fewer"), ("ESH4,,1,1,B,1", "''"),
        (f"ESH4,{2**63},1,1,B,1", "63 bits"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_before_anything_is_sent(tmp_path, line, why):
    path = tmp_path / "bad.csv"
    path.write_text(SAMPLE + line + "\n" + "ESH4,1,1,1,B,1\n")

    with pytest.raises(BadFile, match=r"bad\.csv line 6: .*") as caught:
        Replay(path)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [("", "column symbol"), ("symbol,price\n", "column ts"), (HEADER, "no rows"), (b"\xff\xfe", "no CSV"),
     (HEADER + '"ESH4', "no CSV")],
)  # fmt: skip
def test_a_file_that_is_no_trade_file_is_refused(tmp_path, content, why):
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(BadFile, match=why):
        check(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(BadFile, match="cannot be read"):
        Replay(tmp_path / "none.csv")


def test_the_pace_is_that_of_the_file_times_the_speed(file):
    pace = FakePace()

    rows = sent(Replay(file, speed=2.0).produce(pace))

    assert len(rows) == 4
    assert sum(pace.waits) == pytest.approx(0.097787 / 2)


def test_speed_zero_waits_for_nothing(file):
    pace = FakePace()

    assert len(sent(Replay(file, speed=0).produce(pace))) == 4
    assert pace.waits == []


def test_a_loop_moves_the_times_on_by_whole_minutes_of_the_file(file):
    chunks = Replay(file, speed=0.0001, loop=True).produce(FakePace())
    rows: list[Row] = []
    while len(rows) < 12:
        rows += next(chunks)

    first, second, third = rows[:4], rows[4:8], rows[8:12]
    assert [row["time_us"] + 60_000_000 for row in first] == [row["time_us"] for row in second]
    assert [row["time_us"] + 120_000_000 for row in first] == [row["time_us"] for row in third]
    assert [row["price"] for row in first] == [row["price"] for row in third]


@pytest.mark.parametrize("skip", range(5))
def test_a_replay_goes_on_behind_what_was_already_taken(file, skip):
    everything = sent(Replay(file, speed=0).produce(FakePace()))

    assert sent(Replay(file, speed=0).produce(FakePace(), skip=skip)) == everything[skip:]


@pytest.mark.parametrize("skip", [0, 3, 4, 9])
def test_a_looped_replay_goes_on_in_the_right_pass(file, skip):
    chunks, whole = Replay(file, speed=1, loop=True).produce(FakePace()), list[Row]()
    while len(whole) < 20:
        whole += next(chunks)
    again, rest = Replay(file, speed=1, loop=True).produce(FakePace(), skip=skip), list[Row]()
    while len(rest) < 8:
        rest += next(again)

    assert rest[:8] == whole[skip : skip + 8]


def test_a_stopped_replay_resumes_and_a_finished_one_starts_over(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")

    assert not Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    assert 0 < len(terminal.rows) < 4
    assert Replay(file, speed=1).run(terminal, FakePace())
    assert terminal.rows == list(read(file))
    assert Replay(file, speed=1).run(terminal, FakePace())
    assert terminal.rows == list(read(file)) * 2


def test_another_file_or_an_explicit_wish_starts_from_the_first_row(file, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(SAMPLE.replace("ESH4", "ESM4"))
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))

    assert Position(terminal.spool, file).begin() > 0
    assert Position(terminal.spool, other).begin() == 0
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    assert Position(terminal.spool, file).begin(anew=True) == 0


def test_a_stop_ends_the_waiting(file):
    assert sent(Replay(file, speed=0.001).produce(FakePace(stop_after=1))) == list(read(file))[:1]
