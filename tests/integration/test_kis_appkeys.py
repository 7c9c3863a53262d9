"""Appkeys of KIS and the sessions they are good for: the registrations of each, approval keys that run out, appkeys
that somebody else uses."""

import dataclasses

import pytest

from terminals.lock import FileLock
from terminals.sources.kis.planner import Kind
from tests.integration.kis_streams import FAST, Content, covered, streams, wishes

pytestmark = pytest.mark.once


def test_an_appkey_that_is_in_use_elsewhere_is_waited_for_and_told(tmp_path):
    with streams(tmp_path) as (kis, running):
        running.until_active(6)
        kis.fault("owned", count=2)
        kis.fault("cut")
        running.until(lambda: kis.account()["answers"].get("OPSP8996", 0) == 2, "two answers OPSP8996")
        running.until_active(6)

        assert running.streams.intake.counts.alarms["owned"] == 2


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


def test_symbols_are_spread_over_appkeys_and_a_change_moves_few(tmp_path):
    with streams(tmp_path, symbols=12, appkeys=("one", "two"), per_appkey=5) as (kis, running):
        running.until_active(10)
        before = kis.account()
        running.wish(wishes(kis.symbols[1:], Kind.TRADE))
        running.until(lambda: kis.account()["unregistered"] == 1, "one to leave")
        running.until(lambda: kis.account()["registered"] == 11, "one to come")
        running.until_active(10)

    assert before["most_registrations"] == 5
    assert sum(map(len, running.streams.plan.by_appkey.values())) == 10


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
