"""Tables of the time when sizes had four decimal places, brought to six with what is in them, on each database."""

import datetime
from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from analytics.series import candles
from marketdata.models import IngestBatchDay
from marketdata.storage import StorageError
from marketdata.storage.base import HISTORY, MINUTES, TEMP, Latest
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import SIZES, TICK_BITS
from marketdata.types.units import date_of, day_of
from tests import market
from tests.contract.rows import load, make_room, merge, read, read_bars
from tests.market import NINE_US, price, size, tick_id

DAY = datetime.date(2026, 3, 16)
DAYS = day_of(DAY)
# Of exactly these ticks, as it was written into ledgers when sizes had four places.
THEN = Figure(4, 1_256_123_936)
BEFORE = {
    "mysql": ("MODIFY {0} DECIMAL{1} {2}", "DECIMAL"),
    "postgresql": ("ALTER COLUMN {0} TYPE NUMERIC{1}", "NUMERIC"),
}
SUMS = {"volume": "(24,4)", "value": "(36,12)"}
SIZED = {
    TEMP: dict.fromkeys(SIZES, "(18,4)"),
    HISTORY: dict.fromkeys(SIZES, "(18,4)"),
    MINUTES: SUMS,
    "market_data": {**SUMS, "regular_volume": "(24,4)"},
    "cache_realtime_data": {"size": "(18,4)"},
}


def of_then():
    return market.ticks(
        [
            {"price": price("70000.12345678"), "size": size("0.0001"), "seq": 7, "side": 1,
             "cum_volume": size("98765.4321"), "tick_id": tick_id(1, 0)},
            {"price": price("99999.99999999"), "size": size("9999999999.9999"), "time_us": NINE_US + 1,
             "tick_id": tick_id(1, 1)},
            {"kind": 2, "bid": price("69999"), "ask": price("70001"), "bid_size": size("12.5"), "ask_size": 0,
             "time_us": NINE_US + 2, "tick_id": tick_id(2, 0), "symbol": "000660"},
            {"kind": 3, "price": price("1"), "time_us": NINE_US + 3, "tick_id": tick_id(3, 4999), "seq": 2**63 - 1},
        ]
    )  # fmt: skip


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def asked(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def make_old() -> None:
    """The tables as they were, with what is in them."""
    tables = {**SIZED, "market_data_moving": SIZED[TEMP]} if connection.vendor == "mysql" else SIZED
    for table, columns in tables.items():
        if connection.vendor == "sqlite":
            whole = [name if name != "value" else "value_frac" for name in columns]
            sql(f"UPDATE {table} SET {', '.join(f'{name} = {name} / 100' for name in whole)}")
            continue
        form = BEFORE[connection.vendor][0]
        for name, digits in columns.items():
            needed = "NOT NULL" if name in SUMS else "NULL"
            sql(f"ALTER TABLE {table} {form.format(name, digits, needed)}")
    if connection.vendor == "sqlite":
        sql("PRAGMA user_version = 0")


@pytest.fixture
def old(store):
    ticks = of_then()
    make_room(store, ticks)
    load(store, ticks)
    merge(store, ticks)
    store.build_daily(DAY, [])
    store.put_latest(
        [Latest(symbol="A", feed="krx", time_us=NINE_US, tick_id=1, price=price("1.5"), size=size("2.0001"))]
    )
    before = (read(store, "005930"), read_bars(store), store.read_daily("005930", "krx", DAY, DAY + one_day()))
    make_old()
    yield before
    sql("DELETE FROM temp_market_data")
    store.refine_sizes()


def one_day() -> datetime.timedelta:
    return datetime.timedelta(days=1)


def test_the_checksum_of_a_tick_is_what_it_was_when_sizes_had_four_places():
    assert checksums.of_ticks(of_then()) == {DAYS: THEN}


def test_a_day_that_is_open_during_the_upgrade_is_what_it_was(store, old):
    ticks, bars, daily = old
    for (batch, day), figure in checksums.by_batch(of_then(), of_then().tick_id >> TICK_BITS).items():
        IngestBatchDay.objects.create(
            batch=batch, trade_date=date_of(day), rows=figure.rows,
            checksum=figure.checksum,
        )  # fmt: skip

    store.refine_sizes()

    assert checksums.total(store.tick_figures(DAY).values()) == THEN
    assert market.same(read(store, "005930"), ticks)
    assert market.candles(read_bars(store)) == market.candles(bars)
    again = store.read_daily("005930", "krx", DAY, DAY + one_day())
    assert [getattr(again, name).tolist() for name in ("volume", "value", "value_frac", "close")] == [
        getattr(daily, name).tolist() for name in ("volume", "value", "value_frac", "close")
    ]
    assert asked("SELECT size FROM cache_realtime_data") == (
        size("2.0001") if connection.vendor == "sqlite" else Decimal("2.0001")
    )


def test_after_it_a_size_has_six_places_and_joins_the_candle_of_before(store, old):
    store.refine_sizes()
    fine = market.ticks([{"size": size("0.000001"), "price": price("-0.00000001"), "tick_id": tick_id(4, 0)}])

    load(store, fine)
    merge(store, fine)

    found = read(store, "005930")
    assert size("0.000001") in found.size.tolist()
    assert checksums.total(store.tick_figures(DAY).values()) == THEN + checksums.of_ticks(fine)[DAYS]
    assert market.candles(read_bars(store)) == market.candles_by_hand([of_then(), fine])


def test_it_may_run_again_and_changes_nothing_then(store, old):
    store.refine_sizes()
    before = market.rows_of(read(store, "005930"))

    store.refine_sizes()

    assert market.rows_of(read(store, "005930")) == before


def test_a_number_that_has_no_room_for_six_places_stops_it_before_anything_changes(store, old):
    huge = 10**16 if connection.vendor == "sqlite" else 10**12
    sql(f"UPDATE temp_market_data SET cum_volume = {huge} WHERE symbol = '000660'")

    with pytest.raises(StorageError, match=r"symbol 000660, feed krx.*nothing was changed"):
        store.refine_sizes()

    if connection.vendor == "sqlite":
        assert asked("SELECT min(size) FROM temp_market_data") == 1  # of 1e-4
    else:
        place = {"mysql": "DATABASE()", "postgresql": "current_schema()"}[connection.vendor]
        assert (
            asked(
                "SELECT numeric_scale FROM information_schema.columns WHERE table_name = 'temp_market_data'"
                f" AND column_name = 'size' AND table_schema = {place}"
            )
            == 4
        )


def test_the_ledger_of_a_database_older_than_the_ledger_by_day_counts_in_the_same_unit(store, old):
    """Migration 0004 fills it before 0013 refines the sizes."""
    import_module("marketdata.migrations.0004_history_tables").fill_ledger(apps, _Editor())

    noted = IngestBatchDay.objects.values_list("rows", "checksum")
    assert checksums.total(Figure(*one) for one in noted) == THEN


class _Editor:
    connection = connection


def test_candles_of_an_upgraded_day_are_those_of_its_ticks(store, old):
    store.refine_sizes()

    ticks = store.read_day_ticks(DAY, "005930", "krx")
    assert market.candles(candles.build(ticks)) == market.candles(read_bars(store))
