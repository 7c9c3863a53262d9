"""A sheet is read again and again: what changed is sent, what went wrong is told, and only a stop ends the reading."""

import argparse
import datetime
import logging
import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest

from terminals import config_file, recording
from terminals.batcher import UnfitRows
from terminals.recording import NoRecorder
from terminals.sources import infomax
from terminals.sources.contract import WrongInput
from terminals.sources.infomax.column_map import parse
from terminals.sources.infomax.excel import ExcelReader
from terminals.sources.infomax.reading import NotReadable
from terminals.sources.infomax.source import Infomax, Options, PlayedSheet
from terminals.wire import Kind
from tests.simulators.infomax import excel as simulated
from tests.simulators.infomax.excel import ComError, FakeExcel
from tests.simulators.infomax.player import SheetPlayer

NOW = int(datetime.datetime.fromisoformat("2026-11-27T10:00:00+09:00").timestamp())
HEAD = ["code", "last", "volume"]
SHEET = {"name": "s", "market": "KRX"}
COLUMNS = {"price": "last", "cum_volume": "volume"}
MAP = {"sheet": SHEET, "code": "code", "columns": COLUMNS}


def block(*prices):
    codes = ("005930", "000660", "035720")
    return [HEAD, *([code, price, 1.0] for code, price in zip(codes, prices, strict=False))]


class FakePace:
    """Time passes only by waiting; after the wait in which `until` is true it says stop."""

    def __init__(self, until):
        self.time, self.waits, self._until = float(NOW), [], until

    def now(self):
        return self.time

    def now_us(self):
        return int(self.time * 1_000_000)

    def wait(self, seconds):
        self.time += max(0.0, seconds)
        self.waits.append(round(seconds, 6))
        return not self._until(self)


