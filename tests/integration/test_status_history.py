"""The pipeline's numbers of the past hours: measured once by whoever comes, kept in Redis within bounds, served by
REST."""

import datetime
from decimal import Decimal

import pytest

from celery_app import QUEUES
from marketdata.ledger import batch_ledger
from marketdata.realtime import live_state, measurements, pipeline_history
from marketdata.realtime.pipeline_history import COARSE, FINE, Counted, Point
from tests.integration.serving import KIS, REPLAY, minute, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving"]

pytestmark = pytest.mark.once
TEN_S = 10_000_000
PATH = "/v2/status/history"


def counted(at_us, stored=0):
    return Counted(at_us, stored, 0, {})


def noted(redis, at_us, rate):
    return pipeline_history.note(redis, at_us, Point(figures={"ticks_per_s": rate}), counted(at_us))


def test_a_moment_is_noted_once_and_a_minute_is_made_when_it_is_over(redis):
    assert noted(redis, NINE_US + 1, 10)
    assert not noted(redis, NINE_US + 9_000_000, 99)
    assert all(noted(redis, NINE_US + number * TEN_S, 10 + number) for number in range(1, 6))
    assert pipeline_history.read(redis, COARSE) == []

    assert noted(redis, NINE_US + 6 * TEN_S, 100)

    assert [at for at, _ in pipeline_history.read(redis, FINE)] == [NINE_US + n * TEN_S for n in range(7)]
    ((at_us, point),) = pipeline_history.read(redis, COARSE)
    assert (at_us, point.figures) == (NINE_US, {"ticks_per_s": 12.5})


def test_minutes_that_nobody_made_at_their_end_are_made_later(redis):
    for number in range(6):
        noted(redis, NINE_US + number * TEN_S, 1)
    for number in range(6, 12):  # as if no turn came while the next minute lasted
        redis.xadd(
            FINE.key, {"p": Point(figures={"ticks_per_s": 2}).packed()}, id=f"{NINE_US // 1000 + number * 10_000}-0"
        )

    noted(redis, NINE_US + 30 * TEN_S, 3)

    made = [(at_us, point.figures["ticks_per_s"]) for at_us, point in pipeline_history.read(redis, COARSE)]
    assert made == [(NINE_US, 1), (NINE_US + MINUTE_US, 2)]


def test_both_series_keep_a_fixed_number_of_points(redis):
    for resolution in (FINE, COARSE):
        for number in range(resolution.points + 5):
            pipeline_history._add(redis, resolution, number * resolution.step_s * 1000 + 1000, Point())

        kept = pipeline_history.read(redis, resolution)
        assert len(kept) == resolution.points
        assert kept[0][0] == (5 * resolution.step_s + 1) * 1_000_000


def test_a_clock_that_was_ahead_costs_the_history_and_not_its_future(redis):
    noted(redis, NINE_US + 24 * 60 * MINUTE_US, 1)

    assert noted(redis, NINE_US, 2)
    assert [point.figures["ticks_per_s"] for _, point in pipeline_history.read(redis, FINE)] == [2]


def test_the_minutes_of_a_clock_that_was_ahead_go_with_its_points(redis):
    for number in range(7):
        noted(redis, NINE_US + 24 * 60 * MINUTE_US + number * TEN_S, 1)

    for number in range(7):
        noted(redis, NINE_US + number * TEN_S, 2)

    made = [(at_us, point.figures["ticks_per_s"]) for at_us, point in pipeline_history.read(redis, COARSE)]
    assert made == [(NINE_US, 2)]


def test_a_measurement_that_a_slow_database_held_up_costs_nothing_of_the_history(redis):
    for number in (0, 1, 5):
        noted(redis, NINE_US + number * TEN_S, number)

    assert not noted(redis, NINE_US + 2 * TEN_S, 2)
    assert [point.figures["ticks_per_s"] for _, point in pipeline_history.read(redis, FINE)] == [0, 1, 5]


