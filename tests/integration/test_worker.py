"""The worker's transaction on a real database and a real Redis: once, whole, and told to everybody who waits for it."""

import datetime
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingest import recovery, room, tasks
from ingest.rights import Rights
from marketdata import tasks as upkeep
from marketdata.ledger import batch_ledger
from marketdata.models import (
    Alarm,
    Client,
    DeadLetter,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestStream,
    Source,
    Symbol,
)
from marketdata.realtime import live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from terminals import wire
from tests import market
from tests.integration.processing import (
    EVER,
    KIS,
    announced,
    counts,
    process,
    rows,
    stored,
    told,
    trade,
)
from tests.market import MINUTE_US, NINE_US

pytestmark = pytest.mark.usefixtures("worker")


def test_a_batch_ends_in_ledger_ticks_candles_feed_and_live_state():
    process(rows(trade(price="70000"), trade(price="70100", time=NINE_US + 1, size="2.5")))

    batch = IngestBatch.objects.get()
    assert (batch.state, batch.rows, batch.stored, batch.rejected) == ("stored", 2, 2, 0)
    assert (batch.first_us, batch.last_us) == (NINE_US, NINE_US + 1)
    assert stored() == [market.price("70000"), market.price("70100")]
    assert storage().read_minutes("005930", "krx", *EVER).volume.tolist() == [market.size("3.5")]
    assert [outcome.batch for outcome in told()] == [batch.batch]
    (entry,) = announced()
    assert (entry.first, entry.last, entry.committed_us) == (1, 2, batch.committed_us)
    assert market.candles(entry.bars) == market.candles(storage().read_minutes("005930", "krx", *EVER))
    assert live_state.latest("krx")["005930"]["price"] == market.price("70100")
    assert live_state.status()["counters"] == {"stored": 2, "batches": 1, "commits": 1}


def test_several_batches_of_several_feeds_are_one_transaction_and_an_entry_each_feed():
    process(rows(trade()), rows(trade(symbol="000660"), seq=2, name="nxt"), rows(trade(), seq=3))

    assert counts() == (3, 3, 2)
    assert [len(entry.ticks) for entry in announced("krx")] == [2]
    assert [len(entry.ticks) for entry in announced("nxt")] == [1]
    assert live_state.status()["counters"]["commits"] == 1


def test_a_batch_without_rows_is_in_the_ledger_and_nowhere_else():
    process(wire.Columns().encode(1, "krx", 1), rows(seq=2))

    assert counts() == (2, 0, 0)
    assert announced() == []
    assert [outcome.code for outcome in told()] == ["", ""]


def test_what_a_terminal_had_to_drop_is_a_gap_with_bounds_and_a_count():
    process(wire.encode_gap(1, "krx", 1, NINE_US, NINE_US + 5, 12, "disk full"))

    gap = Gap.objects.get()
    assert (gap.feed, gap.from_us, gap.to_us, gap.rows, gap.reason) == ("krx", NINE_US, NINE_US + 5, 12, "disk full")
    assert [outcome.code for outcome in told()] == [""]


def test_a_replay_registers_its_symbols_with_its_own_market():
    # 23:30 UTC is 17:30 in Chicago: the next trading date has begun there.
    evening = market.DAY_US * 20_528 + 23 * 3_600_000_000 + 30 * MINUTE_US

    process(rows(trade(symbol="ESH6", time=evening)), market="CME")

    assert Symbol.objects.get(code="ESH6").market_id == "CME"
    assert storage().read_ticks("ESH6", "krx", *EVER).trade_date.tolist() == [20_529]


def test_offsets_of_a_feed_go_on_where_the_last_entry_ended():
    process(rows(trade(), trade()))
    process(rows(trade(), seq=2))

    assert [(entry.first, entry.last) for entry in announced()] == [(1, 2), (3, 3)]


def test_a_candle_is_announced_as_it_is_after_all_commits_so_far():
    for seq in (1, 2, 3):
        process(rows(trade(time=NINE_US + seq), seq=seq))

    assert [entry.bars.n.tolist() for entry in announced()] == [[1], [2], [3]]


def test_an_older_trade_does_not_replace_the_latest_one():
    process(rows(trade(price="2", time=NINE_US + 5)))
    process(rows(trade(price="1", time=NINE_US), seq=2))

    assert live_state.latest("krx", ["005930", "999999"]) == {
        "005930": {
            "time_us": NINE_US + 5,
            "tick_id": market.tick_id(1, 0),
            "price": market.price("2"),
            "size": market.size("1"),
        }
    }


def test_a_batch_that_comes_again_is_confirmed_and_counted_once():
    process(rows(trade()))

    process(rows(trade()))

    assert counts() == (1, 1, 1)
    assert len(announced()) == 1
    assert [outcome.code for outcome in told()] == ["", ""]
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [1]
    assert not DeadLetter.objects.exists()


def test_of_a_message_only_the_batches_not_stored_yet_are_stored():
    process(rows(trade(price="1")), rows(trade(price="2"), seq=2))

    process(*(rows(trade(price=str(seq)), seq=seq) for seq in (3, 1, 2, 4)))

    assert sorted(stored()) == [market.price(str(seq)) for seq in (1, 2, 3, 4)]
    assert [len(entry.ticks) for entry in announced()] == [2, 2]
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [4]


