"""The WebSocket side of the kis source against KIS's simulator, a process of its own, over a real socket."""

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from terminals.lock import FileLock
from terminals.sources.kis.planner import Kind
from terminals.sources.kis.unfinished import Unfinished, UnfinishedFile
from terminals.wire import Kind as RowKind
from tests import waiting
from tests.integration.kis_streams import FAST, Content, RunningStreams, by_symbol, last_volumes, wishes
from tests.simulators.kis.process import SimulatorProcess
from tests.simulators.process import ROOT

pytestmark = pytest.mark.once

APPROVALS = ("--approval", "approval-one=one", "--approval", "approval-two=two", "--approval", "new-one=one")
TR = "H0STCNT0"


@contextlib.contextmanager
def streams(tmp_path, *arguments, script=(), symbols=6, kinds=(Kind.TRADE,), feed="krx", trades=600, **options):
    """The simulator, paused, and streams that want everything of it. `script`: (after, fault, its arguments)."""
    file = tmp_path / "script.json"
    file.write_text(json.dumps([{"after": after, "fault": fault, **more} for after, fault, more in script]))
    given = ("--symbols", str(symbols), "--trades", str(trades), "--trades-per-s", "800", "--ping-s", "0.2")
    with (
        SimulatorProcess(*given, "--paused", "--script", str(file), *APPROVALS, *arguments) as kis,
        RunningStreams(kis.websocket, tmp_path, wishes(kis.symbols, *kinds, feed=feed), **options) as running,
    ):
        yield kis, running


def run_out(kis, running, *, active):
    """Let it trade to the end; its account when all that was missing is shown."""
    running.until_active(active)
    kis.order("go")
    running.until(lambda: kis.account()["done"], "the end of the trades")
    return settled(kis, running, active=active)


def settled(kis, running, *, active):
    """Its account after one more trade of each stock, which shows whatever was missing; again if that one was lost."""
    running.until(lambda: len(kis.account()["registrations"]) >= active, "all registrations at the end")
    accounts = []

    def seen():
        running.until_worked_off()
        kis.settle()
        accounts.append(kis.account())
        with contextlib.suppress(TimeoutError):
            waiting.until(lambda: seen_all(running, accounts[-1]), seconds=5, what="the last trades")
        return seen_all(running, accounts[-1])

    running.until(seen, "what was missing to be shown")
    running.until_worked_off()
    return accounts[-1]


def seen_all(running, account):
    """Whether each symbol's volume is accounted for up to its last trade."""
    accounts = running.streams.intake.holes.volumes()
    return all(
        accounts.get((feed, symbol)) == dates[max(dates)] * 10**6
        for key, dates in account["last_volume"].items()
        for feed, symbol in [({"H0ST": "krx", "H0NX": "nxt", "H0UN": "unified"}.get(key[:4]), key.split()[1])]
        if feed
    )


def assert_to_the_share(content, account, *, feed="krx", tr_id=TR):
    """Rows and gaps are together what the days have traded, and each of them what the simulator says."""
    shares, missing = content.shares(feed), content.missing(feed)
    assert shares + missing == last_volumes(account, tr_id)
    assert shares == by_symbol(account["sent_shares"], tr_id)


def test_every_trade_that_is_sent_is_a_row_to_the_share(tmp_path):
    with streams(tmp_path, kinds=(Kind.TRADE, Kind.BOOK)) as (kis, running):
        account = run_out(kis, running, active=12)
        running.stop()
        goodbyes = kis.account()["unregistered"]

    content = Content(running.spool)
    assert_to_the_share(content, account)
    assert len(content.trades()) == sum(by_symbol(account["sent"], TR).values()) > 300
    assert sum(content.missing().values()) == sum(by_symbol(account["withheld_shares"], TR).values()) == 0
    assert running.streams.intake.quarantine.total == 0
    assert running.streams.intake.counts.rows["book"] == account["books"] > 0
    assert account["pong_styles"]["text"] > 0
    assert goodbyes == 12


