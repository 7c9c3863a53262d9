"""A candle is the same to the last digit whichever question it is read by: one symbol's are fetched in another form
than several symbols'."""

import time

from analytics.series import candles
from marketdata.storage.base import DAILY, MINUTES, TEMP
from marketdata.types import minute_bars
from marketdata.types.tick_arrays import ABSENT, GREATEST
from marketdata.types.units import date_of
from tests import market
from tests.contract.rows import make_room, merge, new_symbol, read_bars
from tests.market import DAY_US, MINUTE_US, NINE_US

PRICES = (1, 10**8, 7 * 10**12 + 1, GREATEST, -1, -(10**8), -GREATEST)
SIZES = (1, 10**6, 3, 1, 10**11, ABSENT, 1)


def test_candles_of_one_symbol_are_those_read_beside_others(store):
    symbol, other = new_symbol(), new_symbol()
    ticks = market.ticks(
        [
            {"symbol": code, "time_us": NINE_US + at * MINUTE_US + at, "price": price, "size": size}
            for code in (symbol, other)
            for at, (price, size) in enumerate(zip(PRICES, SIZES, strict=True))
        ]
        + [{"symbol": symbol, "trade_date": NINE_US // DAY_US + 1}]  # a second trading date of the first minute
    )
    make_room(store, ticks)
    merge(store, ticks, now_us=NINE_US + DAY_US)

    alone = read_bars(store, symbol)
    beside = store.read_minutes_of([symbol, other], "krx", NINE_US, NINE_US + DAY_US)

    mine = beside.take(beside.symbol == beside.symbols.index(symbol))
    for name in minute_bars.COLUMNS:
        if name != "symbol":
            assert getattr(alone, name).tolist() == getattr(mine, name).tolist(), name
            assert getattr(alone, name).dtype == getattr(mine, name).dtype
    assert (alone.symbols, len(alone)) == ([symbol], len(PRICES) + 1)
    built = candles.build(ticks.take(ticks.symbol == ticks.symbols.index(symbol)))
    assert sorted(alone.close.tolist()) == sorted(built.close.tolist())


def test_candles_without_their_ends_are_the_same_candles(store):
    symbol = new_symbol()
    ticks = market.ticks([{"symbol": symbol, "time_us": NINE_US + at * MINUTE_US + at} for at in range(5)])
    make_room(store, ticks)
    merge(store, ticks)

    found, whole = read_bars(store, symbol, ends=False), read_bars(store, symbol)

    assert market.candles(found) == market.candles(whole)
    assert found.trade_date.tolist() == whole.trade_date.tolist()
    assert (found.open_time.tolist(), found.close_id.tolist()) == ([0] * 5, [0] * 5)


def test_two_trading_dates_that_share_a_minute_always_bring_their_ends(store):
    symbol = new_symbol()
    ticks = market.ticks([{"symbol": symbol}, {"symbol": symbol, "trade_date": NINE_US // DAY_US + 1}])
    make_room(store, ticks)
    merge(store, ticks)

    for limit in (None, 1, 2, 3):
        found = read_bars(store, symbol, ends=False, limit=limit)

        assert found.open_id.tolist() == read_bars(store, symbol).open_id.tolist()
        assert len(found) == 2
        assert found.open_id.all()


def test_the_newest_candles_are_found_however_old_they_are(store):
    today_us = time.time_ns() // 1000 // DAY_US * DAY_US
    ages = {"today": [0, 1, 400], "old": [400, 399], "edge": [30, 29, 22, 21], "beyond": [31, 500], "shared": [23]}
    codes = {name: new_symbol() for name in ages}
    ticks = market.ticks(
        [{"symbol": codes[name], "time_us": today_us - age * DAY_US} for name, of_one in ages.items() for age in of_one]
        # The newest minute again, of a trading date a week before.
        + [{"symbol": codes["shared"], "time_us": today_us - 23 * DAY_US, "trade_date": today_us // DAY_US - 30}]
    )
    make_room(store, ticks)
    merge(store, ticks)

    found = store.newest_minutes([(code, "krx") for code in codes.values()])["krx"]

    newest = {code: found.time_us[found.symbol == found.symbols.index(code)].max() for code in codes.values()}
    assert newest == {codes[name]: today_us - min(of_one) * DAY_US for name, of_one in ages.items()}
    of_shared = found.take(found.symbol == found.symbols.index(codes["shared"]))
    assert sorted(of_shared.trade_date.tolist()) == [today_us // DAY_US - 30, today_us // DAY_US - 23]


def test_the_newest_daily_candles_are_found_however_old_they_are(store):
    today = int(time.time_ns() // 1000 // DAY_US)
    ages = {"every day": range(70), "seldom": (0, 100, 200, 300), "old": (400, 401), "once": (33,), "never": ()}
    codes = {name: new_symbol() for name in ages}
    for age in sorted({age for of_one in ages.values() for age in of_one}):
        date = date_of(today - age)
        store.ensure_partitions([date], (TEMP, MINUTES, DAILY))
        merge(
            store,
            market.ticks(
                [
                    {"symbol": codes[name], "time_us": (today - age) * DAY_US, "trade_date": today - age}
                    for name, of_one in ages.items()
                    if age in of_one
                ]
            ),
        )
        store.build_daily(date, [])

    for most in (1, 2, 61):
        found = store.newest_daily("krx", list(codes.values()), most)
        assert {code: one.trade_date.tolist() for code, one in found.items()} == {
            codes[name]: [today - age for age in sorted(of_one)][:most] for name, of_one in ages.items() if of_one
        }, most
