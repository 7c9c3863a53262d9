"""Dead letters judged again, batches of a wrong clock, and what the feed is told of a requeue."""

from unittest import mock

import pytest
from django.core.management import CommandError
from redis.exceptions import ConnectionError as RedisGone

from analytics import voids
from ingest import recovery, refusals
from marketdata.ledger import batch_ledger
from marketdata.models import Alarm, Client, DeadLetter, IngestBatch, IngestReject
from marketdata.realtime import feed
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from tests.integration.requeueing import (
    MIXED,
    _clean,
    announced,
    consistent,
    process,
    register,
    rows,
    run,
    stored,
    trade,
)

__all__ = ["_clean"]


def told() -> list[int]:
    """Every tick that subscribers heard of, as often as they did."""
    return sorted(one for entry in announced() for one in entry)


# --- the feed ---------------------------------------------------------------------------------------------------------


def test_rows_of_a_batch_whose_stored_ticks_were_all_voided_are_announced():
    number = process(rows(*MIXED))
    voids.void(voids.Selection(batches=(number,)), reason="wrong", by="boss")
    voids.announce()
    register()

    run("--all")

    assert IngestBatch.objects.get().stored == 2
    assert announced() == [[number << 13], [number << 13], [number << 13 | 1, number << 13 | 2]]


@pytest.mark.parametrize("recovered_first", [False, True])
def test_rows_that_are_stored_while_their_batch_waits_to_be_announced_are_told_once(recovered_first):
    """A quote between two trades, which its client might not send, when Redis was away."""
    Client.objects.filter(name="replay").update(kinds="trade")
    quote = trade(1, kind="quote", price=None, size=None, bid="1")
    with mock.patch.object(feed, "publish", side_effect=RedisGone("gone")):
        number = process(rows(trade(0), quote, trade(2)))
        Client.objects.filter(name="replay").update(kinds="*")
        if recovered_first:
            run("--all")
    assert IngestReject.objects.count() == (0 if recovered_first else 1)
    assert told() == []

    if recovered_first:
        recovery.announce_missed(settle_s=0.0)
    run("--all")
    recovery.announce_missed(settle_s=0.0)

    assert sorted(stored("005930")) == told() == [number << 13, number << 13 | 1, number << 13 | 2]


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_stored_like_any_batch_and_its_bad_rows_are_kept():
    number = process(rows(trade(0), trade(1), trade(2, price="x")), dead="failed 10 times")
    before = IngestBatch.objects.get().state

    run("--code", "dead_letter")

    batch = IngestBatch.objects.get()
    assert (before, batch.state) == ("dead", "stored")
    assert (batch.rows, batch.stored, batch.rejected, batch.feed) == (3, 2, 1, "krx")
    assert stored("005930") == [number << 13, number << 13 | 1]
    assert not DeadLetter.objects.exists()
    assert IngestReject.objects.get().idx == 2
    assert consistent()
    assert announced() == [[number << 13, number << 13 | 1]]


def test_what_is_still_no_batch_stays_where_it_is_and_stops_no_other():
    bad = process(rows(trade())[:-3], dead=None)
    process(rows(trade(), seq=2), dead="failed 10 times")

    with pytest.raises(CommandError, match="1 "):
        run("--all")

    assert stored("005930") == [batch_number(1, 2) << 13]
    assert DeadLetter.objects.get().batch == bad
    assert IngestBatch.objects.get(batch=bad).state == "refused"


def test_other_content_under_a_number_that_is_taken_is_never_stored():
    process(rows(trade(0)))
    process(rows(trade(1)))

    run("--all")

    assert len(stored("005930")) == 1
    assert DeadLetter.objects.get().code == "checksum_mismatch"


# --- a wrong clock ----------------------------------------------------------------------------------------------------


def test_a_server_whose_clock_was_behind_is_alarmed_with_reason_and_offset_and_made_good():
    """Six seconds: every live row looks as if it came from the future."""
    true_us = batch_ledger.now_us()
    behind_us = true_us - 6_500_000
    Client.objects.filter(name="kis").update(clock_offset_us=6_500_000)
    for seq in range(1, 4):
        process(
            rows(*(trade(time=true_us + at, seq=at) for at in range(100)), seq=seq, captured_us=true_us),
            stream=2, received_us=behind_us, offset_us=6_500_000,
        )  # fmt: skip

    refusals.watch_refusals()
    alarm = Alarm.objects.get(code="mass_refusal")
    refused = storage().count("temp_market_data")
    Client.objects.filter(name="kis").update(clock_offset_us=0)  # NTP has done its work
    run("--reason", "time_future")
    process(rows(*(trade(time=true_us + at) for at in range(400)), seq=9, captured_us=true_us), stream=2)
    refusals.watch_refusals()

    assert refused == 0
    assert alarm.subject == "kis"
    assert "300 of 300" in alarm.message
    assert "time_future" in alarm.message
    assert "+6.5 s" in alarm.message
    assert len(stored("005930")) == 700
    assert not IngestReject.objects.exists()
    assert Alarm.objects.get(code="mass_refusal").cleared_at is not None


def test_a_terminal_whose_clock_is_still_ahead_is_refused_again():
    now = batch_ledger.now_us()
    Client.objects.filter(name="kis").update(clock_offset_us=3_600_000_000)
    ahead = now + 3_600_000_000
    process(rows(trade(time=ahead), captured_us=ahead), stream=2, offset_us=3_600_000_000, received_us=now)

    run("--all")

    assert stored("005930") == []
    assert IngestReject.objects.get().reasons == "time_future"


def test_a_few_wrong_rows_are_no_alarm():
    process(rows(*(trade(at) for at in range(100)), *(trade(at, price="x") for at in range(19))))

    refusals.watch_refusals()

    assert not Alarm.objects.exists()


def test_batches_that_were_given_up_are_an_alarm_until_they_are_judged_again():
    process(rows(trade()), dead="failed 10 times, at last: poison")

    refusals.watch_refusals()
    alarm = Alarm.objects.get(code="dead_letters")
    run("--code", "dead_letter")
    refusals.watch_refusals()

    assert "poison" in alarm.message
    assert Alarm.objects.get(code="dead_letters").cleared_at is not None
