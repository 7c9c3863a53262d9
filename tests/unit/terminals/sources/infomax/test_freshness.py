"""A sheet that no longer says what the market does is told once, with the reason, and once more when it is back."""

import pytest

from terminals.sources.infomax.freshness import Freshness, Told

GOOD = {"readable": {"005930"}, "unreadable": {}}


def watch(**given):
    return Freshness(**{"stale_s": 10.0, "frozen_s": 60.0, "now": 100.0, **given})


def judge(one, now, *, moves=True):
    return [(told.event, told.body["reason"]) for told in one.judge(now, expects_movement=moves)]


def test_a_sheet_that_cannot_be_read_is_stale_after_a_while_and_live_with_the_next_block():
    one = watch()
    one.failed("busy", "Excel is busy: RPC_E_CALL_REJECTED")

    assert one.judge(109.9, expects_movement=True) == []
    (stale,) = one.judge(110.0, expects_movement=True)
    assert (stale.event, stale.symbol) == ("feed_stale", None)
    assert stale.body == {"reason": "busy", "stale_s": 10.0, "detail": "Excel is busy: RPC_E_CALL_REJECTED"}
    one.failed("closed", "…")
    assert one.judge(120.0, expects_movement=True) == []
    assert one.read(**GOOD, moved=True, now=121.0) == []
    (live,) = one.judge(121.0, expects_movement=True)
    assert (live.event, live.body) == ("feed_live", {"reason": "busy", "stale_s": 21.0})
    assert one.stale is None


def test_a_reader_that_was_held_up_is_stale_too():
    one = watch()
    one.failed("busy", "Excel is busy")
    one.read(**GOOD, moved=True, now=101.0)

    assert judge(one, 115.0) == [("feed_stale", "not_read")]


def test_a_sheet_in_which_nothing_changes_is_frozen_in_its_hours_only():
    one = watch()
    for now in range(101, 200):
        one.read(**GOOD, moved=now == 101, now=float(now))
        assert judge(one, float(now), moves=False) == []
    for now in range(200, 260):
        one.read(**GOOD, moved=False, now=float(now))
        assert judge(one, float(now)) == ([("feed_stale", "unchanged")] if now == 259 else [])
    one.read(**GOOD, moved=False, now=261.0)
    assert judge(one, 261.0, moves=False) == []
    one.read(**GOOD, moved=True, now=262.0)
    assert judge(one, 262.0, moves=False) == [("feed_live", "unchanged")]


def test_no_time_is_too_long_where_the_watch_is_off():
    one = watch(frozen_s=0.0)
    one.read(**GOOD, moved=False, now=10_000.0)

    assert judge(one, 10_000.0) == []


def test_a_heartbeat_that_stops_makes_the_sheet_stale():
    one = watch()
    for now, beat in ((101.0, 1), (105.0, 2), (110.0, 2)):
        one.beat(beat, now)
        one.read(**GOOD, moved=True, now=now)
        assert judge(one, now) == []
    one.beat(2, 115.0)
    one.read(**GOOD, moved=True, now=115.0)
    assert judge(one, 115.0) == [("feed_stale", "heartbeat")]
    one.beat(3, 116.0)
    assert judge(one, 116.0) == [("feed_live", "heartbeat")]


def test_a_sheet_in_which_no_code_has_a_price_is_as_one_that_cannot_be_read():
    one = watch()
    for now in (101.0, 105.0, 109.9):
        assert one.read((), {"a": "error_na", "b": "error_na", "c": "waiting"}, moved=False, now=now) == []
        assert judge(one, now) == []
    (told,) = one.judge(110.0, expects_movement=True)
    assert told.body == {"reason": "no_prices", "stale_s": 10.0, "detail": "error_na"}


def test_a_code_that_has_no_price_for_long_is_told_by_its_name():
    one = watch()
    one.read({"a", "b"}, {}, moved=True, now=101.0)

    assert one.read({"a"}, {"b": "error_na", "c": "missing_code"}, moved=True, now=105.0) == []
    assert one.read({"a"}, {"b": "error_na", "c": "missing_code"}, moved=True, now=111.0) == [
        Told("feed_stale", "b", {"reason": "error_na", "stale_s": 10.0})
    ]
    assert one.stale_codes == 1
    assert one.read({"a"}, {"b": "error_na"}, moved=True, now=112.0) == []
    (live,) = one.read({"a", "b"}, {}, moved=True, now=113.0)
    assert (live.event, live.symbol) == ("feed_live", "b")
    assert live.body["stale_s"] == pytest.approx(12.0)
    assert one.stale_codes == 0
