"""What every database promises (marketdata/storage/promises), told once. Each backend's class lives it."""

import datetime

import pytest
from django.db import connection

from marketdata.storage import Storage
from marketdata.types.units import day_of
from tests import market
from tests.contract.candles import CandleContract
from tests.contract.rows import load, read
from tests.contract.ticks import TickContract
from tests.contract.transactions import TransactionContract


class StorageContract(TickContract, CandleContract, TransactionContract):
    """Promises of every backend."""

    vendor: str

    @pytest.fixture(autouse=True)
    def _the_database_is_the_one_meant(self, store: Storage) -> None:
        assert connection.vendor == self.vendor

    def test_making_the_tables_again_changes_nothing(self, store):
        load(store, market.ticks([{}]))

        store.create_tables()

        assert len(read(store)) == 1

    def test_rows_are_counted_exactly(self, store):
        load(store, market.ticks([{} for _ in range(17)]))

        assert store.count("temp_market_data") == 17
        assert store.count("market_data_minute") == 0

    def test_room_for_any_dates_may_be_asked_for_again(self, store):
        dates = [datetime.date.fromisoformat(text) for text in ("2026-03-16", "1999-12-31", "2031-02-28", "2026-03-16")]

        store.ensure_partitions(dates)
        store.ensure_partitions(iter(dates))

        batch = market.ticks([{"trade_date": day_of(date), "tick_id": at} for at, date in enumerate(dates)])
        assert load(store, batch) == 4
        assert len(read(store)) == 4
