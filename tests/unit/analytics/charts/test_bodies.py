import datetime
import json
from decimal import Decimal

from analytics.charts import bodies
from analytics.series import candles, daily_candles
from analytics.series.timeframes import Timeframe
from marketdata.storage.base import Window
from marketdata.types import daily_bars, minute_bars
from marketdata.types.units import day_of
from tests import market
from tests.market import DAY_US, MINUTE_US, NINE_US

SEOUL = "Asia/Seoul"
MONDAY = datetime.date(2026, 3, 16)
DAY = day_of(MONDAY)
FAR_US = NINE_US + 30 * DAY_US


def minutes(*after_nine, **other):
    """A trade of a share in each of these minutes, dearer by a won each time."""
    return candles.build(
        market.ticks([
            {
                "time_us": NINE_US + minute * MINUTE_US, "price": market.price(str(70_000 + minute)),
                "tick_id": market.tick_id(1, at), **other,
            }
            for at, minute in enumerate(after_nine)
        ])
    )  # fmt: skip


def of_minutes(found, minutes=5, *, now_us=FAR_US, day=DAY):
    frame = Timeframe(f"{minutes}Min", minutes * MINUTE_US)
    return json.loads(bodies.of_minutes(found, day, frame, SEOUL, now_us), parse_float=Decimal)


def test_candles_that_are_over_are_told_as_everywhere_and_the_one_that_goes_on_is_not():
    found = minutes(0, 4, 5, 9, 10)

    bars = of_minutes(found, now_us=NINE_US + 10 * MINUTE_US)

    assert bars == [
        {
            "t": "2026-03-16T00:00:00Z", "o": 70000, "h": 70004, "l": 70000, "c": 70004, "v": 2, "n": 2, "vw": 70002,
            "x": True, "rev": 0, "td": "2026-03-16",
        },
        {
            "t": "2026-03-16T00:05:00Z", "o": 70005, "h": 70009, "l": 70005, "c": 70009, "v": 2, "n": 2, "vw": 70007,
            "x": True, "rev": 0, "td": "2026-03-16",
        },
    ]  # fmt: skip
    assert of_minutes(found, now_us=NINE_US + 10 * MINUTE_US - 1) == bars[:1]
    assert [bar["t"][11:16] for bar in of_minutes(found, 1, now_us=NINE_US + 10 * MINUTE_US)] == [
        "00:00", "00:04", "00:05", "00:09",
    ]  # fmt: skip


def test_another_date_is_left_out_but_for_what_it_has_in_a_candle_of_both():
    before = minutes(-24 * 60, 0, 2, trade_date=DAY - 1)
    after = minutes(3, 61)
    found = minute_bars.concatenate([before, after])

    assert [(bar["t"][11:16], bar["n"], bar["td"]) for bar in of_minutes(found)] == [
        ("00:00", 3, "2026-03-16"),
        ("01:00", 1, "2026-03-16"),
    ]
    assert [(bar["t"][11:16], bar["n"]) for bar in of_minutes(found, 1)] == [("00:03", 1), ("01:01", 1)]
    assert of_minutes(found, day=DAY + 1) == of_minutes(minute_bars.empty("krx")) == []


def test_a_day_goes_on_until_its_date_is_over_in_its_market():
    window = Window(market="KRX", start_us=NINE_US, end_us=NINE_US + 390 * MINUTE_US)
    days = daily_candles.build(minutes(-30, 0, 5, 400), MONDAY, window)
    midnight_us = NINE_US + 15 * 60 * MINUTE_US

    def told(now_us, shift_s=0):
        (bar,) = json.loads(bodies.of_day(days, SEOUL, shift_s, now_us), parse_float=Decimal)
        return bar

    bar = told(midnight_us - 1)
    assert (bar["t"], bar["td"], bar["x"]) == ("2026-03-15T15:00:00Z", "2026-03-16", False)
    assert [bar[name] for name in "ohlcvn"] == [70000, 70005, 70000, 70005, 4, 4]  # of the session; v and n of all
    assert told(midnight_us)["x"] is True
    assert [told(midnight_us - 3600 * 1_000_000 + at, 3600)["x"] for at in (-1, 0)] == [False, True]
    assert bodies.of_day(daily_bars.from_rows("005930", "krx", []), SEOUL, 0, FAR_US) == "[]"