def test_the_faults_of_frames_lose_nothing_that_is_not_told(tmp_path):
    script = [
        (20, "width", {"kind": "CNT0", "width": 46}),
        (40, "width", {"kind": "CNT0", "width": 48}),
        (50, "width", {"kind": "ASP0", "width": 59}),
        (60, "drop", {"count": 7}),
        (90, "width", {"kind": "ASP0", "width": 62}),
        (100, "wrong_count", {"count": 5}),
        (120, "bytes", {"count": 5}),
        (140, "empty", {"count": 10}),
        (160, "null", {"count": 3}),
        (180, "nonsense", {"count": 10}),
        (200, "expected", {"count": 10}),
        (220, "halt", {"count": 5}),
        (240, "no_code", {"count": 2}),
        (260, "short", {"count": 2}),
        (280, "garbage", {}),
        (290, "not_text", {}),
        (300, "unknown_tr", {}),
        (310, "width", {"kind": "ASP0", "width": 64}),
        (320, "repeat", {"count": 6}),
        (340, "width", {"kind": "CNT0", "width": 47}),
        (360, "burst", {"count": 2_000}),
        (2_400, "drop", {"count": 20}),
    ]
    with streams(tmp_path, script=script, kinds=(Kind.TRADE, Kind.BOOK, Kind.STATUS), trades=2_600) as (kis, running):
        account = run_out(kis, running, active=18)

    content, intake = Content(running.spool), running.streams.intake
    assert account["faults"].keys() >= {fault for _, fault, _ in script}
    assert_to_the_share(content, account)
    assert +content.missing() == +by_symbol(account["withheld_shares"], TR)
    assert sum(content.missing().values()) > 0
    assert intake.holes.repeats == 6
    assert intake.counts.recounted >= 5
    assert intake.counts.rows["expected"] == account["expected"] == 10
    assert {TR: {48}, "H0STASP0": {64}} == intake.counts.widths
    fields = [one["body"] for one in content.events if one["event"] == "fields"]
    assert any(body["tr"] == TR and body.get("extra_47") == "0" for body in fields)
    assert any(body["tr"] == "H0STASP0" and body.get("market_cls_code") == "2" for body in fields)
    named: Counter[str] = Counter()
    for (_tr, reason), count in intake.quarantine.counts.items():
        named[reason] += count
    assert named["bad_field"] == account["unreadable"]["null"] == 3
    assert named["garbage"] == named["not_text"] == named["unknown_tr"] == 1
    # What a frame that ends too early looks like depends on how many records it had.
    assert named["code"] >= account["unreadable"]["no_code"] == 2
    assert named["width"] + named["count"] + named["code"] == account["unreadable"]["short"] + 2
    assert (running.spool / "kis/quarantine.jsonl").exists()


