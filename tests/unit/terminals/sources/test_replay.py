"""A replay sends what the file says, to the digit, and refuses a file that is wrong before it sends a row."""

import csv
import json
from decimal import Decimal

import pytest

from marketdata.types import decoding
from terminals import spool as spools
from terminals import wire
from terminals.batcher import Row
from terminals.sources.replay import BadFile, Replay, examine, read

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

    def begun_again(self):
        """The process ended, and another one opens its spool."""
        self.spool.close()
        self.spool = spools.Spool(self.spool.path)

    def send(self, rows, *, feed=None):
        self.rows += rows
        self.spool.append(wire.encode_rows(1, "replay", 0, rows))

    def report_gaps(self, gaps, *, feed=None):
        raise AssertionError(f"a replay finds no gaps: {list(gaps)}")

    def interrupt(self):
        pass

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
            assert Decimal(row["size"]).scaleb(-6) == Decimal(line["size"])
            assert row["side"] == {"B": wire.Side.BUY, "A": wire.Side.SELL, "N": wire.Side.UNKNOWN}[line["side"]]
            assert row["seq"] == int(line["seq"])
    assert rows[2] == rows[3], "two equal trades are two trades"


def test_empty_cells_and_missing_columns_are_absent(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("price,symbol,ts\n-1.5,A B,100000000000001999\n")

    assert list(read(path)) == [
        {
            "symbol": "A B",
            "time_us": 100_000_000_000_001,
            "kind": 1,
            "price": -150_000_000,
            "size": None,
            "side": None,
            "seq": None,
        }
    ]


TS = "1703545200000000000"
WRONG = [
    (f"ESH4,{TS},NaN,1,B,1", "NaN"), (f"ESH4,{TS},1e3,1,B,1", "1e3"), ("ESH4,x,1,1,B,1", "'x'"),
    (f"ESH4,{TS},1.123456789,1,B,1", "8 decimal places"), (f"ESH4,{TS},1,1.2345678,B,1", "6 decimal places"),
    ("ESH4,-1,1,1,B,1", "'-1'"),
    (f"ESH4,{TS},1,1,X,1", "side 'X'"), (f",{TS},1,1,B,1", "symbol ''"), (f"삼성,{TS},1,1,B,1", "symbol"),
    (f"ESH4,{TS},1,1,B", "has 5 cells where the first line has 6"), (f"ESH4,{TS},1,1,B,1,2", "has 7 cells"),
    ("ESH4,,1,1,B,1", "''"), (f"ESH4,{2**63},1,1,B,1", "63 bits"), (f"ESH4,{TS},1,1,B,1_000", "seq '1_000'"),
    (f"ESH4,{TS},１２,1,B,1", "price '１２'"), (f'ESH4,{TS},"70,000",1,B,1', "no separators of thousands"),
    ("ESH4,1703545200,1,1,B,1", "looks like seconds"), ("ESH4,1703545200000,1,1,B,1", "looks like milliseconds"),
    ("ESH4,1703545200000000,1,1,B,1", "looks like microseconds"), ("ESH4,1.70E+18,1,1,B,1", "'1.70E+18'"),
    (f'ESH4,{TS},"1,1,B,1', "quotation mark"), ("\0\0\0\0", "NUL bytes"),
    (f"ESH4,{TS},1,1,B,{'1' * 200_000}", "too long"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_a_malformed_line_is_told_by_its_number_and_the_others_are_sent(tmp_path, caplog, line, why):
    path = tmp_path / "bad.csv"
    path.write_text(SAMPLE + line + "\n" + f"ESH4,{TS},1,1,B,1\n")

    replay = Replay(path, speed=0)

    assert (replay.content.rows, replay.content.unreadable) == (5, 1)
    assert len(sent(replay.produce(FakePace()))) == 5
    assert "bad.csv line 6 is left out" in caplog.text
    assert why in caplog.text


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_a_strict_replay_sends_nothing_of_a_file_with_a_malformed_line(tmp_path, line, why):
    path = tmp_path / "bad.csv"
    path.write_text(SAMPLE + line + "\n" + f"ESH4,{TS},1,1,B,1\n")

    with pytest.raises(BadFile, match=r"bad\.csv line 6: .*") as caught:
        Replay(path, strict=True)
    assert why in str(caught.value)


def test_many_malformed_lines_are_counted_and_the_first_are_named(tmp_path, caplog):
    path = tmp_path / "bad.csv"
    path.write_text(SAMPLE + "x\n" * 1000)

    assert examine(path).unreadable == 1000
    assert len(caplog.records) == 21
    assert "980 more lines" in caplog.text


def test_a_file_without_one_readable_line_is_refused_with_the_first_reason(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "ESH4,1703545200000,1,1,B,1\n" * 3)

    with pytest.raises(BadFile, match="line 2: ts 1703545200000 looks like milliseconds"):
        examine(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [("", "column symbol"), ("symbol,price\n", "column ts"), (HEADER, "no rows"), (b"\xff\xfe", "column symbol"),
     (b"\xff\xff\xff\xff", "neither UTF-8 nor cp949: byte 0"), (HEADER + '"ESH4', "line 2: has a quotation mark"),
     (SAMPLE.replace("size", "symbol", 1), "symbol is there twice")],
)  # fmt: skip
def test_a_file_that_is_no_trade_file_is_refused(tmp_path, content, why):
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(BadFile, match=why):
        examine(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp949"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_people_save_as_csv_has_the_same_rows(tmp_path, encoding, separator, end):
    path = tmp_path / "a.csv"
    lines = SAMPLE.replace("seq\n", "seq,종목명\n").replace(",N,6000", ",N,6000,선물").splitlines()
    lines = [lines[0].upper(), lines[1], "", *(line + "," for line in lines[2:])]
    path.write_bytes((end.join(lines).replace(",", separator) + end).encode(encoding))
    (tmp_path / "plain.csv").write_text(SAMPLE)

    assert list(read(path)) == list(read(tmp_path / "plain.csv"))


def test_a_heading_in_the_middle_and_blank_lines_are_no_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(SAMPLE + "\n" + SAMPLE + ",,,,,\n")

    assert (examine(path).rows, examine(path).unreadable) == (8, 0)


def test_a_torn_last_line_is_told_as_such(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text(SAMPLE + f"ESH4,{TS},48")

    assert examine(path).rows == 4
    assert "the file ends in the middle of a line" in caplog.text


def test_codes_that_a_spreadsheet_spoilt_are_read_or_named(tmp_path, caplog):
    path = tmp_path / "a.csv"
    codes = ['"=""005930"""', "A000660", "00499K", "Q500001", "5930", "00499k", "KR7005930003"]
    path.write_text("symbol,ts,price\n" + "".join(f"{code},{TS},1\n" for code in codes))

    rows = list(read(path, market="KRX"))
    examine(path, market="KRX")

    assert [row["symbol"] for row in rows] == ["005930", "000660", "00499K", "Q500001"]
    for likely in ("005930", "00499K", "005930"):
        assert f"{likely} was probably meant" in caplog.text
    assert len(list(read(path, market="CME"))) == 7


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


def test_a_stopped_replay_resumes_and_a_finished_one_is_not_sent_twice_by_mistake(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")

    assert not Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    assert 0 < len(terminal.rows) < 4
    assert Replay(file, speed=1).run(terminal, FakePace())
    assert terminal.rows == list(read(file))
    terminal.spool.sync()
    terminal.spool.commit(terminal.spool.last)
    with pytest.raises(BadFile, match="all its 4 rows were sent before; --again"):
        Replay(file, speed=1).run(terminal, FakePace())
    with pytest.raises(BadFile, match="--again"):
        Replay(file, speed=1, from_start=True).run(terminal, FakePace())
    assert terminal.rows == list(read(file))
    assert Replay(file, speed=1, again=True).run(terminal, FakePace())
    assert terminal.rows == list(read(file)) * 2


def test_a_replay_killed_before_its_rows_were_committed_sends_no_row_again(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=0).run(terminal, FakePace())
    terminal.begun_again()

    assert Replay(file, speed=0).run(terminal, FakePace())
    assert terminal.rows == list(read(file))


def test_a_session_that_begins_by_less_than_was_committed_is_no_reason_to_send_a_file_again(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=0).run(terminal, FakePace())
    terminal.spool.sync()
    terminal.spool.commit(terminal.spool.last)
    terminal.begun_again()
    terminal.spool.resume(0)  # until the server has compared the batches

    with pytest.raises(BadFile, match="--again"):
        Replay(file, speed=0).run(terminal, FakePace())


def test_a_replay_that_goes_once_more_and_is_killed_resumes(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=0).run(terminal, FakePace())
    Replay(file, speed=1, again=True).run(terminal, FakePace(stop_after=2))

    assert Replay(file, speed=1, again=True).run(terminal, FakePace())
    assert terminal.rows == list(read(file)) * 2


def test_another_file_in_between_changes_nothing_for_the_first(file, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(SAMPLE.replace("ESH4", "ESM4"))
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    Replay(other, speed=0).run(terminal, FakePace())

    assert Replay(file, speed=1).run(terminal, FakePace())
    assert [row for row in terminal.rows if row["symbol"] == "ESH4"] == list(read(file))


def test_rows_already_sent_are_sent_twice_only_on_purpose(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))

    with pytest.raises(BadFile, match="--from-start --again"):
        Replay(file, speed=1, from_start=True).run(terminal, FakePace())
    assert Replay(file, speed=1, from_start=True, again=True).run(terminal, FakePace())
    assert len(terminal.rows) > 4


def test_a_replay_whose_rows_all_wait_in_the_spool_says_that_it_sends_none(file, tmp_path, caplog):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=0).run(terminal, FakePace())
    sent = len(terminal.rows)
    terminal.begun_again()
    assert terminal.spool.committed < terminal.spool.last

    assert Replay(file, speed=0).run(terminal, FakePace())

    assert len(terminal.rows) == sent
    assert f"all its {sent} rows were sent before, so none is sent now; --again" in caplog.text


def test_an_interrupted_replay_of_a_spool_that_began_anew_is_not_guessed(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    other = FakeTerminal(tmp_path / "other")
    (other.spool.path / "replay.json").write_bytes((terminal.spool.path / "replay.json").read_bytes())

    with pytest.raises(BadFile, match="new epoch"):
        Replay(file, speed=1).run(other, FakePace())
    assert Replay(file, speed=1, again=True).run(other, FakePace())
    assert other.rows == list(read(file))


def test_what_an_earlier_version_noted_is_understood(file, tmp_path):
    terminal = FakeTerminal(tmp_path / "spool")
    Replay(file, speed=1).run(terminal, FakePace(stop_after=2))
    path = terminal.spool.path / "replay.json"
    [(name, kept)] = json.loads(path.read_text())["files"].items()
    path.write_text(json.dumps({"epoch": kept["epoch"], "file": name, "rows_before": 0, "done": False}))

    assert Replay(file, speed=1).run(terminal, FakePace())
    assert terminal.rows == list(read(file))


def test_a_stop_ends_the_waiting(file):
    assert sent(Replay(file, speed=0.001).produce(FakePace(stop_after=1))) == list(read(file))[:1]


NOISY = ["1993.3000000000002", "0.30000000000000004", "70000.00000000001", "1993.3", "12.0", "70000"]


@pytest.mark.parametrize("price", NOISY)
@pytest.mark.parametrize("seq", ["12.0", "12", ""])
def test_float_noise_is_counted_by_rows_as_the_server_counts_it(price, seq, tmp_path):
    path = tmp_path / "noisy.csv"
    path.write_text(f"{HEADER}ESH4,1703545200000000000,{price},12.0,N,{seq}\n" + SAMPLE.removeprefix(HEADER))
    row = {"symbol": "ESH4", "time": 1703545200000000, "price": price, "size": "12.0", "seq": seq}
    served = decoding.from_wire(wire.encode_rows(1, "replay", 0, [row]), source_id=1, batch=1 << 32 | 1)

    first, *_ = read(path)

    assert examine(path).float_noise == served.noise
    assert (first["price"], first["size"], first["seq"] or 0) == (
        served.ticks.price[0], served.ticks.size[0], 12 if seq else 0
    )  # fmt: skip


def test_float_noise_is_told_and_a_file_without_it_says_nothing_of_it(file, tmp_path):
    noisy = tmp_path / "noisy.csv"
    noisy.write_text(HEADER + "ESH4,1703545200000000000,1993.3000000000002,1,N,1\n" * 3)

    assert "float_noise_rows=3" in Replay(noisy).describe()
    assert "float_noise" not in Replay(file).describe()
