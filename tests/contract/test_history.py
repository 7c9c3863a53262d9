"""What every database promises of finished days: moved whole, counted alike, aggregated, dropped. Runs on the one that
DB names."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from marketdata.ledger import batch_ledger
from marketdata.models import Symbol
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, MINUTES, PERIODS, TEMP
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import ABSENT, GREATEST
from marketdata.types.units import day_of
from tests import market
from tests.contract.days import DAY, DAYS, NEXT, quiet, trades
from tests.contract.rows import (
    NULLABLE,
    elsewhere,
    load,
    make_room,
    merge,
    new_symbol,
    on_one_database,
    read,
)
from tests.market import DAY_US, MINUTE_US, NINE_US, price, tick_id
from tests.waiting import until


def seen(store) -> int:
    """How many ticks a reader sees of both symbols, each with a key of its own."""
    keys = [
        (symbol, *key)
        for symbol in ("005930", "000660")
        for found in [read(store, symbol)]
        for key in zip(found.time_us.tolist(), found.tick_id.tolist(), strict=True)
    ]
    assert len(set(keys)) == len(keys)
    return len(keys)


# --- moving a day -----------------------------------------------------------------------------------------------------


def test_a_moved_day_lies_in_history_and_reads_as_before(store):
    batch = trades(20)
    make_room(store, batch)
    load(store, batch)
    before = [market.rows_of(read(store, symbol)) for symbol in ("005930", "000660")]

    moved = store.move_day(DAY, progress=quiet)

    assert moved == 20
    assert (store.count(TEMP), store.count(HISTORY)) == (0, 20)
    assert [market.rows_of(read(store, symbol)) for symbol in ("005930", "000660")] == before


def test_only_the_day_named_is_moved(store):
    load(store, trades(6))
    load(store, trades(4, day=NEXT, seq=2))

    store.move_day(DAY, progress=quiet)

    assert store.dates(TEMP) == [NEXT]
    assert store.dates(HISTORY) == [DAY]
    assert (store.count(TEMP), store.count(HISTORY)) == (4, 6)


def test_late_ticks_follow_a_moved_day_without_touching_what_is_there(store):
    load(store, trades(6))
    store.move_day(DAY, progress=quiet)

    load(store, trades(3, seq=2))
    assert seen(store) == 9
    moved = store.move_day(DAY, progress=quiet)

    assert moved == 3
    assert (store.count(TEMP), store.count(HISTORY), seen(store)) == (0, 9, 9)


def test_a_day_may_be_moved_again_and_a_day_without_ticks_moves_nothing(store):
    load(store, trades(6))

    assert [store.move_day(DAY, progress=quiet) for _ in range(3)] == [6, 0, 0]
    assert store.move_day(datetime.date(2026, 3, 10), progress=quiet) == 0


def test_a_moved_day_takes_more_ticks_and_the_next_day_is_as_it_was(store):
    load(store, trades(6))
    store.move_day(DAY, progress=quiet)

    assert load(store, trades(6, seq=3)) == 6
    assert load(store, trades(6, day=NEXT, seq=4)) == 6
    assert seen(store) == 18


def test_a_reader_sees_every_tick_while_days_are_moved_and_a_writer_goes_on(store):
    for number in range(4):
        load(store, trades(300, day=DAY + datetime.timedelta(days=number), seq=number + 1))
    ended, holes, reads, written = threading.Event(), [], [0], [0]

    def look():
        try:
            while not ended.is_set():
                count = seen(storage())
                reads[0] += 1
                if count < 1200:
                    holes.append(count)
        finally:
            connections.close_all()

    def write():
        try:
            seq = 100
            while not ended.is_set():
                load(storage(), trades(5, day=DAY + datetime.timedelta(days=9), seq=seq))
                written[0] += 5
                seq += 1
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(look), pool.submit(look), pool.submit(write)]
        try:
            until(lambda: reads[0] and written[0], seconds=60, what="readers and a writer at work")
            for number in range(4):
                store.move_day(DAY + datetime.timedelta(days=number), progress=quiet)
        finally:
            ended.set()
        for job in jobs:
            job.result(timeout=300)

    assert holes == []
    assert store.count(HISTORY) == 1200
    assert store.count(TEMP) == written[0]


# --- figures ----------------------------------------------------------------------------------------------------------


@given(st.data())
@on_one_database
def test_arrays_and_database_agree_on_every_figure(store, data):
    number = st.one_of(st.just(ABSENT), st.integers(-GREATEST, GREATEST))
    column = {name: number for name in NULLABLE if name != "seq"} | {"seq": st.integers(-(2**63), 2**63 - 1)}
    row = st.fixed_dictionaries(
        {
            **column,
            "kind": st.integers(1, 4),
            "side": st.integers(0, 2),
            "time_us": st.integers(NINE_US - 10**9, NINE_US + 10**9),
        }
    )
    symbol = new_symbol()
    drawn = data.draw(st.lists(row, min_size=1, max_size=8))
    batch = market.ticks(
        [{**one, "symbol": symbol, "tick_id": tick_id(at + 1, at), "trade_date": DAYS} for at, one in enumerate(drawn)]
    )
    load(store, batch)

    found = store.tick_figures(DAY)

    assert found[symbol, "krx"] == checksums.of_ticks(batch)[DAYS]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_figure_of_a_day_does_not_depend_on_where_it_lies(store, threads):
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in ("005930", "000660")])
    batch, late = trades(50), trades(7, seq=2, kind=2, bid=5)
    load(store, batch)
    before = store.tick_figures(DAY, threads=threads)
    store.move_day(DAY, progress=quiet)
    moved = store.tick_figures(DAY, threads=threads)

    load(store, late)

    whole = checksums.total(store.tick_figures(DAY, threads=threads).values())
    assert before == moved == store.tick_figures(DAY, tables=[HISTORY])
    assert (store.day_rows(DAY), store.day_rows(NEXT)) == (57, 0)
    assert checksums.total(before.values()) == checksums.of_ticks(batch)[DAYS]
    assert whole == checksums.of_ticks(batch)[DAYS] + checksums.of_ticks(late)[DAYS]


def test_any_changed_value_changes_the_figure(store):
    batch = market.ticks([dict.fromkeys(NULLABLE, 50_000_000) | {"side": 1}])
    load(store, batch)
    before = store.tick_figures(DAY)
    changes = [f"{name} = {name} + 1" for name in ("seq", "price", "size", "bid", "ask", "bid_size", "ask_size")]
    if connection.vendor != "sqlite":
        changes += [f"{name} = {name} + 0.00000001" for name in ("price", "bid", "ask")]
    changes += ["cum_volume = NULL", "source = source + 1", "tick_id = tick_id + 1", "symbol = 'OTHER'", "feed = 'nxt'"]

    for change in changes:
        with store.transaction(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE temp_market_data SET {change}")
            assert store.tick_figures(DAY) != before, change
            transaction.set_rollback(True)
    assert store.tick_figures(DAY) == before


def test_values_that_change_places_between_two_rows_change_the_figure(store):
    load(store, market.ticks([{"price": 5, "tick_id": tick_id(1, 0)}, {"price": 6, "tick_id": tick_id(1, 1)}]))
    swapped = market.ticks([{"price": 6, "tick_id": tick_id(1, 0)}, {"price": 5, "tick_id": tick_id(1, 1)}])

    assert checksums.total(store.tick_figures(DAY).values()) != checksums.of_ticks(swapped)[DAYS]


def test_the_ledger_of_a_day_is_the_figure_of_its_rows(store):
    one, two = trades(9), trades(5, seq=2)
    for batch in (one, two):
        with store.transaction():
            batch_ledger.claim_days(checksums.by_batch(batch, batch.tick_id >> 13))
            store.load(TEMP, batch)

    assert batch_ledger.day_figure(DAY) == checksums.total(store.tick_figures(DAY).values())
    assert batch_ledger.day_figure(NEXT) == Figure()


def test_inside_a_snapshot_nothing_changes(store):
    load(store, trades(5))

    with store.snapshot():
        first = store.tick_figures(DAY)
        elsewhere(lambda: load(storage(), trades(5, seq=2)))
        assert store.tick_figures(DAY) == first

    assert store.tick_figures(DAY) != first


def test_a_tables_figures_tell_rows_and_any_change(store):
    load(store, trades(6))
    load(store, trades(4, day=NEXT, seq=2))
    Symbol.objects.create(code="005930", market_id="KRX", name="삼성전자")
    before = store.table_figures(TEMP)
    names = store.table_figures("symbol")

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE temp_market_data SET seq = 9 WHERE symbol = '005930' AND trade_date = %s", [self_day(NEXT)]
        )
        cursor.execute("UPDATE symbol SET name = '삼성전기'")
    after = store.table_figures(TEMP)

    assert {date: figure.rows for date, figure in before.items()} == {"2026-03-16": 6, "2026-03-17": 4}
    assert after["2026-03-16"] == before["2026-03-16"]
    assert after["2026-03-17"] != before["2026-03-17"]
    assert list(names) == [""]
    assert names[""].rows == 1
    assert store.table_figures("symbol") != names


def self_day(date: datetime.date):
    return day_of(date) if connection.vendor == "sqlite" else date


# --- dropping ---------------------------------------------------------------------------------------------------------


def test_the_minutes_with_ticks_are_counted_from_wherever_they_lie(store):
    kinds = {"price": price("1"), "size": 1}
    rows = [(0, kinds), (59_999_999, {"kind": 2, "bid": price("1")}), (60_000_000, kinds), (DAY_US, kinds)]
    ids = range(10, 14)
    store.ensure_partitions([DAY, NEXT])
    for at, ((offset, fields), number) in enumerate(zip(rows, ids, strict=True)):
        load(store, market.ticks([{"time_us": NINE_US + offset, "tick_id": number, **fields}]))
        if at == 0:
            store.move_day(DAY, progress=quiet)
    load(store, market.ticks([{"time_us": NINE_US, "tick_id": 20, **kinds}], feed="nxt"))

    found = store.tick_minutes(DAY, ["005930", "000660"], late=[(11, 12), (20, 21)])

    assert {pair: rows.tolist() for pair, rows in found.items()} == {
        ("005930", "krx"): [[NINE_US, 2, 1], [NINE_US + MINUTE_US, 1, 0]],
        ("005930", "nxt"): [[NINE_US, 1, 1]],
    }
    assert store.tick_minutes(NEXT, ["005930"])["005930", "krx"].tolist() == [[NINE_US + DAY_US, 1, 0]]
    assert store.tick_minutes(DAY, []) == {}


def test_dropped_days_are_gone_and_no_others(store):
    for number in range(3):
        load(store, trades(4, day=DAY + datetime.timedelta(days=number), seq=number + 1))
        store.move_day(DAY + datetime.timedelta(days=number), progress=quiet)

    dropped = store.drop_days(HISTORY, [DAY, NEXT])

    assert dropped == 2
    assert store.dates(HISTORY) == [DAY + datetime.timedelta(days=2)]
    assert store.count(HISTORY) == 4
    assert store.drop_days(HISTORY, [DAY]) == 0


def test_ticks_that_are_not_yet_moved_are_never_dropped(store):
    load(store, trades(4))

    assert store.drop_days(TEMP, [DAY]) == 0
    assert store.count(TEMP) == 4


def test_ticks_of_a_day_whose_room_was_dropped_are_found_and_moved(store):
    """As by a worker that still remembers the room it had made."""
    later = [DAY + datetime.timedelta(days=day) for day in range(3)]
    store.ensure_partitions(later, (TEMP,))
    elsewhere(lambda: storage().drop_days(TEMP, [DAY]))

    assert load(store, trades(4)) == 4
    assert load(store, trades(2, day=NEXT, seq=2)) == 2

    assert store.dates(TEMP) == [DAY, NEXT]
    assert seen(store) == 6
    assert store.move_day(DAY, progress=quiet) == 4
    assert store.move_day(NEXT, progress=quiet) == 2
    assert store.dates(HISTORY) == [DAY, NEXT]


def test_candles_are_dropped_by_the_month(store):
    days = [datetime.date(2026, 3, 31), datetime.date(2026, 4, 1)]
    store.ensure_partitions(days, (MINUTES,))
    merge(
        store,
        market.ticks([{"time_us": NINE_US + (day - DAY).days * DAY_US, "tick_id": at} for at, day in enumerate(days)]),
    )

    store.drop_days(MINUTES, [datetime.date(2026, 3, 1)])

    assert store.dates(MINUTES) == [datetime.date(2026, 4, 1)]


def test_a_day_that_was_dropped_can_be_filled_again(store):
    load(store, trades(4))
    store.move_day(DAY, progress=quiet)
    store.drop_days(HISTORY, [DAY])

    load(store, trades(4, seq=2))
    store.move_day(DAY, progress=quiet)

    assert store.count(HISTORY) == 4


@pytest.mark.parametrize("table", sorted(PERIODS))
def test_every_table_by_date_can_be_given_room_ahead(store, table):
    store.ensure_partitions([DAY, NEXT, datetime.date(2026, 9, 1)], (table,))

    starts = [part.start for part in store.partitions(table)]
    if connection.vendor != "sqlite":
        assert {PERIODS[table](day)[0] for day in (DAY, NEXT, datetime.date(2026, 9, 1))} <= set(starts)
    assert starts == sorted(starts)
    assert store.default_partition_rows(table) == 0
