"""The terminal for programs: what it collects, what it does when the disk is full, and a whole road over loopback."""

import contextlib
import threading
import time

import pytest

from terminals import spool as spools
from terminals import wire
from terminals.connection import Address
from terminals.link import Failed, Interrupted, Terminal
from tests.unit.terminals.linking import NOWHERE, Server, config, rows
from tests.waiting import until


def test_rows_are_spooled_by_the_thousand_and_the_rest_at_the_end(tmp_path):
    terminal = Terminal(config(tmp_path))

    terminal.send(rows(2500))

    assert [terminal.spool.rows(seq, seq) for seq in (1, 2)] == [1000, 1000]
    assert terminal.spool.last == 2
    terminal.close()
    assert [len(wire.decode_columns(payload)) for _seq, payload in spools.read(tmp_path / "spool")] == [1000, 1000, 500]


def test_a_full_spool_that_may_drop_counts_and_reports_a_gap(tmp_path):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, when_full="drop", batch_rows=100))

    terminal.send(rows(10_000))

    stats = terminal.stats()
    assert stats.rows_sent + stats.rows_dropped == 10_000
    assert stats.rows_dropped > 0
    terminal.close()
    *whole, (_seq, last) = spools.read(tmp_path / "spool")
    assert sum(wire.parse_header(payload).rows for _number, payload in whole) == stats.rows_sent
    (gap,) = wire.parse_gaps(last, wire.parse_header(last))
    assert gap == wire.Gap(stats.rows_sent, 9999, stats.rows_dropped, "spool_full")


def test_a_terminal_that_drops_says_so_to_its_server_before_the_gap_can_leave(tmp_path):
    server = Server(commits=False, credit=0)
    try:
        options = {"capacity_bytes": 200_000, "when_full": "drop", "batch_rows": 100}
        with Terminal(config(tmp_path, server.address, **options)) as terminal:
            terminal.send(rows(10_000))
            dropped = terminal.stats().rows_dropped
            assert dropped > 0

            def told():
                return [one for one in server.fake.got if isinstance(one, wire.Heartbeat) and one.dropped == dropped]

            until(told, seconds=60, what="a heartbeat with what was dropped")
            assert server.fake.held == {}
    finally:
        server.close()


def test_a_gap_is_reported_as_soon_as_there_is_room_again(tmp_path):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, when_full="drop", batch_rows=100))
    terminal.send(rows(10_000))
    terminal.spool.commit(terminal.spool.last)
    terminal.spool.confirm(1, terminal.spool.last)

    terminal.send(rows(100, first=20_000))

    after = [wire.parse_header(terminal.spool.get(terminal.spool.last - back)).encoding for back in (1, 0)]
    assert after == [wire.Encoding.COLUMNS, wire.Encoding.GAP]
    terminal.close()


def test_a_full_spool_that_must_not_drop_holds_the_producer_until_it_is_stopped(tmp_path):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, batch_rows=100))
    terminal.interrupt()

    with pytest.raises(Interrupted):
        terminal.send(rows(10_000))

    assert terminal.stats().rows_dropped == 0
    terminal.close()


@pytest.mark.parametrize(
    "row",
    [{"price": 1.5}, {"price": -(2**63)}, {"size": 2**63}, {"kind": -1}, {"symbol": "삼성"}, {"trade_date": 2**31}],
)
def test_a_row_that_fits_no_column_is_the_programs_error_and_spoils_no_other(tmp_path, row):
    terminal = Terminal(config(tmp_path))
    terminal.send(rows(1))

    with pytest.raises(wire.BatchError, match=next(iter(row))):
        terminal.send([row])

    terminal.send(rows(1))
    terminal.close()
    assert [wire.parse_header(payload).rows for _seq, payload in spools.read(tmp_path / "spool")] == [2]


def test_of_rows_sent_together_those_that_fit_are_taken_and_the_others_are_named(tmp_path):
    terminal = Terminal(config(tmp_path))
    sent = rows(6)
    sent[2]["price"] = sent[4]["price"] = 70000.5

    with pytest.raises(wire.BatchError, match=r"rows\[2\]: price .* \(2 rows do not fit; all others were taken\)"):
        terminal.send(sent)

    terminal.close()
    ((_seq, payload),) = spools.read(tmp_path / "spool")
    assert [row["time_us"] for row in wire.decode_columns(payload)] == [0, 1, 3, 5]


BOOK = {"kind": wire.Kind.BOOK, "symbol": "A", "time_us": 1, "bids": ((1, 2),), "asks": ((3, 4),)}
EVENT = {"kind": wire.Kind.STATUS, "event": "vi", "time_us": 1, "body": {"code": "1"}}


def headers(path):
    return [wire.parse_header(payload) for _seq, payload in spools.read(path / "spool")]


