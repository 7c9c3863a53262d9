"""What a minute of the pipeline's history tells of its points, and what a second is told of counters."""

from dataclasses import replace

from marketdata.realtime import pipeline_history
from marketdata.realtime.pipeline_history import MOST_TERMINALS, Counted, Point


def test_a_point_comes_back_as_it_was_packed():
    point = Point(
        figures={"ticks_per_s": 12.5, "terminals": 2}, queues={"raw_market_data": 3}, rejected={"time_future": 0.5},
        terminals={"desk-1": {"rate": 12.5, "waiting": 4}, "desk-2": {"clock_offset_ms": -3.2}},
    )  # fmt: skip

    assert Point.unpacked(point.packed()) == point


def test_a_minute_tells_the_mean_of_rates_and_the_worst_of_the_rest():
    quiet = Point(
        figures={"ticks_per_s": 100, "commit_ms_p99": 20, "terminals": 3, "disk_free_bytes": 50, "feed_ms_p95": 3},
        queues={"raw_market_data": 0}, rejected={}, terminals={"desk-1": {"rate": 10, "clock_offset_ms": 5}},
    )  # fmt: skip
    busy = Point(
        figures={"ticks_per_s": 300, "commit_ms_p99": 90, "terminals": 2, "disk_free_bytes": 40, "feed_ms_p95": 7},
        queues={"raw_market_data": 9, "backups": 1}, rejected={"time_future": 3},
        terminals={"desk-1": {"rate": 30, "clock_offset_ms": -8, "waiting": 2}},
    )  # fmt: skip

    minute = pipeline_history.folded([quiet, busy])

    assert minute.figures == {
        "ticks_per_s": 200, "commit_ms_p99": 90, "terminals": 2, "disk_free_bytes": 40, "feed_ms_p95": 7
    }  # fmt: skip
    assert minute.queues == {"raw_market_data": 9, "backups": 1}
    assert minute.rejected == {"time_future": 1.5}
    assert minute.terminals == {"desk-1": {"rate": 20, "clock_offset_ms": -8, "waiting": 2}}


def test_more_terminals_than_there_is_room_for_are_left_out_of_a_minute():
    points = [Point(terminals={f"desk-{number}": {"rate": 1}}) for number in range(2 * MOST_TERMINALS)]

    assert len(pipeline_history.folded(points).terminals) == MOST_TERMINALS


def test_rates_are_of_what_came_between_two_moments():
    before = Counted(1_000_000, 1_000, 10, {"time_future": 10})
    now = Counted(11_000_000, 6_000, 25, {"time_future": 15, "symbol_unknown": 10})

    figures, rejected = now.rates(before)

    assert figures == {"ticks_per_s": 500, "rejected_per_s": 1.5}
    assert rejected == {"time_future": 0.5, "symbol_unknown": 1}


def test_counters_that_began_anew_and_moments_that_do_not_follow_tell_no_rate():
    now = Counted(11_000_000, 6_000, 25, {})

    assert now.rates(None) == ({}, {})
    assert now.rates(replace(now, at_us=1_000_000, stored=7_000)) == ({}, {})
    assert now.rates(now) == ({}, {})
