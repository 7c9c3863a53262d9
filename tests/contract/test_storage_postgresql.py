"""PostgreSQL keeps the contract; besides, it keeps each trading date in a partition of its own."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, connections

from analytics.series import candles
from marketdata.ledger import set_aside
from marketdata.models import DeadLetter, Gap
from marketdata.storage import Storage, StorageBusyError, storage
from marketdata.storage.base import HISTORY, TEMP
from marketdata.storage.postgresql import days, partitions
from marketdata.types.units import day_of
from terminals import wire
from tests import market
from tests.contract.rows import elsewhere, load, merge, read
from tests.contract.storage import StorageContract
from tests.market import NINE_US, tick_id
from tests.waiting import until


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def ticks_of(*dates: datetime.date, seq: int = 1):
    """A trade at nine in Seoul of each date."""
    return market.ticks(
        [
            {
                "trade_date": day_of(date),
                "time_us": day_of(date) * market.DAY_US,
                "tick_id": tick_id(seq, at),
            }
            for at, date in enumerate(dates)
        ]
    )


def forget_partitions() -> None:
    """Know no more of them than another process does."""
    settings = connection.settings_dict
    place = (str(settings["HOST"]), str(settings["PORT"]), str(settings["NAME"]))
    for table in ("temp_market_data", "market_data_tick", "market_data_minute"):
        partitions.forget((*place, table))


def rows_by_partition(table: str) -> dict[str, int]:
    """How many rows each partition really has, those without any left out."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
        return dict(cursor.fetchall())


def quiet(_: str) -> None:
    pass