def test_books_events_and_ticks_of_several_feeds_go_in_batches_of_their_own(tmp_path):
    terminal = Terminal(config(tmp_path))

    terminal.send([*rows(2), BOOK, EVENT, BOOK])
    terminal.send([*rows(1), BOOK], feed="nxt")
    terminal.close()

    assert [(one.feed, one.encoding.name, one.rows) for one in headers(tmp_path)] == [
        ("sim", "COLUMNS", 2), ("sim", "BOOKS", 2), ("sim", "EVENTS", 1), ("nxt", "COLUMNS", 1), ("nxt", "BOOKS", 1)
    ]  # fmt: skip
    assert terminal.stats().rows_sent == 7


def test_a_gap_leaves_behind_all_rows_of_its_feed_that_were_sent_before_and_at_once(tmp_path):
    terminal = Terminal(config(tmp_path))
    gaps = [wire.Gap(1, 5, 0, "volume_hole", "A", 7_000_000), wire.Gap(2, 3, 0, "volume_hole", "B", 1)]

    terminal.send([*rows(2), BOOK])
    terminal.send(rows(1), feed="nxt")
    terminal.report_gaps(iter(gaps))
    terminal.send(rows(1))

    assert [one.encoding.name for one in headers(tmp_path)] == ["COLUMNS", "BOOKS", "GAP"]
    payload = terminal.spool.get(3)
    assert wire.parse_gaps(payload, wire.parse_header(payload)) == gaps
    terminal.close()
    assert [(one.feed, one.encoding.name) for one in headers(tmp_path)[3:]] == [("nxt", "COLUMNS"), ("sim", "COLUMNS")]


def test_more_gaps_than_a_batch_takes_go_in_several_and_none_at_all_in_none(tmp_path):
    terminal = Terminal(config(tmp_path))

    terminal.report_gaps([])
    terminal.report_gaps([wire.Gap(number, number, 0, "x") for number in range(wire.BATCH_GAPS + 1)], feed="nxt")
    terminal.close()

    told = [wire.parse_gaps(payload, wire.parse_header(payload)) for _seq, payload in spools.read(tmp_path / "spool")]
    assert [len(gaps) for gaps in told] == [wire.BATCH_GAPS, 1]


def test_what_is_dropped_is_told_for_the_feed_it_was_of(tmp_path):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, when_full="drop", batch_rows=100))

    for feed in ("krx", "nxt") * 50:
        terminal.send(rows(100), feed=feed)

    stats = terminal.stats()
    terminal.close()
    told: dict[str, int] = {}
    for header, (_seq, payload) in zip(headers(tmp_path), spools.read(tmp_path / "spool"), strict=True):
        if header.encoding is wire.Encoding.GAP:
            told[header.feed] = told.get(header.feed, 0) + sum(gap.rows for gap in wire.parse_gaps(payload, header))
    assert set(told) == {"krx", "nxt"}
    assert sum(told.values()) == stats.rows_dropped == 10_000 - stats.rows_sent


def test_a_closed_terminal_takes_nothing_and_says_so_also_to_who_waits(tmp_path, caplog):
    terminal = Terminal(config(tmp_path, capacity_bytes=200_000, batch_rows=100))
    ended = []

    def fill():
        try:
            terminal.send(rows(10_000))
        except Failed as error:
            ended.append(error)

    waits = threading.Thread(target=fill, daemon=True)
    waits.start()
    until(lambda: terminal._warned_at > 0, seconds=60, what="a full spool")

    terminal.close()

    waits.join(300)
    (failed,) = ended
    stats = terminal.stats()
    assert failed.ended.code == "terminal_closed"
    assert failed.taken == stats.rows_sent + stats.rows_dropped
    with pytest.raises(Failed, match="terminal_closed"):
        terminal.send(rows(1))
    with pytest.raises(Failed, match="terminal_closed"):
        terminal.report_gaps([wire.Gap(1, 2, 0, "volume_hole", "B", 7)])
    assert "not_told feed=sim symbol=B" in caplog.text


def test_books_and_events_reach_the_server_and_an_older_one_leaves_them_in_the_spool(tmp_path):
    old, new = Server(encoding=None), Server()
    with Terminal(config(tmp_path, old.address)) as terminal:
        terminal.send(rows(1))
        terminal.flush()
        terminal.send([BOOK, EVENT])
        assert not terminal.wait_committed(0.5)
    old.close()
    with Terminal(config(tmp_path, new.address)) as terminal:
        assert terminal.wait_committed(30)
    new.close()

    assert [wire.parse_header(payload).encoding.name for payload in old.fake.held.values()] in ([], ["COLUMNS"])
    assert {**old.fake.held, **new.fake.held} == dict(spools.read(tmp_path / "spool"))


