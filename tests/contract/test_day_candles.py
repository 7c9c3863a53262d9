"""Candles of days as each database makes, keeps and corrects them, and what lies beside the ticks."""

import datetime
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext

import numpy as np
import pytest
from django.db import DatabaseError, connection, connections

from analytics.series import candles
from marketdata.ledger import batch_ledger
from marketdata.models import FeedChange, Symbol
from marketdata.storage import storage
from marketdata.storage.base import BOOKS, DAILY, EVENTS, TEMP, Latest, NotWholeError, Window
from marketdata.types.minute_bars import VALUE_UNIT
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.tick_arrays import ABSENT
from tests import market, order_books
from tests.contract.days import DAY, DAYS, NEXT, quiet, trades
from tests.contract.rows import (
    load,
    merge,
    read_bars,
)
from tests.market import DAY_US, MINUTE_US, NINE_US, price, tick_id

REGULAR = Window(market="KRX", start_us=NINE_US, end_us=NINE_US + 391 * MINUTE_US)


# --- candles ----------------------------------------------------------------------------------------------------------


def test_a_daily_candle_closes_with_the_regular_session_and_remembers_the_last_price(store):
    Symbol.objects.create(code="005930", market_id="KRX")
    at = {
        "pre": (NINE_US - 30 * MINUTE_US, "69000", "2"),
        "open": (NINE_US, "70000", "10"),
        "high": (NINE_US + 60 * MINUTE_US, "71000", "5"),
        "auction": (NINE_US + 390 * MINUTE_US + 20_000_000, "70500", "100"),
        "after": (NINE_US + 600 * MINUTE_US, "72000", "1.5"),
    }
    merge(
        store,
        market.ticks(
            [
                {"time_us": us, "price": price(text), "size": market.size(volume), "tick_id": tick_id(1, row)}
                for row, (us, text, volume) in enumerate(at.values())
            ]
        ),
    )

    assert store.build_daily(DAY, [REGULAR]) == 1

    bar = store.read_daily("005930", "krx", DAY, NEXT)
    assert bar.trade_date.tolist() == [DAYS]
    assert [int(getattr(bar, name)[0]) for name in ("open", "high", "low", "close", "last")] == [
        price(text) for text in ("69000", "72000", "69000", "70500", "72000")
    ]
    assert bar.volume.tolist() == [market.size("118.5")]
    assert bar.value.tolist() == [2 * 69_000 + 700_000 + 355_000 + 7_050_000 + 108_000]
    assert bar.n.tolist() == [5]
    assert [int(getattr(bar, f"regular_{name}")[0]) for name in ("open", "high", "low")] == [
        price(text) for text in ("70000", "71000", "70000")
    ]
    assert bar.regular_volume.tolist() == [market.size("115")]


def test_a_market_without_regular_session_closes_with_its_last_trade(store):
    Symbol.objects.create(code="ESH6", market_id="CME")
    merge(
        store, market.ticks([{"symbol": "ESH6", "price": 5}, {"symbol": "ESH6", "price": 7, "tick_id": tick_id(2, 0)}])
    )

    store.build_daily(DAY, [REGULAR])

    bar = store.read_daily("ESH6", "krx", DAY, NEXT)
    assert (bar.close.tolist(), bar.last.tolist(), bar.regular_open.tolist()) == ([7], [7], [ABSENT])


def test_daily_candles_are_made_again_in_place_of_the_old_and_exact(store):
    heavy = {"price": price("999999.99999999"), "size": market.size("999999999.999999")}
    merge(store, market.ticks([{**heavy, "tick_id": tick_id(1, 0)}, {"symbol": "B", "tick_id": tick_id(1, 1)}]))
    store.build_daily(DAY, [])
    merge(store, market.ticks([{**heavy, "time_us": NINE_US + MINUTE_US, "tick_id": tick_id(2, 0)}]))

    assert store.build_daily(DAY, []) == 2

    bar, minutes = store.read_daily("005930", "krx", DAY, NEXT), market.candles(read_bars(store))
    with localcontext(prec=80):
        whole = sum((candle.value for candle in minutes), Decimal(0)).scaleb(14)
    assert int(bar.value[0]) * VALUE_UNIT + int(bar.value_frac[0]) == whole
    assert len(store.read_daily("005930", "krx", NEXT, NEXT + datetime.timedelta(days=9))) == 0


