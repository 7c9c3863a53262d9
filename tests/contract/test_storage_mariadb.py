"""MariaDB keeps the contract; besides, it keeps each trading date in a partition of its own."""

import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections

from marketdata.models import IngestBatchDay
from marketdata.storage import Storage, StorageBusyError, StorageError, storage
from marketdata.storage.base import HISTORY
from marketdata.storage.mariadb import partitions
from marketdata.types.units import day_of
from tests import builders, market
from tests.contract.rows import elsewhere, load, make_room, merge, read
from tests.contract.storage import StorageContract
from tests.market import NINE_US, tick_id
from tests.waiting import until


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def ticks_of(*dates: datetime.date):
    """A trade at nine in Seoul of each date."""
    return market.ticks(
        [
            {"trade_date": day_of(date), "time_us": day_of(date) * market.DAY_US, "tick_id": at}
            for at, date in enumerate(dates)
        ]
    )


def forget_partitions() -> None:
    """Know no more of them than another process does."""
    settings = connection.settings_dict
    place = (str(settings["HOST"]), str(settings["PORT"]), str(settings["NAME"]))
    for table in ("temp_market_data", "market_data_minute"):
        partitions.forget((*place, table))


def rows_by_partition(table: str) -> dict[str, int]:
    """How many rows each partition really has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT PARTITION_NAME FROM information_schema.PARTITIONS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY PARTITION_ORDINAL_POSITION",
            [table],
        )
        names = [name for (name,) in cursor.fetchall()]
        counts = {}
        for name in names:
            cursor.execute(f"SELECT count(*) FROM {table} PARTITION ({name})")
            counts[name] = cursor.fetchone()[0]
    return counts


def rows_looked_at() -> int:
    """How many rows of tables and indexes this connection has read so far."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(value) for _, value in cursor.fetchall())


@contextmanager
def others_connected(number: int) -> Iterator[None]:
    """So many who are only connected, for longer than whoever begins something now."""
    idle = [connection.copy() for _ in range(number)]

    def waiting() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT TIME FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep' ORDER BY TIME DESC")
            return sum(seconds >= 2 for (seconds,) in cursor.fetchall())

    try:
        for one in idle:
            one.ensure_connection()
        until(lambda: waiting() >= number, seconds=60, what="idle connections")
        yield
    finally:
        for one in idle:
            one.close()