def test_the_same_number_with_other_content_is_kept_aside_and_changes_nothing():
    process(rows(trade(price="70000")))

    process(rows(trade(price="1")))

    assert stored() == [market.price("70000")]
    assert [outcome.code for outcome in told()] == ["", "checksum_mismatch"]
    letter = DeadLetter.objects.get()
    assert (letter.code, bytes(letter.payload)) == ("checksum_mismatch", rows(trade(price="1")))


def without_claim(payload: bytes) -> None:
    """A batch was stored, and then its row of the ledger was lost."""
    process(payload)
    IngestBatch.objects.all().delete()
    assert IngestBatchDay.objects.count() == 1


@pytest.mark.parametrize("rolled", [False, True])
def test_a_batch_whose_claim_was_lost_is_claimed_again_and_counts_no_second_time(rolled):
    payload = rows(trade(), trade(time=NINE_US + 1))
    without_claim(payload)
    if rolled:
        storage().move_day(datetime.date(2026, 3, 16), progress=print)

    process(payload, rows(trade(symbol="000660"), seq=2))

    assert list(IngestBatch.objects.order_by("batch").values_list("state", "stored")) == [("stored", 2), ("stored", 1)]
    assert len(stored()) == 2
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [2]
    assert sorted(outcome.batch & 0xFFFFFFFF for outcome in told()) == [1, 1, 2]
    assert not DeadLetter.objects.exists()
    assert "with 0 ticks that were gone" in Alarm.objects.get(code="claim_restored").message


def test_ticks_that_were_lost_with_their_claim_are_stored_again_and_candles_stay():
    payload = rows(trade(), trade(time=NINE_US + 1))
    without_claim(payload)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data WHERE tick_id % 2 = 1")

    process(payload)

    assert len(stored()) == 2
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [2]
    assert "with 1 ticks that were gone" in Alarm.objects.get(code="claim_restored").message


def test_another_content_under_a_lost_claim_is_set_aside():
    without_claim(rows(trade()))

    process(rows(trade(price="1")))

    assert stored() == [market.price("70000")]
    assert (IngestBatch.objects.get().stored, DeadLetter.objects.get().code) == (1, "checksum_mismatch")
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [1]


# Loading ticks and merging candles go past Django on SQLite.
STATEMENTS: dict[str, list[str | list[str]]] = {
    "mariadb": ["LOAD DATA", "INSERT INTO market_data_minute"],
    "postgresql": [  # one round trip
        ["INSERT INTO temp_market_data", "SELECT pg_advisory_xact_lock_shared", "INSERT INTO market_data_minute"]
    ],
    "sqlite": [],
}


@pytest.mark.parametrize("batches", [1, 5])
def test_a_commit_takes_the_same_few_statements_however_many_batches_it_has(vendor, batches, monkeypatch):
    source = Source.objects.get(code="REPLAY")
    client, _ = Client.objects.create_with_secret(name="t", source=source, may_send=True, feeds="*")
    IngestStream.objects.create(pk=1, client=client, epoch="e")
    monkeypatch.setattr(tasks, "directory", Directory(clock=lambda: 0.0))
    monkeypatch.setattr(tasks, "rights", Rights(clock=lambda: 0.0))
    recovery._announced.clear()
    given = [trade(time=batch_ledger.now_us()), trade(time=batch_ledger.now_us(), symbol="000660")]
    process(rows(*given))  # what a worker remembers is known from here on

    with CaptureQueriesContext(connection) as asked:
        process(*[rows(*given, seq=2 + seq) for seq in range(batches)])

    inserted = [f"INSERT INTO {table} " for table in ("ingest_batch", "ingest_batch_day", "feed_pending")]
    notes = inserted if vendor == "sqlite" else [inserted]  # a server takes the three at once
    begin: list[str | list[str]] = ["BEGIN", *notes]
    if vendor == "mariadb":  # takes BEGIN along with them
        begin = [["BEGIN", *inserted]]
    expected = [*begin, *STATEMENTS[vendor], "COMMIT"]
    statements = [re.sub(r'["`]', "", query["sql"]).strip() for query in asked.captured_queries]
    assert len(statements) == len(expected), statements
    for found, starts in zip(statements, expected, strict=True):
        parts = found.split("; ") if isinstance(starts, list) else [found]
        for part, start in zip(parts, [starts] if isinstance(starts, str) else starts, strict=True):
            assert part.strip().startswith(start)
    assert IngestBatch.objects.count() == 1 + batches


def test_a_batch_of_many_dates_gets_its_room_in_pieces_and_holds_up_no_other(monkeypatch):
    day_us = 24 * 60 * MINUTE_US
    many = rows(*[trade(time=NINE_US - 7 * week * day_us) for week in range(3)], seq=1)
    with monkeypatch.context() as patched:
        patched.setattr(room, "ROOM_S", -1.0)
        process(many, rows(trade(), seq=2))
        assert [batch & 0xFFFFFFFF for batch in IngestBatch.objects.values_list("batch", flat=True)] == [2]
        assert not DeadLetter.objects.exists()

    process(many)

    assert IngestBatch.objects.count() == 2
    assert len(storage().dates("temp_market_data")) == 3


def test_partitions_may_be_extended_any_number_of_times():
    upkeep.extend_partitions()
    upkeep.extend_partitions()

    process(rows(trade(time=batch_ledger.now_us())), source=KIS)

    assert counts() == (1, 1, 1)