def test_what_is_sent_is_committed_at_the_server(tmp_path):
    server = Server()
    with Terminal(config(tmp_path, server.address)) as terminal:
        terminal.send(rows(3500))

        assert terminal.wait_committed(30)

        assert terminal.stats().rows_committed == 3500
    server.close()
    assert server.fake.held == dict(spools.read(tmp_path / "spool"))


@pytest.mark.parametrize("cut_after", [0, 500, 30_000, 100_000])
def test_a_connection_cut_at_a_bad_moment_loses_and_repeats_nothing(tmp_path, cut_after):
    server = Server(cut_after=cut_after)
    with Terminal(config(tmp_path, server.address)) as terminal:
        terminal.send(rows(6000))

        assert terminal.wait_committed(30)

    server.close()
    assert server.connections == 2
    assert server.fake.held == dict(spools.read(tmp_path / "spool"))


def test_what_an_earlier_run_could_not_send_goes_first(tmp_path):
    terminal = Terminal(config(tmp_path))
    terminal.send(rows(10))
    terminal.close()

    server = Server()
    with Terminal(config(tmp_path, server.address)) as terminal:
        terminal.send(rows(5))
        assert terminal.wait_committed(30)
        assert terminal.stats().rows_committed == 5
    server.close()

    assert [wire.parse_header(payload).rows for payload in server.fake.held.values()] == [10, 5]


@pytest.mark.parametrize("code", ["not_authorised", "old_epoch", "source_mismatch", "register_refused"])
def test_a_refusal_before_the_first_welcome_is_final(tmp_path, code):
    server = Server(refuse=code)
    with Terminal(config(tmp_path, server.address)) as terminal:
        with contextlib.suppress(Failed):
            terminal.send(rows(1))
        with pytest.raises(Failed, match=code):
            terminal.wait_committed(30)
    server.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_terminal_whose_keeper_died_takes_no_more_rows(tmp_path, monkeypatch):
    terminal = Terminal(config(tmp_path))
    monkeypatch.setattr(terminal.spool, "trim", lambda: 1 // 0)
    terminal.start()
    until(lambda: terminal.failure, seconds=60, what="the end of the keeper")

    with pytest.raises(Failed, match="spool_error"):
        terminal.send(rows(1))

    monkeypatch.undo()
    terminal.close()


def test_what_waits_is_looked_at_while_nobody_adds_to_it(tmp_path, monkeypatch):
    terminal = Terminal(config(tmp_path))
    free = []  # at each look: whether another thread might have added something
    due_at = terminal._batchers.due_at

    def try_lock():
        free.append(terminal._changed.acquire(blocking=False))
        if free[-1]:
            terminal._changed.release()

    def look(uncommitted):
        other = threading.Thread(target=try_lock)
        other.start()
        other.join()
        return due_at(uncommitted)

    monkeypatch.setattr(terminal._batchers, "due_at", look)

    with terminal:
        until(lambda: len(free) > 3, seconds=60, what="the keeper's looks")

    assert not any(free)


def test_another_machine_is_not_spoken_to_in_plain_text(tmp_path):
    with Terminal(config(tmp_path, Address("192.0.2.1", 1))) as terminal:
        with contextlib.suppress(Failed):
            terminal.send(rows(1))
        with pytest.raises(Failed, match="refused_by_rule"):
            terminal.wait_committed(30)


def test_a_wait_has_an_end(tmp_path):
    clock = iter(range(1000)).__next__
    terminal = Terminal(config(tmp_path), clock=lambda: float(clock()), wall=time.time)
    terminal.send(rows(1))

    assert not terminal.wait_committed(1.0)
    terminal.close()


def test_the_next_server_is_tried_when_one_does_not_answer_and_when_one_ends(tmp_path):
    first, second = Server(cut_after=600), Server()
    try:
        options = {"address": NOWHERE, "others": (first.address, second.address)}
        with Terminal(config(tmp_path, **options)) as terminal:
            until(lambda: terminal.stats().state == "open", seconds=60, what="the first that answers")
            assert (first.connections, second.connections) == (1, 0)

            for number in range(20):
                terminal.send(rows(10, first=number * 10))
                terminal.flush()
            until(lambda: second.connections == 1, seconds=60, what="the other one")
            terminal.wait_committed(60)

        assert first.connections == 1
        assert sorted({*first.fake.held, *second.fake.held}) == list(range(1, terminal.spool.last + 1))
    finally:
        first.close()
        second.close()


def test_addresses_are_written_with_commas_between():
    found = Address.parse_all("a:1, [fd00::5]:2,a:1", tls=True)

    assert [(one.host, one.port, one.tls) for one in found] == [("a", 1, True), ("fd00::5", 2, True)]
    with pytest.raises(ValueError, match="no address"):
        Address.parse_all("a:1,")
