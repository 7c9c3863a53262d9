"""What every database promises of stock_prices and of the numbers beside an order book. Runs on the one that DB
names."""

import datetime
from dataclasses import replace

import pytest
from django.db import connection

from marketdata.storage.base import BOOKS, PRICES, TickKey
from marketdata.storage.mariadb.load_data import MANY_ROWS
from marketdata.types.order_books import OrderBook
from marketdata.types.records import BOOK_FIGURES
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import ABSENT, GREATEST, Ticks
from marketdata.types.units import day_of
from tests import market, order_books
from tests.market import NINE_US, SNAPSHOT, price, size, tick_id

DAY = datetime.date(2026, 3, 16)
DAYS = day_of(DAY)
FAR = 2**62
CATEGORIES = {"005930": "kospi", "035720": "kosdaq"}
NAMES = (
    "open", "high", "low", "prev_close", "change_rate", "volume", "value", "upper_limit", "lower_limit", "bid", "ask",
)  # fmt: skip

CALLED = {"volume": "cum_volume", "value": "cum_value"}


def snapshots(*rows, feed="krx"):
    """Snapshots of 70,000 won at nine unless told otherwise."""
    return market.ticks(
        [{"kind": SNAPSHOT, "price": price("70000"), "tick_id": tick_id(1, at), **row} for at, row in enumerate(rows)],
        feed=feed,
    )


def expected(ticks: Ticks) -> list[StockPrice]:
    """Rows of stock_prices, one by one, in the order of time."""
    found = []
    for row in range(len(ticks)):
        symbol = ticks.symbols[ticks.symbol[row]]
        told = {}
        for name in NAMES:
            own = CALLED.get(name, name)
            value = int(getattr(ticks.day if hasattr(ticks.day, own) else ticks, own)[row])
            told[name] = None if value == ABSENT else value
        found.append(
            StockPrice(
                symbol=symbol,
                feed=ticks.feed,
                source_id=ticks.source_id,
                time_us=int(ticks.time_us[row]),
                tick_id=int(ticks.tick_id[row]),
                trade_date=int(ticks.trade_date[row]),
                category=CATEGORIES.get(symbol, "unknown"),
                price=int(ticks.price[row]),
                **told,
            )
        )
    return sorted(found, key=lambda one: (one.time_us, one.tick_id))


def load(store, ticks):
    with store.transaction():
        return store.load_prices(ticks, CATEGORIES)


def read(store, symbol="005930", feed="krx", **how):
    return store.read_prices(symbol, feed, how.pop("start_us", -FAR), how.pop("end_us", FAR), **how)


FULL = {
    "open": price("69900.12345678"),
    "high": price("70500"),
    "low": price("69000.5"),
    "prev_close": price("69800"),
    "upper_limit": price("90700"),
    "lower_limit": price("48900"),
    "change_rate": -price("1.28571429"),
    "cum_value": 123_456_789_012_345_67,
    "cum_volume": size("1234567.123456"),
    "bid": price("69999.99999999"),
    "ask": price("70001"),
}


@pytest.mark.parametrize("rows", [1, MANY_ROWS + 1])
def test_prices_come_back_to_the_digit_and_once(store, rows):
    kinds = [FULL, {"open": price("1")}, {"cum_value": 0, "change_rate": 0}, {"change_rate": -price("29.99")}]
    kinds += [dict.fromkeys((*FULL, "price"), GREATEST), {"prev_close": -GREATEST, "price": -1, "bid": ABSENT}]
    given = snapshots(*(kinds[at % len(kinds)] | {"time_us": NINE_US + at} for at in range(max(rows, len(kinds)))))
    store.ensure_partitions([DAY], (PRICES,))

    assert [load(store, given), load(store, given)] == [len(given), 0]
    assert read(store) == expected(given)


def test_each_price_has_the_category_of_its_symbol(store):
    load(store, snapshots(*({"symbol": code, "open": 1} for code in ("005930", "035720", "NEW"))))

    found = {code: read(store, code)[0].category for code in ("005930", "035720", "NEW")}

    assert found == {"005930": "kospi", "035720": "kosdaq", "NEW": "unknown"}


