"""What KIS's WebSocket sends becomes rows to the share, whatever its frames look like."""

import dataclasses
from collections import Counter

import pytest

from terminals.sources.kis.planner import Kind
from tests.integration.kis_streams import (
    FAST,
    TR,
    Content,
    assert_to_the_share,
    by_symbol,
    last_volumes,
    run_out,
    settled,
    streams,
    wishes,
)

pytestmark = pytest.mark.once


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
    script: list[tuple[int, str, dict[str, object]]] = [
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
