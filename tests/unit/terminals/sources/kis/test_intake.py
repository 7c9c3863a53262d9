"""The thread between sessions and spool ends whatever the spool does, and tells what it did not take."""

import datetime
import errno
import json
import os

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.link import Address, Config, Failed, Identity, Interrupted, Terminal
from terminals.sources.kis import intake as intakes
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import Lost, Message, PolledRows
from terminals.wire import Kind
from tests import waiting
from tests.simulators.kis.market import KST
from tests.unit.terminals.sources.kis.frames_of_kis import OVERSEAS, trade

NOWHERE = Address("127.0.0.1", 1)


def terminal_in(path, **options):
    identity = Identity("kis", wire.new_secret(), "KIS", None)
    return Terminal(Config(NOWHERE, identity, "krx", path / "spool", batch_rows=10, **options))


def pictures(first, count=10):
    return [
        {"symbol": "005930", "kind": Kind.SNAPSHOT, "time_us": 1000 + number, "price": number}
        for number in range(first, first + count)
    ]


@pytest.mark.parametrize("stopped", [False, True])
def test_closing_while_the_spool_is_full_ends_and_tells_what_was_not_taken(tmp_path, monkeypatch, stopped):
    monkeypatch.setattr(intakes, "CLOSE_S", 0.2)
    terminal = terminal_in(tmp_path, capacity_bytes=4000)
    intake = Intake(terminal, tmp_path / "kis", most_messages=61)
    intake.start()
    for number in range(60):
        assert intake.offer(PolledRows(("krx", "nxt")[number % 2], pictures(10 * number)))
    waiting.until(lambda: terminal.spool.size > 3000, seconds=60, what="a spool that is nearly full")
    if stopped:
        terminal.interrupt()

    intake.close(lambda: intake.offer(Lost("krx", "000660", 5, 9, "disconnected")))

    terminal.close()
    taken, gaps = [], []
    for _seq, payload in spools.read(tmp_path / "spool"):
        header = wire.parse_header(payload)
        if header.encoding is wire.Encoding.GAP:
            gaps += [(header.feed, gap) for gap in wire.parse_gaps(payload, header)]
        else:
            taken += [row["time_us"] for row in wire.decode_columns(payload)]
    assert isinstance(intake.failure, Interrupted)
    assert intake.counts.not_taken > 0
    assert len(taken) + sum(gap.rows for _feed, gap in gaps) == 600
    told = {(feed, gap.reason): gap for feed, gap in gaps}
    assert told["krx", "not_taken"].rows + told["nxt", "not_taken"].rows == intake.counts.not_taken
    assert told["krx", "disconnected"] == wire.Gap(5, 9, 0, "disconnected", "000660")
    missing = set(range(1000, 1600)) - set(taken)
    bounds = [(gap.from_us, gap.to_us) for _feed, gap in gaps if gap.rows]
    assert all(any(from_us <= one <= to_us for from_us, to_us in bounds) for one in missing)


def test_an_error_in_the_thread_ends_it_too_and_what_came_behind_it_is_counted(tmp_path):
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    intake.start()

    intake.offer(PolledRows("krx", [{"symbol": "000660", "time_us": 1, "price": 1, "size": 1}]))
    intake.offer(PolledRows("krx", pictures(0)))
    intake.close()

    terminal.close()
    assert intake.failure is not None
    assert intake.counts.not_taken == 10


def test_of_rows_that_a_failing_disk_refuses_each_is_taken_or_unfit_or_told(tmp_path, monkeypatch):
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    sent = pictures(0, 95)
    sent[3]["price"] = 1.5
    write, left = os.write, iter(range(3))

    def fail(descriptor, data):
        if next(left, None) is None:
            raise OSError(errno.EIO, "I/O error")
        return write(descriptor, data)

    monkeypatch.setattr("terminals.spool.os.write", fail)
    intake.process(PolledRows("krx", sent))
    monkeypatch.setattr("terminals.spool.os.write", write)
    intake.start()
    intake.close()
    terminal.close()

    told = [(wire.parse_header(payload), payload) for _seq, payload in spools.read(tmp_path / "spool")]
    rows = sum(header.rows for header, _payload in told if header.encoding is not wire.Encoding.GAP)
    gaps = [gap for header, payload in told if header.encoding is wire.Encoding.GAP
            for gap in wire.parse_gaps(payload, header)]  # fmt: skip
    assert isinstance(intake.failure, Failed)
    assert (rows, intake.counts.rows["snapshot"], intake.counts.unfit) == (40, 40, 1)
    assert [(gap.reason, gap.rows) for gap in gaps] == [("not_taken", 54)]
    assert intake.counts.not_taken == 54