def test_candles_are_put_right_and_their_revision_raised_only_where_they_were_wrong(store):
    batch = market.ticks([{"time_us": NINE_US + at * MINUTE_US, "tick_id": tick_id(1, at)} for at in range(4)])
    merge(store, batch)
    wanted = candles.build(batch)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE market_data_minute SET n = 9 WHERE open_id = %s", [tick_id(1, 1)])
        cursor.execute("DELETE FROM market_data_minute WHERE open_id = %s", [tick_id(1, 2)])
    merge(store, market.ticks([{"time_us": NINE_US + 50 * MINUTE_US, "tick_id": tick_id(9, 0)}]))

    with store.own_minutes(DAY, "krx", ["005930"]):
        changed = store.replace_minutes(DAY, wanted)

    found = read_bars(store)
    assert changed == 3
    assert market.candles(found) == market.candles(wanted)
    assert found.rev.tolist() == [0, 1, 0, 0]
    with store.own_minutes(DAY, "krx", ["005930"]):
        assert store.replace_minutes(DAY, wanted) == 0


def test_candles_that_became_others_are_noted_with_the_change(store):
    def noted():
        found = [(one.what, one.feed, one.symbol, json.loads(one.content)) for one in FeedChange.objects.order_by("pk")]
        FeedChange.objects.all().delete()
        return found

    batch = market.ticks(
        [{"time_us": NINE_US + at * MINUTE_US, "tick_id": tick_id(1, at)} for at in range(3)]
        + [{"symbol": "B", "tick_id": tick_id(1, 3)}]
    )
    merge(store, batch)
    assert noted() == [], "a commit is told by its ticks"
    day = {"date": DAY.isoformat(), "symbols": ["005930", "B"]}

    store.build_daily(DAY, [])
    assert noted() == [("1Day", "krx", "", day)]
    store.build_daily(DAY, [])
    assert noted() == [], "they are what they were"

    wanted = candles.build(batch)
    only = wanted.take((wanted.symbol == wanted.symbols.index("005930")) & (wanted.time_us < NINE_US + 2 * MINUTE_US))
    with store.own_minutes(DAY, "krx", ["005930", "B"]):
        store.replace_minutes(DAY, only)
    assert noted() == [("1Min", "krx", "005930", [NINE_US + 2 * MINUTE_US]), ("1Min", "krx", "B", [NINE_US])]
    with pytest.raises(NotWholeError):
        store.build_daily(DAY, [])
    assert noted() == [], "nothing was changed"
    store.build_daily(DAY, [], proven=None)

    assert noted() == [("1Day", "krx", "", day)]
    assert [(symbol, bar.n.tolist()) for symbol, bar in store.daily_of(DAY, "krx", ["005930", "B"]).items()] == [
        ("005930", [2])
    ]
    assert store.daily_of(DAY, "nxt", ["005930"]) == store.daily_of(DAY, "krx", []) == {}


def test_whoever_merges_while_minutes_are_owned_comes_after(store):
    first, second = market.ticks([{"tick_id": 1}]), market.ticks([{"tick_id": 2, "time_us": NINE_US + MINUTE_US}])
    load(store, first)
    merge(store, first)
    began = threading.Event()

    def worker() -> None:
        try:
            with storage().transaction():
                storage().load(TEMP, second)
                began.set()
                storage().merge_minutes(candles.build(second))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with store.own_minutes(DAY, "krx", ["005930"]):
            job = pool.submit(worker)
            began.wait(timeout=1.0)
            ticks = store.read_day_ticks(DAY, "005930", "krx")
            store.replace_minutes(DAY, candles.build(ticks))
        job.result(timeout=300)

    assert read_bars(store).n.tolist() == [1, 1]
    assert market.candles(read_bars(store)) == market.candles_by_hand([first, second])