class TestMariaDB(StorageContract):
    vendor = "mysql"

    @pytest.mark.parametrize("ascending", [True, False])
    def test_few_rows_from_one_end_of_many_days_open_few_partitions(self, store, ascending):
        today = datetime.datetime.now(datetime.UTC).date()
        days = [today - datetime.timedelta(days=number) for number in range(200)]
        store.ensure_partitions(days, ("temp_market_data", HISTORY))
        builders.commit(store, ticks_of(*days))
        end_us = market.DAY_US * day_of(datetime.date(2200, 1, 1))

        before = rows_looked_at()
        found = read(store, start_us=0, end_us=end_us, limit=2, ascending=ascending)

        assert found.trade_date.tolist() == [day_of(date) for date in (days[::-1] if ascending else days)[:2]]
        assert rows_looked_at() - before < 250, "one partition after the other was opened"  # all are more than 400

    def test_dates_of_the_ledger_are_looked_up_however_many_batches_there_are(self, store):
        entries = [
            IngestBatchDay(
                batch=number, trade_date=day("2026-03-16") + datetime.timedelta(days=number // 500), rows=1, checksum=1
            )
            for number in range(3_000)
        ]
        IngestBatchDay.objects.bulk_create(entries)

        before = rows_looked_at()
        dates = storage().ledger_dates(datetime.date(2000, 1, 1), datetime.date(2030, 1, 1))

        assert (len(dates), dates[-1]) == (6, day("2026-03-21"))
        assert rows_looked_at() - before < 100

    @pytest.fixture
    def unparted(self, store: Storage) -> Storage:
        """Tables as they are on the first day: with no partition but the last."""
        store.drop_tables()
        store.create_tables()
        return store

    # --- partitions -------------------------------------------------------------------------------------------------

    def test_each_trading_date_lies_in_its_own_partition(self, unparted):
        dates = [day("2026-03-16"), day("2026-03-17"), day("2026-03-20"), day("2023-12-26")]
        unparted.ensure_partitions(dates)

        load(unparted, ticks_of(*dates))

        rows = rows_by_partition("temp_market_data")
        assert {name: count for name, count in rows.items() if count} == {
            "p20231226": 1,
            "p20260316": 1,
            "p20260317": 1,
            "p20260320": 1,
        }
        assert list(rows)[-1] == "pmax"

    def test_candles_lie_in_the_partition_of_their_month(self, unparted):
        dates = [day("2026-03-31"), day("2026-04-01"), day("2025-12-31"), day("2026-04-30")]
        unparted.ensure_partitions(dates)

        merge(unparted, ticks_of(*dates))

        rows = rows_by_partition("market_data_minute")
        assert {name: count for name, count in rows.items() if count} == {
            "p20251201": 1,
            "p20260301": 1,
            "p20260401": 2,
        }

    @pytest.mark.parametrize(
        "asked",
        [
            ["2026-03-16", "2026-03-17", "2026-03-18"],
            ["2026-03-18", "2026-03-17", "2026-03-16"],
            ["2026-03-16", "2026-03-25", "2026-03-20"],
            ["2026-03-16", "2026-03-18", "2026-03-17"],
            ["2026-03-25", "2026-01-01", "2026-03-26", "2026-03-24"],
        ],
    )
    def test_room_is_made_before_behind_and_between_what_is_there(self, unparted, asked):
        for text in asked:
            unparted.ensure_partitions([day(text)])
            forget_partitions()

        load(unparted, ticks_of(*(day(text) for text in asked)))

        full = [name for name, count in rows_by_partition("temp_market_data").items() if count]
        assert full == sorted(f"p{text.replace('-', '')}" for text in asked)

    def test_rows_that_are_there_survive_new_partitions_on_all_sides(self, unparted):
        unparted.ensure_partitions([day("2026-03-16")])
        load(unparted, ticks_of(day("2026-03-16")))

        unparted.ensure_partitions([day("2026-03-10"), day("2026-03-15"), day("2026-03-17"), day("2026-06-01")])

        assert rows_by_partition("temp_market_data")["p20260316"] == 1
        assert unparted.count("temp_market_data") == 1

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
        rows = rows_by_partition("temp_market_data")
        assert {name: count for name, count in rows.items() if count} == {f"p{date:%Y%m%d}": 1 for date in dates}

    def test_room_that_is_there_costs_no_statement(self, unparted, django_assert_num_queries):
        unparted.ensure_partitions([day("2026-03-16")])

        with django_assert_num_queries(0):
            unparted.ensure_partitions([day("2026-03-16")])

    def test_tables_made_without_compression_are_given_it_so_that_days_can_be_exchanged(self, store):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE temp_market_data PAGE_COMPRESSED=0 PAGE_COMPRESSION_LEVEL=DEFAULT")
        load(store, ticks_of(day("2026-03-16")))

        store.create_tables()

        assert store.move_day(day("2026-03-16"), progress=lambda _: None) == 1
        assert rows_by_partition("market_data_tick")["p20260316"] == 1

    # --- what is worth another try ----------------------------------------------------------------------------------

    def test_newest_quotes_of_many_symbols_take_little_memory_of_the_server(self, store):
        connection.close()  # another one has used nothing yet

        store.newest_quotes("krx", {f"{number:06d}": NINE_US for number in range(100)})

        asked = "SELECT max_memory_used FROM information_schema.processlist WHERE id = CONNECTION_ID()"
        with connection.cursor() as cursor:
            cursor.execute(asked)
            assert int(cursor.fetchone()[0]) < 100 << 20

    def test_a_transaction_is_its_statements_between_begin_and_commit(self, store):
        def counted() -> dict[str, int]:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SHOW SESSION STATUS WHERE Variable_name IN"
                    " ('Com_begin', 'Com_commit', 'Com_rollback', 'Com_set_option')"
                )
                return {name: int(value) for name, value in cursor.fetchall()}

        def begin_and_fail() -> None:
            with store.transaction():
                store.load("temp_market_data", market.ticks([{"tick_id": 2}]))
                raise StorageBusyError("to be taken back")

        before = counted()
        with store.transaction():
            pass  # nothing in it, so the server need not hear of it
        load(store, market.ticks([{}]))
        with pytest.raises(StorageBusyError):
            begin_and_fail()
        spent = {name: after - before[name] for name, after in counted().items()}

        assert spent == {"Com_begin": 2, "Com_commit": 1, "Com_rollback": 1, "Com_set_option": 0}
        assert elsewhere(lambda: len(read(storage()))) == 1

    def test_the_loser_of_a_real_deadlock_may_try_again(self, store):
        load(store, market.ticks([{"tick_id": 1}, {"tick_id": 2}]))
        both_hold_one = threading.Barrier(2)

        change = (
            "UPDATE temp_market_data SET seq = 1"
            " WHERE symbol = '005930' AND event_time = '2026-03-16 00:00:00' AND tick_id = %s"
        )

        def work(first: int, second: int) -> tuple[int, bool] | None:
            try:
                with storage().transaction(), connection.cursor() as cursor:
                    cursor.execute(change, [first])
                    both_hold_one.wait(timeout=300)
                    cursor.execute(change, [second])
            except OperationalError as error:
                return error.args[0], storage().is_transient(error)
            finally:
                connections.close_all()
            return None

        with ThreadPoolExecutor(2) as pool:
            answers = [one.result(timeout=300) for one in (pool.submit(work, 1, 2), pool.submit(work, 2, 1))]

        assert sorted(answers, key=str) == [(1213, True), None]

    def test_a_row_that_stays_locked_may_be_tried_again(self, store):
        load(store, market.ticks([{}]))
        change = "UPDATE temp_market_data SET seq = 1"

        def impatient() -> tuple[int, bool]:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
                cursor.execute(change)
            return caught.value.args[0], storage().is_transient(caught.value)

        with store.transaction(), connection.cursor() as cursor:
            cursor.execute(change)

            assert elsewhere(impatient) == (1205, True)

    def test_a_killed_connection_may_be_tried_again_and_stored_nothing(self, store, mariadb_server):
        def killed_in_the_middle() -> None:
            with store.transaction():
                store.load("temp_market_data", market.ticks([{}]))
                with connection.cursor() as cursor:
                    cursor.execute("SELECT CONNECTION_ID()")
                    number = cursor.fetchone()[0]
                mariadb_server.sql(f"KILL {number};")
                store.merge_minutes(merge_input())

        with pytest.raises((OperationalError, InterfaceError)) as caught:
            killed_in_the_middle()
        connection.close()

        assert store.is_transient(caught.value)
        assert store.count("temp_market_data") == 0

    def test_a_server_that_is_not_there_may_be_tried_again(self, store):
        for number in (2002, 2006, 2013, 1053, 1290, 1158, 1203, 1969, 2012, 2026):
            assert store.is_transient(OperationalError(number, "gone"))

    # --- moving a day while others use the table --------------------------------------------------------------------

    def test_whoever_holds_the_table_is_named_and_no_writer_waits_for_him_longer_than_a_moment(self, store):
        stored = ticks_of(day("2026-03-16"), day("2026-03-17"))
        make_room(store, stored)
        load(store, stored)
        forget_partitions()
        held, ended = threading.Event(), threading.Event()
        written = [0]

        def hold() -> int:
            try:
                with storage().snapshot():
                    storage().count("temp_market_data")
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT CONNECTION_ID()")
                        number = int(cursor.fetchone()[0])
                    held.set()
                    ended.wait(timeout=300)
                return number
            finally:
                connections.close_all()

        def write() -> None:
            try:
                held.wait(timeout=300)
                while not ended.is_set():
                    load(storage(), market.ticks([{"tick_id": tick_id(7, written[0] % 5000), "trade_date": 20_530}]))
                    written[0] += 1
            finally:
                connections.close_all()

        with others_connected(4), ThreadPoolExecutor(2) as pool:
            holder, writer = pool.submit(hold), pool.submit(write)
            held.wait(timeout=300)
            try:
                until(lambda: written[0], seconds=60, what="a writer at work")
                before, tries = written[0], 0
                while written[0] < before + 2:  # they go on between the attempts, however busy the machine
                    tries += 1
                    assert tries < 60
                    with pytest.raises(StorageBusyError) as caught:
                        store._alter(
                            "ALTER TABLE temp_market_data EXCHANGE PARTITION p20260316 WITH TABLE market_data_moving",
                            patience_s=1.0,
                        )
            finally:
                ended.set()

            assert f"connection {holder.result(timeout=300)} of naru" in str(caught.value)
            assert "nothing was changed" in str(caught.value)
            writer.result(timeout=300)
        assert store.move_day(day("2026-03-16"), progress=lambda _: None) == 1

    def test_a_day_on_its_way_is_read_counted_and_brought_home(self, store):
        load(store, ticks_of(day("2026-03-16")))
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO market_data_moving SELECT * FROM temp_market_data")
            cursor.execute("DELETE FROM temp_market_data")

        assert len(read(store)) == 1
        assert store.dates("temp_market_data") == [day("2026-03-16")]
        assert sum(
            figure.rows for figure in store.tick_figures(day("2026-03-16"), tables=["temp_market_data"]).values()
        )
        assert store.move_day(day("2026-03-16"), progress=lambda _: None) == 1
        assert (store.count("market_data_moving"), store.count("market_data_tick")) == (0, 1)

    def test_days_that_were_mixed_on_their_way_come_home_each_to_its_own(self, store):
        dates = [day("2026-03-16"), day("2026-03-17"), day("2026-03-18")]
        load(store, ticks_of(*dates))
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO market_data_moving SELECT * FROM temp_market_data")
            cursor.execute("DELETE FROM temp_market_data")

        store.move_day(dates[1], progress=lambda _: None)

        assert store.dates("market_data_tick") == dates

    def test_ticks_that_had_no_room_are_moved_all_the_same(self, unparted):
        load(unparted, ticks_of(day("2026-03-16"), day("2026-03-16")))
        assert unparted.default_partition_rows("temp_market_data") == 2

        assert unparted.move_day(day("2026-03-16"), progress=lambda _: None) == 2
        assert unparted.default_partition_rows("temp_market_data") == 0
        assert unparted.dates("market_data_tick") == [day("2026-03-16")]

    # --- LOAD DATA --------------------------------------------------------------------------------------------------

    def test_a_day_whose_rows_are_gone_counts_as_dropped_though_its_empty_partition_stays_in_use(
        self, unparted, monkeypatch
    ):
        store, dates = unparted, [day("2026-03-16"), day("2026-03-17")]
        store.ensure_partitions(dates, [HISTORY])
        store.load(HISTORY, ticks_of(*dates))
        alter = store._alter

        def used(statement: str) -> None:
            if "REORGANIZE" not in statement:
                alter(statement)
                return
            with store.transaction():
                store.count(HISTORY)
                elsewhere(lambda: type(store)._alter(storage(), statement, patience_s=0.2))

        with monkeypatch.context() as patched:
            patched.setattr(store, "_alter", used)
            assert store.drop_days(HISTORY, dates[:1]) == 1
        assert store.dates(HISTORY) == dates[1:]

        assert store.drop_days(HISTORY, dates[:1]) == 1
        assert dates[0] not in [part.start for part in store.partitions(HISTORY)]

    def test_a_partition_whose_emptying_was_halted_within_innodb_is_emptied_by_another_try(self, unparted, monkeypatch):
        store, date = unparted, day("2026-03-16")
        store.ensure_partitions([date], [HISTORY])
        store.load(HISTORY, ticks_of(date))
        query, halted = store._query, list[str]()

        def once_halted(sql, *params):
            if "TRUNCATE PARTITION" in sql and not halted:
                halted.append(sql)
                raise OperationalError(1030, 'Got error 140 "Wrong create options" from storage engine InnoDB')
            return query(sql, *params)

        with monkeypatch.context() as patched:
            patched.setattr(store, "_query", once_halted)
            assert store.drop_days(HISTORY, [date]) == 1

        assert halted
        assert store.dates(HISTORY) == []

    def test_a_row_that_does_not_fit_is_refused_aloud_and_nothing_is_stored(self, store):
        wide = market.ticks([{"symbol": "x" * 25}])
        huge = market.ticks([{"price": 10**18}])

        for wrong in (wide, huge):
            with pytest.raises((StorageError, DatabaseError)):
                load(store, wrong)

        assert store.count("temp_market_data") == 0

    def test_a_tick_without_room_falls_into_the_last_partition_and_not_away(self, unparted):
        load(unparted, ticks_of(day("2040-01-02")))

        assert rows_by_partition("temp_market_data") == {"pmax": 1}


def merge_input():
    from analytics.series import candles

    return candles.build(market.ticks([{"time_us": NINE_US, "tick_id": tick_id(3, 0)}]))
