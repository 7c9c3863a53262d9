"""What every database promises of a worker's transaction: all or nothing, one claim of a batch, and what an error is to
be blamed on (marketdata/storage/promises/database.py)."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections

from analytics.series import candles
from ingest.recovery import PENDING
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import AlreadyClaimedError, Claim
from marketdata.models import IngestBatch
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import TEMP, Blame
from marketdata.types.checksums import Figure
from marketdata.types.units import day_of
from tests import builders, market
from tests.contract.rows import elsewhere, load, read, read_bars
from tests.market import NINE_US


def claim_of(batch: int, **fields: Any) -> Claim:
    known: dict[str, Any] = {
        "state": "stored",
        "feed": "krx",
        "rows": 1,
        "stored": 1,
        "rejected": 0,
        "checksum": 7,
        "first_us": NINE_US,
        "last_us": NINE_US,
        "received_us": NINE_US,
        "committed_us": NINE_US,
    }
    return Claim(batch=batch, **{**known, **fields})


class TransactionContract:
    """All of it or nothing, and once."""

    def test_the_ledger_names_each_trading_date_once(self, store):
        first, dates = datetime.date(2024, 2, 28), list[datetime.date]()
        for at, after_days in enumerate((0, 0, 1, 2, 700, 701, 1_400)):
            dates.append(first + datetime.timedelta(days=after_days))
            builders.commit(store, builders.trades(2, seq=at + 1, start_us=day_of(dates[-1]) * market.DAY_US))
        every = sorted(set(dates))

        assert batch_ledger.trading_dates(datetime.date.min, datetime.date.max) == every
        assert batch_ledger.trading_dates(every[1], every[4]) == every[1:4]
        assert batch_ledger.trading_dates(every[1] + datetime.timedelta(days=5), every[3]) == []
        assert batch_ledger.trading_dates(every[2], every[2]) == []
        several = [*every[1:4], first - datetime.timedelta(days=3), first + datetime.timedelta(days=500)]
        others = batch_ledger.trading_dates(datetime.date.min, datetime.date.max, besides=several)
        assert others == [every[0], *every[4:]]
        assert batch_ledger.trading_dates(every[0], every[3], besides=every) == []

    def test_a_transaction_that_fails_leaves_nothing_behind(self, store):
        def fail() -> None:
            with store.transaction():
                batch_ledger.claim([claim_of(1)])
                store.load("temp_market_data", market.ticks([{}]))
                store.merge_minutes(candles.build(market.ticks([{}])))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        tables = ("ingest_batch", "temp_market_data", "market_data_minute")
        assert [store.count(table) for table in tables] == [0, 0, 0]

    def test_a_transaction_is_seen_by_others_when_it_is_over_and_not_before(self, store):
        with store.transaction():
            store.load("temp_market_data", market.ticks([{}]))
            during = elsewhere(lambda: storage().count("temp_market_data"))

        after = elsewhere(lambda: storage().count("temp_market_data"))

        assert (during, after) == (0, 1)

    @pytest.mark.parametrize("where", ["_commit", "_rollback"])
    def test_a_transaction_whose_end_was_interrupted_is_no_part_of_the_next(self, store, where):
        """As when a task's time is up there: an error that is not the database's."""

        def interrupted() -> None:
            with mock.patch.object(connections["default"], where, side_effect=MemoryError), store.transaction():
                store.load("temp_market_data", market.ticks([{"tick_id": 1}]))
                if where == "_rollback":
                    raise StorageBusyError("to be taken back")

        load(store, market.ticks([{"tick_id": 2}]))
        with pytest.raises(MemoryError):
            interrupted()
        load(store, market.ticks([{"tick_id": 3}]))

        assert elsewhere(lambda: read(storage()).tick_id).tolist() == [2, 3]

    def test_a_transaction_that_was_interrupted_at_its_begin_is_not_begun_on_the_next_connection(self, store):
        database = connections["default"]
        begin = database.set_autocommit

        def interrupted(*given: Any, **named: Any) -> None:
            begin(*given, **named)
            raise MemoryError

        with mock.patch.object(database, "set_autocommit", interrupted), pytest.raises(MemoryError):
            store.transaction().__enter__()
        database.close()
        store.note_finished("krx")

        assert elsewhere(lambda: storage().revisions(["krx"])) == store.revisions(["krx"]) != ()

    def test_a_batch_can_be_claimed_once(self, store):
        with store.transaction():
            batch_ledger.claim([claim_of(1), claim_of(2)])

        def again() -> None:
            with store.transaction():
                batch_ledger.claim([claim_of(3), claim_of(2, checksum=8)])

        with pytest.raises(AlreadyClaimedError):
            again()
        assert batch_ledger.checksums([1, 2, 3]) == {1: 7, 2: 7}

    @pytest.mark.parametrize("there", [[claim_of(2)], []])
    def test_what_a_commit_notes_is_noted_together_or_not_at_all(self, store, there):
        days = {(2, 20_000): Figure(1, 1), (3, 20_000): Figure(1, 1)}
        also = batch_ledger.Rows("feed_pending", PENDING, [(3, "krx", 1, b"", b"")])
        with store.transaction():
            batch_ledger.claim(there)
            batch_ledger.claim_days({(2, 20_000): Figure(1, 1)} if not there else {})

        def again() -> None:
            with store.transaction():
                batch_ledger.claim_together([claim_of(2), claim_of(3)], days, also)

        with pytest.raises(AlreadyClaimedError):
            again()
        assert [store.count(table) for table in ("ingest_batch", "ingest_batch_day", "feed_pending")] == [
            len(there), 1 - len(there), 0,
        ]  # fmt: skip
        with store.transaction():
            batch_ledger.claim_together([claim_of(3)], {(3, 20_000): Figure(1, 1)}, also)
        assert store.count("feed_pending") == 1

    def test_of_two_workers_that_claim_one_batch_at_once_one_stores_it(self, store):
        def work() -> bool:
            try:
                with storage().transaction():
                    batch_ledger.claim([claim_of(5), claim_of(6)])
                    storage().load("temp_market_data", market.ticks([{}]))
                    merged = storage().merge_minutes(candles.build(market.ticks([{}])))
                return bool(merged.n.tolist() == [1])
            except AlreadyClaimedError:
                return False
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            won = [one.result(timeout=300) for one in [pool.submit(work) for _ in range(4)]]

        assert sorted(won) == [False, False, False, True]
        assert read_bars(store).n.tolist() == [1]
        assert IngestBatch.objects.count() == 2

    def test_an_error_of_the_statement_itself_is_not_worth_another_try(self, store):
        def wrong() -> None:
            with store.transaction(), connection.cursor() as cursor:
                cursor.execute("SELECT nonsense FROM nowhere")

        with pytest.raises(DatabaseError) as caught:
            wrong()

        assert not store.is_transient(caught.value)
        assert not store.is_transient(IntegrityError(1062, "Duplicate entry"))
        assert not store.is_transient(ZeroDivisionError("locked"))

    def test_what_is_missing_or_forbidden_is_no_fault_of_the_ticks(self, store):
        with store.transaction():
            store.load(TEMP, market.ticks([{}]))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE market_data_minute RENAME TO elsewhere")
        try:
            with pytest.raises(DatabaseError) as caught, store.transaction():
                store.merge_minutes(candles.build(market.ticks([{}])))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE elsewhere RENAME TO market_data_minute")

        assert store.blame(caught.value) is Blame.INFRASTRUCTURE
        assert "migrate" in str(store.remedy(caught.value))

    def test_a_value_that_does_not_fit_may_be_the_ticks_own_fault(self, store):
        with pytest.raises(DatabaseError) as caught, store.transaction(), connection.cursor() as cursor:
            cursor.execute("UPDATE market SET code = 'KRX' WHERE code <> 'KRX'")

        assert store.blame(caught.value) is Blame.UNKNOWN
        assert store.blame(ValueError("who knows")) is Blame.UNKNOWN