def test_the_minutes_of_a_day_are_read_together(store):
    merge(store, market.ticks([{"symbol": "B"}, {"symbol": "A", "time_us": NINE_US + MINUTE_US}, {"symbol": "A"}]))
    merge(store, market.ticks([{"symbol": "A", "time_us": NINE_US + DAY_US}], feed="krx"))
    merge(store, market.ticks([{"symbol": "A"}], feed="nxt"))

    found = store.read_day_minutes(DAY, "krx")

    rows = [(found.symbols[at], us) for at, us in zip(found.symbol.tolist(), found.time_us.tolist(), strict=True)]
    assert rows == [("A", NINE_US), ("A", NINE_US + MINUTE_US), ("B", NINE_US)]
    assert store.day_series(DAY) == [("A", "krx"), ("A", "nxt"), ("B", "krx")]
    several = store.minutes_of_dates("A", "krx", [NEXT, DAY])
    assert (several.symbols, several.time_us.tolist()) == (["A"], [NINE_US, NINE_US + MINUTE_US, NINE_US + DAY_US])
    assert len(store.minutes_of_dates("A", "krx", [NEXT])) == 1
    assert len(store.minutes_of_dates("A", "krx", [])) == 0


def test_the_ticks_of_a_day_and_symbol_are_read_from_wherever_they_lie(store):
    load(store, trades(10))
    store.move_day(DAY, progress=quiet)
    load(store, trades(10, seq=2))
    load(store, trades(4, day=NEXT, seq=3))

    found = store.read_day_ticks(DAY, "005930", "krx")

    assert len(found) == 10
    assert found.time_us.tolist() == sorted(found.time_us.tolist())
    assert set(np.unique(found.trade_date).tolist()) == {DAYS}


# --- books, events, caches --------------------------------------------------------------------------------------------


def test_an_order_book_comes_back_to_the_digit_and_once(store):
    book = OrderBook(
        symbol="005930",
        feed="krx",
        source_id=3,
        time_us=NINE_US + 1,
        tick_id=tick_id(1, 0),
        trade_date=DAYS,
        bids=(("70000.12345678", "10"), ("69900", "99999999999.9999")),
        asks=(("70100", "3"),),
    )
    store.ensure_partitions([DAY], (BOOKS,))

    assert [order_books.store(store, [book]), order_books.store(store, [book])] == [1, 0]
    assert store.read_books("005930", "krx", NINE_US, NINE_US + 10, limit=5) == [book]
    assert store.read_books("005930", "nxt", NINE_US, NINE_US + 10, limit=5) == []


def test_an_event_keeps_its_body(store):
    body = {"종류": "VI 발동", "price": "70000.5", "levels": [1, 2, {"deep": None}]}
    event = MarketEvent(
        time_us=NINE_US + 5, event_id=7, trade_date=DAYS, feed="krx", source_id=3, kind="vi", symbol="005930", body=body
    )
    store.ensure_partitions([DAY], (EVENTS,))

    assert [store.store_events([event]), store.store_events([event])] == [1, 0]
    assert store.read_events(NINE_US, NINE_US + 10, limit=5) == [event]
    assert store.read_events(NINE_US, NINE_US + 10, limit=5, kinds=["status", "halt"]) == []


def test_the_latest_price_is_replaced_and_what_is_old_is_purged(store):
    row = Latest(symbol="A", feed="krx", time_us=NINE_US, tick_id=1, price=price("70000.00000001"), size=None)
    store.put_latest([row])
    store.put_latest([row, Latest(symbol="B", feed="krx", time_us=NINE_US, tick_id=2, price=5, size=6)])

    assert store.count("cache_realtime_data") == 2
    assert store.purge_caches({"cache_realtime_data": store.clock_us() - 10**9}) == {"cache_realtime_data": 0}
    assert store.purge_caches({"cache_realtime_data": store.clock_us() + 10**6}) == {"cache_realtime_data": 2}


def test_the_clock_of_the_database_is_ours_within_a_minute(store):
    assert abs(store.clock_us() - batch_ledger.now_us()) < 60_000_000


def test_a_wrong_table_is_an_error_and_not_an_empty_answer(store):
    with pytest.raises(DatabaseError):
        store.count("nowhere")


def test_daily_candles_of_a_month_are_dropped_with_it(store):
    merge(store, market.ticks([{}]))
    store.build_daily(DAY, [])

    store.drop_days(DAILY, [datetime.date(2026, 3, 1)])

    assert store.count(DAILY) == 0
