"""Connections to KIS's simulator that end, fall silent or are refused, and what is told of the time without one."""

import dataclasses
from collections import Counter

import pytest

from terminals.sources.kis.planner import Kind
from tests.integration.kis_streams import FAST, TR, Content, last_volumes, run_out, settled, streams, wishes

pytestmark = pytest.mark.once


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
    timing = dataclasses.replace(FAST, dead_s=3.0)
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


def test_answers_that_are_lost_or_late_do_not_matter(tmp_path):
    with streams(tmp_path, timing=dataclasses.replace(FAST, answer_s=0.5)) as (kis, running):
        kis.fault("lose_answers", count=3)
        kis.fault("cut")
        account = run_out(kis, running, active=6)

    content = Content(running.spool)
    assert content.shares() + content.missing() == last_volumes(account, TR)
    assert account["answers"].get("OPSP0002", 0) >= 1


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
