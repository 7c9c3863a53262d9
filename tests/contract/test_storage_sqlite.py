"""SQLite keeps the contract, in a file and in WAL mode as it runs."""

import datetime
import sqlite3

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from marketdata.storage import storage
from marketdata.types.units import day_of
from tests import market
from tests.contract.rows import elsewhere, load
from tests.contract.storage import StorageContract


class TestSQLite(StorageContract):
    vendor = "sqlite"

    def test_a_file_that_another_writer_holds_is_worth_another_try(self, store):
        def impatient() -> bool:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 20")
            with pytest.raises(OperationalError) as caught:
                load(storage(), market.ticks([{}]))
            return storage().is_transient(caught.value)

        with store.transaction():
            store.load("temp_market_data", market.ticks([{}]))

            assert elsewhere(impatient)

    def test_a_committed_tick_is_on_the_disk_and_not_only_in_the_system(self, store):
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous")
            synchronous = cursor.fetchone()
            cursor.execute("PRAGMA journal_mode")
            journal = cursor.fetchone()

        assert synchronous == (2,)
        assert journal == ("wal",)

    def test_a_word_where_a_number_belongs_is_refused_by_the_table(self, store):
        load(store, market.ticks([{}]))

        with sqlite3.connect(connection.settings_dict["NAME"]) as raw, pytest.raises(sqlite3.IntegrityError):
            raw.execute("UPDATE temp_market_data SET price = 'seventy thousand'")

    def test_the_symbols_of_a_days_order_books_are_found_in_the_key(self, store):
        date = datetime.date(2026, 3, 16)
        day = day_of(date)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO order_books (symbol, event_time, tick_id, trade_date, feed, source, bid_prices,"
                " bid_volumes, ask_prices, ask_volumes)"
                " VALUES ('005930', %s, 1, %s, 'krx', 1, '[]', '[]', '[]', '[]')",
                [day * 86_400_000_000, day],
            )

        with CaptureQueriesContext(connection) as asked:
            assert store.day_book_symbols(date) == ["005930"]

        with connection.cursor() as cursor:
            for one in asked.captured_queries:
                cursor.execute("EXPLAIN QUERY PLAN " + one["sql"])
                assert all(row[-1].startswith("SEARCH order_books") for row in cursor.fetchall()), one["sql"]