NINE_US = int(datetime.datetime(2026, 11, 20, 9, tzinfo=KST).timestamp() * 1_000_000)
LOST_US = (NINE_US + 1_000_000, NINE_US + 9_000_000)
INDICATION = {"p43": "D"}
NEXT_DAY = {"p33": "20261121"}


@pytest.mark.parametrize(
    ("lost_at", "records", "told"),
    [
        (0, [], True),
        (0, [INDICATION], True),
        (0, [INDICATION, {}], False),
        (0, [{}], False),
        (1, [{}], False),
        (1, [INDICATION], True),
        (0, [NEXT_DAY], True),
    ],
    ids=["nothing", "indication", "then_a_trade", "a_trade", "trade_ends_it", "indication_ends_it", "next_day"],
)
def test_lost_trades_are_told_unless_a_trade_of_their_day_followed(tmp_path, lost_at, records, told):
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    items: list[Message | Lost]
    items = [Message(f"0|H0STCNT0|001|{trade(**one)}", NINE_US + 9_000_000 + 86_400_000_000 * (one is NEXT_DAY))
             for one in records]  # fmt: skip
    items.insert(lost_at, Lost("krx", "005930", *LOST_US, "disconnected", is_counted=True))

    for item in items:
        intake.process(item)
    intake.start()
    intake.close()
    terminal.close()

    gaps = []
    for _seq, payload in spools.read(tmp_path / "spool"):
        header = wire.parse_header(payload)
        if header.encoding is wire.Encoding.GAP:
            gaps += [gap for gap in wire.parse_gaps(payload, header) if gap.reason == "disconnected"]
    assert gaps == ([wire.Gap(*LOST_US, 0, "disconnected", "005930")] if told else [])


def test_a_trade_of_long_ago_that_comes_again_is_kept_aside_and_told(tmp_path):
    terminal = terminal_in(tmp_path)
    intake = Intake(terminal, tmp_path / "kis")
    frames = [f"0|H0STCNT0|001|{trade(p1=f'0900{place:02}', p12='5', p13=str(5 * (place + 1)))}" for place in range(40)]
    for frame in [*frames, frames[0]]:
        intake.process(Message(frame, NINE_US + 60_000_000))
    terminal.close()

    assert intake.counts.rows["trade"] == 40
    assert intake.quarantine.counts == {("H0STCNT0", "old_repeat"): 1}
    assert json.loads((tmp_path / "kis" / "quarantine.jsonl").read_text())["text"].startswith('{"symbol": "005930"')
    assert intake.counts.alarms == {"quarantine": 1}


def test_a_trade_overseas_that_comes_again_after_a_kill_is_kept_aside_and_no_hole(tmp_path):
    frame = Message(f"0|HDFSCNT0|001|{OVERSEAS}", NINE_US + 60_000_000)
    first = terminal_in(tmp_path)
    Intake(first, tmp_path / "kis").process(frame)
    first.close()  # what had been accounted for was not saved

    second = terminal_in(tmp_path)
    intake = Intake(second, tmp_path / "kis")
    intake.start()
    intake.offer(frame)
    intake.close()
    second.close()

    encodings = [wire.parse_header(payload).encoding for _seq, payload in spools.read(tmp_path / "spool")]
    assert wire.Encoding.GAP not in encodings
    assert encodings.count(wire.Encoding.COLUMNS) == 1
    assert intake.repeats.count == 1
    assert intake.quarantine.counts == {("HDFSCNT0", "repeat"): 1}
    assert intake.counts.alarms == {"quarantine": 1}