@pytest.mark.parametrize("fault", ["cut", "close"])
def test_a_connection_that_ends_is_made_again_and_the_gap_has_its_shares(tmp_path, fault):
    script: list[tuple[int, str, dict[str, object]]] = [(200, fault, {}), (400, fault, {})]
    with streams(tmp_path, script=script, trades=900) as (kis, running):
        account = run_out(kis, running, active=6)

    content = Content(running.spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert account["connections"] >= 3
    assert running.streams.status()[0].failures >= 2


def test_a_socket_that_is_half_open_is_given_up_and_the_gap_has_its_shares(tmp_path):
    timing = dataclasses.replace(FAST, dead_s=1.0)
    with streams(tmp_path, trades=100_000, timing=timing) as (kis, running):
        running.until_active(6)
        kis.order("go")
        running.until(lambda: running.streams.intake.counts.rows["trade"] > 100, "trades")
        kis.fault("half_open", seconds=600)
        running.until(lambda: running.streams.status()[0].failures >= 1, "the end of the dead connection")
        kis.fault("half_open", seconds=0)
        running.until(lambda: kis.account()["connections"] >= 2, "another connection")
        running.until(lambda: len(kis.account()["registrations"]) == 6, "the registrations")
        kis.order("pause")
        account = settled(kis, running, active=6)

    content = Content(running.spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert sum(content.missing().values()) > 0


def test_silence_while_the_market_trades_is_told_and_answered_with_one_connection(tmp_path):
    timing = dataclasses.replace(FAST, silence=0.005)  # 120 s become 0.6 s
    with streams(tmp_path, trades=100_000, timing=timing) as (kis, running):
        running.until_active(6)
        kis.order("go")
        running.until(lambda: running.streams.intake.counts.rows["trade"] > 100, "trades")
        kis.fault("silence", seconds=600)
        alarms = running.streams.intake.counts.alarms
        running.until(lambda: alarms["silence"] >= 5, "more silence after the new connection")

        assert kis.account()["connections"] == 2
        assert running.streams.status()[0].condition == "connected"


def test_silence_before_the_market_opens_is_no_fault(tmp_path):
    timing = dataclasses.replace(FAST, silence=0.005)
    with streams(tmp_path, "--start", "2026-11-20T07:30:00", timing=timing) as (kis, running):
        running.until_active(6)
        running.until(lambda: running.streams.status()[0].pings >= 10, "PINGPONG")

        assert kis.account()["connections"] == 1
        assert running.streams.intake.counts.alarms["silence"] == 0


def test_a_handshake_that_is_refused_is_tried_again(tmp_path):
    with streams(tmp_path) as (kis, running):
        kis.fault("refuse", count=2)
        kis.fault("cut")
        running.until(lambda: kis.account()["refused_connections"] == 2, "two refusals")
        running.until_active(6)

    assert running.streams.status()[0].failures >= 2


def test_an_appkey_that_is_in_use_elsewhere_is_waited_for_and_told(tmp_path):
    with streams(tmp_path) as (kis, running):
        running.until_active(6)
        kis.fault("owned", count=2)
        kis.fault("cut")
        running.until(lambda: kis.account()["answers"].get("OPSP8996", 0) == 2, "two answers OPSP8996")
        running.until_active(6)

        assert running.streams.intake.counts.alarms["owned"] == 2


def covered(running):
    return Counter(how.value for how in running.streams.coverage().values())


def test_two_processes_with_one_appkey_have_one_session_and_the_other_one_polls_meanwhile(tmp_path):
    (tmp_path / "kis").mkdir()
    other = FileLock(tmp_path / "kis/one.session")
    with streams(tmp_path, polling={Kind.TRADE: 5}) as (kis, running):
        running.until(lambda: running.streams.status()[0].condition == "owned_elsewhere", "the lock to be noticed")
        assert kis.account()["connections"] == 0
        assert covered(running) == {"polling": 5, "none": 1}

        other.release()

        running.until_active(6)
        assert covered(running) == {"websocket": 6}


def test_another_appkey_takes_what_an_appkey_of_another_process_was_to_have(tmp_path):
    (tmp_path / "kis").mkdir()
    other = FileLock(tmp_path / "kis/one.session")
    with streams(tmp_path, appkeys=("one", "two"), per_appkey=4) as (kis, running):
        running.until(lambda: covered(running) == {"websocket": 4, "none": 2}, "the other one's four")
        before = kis.account()["unregistered"]

        other.release()

        running.until(lambda: covered(running) == {"websocket": 6}, "all")
        assert kis.account()["unregistered"] == before, "what may stay where it is stays"


def test_an_approval_key_that_is_not_found_is_asked_for_once_and_then_it_ends(tmp_path):
    asked = []

    def keys(appkey, refused):
        asked.append(refused)
        return "never-valid" if not refused else "neither"

    with streams(tmp_path, keys=keys) as (kis, running):
        running.until(lambda: running.streams.status()[0].condition == "stopped", "the session to stop")
        account = kis.account()

    assert asked == ["", "never-valid"]
    assert account["answers"] == {"OPSP0011": 2}
    assert account["connections"] == 1


def test_an_approval_key_that_ran_out_is_replaced_in_the_same_session(tmp_path):
    def keys(appkey, refused):
        return f"new-{appkey}" if refused else "of-yesterday"

    with streams(tmp_path, keys=keys) as (kis, running):
        running.until_active(6)

        assert kis.account()["answers"] == {"OPSP0011": 1, "OPSP0000": 6}
        assert kis.account()["connections"] == 1


def test_an_approval_key_that_cannot_be_had_now_is_asked_for_again_over_the_next_connection(tmp_path):
    asked = []

    def keys(appkey, refused):
        asked.append(refused)
        return {1: "of-yesterday", 2: ""}.get(len(asked), f"new-{appkey}")

    with streams(tmp_path, keys=keys) as (kis, running):
        running.until_active(6)

        assert asked == ["", "of-yesterday", "of-yesterday"]
        assert kis.account()["connections"] == 2


def test_answers_to_commands_with_the_old_key_do_not_stop_the_session_with_the_new_one(tmp_path):
    def keys(appkey, refused):
        return f"new-{appkey}" if refused else f"approval-{appkey}"

    timing = dataclasses.replace(FAST, spacing_s=0.0)
    with streams(tmp_path, symbols=12, keys=keys, timing=timing) as (kis, running):
        running.until_active(12)
        running.wish(wishes(kis.symbols[:6]))
        running.until(lambda: len(kis.account()["registrations"]) == 6, "six registrations")
        before = kis.account()["answers"]["OPSP0000"]
        kis.fault("expire_keys", but=["new-one"])
        running.wish(wishes(kis.symbols))
        running.until_active(12)

        answers = kis.account()["answers"]
        assert answers["OPSP0011"] >= 1
        assert answers["OPSP0000"] == before + 6
        assert "OPSP0002" not in answers
        assert kis.account()["connections"] == 1


def test_a_session_that_is_full_takes_no_more_and_is_not_asked_again(tmp_path):
    with streams(tmp_path, polling={Kind.TRADE: 1}) as (kis, running):
        running.until_active(6)
        kis.fault("full", count=4)
        kis.fault("cut")
        running.until(lambda: kis.account()["answers"].get("OPSP0008", 0) == 2, "two refusals")
        running.until(lambda: running.streams.status()[0].refused == 2, "two that are not covered")
        pings = running.streams.status()[0].pings
        running.until(lambda: running.streams.status()[0].pings > pings + 5, "some time")

        assert kis.account()["answers"]["OPSP0008"] == 2
        assert covered(running) == {"websocket": 4, "polling": 1, "none": 1}


def test_answers_that_are_lost_or_late_do_not_matter(tmp_path):
    with streams(tmp_path, timing=dataclasses.replace(FAST, answer_s=0.5)) as (kis, running):
        kis.fault("lose_answers", count=3)
        kis.fault("cut")
        account = run_out(kis, running, active=6)

    content = Content(running.spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert account["answers"].get("OPSP0002", 0) >= 1


def test_symbols_are_spread_over_appkeys_and_a_change_moves_few(tmp_path):
    given = {"symbols": 12, "appkeys": ("one", "two"), "per_appkey": 5}
    with streams(tmp_path, **given) as (kis, running):
        running.until_active(10)
        before = kis.account()
        running.wish(wishes(kis.symbols[1:], Kind.TRADE))
        running.until(lambda: kis.account()["unregistered"] == 1, "one to leave")
        running.until(lambda: kis.account()["registered"] == 11, "one to come")
        running.until_active(10)

    assert before["most_registrations"] == 5
    assert sum(map(len, running.streams.plan.by_appkey.values())) == 10


def test_the_frames_of_an_encrypted_tr_are_read(tmp_path):
    with streams(tmp_path, "--encrypted", TR) as (kis, running):
        account = run_out(kis, running, active=6)

    assert_to_the_share(Content(running.spool), account)
    assert running.streams.intake.quarantine.total == 0


def test_nxt_and_the_unified_feed_are_counted_apart(tmp_path):
    with streams(tmp_path, symbols=4, trades=800, feed="unified") as (kis, running):
        running.wish([*wishes(kis.symbols, feed="unified"), *wishes(kis.symbols, feed="nxt")])
        account = run_out(kis, running, active=8)

    content = Content(running.spool)
    assert_to_the_share(content, account, feed="unified", tr_id="H0UNCNT0")
    assert_to_the_share(content, account, feed="nxt", tr_id="H0NXCNT0")


def test_midnight_begins_a_new_day_at_nothing(tmp_path):
    with streams(tmp_path, "--start", "2026-11-19T19:59:59", trades=1_000_000) as (kis, running):
        running.until_active(6)
        kis.order("go")
        running.until(lambda: running.streams.intake.counts.rows["trade"] > 100, "trades of the first day")
        kis.fault("skew", seconds=12 * 3600)
        before = running.streams.intake.counts.rows["trade"]
        running.until(lambda: running.streams.intake.counts.rows["trade"] > before + 200, "trades of the second day")
        kis.order("pause")
        account = settled(kis, running, active=6)

    content = Content(running.spool)
    assert len({row["trade_date"] for row in content.trades()}) == 2
    assert_to_the_share(content, account)
    assert +content.missing() == {}


@pytest.mark.parametrize("seconds", [90, -90])
def test_a_clock_that_is_wrong_is_told_and_books_have_the_time_of_the_service(tmp_path, seconds):
    with streams(tmp_path, kinds=(Kind.BOOK,), trades=100_000) as (kis, running):
        running.until(lambda: running.streams.status()[0].clock_offset_s, "the first difference")
        before = running.streams.status()[0].clock_offset_s
        kis.fault("skew", seconds=seconds)

        running.until(
            lambda: abs(running.streams.status()[0].clock_offset_s - before - seconds) < 30, "the other offset"
        )
        assert running.streams.intake.counts.alarms["clock"] > 0


def test_overseas_derivative_and_index_records_come_through(tmp_path):
    wanted = {
        "overseas": ["DNASAAPL", "RNASMSFT"],
        "futures": ["A01612"],
        "options": ["B01612500"],
        "stock_futures": ["A11612"],
        "night_futures": ["A01703"],
    }
    kinds = {"overseas": (Kind.TRADE,)}
    wished = wishes(["2001"], Kind.INDEX, feed="index")
    for feed, codes in wanted.items():
        wished += wishes(codes, *kinds.get(feed, (Kind.TRADE, Kind.BOOK)), feed=feed)
    with streams(tmp_path, symbols=1, trades=1_000_000) as (kis, running):
        running.wish(wished)
        running.until_active(11)
        kis.order("go")
        rows = running.streams.intake.counts.rows
        trs = {one.registration.tr_id for one in wished if one.kind is Kind.TRADE}

        def came():
            return trs <= {key.split()[0] for key in kis.account()["sent"]} and rows["status"] > 5 and rows["book"] > 20

        running.until(came, "records of each kind")

    content = Content(running.spool)
    assert {row["symbol"] for row in content.trades("kis_delayed")} == {"AAPL"}
    assert {row["symbol"] for row in content.trades("kis_overseas")} == {"MSFT"}
    assert {row["symbol"] for row in content.trades("krx")} >= {"A01612", "B01612500", "A11612"}
    assert {row["symbol"] for row in content.trades("kis_night")} == {"A01703"}
    assert running.streams.intake.quarantine.total == 0


def test_what_was_lost_with_a_connection_is_a_gap_of_each_registration_beside_the_shares_of_the_trades(tmp_path):
    stocks = (Kind.TRADE, Kind.BOOK, Kind.EXPECTED, Kind.STATUS)
    # In New York it is 19:30.
    with streams(tmp_path, "--start", "2026-11-20T09:30:00", kinds=stocks, symbols=3, trades=1_000_000) as (
        kis,
        running,
    ):
        wished = [
            *wishes(kis.symbols, *stocks),
            *wishes(["DNASAAPL", "RNASMSFT"], feed="overseas"),
            *wishes(["2001"], Kind.INDEX, feed="index"),
        ]
        running.wish(wished)
        running.until_active(15)
        running.until(lambda: running.streams.status()[0].pings, "the clock of the service")
        kis.order("go")
        rows = running.streams.intake.counts.rows
        running.until(lambda: rows["book"] > 20 and rows["status"] > 2, "books and index values")
        kis.fault("cut")
        running.until(lambda: running.streams.status()[0].failures >= 1, "the end of the connection")
        running.until_active(15)
        kis.order("pause")
        account = settled(kis, running, active=15)

    content = Content(running.spool)
    told = Counter((feed, gap.symbol, gap.reason) for feed, gap in content.gaps if "disconnected" in gap.reason)
    kinds = ("book:disconnected", "expected:disconnected", "status:disconnected")
    assert told == {
        **{("krx", symbol, kind): 1 for symbol in kis.symbols for kind in kinds},
        ("krx", "2001", "index:disconnected"): 1,
        ("kis_delayed", "AAPL", "disconnected"): 1,
        ("kis_overseas", "MSFT", "disconnected"): 1,
    }
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert not any(gap.reason == "volume_hole" for feed, gap in content.gaps if feed == "kis_overseas")


def test_a_gap_goes_with_its_registration_to_another_appkey(tmp_path):
    def keys(appkey, refused):
        return "neither" if refused else f"approval-{appkey}"

    with streams(tmp_path, symbols=4, kinds=(Kind.BOOK,), appkeys=("one", "two"), keys=keys) as (kis, running):
        running.until_active(4)
        running.until(lambda: running.streams.status()[0].pings, "the clock of the service")
        kis.fault("expire_keys", but=["approval-two"])
        kis.fault("cut")
        running.until(lambda: running.streams.status()[0].condition == "stopped", "the end of the first appkey")
        running.until(lambda: running.streams.status()[1].active == 4, "its registrations with the other one")
        running.until(lambda: not running.streams.losses, "the gaps to be told")

    gaps = [(gap.symbol, gap.reason) for _, gap in Content(running.spool).gaps]
    assert sorted(gaps) == sorted((symbol, "book:disconnected") for symbol in kis.symbols)


def test_what_there_is_no_room_for_is_found_missing_to_the_share_and_books_are_told(tmp_path):
    timing = dataclasses.replace(FAST, patience_s=0.01)
    kinds = (Kind.TRADE, Kind.BOOK)
    with streams(tmp_path, timing=timing, kinds=kinds, most_messages=8, send_s=0.05) as (kis, running):
        running.until(lambda: running.streams.status()[0].pings, "the clock of the service")
        account = run_out(kis, running, active=12)
        assert running.streams.status()[0].overrun > 0

    content = Content(running.spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    lost = account["books"] - content.books
    told = [gap for _, gap in content.gaps if gap.reason == "book:no_room"]
    assert bool(told) == (lost > 0)
    assert not any(gap.reason in ("no_room", "disconnected") for _, gap in content.gaps)


def has_more_shares(spool, than):
    return sum(Content(spool).shares().values()) > than


RUN = """
import sys
from pathlib import Path
from tests.integration.kis_streams import RunningStreams
from tests.integration.test_kis_streams import wished_over_a_restart
url, folder, symbols = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(",")
with RunningStreams(url, folder, wished_over_a_restart(symbols)) as running:
    running.until(lambda: False, "the end")
"""


def wished_over_a_restart(symbols):
    return [
        *wishes(symbols, Kind.TRADE, Kind.BOOK),
        *wishes(["2001"], Kind.INDEX, feed="index"),
        *wishes(["DNASAAPL"], feed="overseas"),
        *wishes(["A01703"], feed="night_futures"),
    ]


def not_running(content):
    """By feed, symbol and reason, the times for which no terminal ran. One that was told just before a kill may be told
    again."""
    found: dict[tuple[str, str | None, str], set[tuple[int, int]]] = {}
    for feed, gap in content.gaps:
        if gap.reason.endswith("not_running"):
            found.setdefault((feed, gap.symbol, gap.reason), set()).add((gap.from_us, gap.to_us))
    return found


def have_so_many(spool, wanted, count):
    found = not_running(Content(spool))
    return all(len(found.get(one, ())) >= count for one in wanted)


def test_a_terminal_that_is_killed_finds_what_its_restart_lost_to_the_share_and_tells_the_rest(tmp_path):
    # In New York it is 19:30, and no night.
    with streams(tmp_path, "--start", "2026-11-20T09:30:00", symbols=2, trades=1_000_000) as (kis, running):
        running.wish(wished_over_a_restart(kis.symbols))
        running.until_active(7)
        running.until(lambda: running.streams.status()[0].pings, "the clock of the service")
        running.stop()
        assert not_running(Content(running.spool)) == {}
        spool = running.spool
        wanted = {
            *(("krx", symbol, "book:not_running") for symbol in kis.symbols),
            ("krx", "2001", "index:not_running"),
            ("kis_delayed", "AAPL", "not_running"),
        }
        for start in (1, 2):
            before = sum(Content(spool).shares().values())
            child = subprocess.Popen(
                [sys.executable, "-c", RUN, kis.websocket, str(tmp_path), ",".join(kis.symbols)], cwd=ROOT
            )
            try:
                kis.order("go")
                more = functools.partial(has_more_shares, spool, before + 2_000)
                waiting.until(more, seconds=60, what="rows of the child")
                told = functools.partial(have_so_many, spool, wanted, start)
                waiting.until(told, seconds=60, what="gaps of the child")
            finally:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
        with RunningStreams(kis.websocket, tmp_path, wished_over_a_restart(kis.symbols)) as last:
            last.until_active(7)
            kis.order("pause")
            account = settled(kis, last, active=7)
            last.until(lambda: not last.streams.losses, "the gaps to be told")

    content = Content(spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert sum(content.missing().values()) > 0
    times = not_running(content)
    assert set(times) == wanted
    assert {len(found) for found in times.values()} == {3}  # one a start
    assert all(start <= end for found in times.values() for start, end in found)


def test_what_a_killed_terminal_had_lost_of_what_is_wanted_no_more_is_told_up_to_its_end(tmp_path):
    nowhere = "ws://127.0.0.1:9"
    (book,) = wishes(["005930"], Kind.BOOK)
    ten_us = 1_763_600_400_000_000  # of a Thursday in Seoul
    with RunningStreams(nowhere, tmp_path, []) as first:
        first.terminal.send(
            [{"symbol": "005930", "time_us": ten_us, "kind": RowKind.TRADE, "price": 10**8, "size": 10**6}]
        )
    UnfinishedFile(first.spool).save(
        Unfinished(
            registered=frozenset([book.registration]),
            going_on=((book.registration, ten_us, "disconnected"),),
            until_us=ten_us + 60_000_000,
        )
    )

    with RunningStreams(nowhere, tmp_path, []) as second:
        pass

    told = [(feed, gap.symbol, gap.from_us, gap.to_us, gap.reason) for feed, gap in Content(second.spool).gaps]
    assert told == [("krx", "005930", ten_us, ten_us + 60_000_000, "book:disconnected")]
