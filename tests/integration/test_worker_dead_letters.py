"""A batch that nobody can process is kept aside after so many failures, and the others go on."""

from collections.abc import Iterator

import pytest
from django.db import connection

from ingest import notifications, tasks
from ingest.in_flight import InFlightBatch, InFlightWindow
from marketdata.ledger import batch_ledger
from marketdata.models import (
    DeadLetter,
    IngestBatch,
)
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.fakes import FakeClock
from tests.integration.processing import ME, REPLAY, announced, rows, told, trade

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def poison() -> Iterator[None]:
    """A database that refuses the candles of symbol 000660, for a reason no retry will mend."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW"
                " IF NEW.symbol = '000660' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poison'; END IF"
            )
        elif connection.vendor == "postgresql":
            cursor.execute(
                "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF NEW.symbol = '000660' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;"
                " CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW EXECUTE FUNCTION poison()"
            )
        else:
            cursor.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute WHEN NEW.symbol = '000660'"
                " BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION poison CASCADE" if connection.vendor == "postgresql" else "DROP TRIGGER poison")


def in_flight_batch(payload: bytes, *, since: float) -> InFlightBatch:
    header = wire.parse_header(payload)
    return InFlightBatch(
        number=batch_number(1, header.seq),
        stream=1,
        seq=header.seq,
        payload=payload,
        rows=header.rows,
        received_us=batch_ledger.now_us(),
        source_id=REPLAY,
        register_market=None,
        since=since,
    )


def test_a_poisonous_batch_is_buried_after_ten_failures_and_the_others_go_on(poison):
    clock, entries, heard = FakeClock(), InFlightWindow(4, 5000, 5.0), 0
    deadly = rows(trade(symbol="000660"), seq=2)
    for payload in (rows(trade()), deadly, rows(trade(), seq=3)):
        entries.add(in_flight_batch(payload, since=clock()))

    attempts: list[list[int]] = []
    settled: list[tuple[int, str]] = []
    while len(entries) and len(attempts) < 50:
        entries.overdue(clock.advance(5.0))
        if chosen := entries.next_message():
            entries.published(chosen, clock())
            attempts.append([one.seq for one in chosen])
            tasks.process_batches(
                batches=[
                    notifications.batch_message(
                        one.number, one.payload, one.received_us, one.source_id, one.register_market, one.dead
                    )
                    for one in chosen
                ],
                reply_to=ME,
            )
        for outcome in told()[heard:]:
            heard += 1
            if outcome.failed:
                entries.fail(outcome.batch, outcome.failed, clock())
            elif entries.settle(outcome.batch, clock()):
                settled.append((outcome.batch & 0xFFFFFFFF, outcome.code))

    assert attempts == [[1, 2, 3]] + [[2]] * 10
    assert settled == [(1, ""), (3, ""), (2, "dead_letter")]
    letter = DeadLetter.objects.get()
    assert (letter.code, bytes(letter.payload)) == ("dead_letter", deadly)
    assert "poison" in letter.error
    assert IngestBatch.objects.get(batch=batch_number(1, 2)).state == "dead"
    assert storage().count("temp_market_data") == 2
    assert [len(entry.ticks) for entry in announced()] == [1, 1]