def test_what_is_measured_is_what_was_committed_refused_and_connected(serving, redis):
    client = {"client": "desk-1", "rate": 12.5, "clock_offset_ms": -3.1, "waiting": 4, "address": "10.0.0.7"}
    live_state.show_ingest("one", {"instance": "one", "inflight_batches": 3, "clients": [client]}, ttl_s=600)
    now_us = batch_ledger.now_us()
    measurements.note(QUEUES, 3_000_000_000, now_us - TEN_S)
    serving.commit([minute(number) for number in range(20)])
    serving.commit([minute(1, symbol="999999"), minute(2, symbol="999999"), minute(3, price="-1")])
    redis.rpush("maintenance", "waits")

    assert measurements.note(QUEUES, 2_000_000_000, now_us)

    told = serving.read(PATH, terminal="desk-1")
    assert [len(column) for column in told["figures"].values()] == [2] * len(pipeline_history.FIGURES)
    last = {name: column[-1] for name, column in told["figures"].items()}
    assert (last["ticks_per_s"], last["rejected_per_s"]) == (2, Decimal("0.3"))
    assert (last["inflight_batches"], last["terminals"]) == (3, 1)
    assert last["disk_free_bytes"] == 2_000_000_000
    assert 0 <= last["commit_ms_p50"] <= last["commit_ms_p95"] <= last["commit_ms_p99"]
    assert {reason: column[-1] for reason, column in told["rejected"].items()} == {
        "symbol_unknown": Decimal("0.2"), "price_not_positive": Decimal("0.1")
    }  # fmt: skip
    assert told["queues"]["maintenance"] == [0, 1]
    assert told["terminal"] == {
        "rate": [Decimal("12.5")] * 2, "clock_offset_ms": [Decimal("-3.1")] * 2, "waiting": [4, 4]
    }  # fmt: skip


def test_the_history_is_given_from_a_moment_on_in_either_resolution(serving, redis):
    for number in range(13):
        noted(redis, NINE_US + number * TEN_S, number)
    at = datetime.datetime.fromtimestamp(NINE_US / 1e6, datetime.UTC)

    fine = serving.read(PATH, start=(at + datetime.timedelta(seconds=100)).isoformat())
    coarse = serving.read(PATH, resolution="1Min")

    assert (fine["step_s"], fine["figures"]["ticks_per_s"]) == (10, [10, 11, 12])
    assert (coarse["step_s"], coarse["figures"]["ticks_per_s"]) == (60, [2.5, 8.5])
    assert fine["terminal"] is None
    assert serving.get(PATH, resolution="1Hour").status_code == 400
    assert serving.get(PATH, headers={"X": "nobody"}).status_code == 401


def test_the_way_to_the_feed_is_measured_over_all_entries_of_the_last_ten_seconds(serving, redis, monkeypatch):
    monkeypatch.setattr(measurements, "PAGE", 3)
    event_us = batch_ledger.now_us() - MINUTE_US
    for number in range(7):
        serving.commit([{"time": event_us - number, "price": "70000"}], source=KIS)
    serving.commit([minute(0)], source=REPLAY)  # of another day
    now_us = batch_ledger.now_us()
    since_us = now_us - 600_000_000  # however busy the machine is

    entries = list(measurements._entries(redis, "krx", since_us))
    assert [len(entry.ticks) for entry in entries] == [1] * 8
    assert len({entry.last for entry in entries}) == 8
    assert list(measurements._entries(redis, "krx", now_us)) == []
    monkeypatch.setattr(measurements, "MOST_ENTRIES", 6)
    assert len(list(measurements._entries(redis, "krx", since_us))) == 6
    monkeypatch.setattr(measurements, "MOST_ENTRIES", 1_000)

    told = measurements._feed_ms(min(entry.committed_us for entry in entries) + TEN_S - 1)
    assert 60_000 <= told["feed_ms_p50"] <= told["feed_ms_p95"] <= told["feed_ms_p99"] < 86_400_000
    assert measurements._feed_ms(now_us + 2 * TEN_S) == {}


def test_percentiles_are_of_what_was_taken():
    took = [float(one) for one in range(1000, 0, -1)]

    assert measurements._percentiles("x", took) == {"x_p50": 501.0, "x_p95": 951.0, "x_p99": 991.0}
    assert measurements._percentiles("x", []) == {}