class FakeTerminal:
    def __init__(self, path, refuse=()):
        self.spool = SimpleNamespace(path=path, rows_total=40)
        self.sent, self._refuse = [], refuse

    def send(self, rows, *, feed=None):
        rows = list(rows)
        self.sent += [(row, feed) for row in rows if row.get("symbol") not in self._refuse]
        unfit = [place for place, row in enumerate(rows) if row.get("symbol") in self._refuse]
        if unfit:
            raise UnfitRows(f"rows[{unfit[0]}]: price is an integer", unfit)

    @property
    def prices(self):
        return [(row["symbol"], row["price"] // 10**8) for row, _ in self.sent if row["kind"] == Kind.SNAPSHOT]

    @property
    def events(self):
        return [
            (row["event"], row.get("symbol"), row["body"].get("reason"))
            for row, _ in self.sent
            if row["kind"] == Kind.STATUS
        ]


def run(tmp_path, reader, *, until=None, pace=None, terminal=None, given=MAP, recorder=None, **options):
    """Run until `until` of the pace is true, by default until the player has played everything."""
    pace = pace or FakePace(until or (lambda _pace: reader.done))
    terminal = terminal or FakeTerminal(tmp_path)
    source = Infomax(
        parse(given),
        lambda _spool: reader,
        place="player",
        options=Options(**{"answer_s": 60.0, **options}),
        recorder=recorder,
    )
    done = source.run(terminal, pace)
    return SimpleNamespace(done=done, source=source, terminal=terminal, pace=pace)


def test_what_changed_is_sent_at_each_reading_and_numbered_where_the_spool_ended(tmp_path):
    reader = SheetPlayer([block(1.0, 2.0), block(1.0, 2.0), block(1.0, 3.0)])

    ran = run(tmp_path, reader)

    assert ran.done is False
    assert ran.terminal.prices == [("005930", 1), ("000660", 2), ("000660", 3)]
    assert [row["seq"] for row, _ in ran.terminal.sent] == [41, 42, 43]
    assert {feed for _, feed in ran.terminal.sent} == {None}
    assert ran.pace.waits == [0.3, 0.3, 0.3]
    assert reader.closed
    assert "blocks=3 rows=3" in ran.source.describe()


def test_the_feed_of_the_map_is_the_feed_of_its_rows(tmp_path):
    ran = run(tmp_path, SheetPlayer([block(1.0)]), given={**MAP, "sheet": {**SHEET, "feed": "infomax_nxt"}})

    assert [feed for _, feed in ran.terminal.sent] == ["infomax_nxt"]


def test_a_busy_excel_is_asked_again_soon_and_less_and_less_often(tmp_path):
    busy = [NotReadable("busy", "Excel is busy", soon=True) for _ in range(9)]

    ran = run(tmp_path, SheetPlayer([block(1.0), *busy, block(2.0)]))

    assert ran.pace.waits == [0.3, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 0.3]
    assert ran.terminal.prices == [("005930", 1), ("005930", 2)]
    assert ran.terminal.events == []


def test_a_closed_workbook_is_stale_after_a_while_told_once_and_live_when_it_is_back(tmp_path, caplog):
    closed = [NotReadable("closed", "'a.xlsm' is not open") for _ in range(8)]

    ran = run(tmp_path, SheetPlayer([block(1.0), *closed, block(1.0)]))

    assert ran.terminal.events == [("feed_stale", None, "closed"), ("feed_live", None, "closed")]
    assert ran.terminal.prices == [("005930", 1)]
    assert caplog.text.count("not_readable reason=closed") == 1
    assert "feed_stale symbol=- reason=closed" in caplog.text
    stale, live = (row for row, _ in ran.terminal.sent if row["kind"] == Kind.STATUS)
    assert (stale["body"]["block"], live["body"]["block"]) == (1, 2)


def test_a_frozen_sheet_is_stale_in_its_hours(tmp_path):
    reader = SheetPlayer([block(1.0)])

    ran = run(
        tmp_path,
        reader,
        until=lambda pace: pace.time > NOW + 61,
        given={**MAP, "sheet": {**SHEET, "hours": "09:00-15:30"}},
        poll_s=1.0,
    )

    assert ran.terminal.events == [("feed_stale", None, "unchanged")]


def test_a_heartbeat_that_stops_is_told(tmp_path):
    reader = SheetPlayer([block(float(number)) for number in range(1, 30)], beats=[1, 2, 3, 4])

    ran = run(tmp_path, reader, given={**MAP, "sheet": {**SHEET, "heartbeat": "Z1"}}, poll_s=1.0)

    assert ran.terminal.events == [("feed_stale", None, "heartbeat")]


class FullTerminal(FakeTerminal):
    """Has no room for the first rows for half a minute."""

    def __init__(self, path, pace):
        super().__init__(path)
        self._pace = pace

    def send(self, rows, *, feed=None):
        if not self.sent:
            self._pace.time += 30.0
        super().send(rows, feed=feed)


def test_a_spool_without_room_makes_the_feed_stale_until_it_is_read_again(tmp_path):
    reader = SheetPlayer([block(1.0), block(2.0)])
    pace = FakePace(lambda _pace: reader.done)
    terminal = FullTerminal(tmp_path, pace)

    run(tmp_path, reader, terminal=terminal, pace=pace)

    assert terminal.prices == [("005930", 1), ("005930", 2)]
    assert terminal.events == [("feed_stale", None, "not_read"), ("feed_live", None, "not_read")]


def test_a_code_without_a_price_is_stale_by_itself(tmp_path):
    reader = SheetPlayer([block(1.0, 2.0), *[block(1.0, -2146826246)] * 12, block(1.0, 2.0)])

    ran = run(tmp_path, reader, poll_s=1.0)

    assert ran.terminal.events == [("feed_stale", "000660", "error_na"), ("feed_live", "000660", None)]
    assert ran.terminal.prices == [("005930", 1), ("000660", 2)]


def test_a_header_row_that_goes_away_is_survived_but_must_be_there_at_first(tmp_path):
    ran = run(tmp_path, SheetPlayer([block(1.0), [["being", "edited"]], block(2.0)]))
    assert ran.terminal.prices == [("005930", 1), ("005930", 2)]

    reader = SheetPlayer([[["code", "close", "volume"]]])
    with pytest.raises(WrongInput, match=r"price \('last'\)"):
        run(tmp_path, reader)
    assert reader.closed


def test_a_row_that_fits_no_column_does_not_end_the_feed(tmp_path, caplog):
    terminal = FakeTerminal(tmp_path, refuse=("000660",))

    ran = run(tmp_path, SheetPlayer([block(1.0, 2.0), block(3.0, 2.0)]), terminal=terminal)

    assert terminal.prices == [("005930", 1), ("005930", 3)]
    assert "row_refused block=1" in caplog.text
    assert "refused=1" in ran.source.describe()


def test_what_a_person_should_know_stands_in_the_log_with_the_block(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    reader = SheetPlayer([block(1.0, "#WAITING")] * 70)

    run(tmp_path, reader, poll_s=1.0)

    assert "rows_without_code" not in caplog.text
    assert "cells_without_value=price.waiting:1" in caplog.text


def test_once_sends_one_picture_and_ends_and_does_not_wait_for_ever(tmp_path):
    ran = run(
        tmp_path, SheetPlayer([NotReadable("busy", "…", soon=True), block(1.0)]), until=lambda _: False, once=True
    )
    assert (ran.done, ran.terminal.prices) == (True, [("005930", 1)])

    away = SheetPlayer([NotReadable("no_file", "it is not there", soon=True)])
    with pytest.raises(WrongInput, match="it is not there"):
        run(tmp_path, away, until=lambda _: False, once=True)


class HangingReader(SheetPlayer):
    """Does not come back from a call until it is let go."""

    def __init__(self, script):
        super().__init__(script)
        self.let_go = threading.Event()

    def read_block(self):
        if self.readings == 1:
            assert self.let_go.wait(60.0)
        return super().read_block()


def test_a_call_that_does_not_come_back_is_stale_and_its_answer_is_taken_when_it_comes(tmp_path):
    reader, terminal = HangingReader([block(1.0), block(2.0), block(3.0)]), FakeTerminal(tmp_path)

    def until(pace):
        if pace.time > NOW + 30:
            reader.let_go.set()
        return len(terminal.prices) == 3

    run(tmp_path, reader, until=until, terminal=terminal, answer_s=0.05)

    assert set(terminal.events) == {("feed_stale", None, "hung"), ("feed_live", None, "hung")}
    assert terminal.prices == [("005930", 1), ("005930", 2), ("005930", 3)]


def test_a_day_at_the_desk_in_excel(tmp_path):
    """A cell edited, hand calculation, a closed workbook and a new Excel are survived, and the throttle is restored."""
    excel = FakeExcel()
    excel.open("quotes.xlsm", {"s": block(1.0)})
    reader = ExcelReader(
        excel.office,
        "quotes.xlsm",
        "s",
        None,
        throttle_ms=200,
        remembered=tmp_path / "throttle.json",
        pause=lambda _seconds: None,
    )
    steps = iter(
        [
            lambda: excel.faults.extend([ComError(simulated.CALL_REJECTED)] * 3),
            lambda: None,
            lambda: None,
            lambda: None,
            lambda: show(excel, block(2.0)),
            lambda: setattr(excel, "calculation", "manual"),
            lambda: setattr(excel, "calculation", "automatic"),
            lambda: excel.close(excel.books[0]),
            lambda: excel.open("quotes.xlsm", {"s": [["title"], ["volume", "code", "last"], [5.0, 5930.0, "3"]]}),
            lambda: setattr(excel, "running", False),
            lambda: setattr(excel, "running", True),
        ]
    )

    def until(_pace):
        step = next(steps, None)
        if step is not None:
            step()
        return step is None

    ran = run(tmp_path, reader, until=until)

    assert ran.terminal.prices == [("005930", 1), ("005930", 2), ("005930", 3)]
    assert excel.throttle_ms == 2000
    assert excel.initialized == 0


def show(excel, content):
    excel.books[0].contents["s"] = content


class Broken(SheetPlayer):
    def read_block(self):
        raise KeyError("a mistake of ours")


def test_the_reader_is_closed_also_after_a_mistake_of_ours(tmp_path):
    reader = Broken([])

    with pytest.raises(KeyError, match="a mistake of ours"):
        run(tmp_path, reader)
    assert reader.closed


def arguments(*given):
    parser = argparse.ArgumentParser()
    infomax.add_arguments(parser)
    parser.add_argument("--register-market", default=infomax.MARKET)
    tables = config_file.read(EXAMPLE).tables
    return parser.parse_args(list(given), argparse.Namespace(tables=tables, recorder=NoRecorder()))


EXAMPLE = Path(__file__).resolve().parents[5] / "docker/terminals/infomax.toml"


def test_a_map_of_a_file_that_was_saved_is_a_source(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "실시간"
    titles = ["종목코드", "현재가", "시가", "고가", "저가", "기준가", "상한가", "하한가", "등락률", "누적거래량",
              "거래대금(백만)", "매수호가", "매도호가", "매수잔량", "매도잔량", "체결시간", "일자"]  # fmt: skip
    book.active.append(titles)
    book.active.append([5930, 70000, 0, 0, 0, 69500, 90300, 48700, 0.719424, 0, 12.5, 69900, 70000, 5, 6, None, None])
    book.save(tmp_path / "quotes.xlsx")
    source = infomax.open_source(arguments("--file", str(tmp_path / "quotes.xlsx"), "--once"))
    terminal: Any = FakeTerminal(tmp_path)

    assert source.run(terminal, FakePace(lambda _pace: False)) is True

    ((row, _),) = terminal.sent
    assert {
        name: row[name] for name in ("symbol", "price", "prev_close", "change_rate", "cum_volume", "cum_value")
    } == {
        "symbol": "005930",
        "price": 70000 * 10**8,
        "prev_close": 69500 * 10**8,
        "change_rate": 72_000_000,
        "cum_volume": 0,
        "cum_value": 12_500_000_00,
    }
    assert "open" not in row
    assert str(tmp_path) in source.describe()


def test_a_map_of_an_open_workbook_needs_windows():
    with pytest.raises(WrongInput, match="Windows"):
        infomax.open_source(arguments())


def test_a_map_that_names_neither_a_workbook_nor_a_file_is_refused(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text('code = "code"\n[sheet]\nname = "s"\n[columns]\nprice = "last"\n')

    with pytest.raises(WrongInput, match="names no workbook and no file"):
        infomax.open_source(arguments("--map", str(path)))
    with pytest.raises(WrongInput, match="Windows"):
        infomax.open_source(arguments("--map", str(path), "--workbook", "a.xlsm"))


def test_what_was_recorded_is_sent_again_row_by_row(tmp_path):
    """Blocks with everything that a cell can be, dates of a file among them; only those that differ are kept."""
    given = {**MAP, "columns": {**COLUMNS, "time": "time", "date": "date"}}
    head: list[object] = [*HEAD, "time", "date"]
    nine = datetime.datetime(2026, 11, 27, 9, 59, 58)
    blocks: list[list[list[object]]] = [
        [head, ["005930", 1.0, 1.0, nine.time(), nine.date()], [660.0, "1,234", math.nan, 95958.0, nine]],
        [head, ["005930", 2.5, None, nine.time(), 46353.0], [660.0, -2146826246, True, nine, nine.date()]],
    ]
    reader = SheetPlayer([blocks[0], blocks[1], blocks[1], blocks[0]])
    with recording.FileRecorder(tmp_path / "in.jsonl", max_bytes=1 << 20, wall=lambda: NOW * 10**9) as recorder:
        ran = run(tmp_path, reader, given=given, recorder=recorder, poll_s=0.0)
    again: Any = FakeTerminal(tmp_path)

    decoder = PlayedSheet(parse(given))
    notes = list(recording.read(tmp_path / "in.jsonl"))
    for note in notes:
        decoder.take(note, again)

    assert len(notes) == 3
    sent = [row for row, _ in ran.terminal.sent]
    assert [{**row, "seq": 0, "time_us": 0} for row, _ in again.sent] == [
        {**row, "seq": 0, "time_us": 0} for row in sent
    ]
    assert len(sent) == 4


def test_a_recording_that_the_map_does_not_fit_is_refused(tmp_path):
    terminal: Any = FakeTerminal(tmp_path)

    with pytest.raises(WrongInput, match="price"):
        PlayedSheet(parse(MAP)).take(recording.Note("block", '[["code"]]', 0, 0), terminal)