@contextmanager
def in_use(statement: str):
    """Somebody else has begun a transaction with this statement, and does nothing more."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with storage().transaction(), connection.cursor() as cursor:
            cursor.execute(statement)
            ready.set()
            done.wait(300)
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(hold)
        assert ready.wait(300)
        try:
            yield
        finally:
            done.set()
            job.result(timeout=300)


class TestPostgreSQL(StorageContract):
    vendor = "postgresql"

    @pytest.fixture
    def unparted(self, store: Storage) -> Storage:
        """Tables as they are on the first day: with no partition but the one for the rest."""
        store.drop_tables()
        store.create_tables()
        return store

    # --- partitions -------------------------------------------------------------------------------------------------

    def test_each_trading_date_lies_in_its_own_partition(self, unparted):
        dates = [day("2026-03-16"), day("2026-03-17"), day("2026-03-20"), day("2023-12-26")]
        unparted.ensure_partitions(dates)

        load(unparted, ticks_of(*dates))

        assert rows_by_partition("temp_market_data") == {
            f"temp_market_data_p{date:%Y%m%d}": 1 for date in sorted(dates)
        }

    def test_candles_lie_in_the_partition_of_their_month(self, unparted):
        dates = [day("2026-03-31"), day("2026-04-01"), day("2025-12-31"), day("2026-04-30")]
        unparted.ensure_partitions(dates)

        merge(unparted, ticks_of(*dates))

        assert rows_by_partition("market_data_minute") == {
            "market_data_minute_p20251201": 1,
            "market_data_minute_p20260301": 1,
            "market_data_minute_p20260401": 2,
        }

    def test_a_tick_without_room_is_kept_and_moves_when_there_is_room(self, unparted):
        load(unparted, ticks_of(day("2040-01-02"), day("2040-01-03")))
        assert rows_by_partition("temp_market_data") == {"temp_market_data_rest": 2}
        assert unparted.default_partition_rows(TEMP) == 2

        unparted.ensure_partitions([day("2040-01-02")])

        assert rows_by_partition("temp_market_data") == {"temp_market_data_p20400102": 1, "temp_market_data_rest": 1}
        assert unparted.default_partition_rows(TEMP) == 1
        assert len(read(unparted)) == 2

    def test_a_reader_sees_every_tick_while_room_is_made_for_it(self, unparted):
        dates = [day("2026-03-16") + datetime.timedelta(days=at) for at in range(8)]
        load(unparted, ticks_of(*dates * 40))
        ended, seen = threading.Event(), []

        def look() -> None:
            try:
                while not ended.is_set():
                    seen.append(len(read(storage())))
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(look), pool.submit(look)]
            try:
                until(lambda: seen, seconds=60, what="a reader at work")
                for date in dates:
                    unparted.ensure_partitions([date])
            finally:
                ended.set()
            for job in jobs:
                job.result(timeout=300)

        assert set(seen) == {len(dates) * 40}
        assert unparted.default_partition_rows(TEMP) == 0

    def test_a_snapshot_sees_every_tick_although_room_is_made_for_it_meanwhile(self, unparted, monkeypatch):
        # A question goes to the partitions that there are now; there, rows that were brought later are not seen.
        monkeypatch.setattr(days, "ROOM_S", 0.5)
        date = day("2026-03-16")
        load(unparted, ticks_of(date))

        def make_room() -> None:
            storage().ensure_partitions([date])

        with unparted.snapshot():
            elsewhere(make_room)
            assert len(unparted.tick_figures(date)) == 1
        unparted.ensure_partitions([date])

        assert rows_by_partition(TEMP) == {"temp_market_data_p20260316": 1}

    def test_two_workers_may_make_the_same_room_at_once(self, unparted):
        # Two processes do not share what they remember of partitions; here they are two threads that forget.
        dates = [day("2026-03-16") + datetime.timedelta(days=2 * at) for at in range(6)]
        start = threading.Barrier(2)

        def work(mine: list[datetime.date]) -> None:
            try:
                for date in mine:
                    start.wait(timeout=300)
                    forget_partitions()
                    storage().ensure_partitions([date])
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(work, dates), pool.submit(work, [*dates[:3], *reversed(dates[3:])])]:
                one.result(timeout=300)

        load(unparted, ticks_of(*dates))
        assert rows_by_partition("temp_market_data") == {f"temp_market_data_p{date:%Y%m%d}": 1 for date in dates}

    def test_room_that_is_there_costs_no_statement(self, unparted, django_assert_num_queries):
        unparted.ensure_partitions([day("2026-03-16")])

        with django_assert_num_queries(0):
            unparted.ensure_partitions([day("2026-03-16")])

    def test_room_that_another_process_took_away_is_made_again_after_a_while(self, unparted, monkeypatch):
        date = day("2026-03-16")
        unparted.ensure_partitions([date])
        with connection.cursor() as cursor:  # `drop_days` of this process would forget it at once
            cursor.execute("DROP TABLE temp_market_data_p20260316")
        load(unparted, ticks_of(date))
        assert unparted.default_partition_rows(TEMP) == 1

        monkeypatch.setattr(partitions, "REMEMBERED_S", 0.0)
        unparted.ensure_partitions([date])

        assert rows_by_partition(TEMP) == {"temp_market_data_p20260316": 1}

    def test_room_is_made_while_others_read_and_write_in_open_transactions(self, unparted):
        unparted.ensure_partitions([day("2026-03-16")])
        load(unparted, ticks_of(day("2026-03-16")))

        with in_use("UPDATE temp_market_data SET seq = 1 WHERE trade_date = '2026-03-16'"):
            unparted.ensure_partitions([day("2026-03-17")])

        load(unparted, ticks_of(day("2026-03-17"), seq=2))
        assert unparted.default_partition_rows(TEMP) == 0

    def test_rows_wait_without_room_while_somebody_holds_the_table(self, unparted, monkeypatch):
        monkeypatch.setattr(days, "ROOM_S", 0.5)

        with in_use("SELECT count(*) FROM temp_market_data"):
            unparted.ensure_partitions([day("2026-03-16")])
            load(unparted, ticks_of(day("2026-03-16")))
        unparted.ensure_partitions([day("2026-03-16")])

        assert rows_by_partition("temp_market_data") == {"temp_market_data_p20260316": 1}

    def test_a_writer_on_his_way_to_where_there_is_no_room_may_try_again_when_there_is(self, unparted):
        date = day("2026-03-16")

        def late() -> tuple[str | None, bool]:
            try:
                load(storage(), ticks_of(date))
            except DatabaseError as error:
                return days.sqlstate(error), storage().is_transient(error)
            finally:
                connections.close_all()
            return None, False

        with ThreadPoolExecutor(1) as pool:
            bounds = (date, date + datetime.timedelta(days=1))
            with unparted.transaction(), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE temp_market_data_rest IN ACCESS EXCLUSIVE MODE")
                job = pool.submit(late)
                until(lambda: self._somebody_waits(cursor), seconds=60, what="the writer waits")
                cursor.execute(partitions.create(TEMP, bounds))
                cursor.execute(partitions.attach(TEMP, bounds))
            answer = job.result(timeout=300)

        assert answer == ("23514", True)

    def _somebody_waits(self, cursor) -> bool:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None

    # --- days that move ---------------------------------------------------------------------------------------------

    def test_a_day_moves_as_a_whole_and_leaves_room_for_late_ticks(self, unparted):
        dates = [day("2026-03-16"), day("2026-03-17")]
        unparted.ensure_partitions(dates)
        load(unparted, ticks_of(*dates))
        before = self._file("temp_market_data_p20260316")

        unparted.move_day(dates[0], progress=quiet)

        assert self._file("market_data_tick_p20260316") == before
        assert [part.name for part in unparted.partitions(TEMP)] == [
            "temp_market_data_p20260316",
            "temp_market_data_p20260317",
        ]
        load(unparted, ticks_of(dates[0], seq=2))
        assert rows_by_partition(TEMP) == {"temp_market_data_p20260316": 1, "temp_market_data_p20260317": 1}
        assert rows_by_partition(HISTORY) == {"market_data_tick_p20260316": 1}

    def _file(self, table: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_relation_filepath(%s)", [table])
            return str(cursor.fetchone()[0])

    def test_a_move_that_others_keep_waiting_names_them_and_changes_nothing(self, unparted, monkeypatch):
        monkeypatch.setattr(days, "PATIENCE_S", 0.5)
        unparted.ensure_partitions([day("2026-03-16")])
        load(unparted, ticks_of(day("2026-03-16")))

        with (
            in_use("SELECT count(*) FROM temp_market_data"),
            pytest.raises(StorageBusyError, match=r"process \d+ of naru.*SELECT count"),
        ):
            unparted.move_day(day("2026-03-16"), progress=quiet)

        assert rows_by_partition(TEMP) == {"temp_market_data_p20260316": 1}
        assert unparted.move_day(day("2026-03-16"), progress=quiet) == 1

    def test_whoever_asks_while_a_day_waits_to_be_moved_waits_for_no_longer_than_a_moment(self, unparted):
        unparted.ensure_partitions([day("2026-03-16")])
        load(unparted, ticks_of(day("2026-03-16")))
        asked: list[float] = []

        def look() -> None:
            try:
                for _ in range(30):
                    began = datetime.datetime.now()
                    assert len(read(storage())) == 1
                    asked.append((datetime.datetime.now() - began).total_seconds())
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            with in_use("SELECT count(*) FROM temp_market_data"):
                mover = pool.submit(move_elsewhere, day("2026-03-16"))
                pool.submit(look).result(timeout=300)
            assert mover.result(timeout=300) == 1

        # Lock waits of 0.15 s each, and a busy machine; whoever waited for the mover would wait for the holder's end.
        assert max(asked) < 100.0

    # --- what is worth another try ----------------------------------------------------------------------------------

    def test_the_loser_of_a_real_deadlock_may_try_again(self, store):
        load(store, market.ticks([{"tick_id": 1}, {"tick_id": 2}]))
        both_hold_one = threading.Barrier(2)
        change = "UPDATE temp_market_data SET seq = 1 WHERE symbol = '005930' AND tick_id = %s"

        def work(first: int, second: int) -> tuple[str | None, bool] | None:
            try:
                with storage().transaction(), connection.cursor() as cursor:
                    cursor.execute(change, [first])
                    both_hold_one.wait(timeout=300)
                    cursor.execute(change, [second])
            except OperationalError as error:
                return days.sqlstate(error), storage().is_transient(error)
            finally:
                connections.close_all()
            return None

        with ThreadPoolExecutor(2) as pool:
            answers = [one.result(timeout=300) for one in (pool.submit(work, 1, 2), pool.submit(work, 2, 1))]

        assert sorted(answers, key=str) == [("40P01", True), None]

    @pytest.mark.parametrize(("limit", "state"), [("lock_timeout", "55P03"), ("statement_timeout", "57014")])
    def test_a_row_that_stays_locked_may_be_tried_again(self, store, limit, state):
        load(store, market.ticks([{}]))
        change = "UPDATE temp_market_data SET seq = 1"

        def impatient() -> tuple[str | None, bool]:
            with connection.cursor() as cursor:
                cursor.execute(f"SET {limit} = 200")
            with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
                cursor.execute(change)
            return days.sqlstate(caught.value), storage().is_transient(caught.value)

        with store.transaction(), connection.cursor() as cursor:
            cursor.execute(change)

            assert elsewhere(impatient) == (state, True)

    def test_a_killed_connection_may_be_tried_again_and_stored_nothing(self, store, postgresql_server):
        def killed_in_the_middle() -> None:
            with store.transaction():
                store.load("temp_market_data", market.ticks([{}]))
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    number = cursor.fetchone()[0]
                postgresql_server.sql(f"SELECT pg_terminate_backend({number});")
                store.merge_minutes(merge_input())

        with pytest.raises((OperationalError, InterfaceError)) as caught:
            killed_in_the_middle()
        again = None
        try:
            store.count("temp_market_data")
        except (OperationalError, InterfaceError) as error:  # a connection that was not yet given up
            again = error
        connection.close()

        assert store.is_transient(caught.value)
        assert again is None or store.is_transient(again)
        assert store.count("temp_market_data") == 0

    def test_a_connection_that_cannot_be_made_may_be_tried_again(self, store, monkeypatch):
        connection.close()
        with monkeypatch.context() as patched:
            patched.setitem(connection.settings_dict, "PORT", "1")
            with pytest.raises(OperationalError) as caught:
                store.count("temp_market_data")

        assert store.is_transient(caught.value)

    def test_a_server_that_became_a_replica_may_be_tried_again(self, store):
        def write() -> None:
            with store.transaction(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                store.load("temp_market_data", market.ticks([{}]))

        with pytest.raises(DatabaseError) as caught:
            write()

        assert store.is_transient(caught.value)

    def test_a_check_that_a_row_breaks_is_not_worth_another_try(self, store):
        with pytest.raises(IntegrityError) as caught, connection.cursor() as cursor:
            cursor.execute("INSERT INTO source (id, code, is_synthetic) VALUES (-1, 'X', false)")

        assert not store.is_transient(caught.value)

    # --- COPY -------------------------------------------------------------------------------------------------------

    def test_a_row_that_does_not_fit_is_refused_aloud_and_nothing_is_stored(self, store):
        wide = market.ticks([{"symbol": "x" * 25}])
        huge = market.ticks([{"price": 10**18}])

        for wrong in (wide, huge):
            with pytest.raises(DatabaseError):
                load(store, wrong)

        assert store.count("temp_market_data") == 0

    def test_rows_that_are_there_twice_are_told_apart_in_one_transaction_too(self, store):
        batch = market.ticks([{"tick_id": at} for at in range(5)])

        with store.transaction():
            numbers = [store.load("temp_market_data", batch) for _ in range(3)]
            numbers.append(store.load("temp_market_data", market.ticks([{"tick_id": 9}, {"tick_id": 9}])))

        assert numbers == [5, 0, 0, 1]
        assert store.count("temp_market_data") == 6

    def test_words_of_a_terminal_are_kept_though_postgresql_knows_no_nul(self, store):
        set_aside.keep_gaps([(7, "krx", {0: wire.Gap(1, 2, 3, "spool\0full")})])
        set_aside.add_dead_letter(7, checksum=1, code="bad_batch", error="spool\0full", payload=b"spool\0full")

        assert Gap.objects.get().reason == "spool\ufffdfull"
        letter = DeadLetter.objects.get()
        assert (letter.error, bytes(letter.payload)) == ("spool\ufffdfull", b"spool\0full")

    def test_a_reader_in_sql_sees_words_and_decimals(self, store):
        load(store, market.ticks([{"price": market.price("70000.5"), "side": 2, "size": 1}]))

        with connection.cursor() as cursor:
            cursor.execute("SELECT kind::text, side::text, price::text, size::text, event_time FROM temp_market_data")
            row = cursor.fetchone()

        assert row[:4] == ("trade", "sell", "70000.50000000", "0.000001")
        assert row[4] == datetime.datetime(2026, 3, 16, tzinfo=datetime.UTC)


def move_elsewhere(date: datetime.date) -> int:
    try:
        return storage().move_day(date, progress=quiet)
    finally:
        connections.close_all()


def merge_input():
    return candles.build(market.ticks([{"time_us": NINE_US, "tick_id": tick_id(3, 0)}]))