def test_prices_are_read_by_symbol_feed_and_time_in_pages_either_way(store):
    of_krx = snapshots(*({"open": at + 1, "time_us": NINE_US + at // 2} for at in range(10)))
    load(store, of_krx)
    load(store, snapshots({"open": 1, "tick_id": tick_id(2, 0)}, feed="nxt"))
    load(store, snapshots({"open": 1, "symbol": "000660", "tick_id": tick_id(3, 0)}))
    all_of_krx = expected(of_krx)

    assert read(store, start_us=NINE_US + 1, end_us=NINE_US + 3) == all_of_krx[2:6]
    for ascending, whole in ((True, all_of_krx), (False, all_of_krx[::-1])):
        pages, after = [], None
        while page := read(store, ascending=ascending, limit=3, after=after):
            pages += page
            after = TickKey("005930", page[-1].time_us, page[-1].tick_id)
        assert pages == whole


def test_the_latest_price_of_each_symbol_is_that_of_the_feed_asked_for(store):
    days = [NINE_US + day * market.DAY_US for day in (0, 1, 20)]  # the last is of another month
    load(
        store,
        snapshots(
            *({"symbol": code, "open": 1, "time_us": at} for code in ("005930", "035720") for at in days),
            {"symbol": "035720", "open": 2, "time_us": days[-1]},
        ),
    )
    load(store, snapshots({"open": 9, "time_us": days[-1] + 1, "tick_id": tick_id(2, 0)}, feed="nxt"))

    found = store.latest_prices(["005930", "035720", "NONE"], "krx")

    assert sorted((one.symbol, one.time_us, one.open) for one in found) == [
        ("005930", days[-1], 1),
        ("035720", days[-1], 2),
    ]
    assert [one.open for one in store.latest_prices(["005930"], "nxt")] == [9]
    assert store.latest_prices([], "krx") == []


def test_the_latest_prices_of_more_symbols_than_a_statement_has(store):
    codes = [f"A{number:05d}" for number in range(230)]
    load(store, snapshots(*({"symbol": code, "open": 1} for code in codes)))

    assert sorted(one.symbol for one in store.latest_prices(codes, "krx")) == codes


def test_the_prices_of_a_category_are_read_by_time_the_newest_first(store):
    codes = ("005930", "035720", "000660")
    load(
        store,
        snapshots(
            *({"symbol": code, "open": at, "time_us": NINE_US + at} for at in range(4) for code in codes),
            {"symbol": "005930", "open": 5, "time_us": NINE_US + 3},
        ),
    )
    load(store, snapshots({"open": 9, "time_us": NINE_US + 2, "tick_id": tick_id(2, 0)}, feed="nxt"))

    def found(category, **how):
        rows = store.category_prices(category, "krx", NINE_US + 1, NINE_US + 4, limit=how.get("limit", 100))
        return [(one.symbol, one.open) for one in rows]

    assert found("kospi") == [("005930", 5), ("005930", 3), ("005930", 2), ("005930", 1)]
    assert found("kospi", limit=2) == [("005930", 5), ("005930", 3)]
    assert found("unknown") == [("000660", 3), ("000660", 2), ("000660", 1)]
    assert found("etf") == []


def test_prices_lie_in_the_partition_of_their_month_and_go_with_it(store):
    march, april = NINE_US, NINE_US + 20 * market.DAY_US
    store.ensure_partitions([DAY, DAY + datetime.timedelta(days=20)], (PRICES,))
    load(store, snapshots({"open": 1, "time_us": march}, {"open": 2, "time_us": april}))
    if connection.vendor != "sqlite":
        assert {part.start for part in store.partitions(PRICES)} >= {datetime.date(2026, m, 1) for m in (3, 4)}
        assert store.default_partition_rows(PRICES) == 0

    assert store.drop_days(PRICES, [datetime.date(2026, 3, 1)]) == 1

    assert [one.open for one in read(store)] == [2]


def test_the_prices_of_snapshots_that_are_taken_back_go_and_no_others(store):
    given = snapshots({"open": 1}, {"open": 2}, {"open": 3, "time_us": NINE_US + 1})
    load(store, given)

    gone = store.delete_prices(given.take(slice(0, 2)))

    assert (gone, [one.open for one in read(store)]) == (2, [3])


# --- order books ------------------------------------------------------------------------------------------------------


def book(seq=1, **figures):
    return OrderBook(
        symbol="005930",
        feed="krx",
        source_id=3,
        time_us=NINE_US + seq,
        tick_id=tick_id(seq, 0),
        trade_date=DAYS,
        bids=(("69900.5", "10"),),
        asks=(("70000", "3.25"), ("70100", "1")),
        **figures,
    )


WHOLE = {
    "bid_total": size("123456789.000001"),
    "ask_total": 0,
    "expected_price": price("70000.00000001"),
    "expected_size": size("77"),
    "cum_volume": GREATEST,
    "mid_price": -price("0.5"),
}


def test_the_numbers_beside_a_book_come_back_to_the_digit(store):
    books = [book(1, **WHOLE), book(2), book(3, mid_price=1)]

    assert [order_books.store(store, books), order_books.store(store, books)] == [3, 0]
    assert store.read_books("005930", "krx", NINE_US, NINE_US + 10, limit=5) == books


def test_books_are_stored_in_bulk_and_those_that_are_there_are_left_alone(store):
    codes = ["005930", "A\\B'C", "\\N", "%s"]
    books = [replace(book(at), symbol=codes[at % len(codes)]) for at in range(1, 601)]
    store.ensure_partitions([DAY], (BOOKS,))
    order_books.store(store, books[:3])

    assert order_books.store(store, [*books[1:3], *books]) == 597

    for code in codes:
        found = store.read_books(code, "krx", NINE_US, NINE_US + 1000, limit=1000)
        assert found == [one for one in books if one.symbol == code]
    assert order_books.store(store, []) == 0


def test_books_of_an_older_version_get_the_new_columns_and_stay(store):
    store.ensure_partitions([DAY], (BOOKS,))
    order_books.store(store, [book(1)])
    with connection.cursor() as cursor:
        for name in BOOK_FIGURES:
            cursor.execute(f"ALTER TABLE order_books DROP COLUMN {name}")

    store.create_tables()
    order_books.store(store, [book(2, **WHOLE)])

    assert store.read_books("005930", "krx", NINE_US, NINE_US + 10, limit=5) == [book(1), book(2, **WHOLE)]
