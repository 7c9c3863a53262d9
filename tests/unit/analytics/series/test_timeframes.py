import datetime
import zoneinfo

import numpy as np
import pytest

from analytics.series import candles, timeframes
from marketdata.types.minute_bars import VALUE_UNIT
from tests import market
from tests.market import DAY_US, MINUTE_US, NINE_US

SEOUL, CHICAGO = "Asia/Seoul", "America/Chicago"
EPOCH = datetime.date(1970, 1, 1)
HOUR_US = 60 * MINUTE_US


def minutes(*after_nine, **other):
    rows = [
        {"time_us": NINE_US + minute * MINUTE_US, "price": market.price(str(70_000 + minute)), **other}
        for minute in after_nine
    ]
    return candles.build(market.ticks(rows))


def utc(text):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    "name", ["1Min", "59Min", "1Hour", "23Hour", "1Day", "1Week", "1Month", "2Month", "6Month", "12Month"]
)
def test_the_timeframes_of_the_dialect_are_known(name):
    assert timeframes.parse(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0Min",
        "60Min",
        "24Hour",
        "2Day",
        "2Week",
        "5Month",
        "13Month",
        "1min",
        "01Min",
        " 1Min",
        "1Min ",
        "-1Min",
        "1",
    ],
)
def test_an_unknown_timeframe_is_refused_and_the_allowed_are_named(name):
    with pytest.raises(timeframes.UnknownTimeframeError, match="1Min to 59Min"):
        timeframes.parse(name)


def frame(name):
    """A width within a day."""
    found = timeframes.parse(name)
    assert isinstance(found, timeframes.Timeframe)
    return found


def test_a_wide_candle_opens_with_its_first_minute_and_closes_with_its_last():
    wide = timeframes.widen(minutes(0, 1, 4, 5), frame("5Min"), SEOUL)

    assert wide.time_us.tolist() == [NINE_US, NINE_US + 5 * MINUTE_US]
    assert wide.open.tolist() == [market.price("70000"), market.price("70005")]
    assert wide.close.tolist() == [market.price("70004"), market.price("70005")]
    assert wide.high.tolist() == wide.close.tolist()
    assert wide.n.tolist() == [3, 1]


def test_a_candle_of_any_width_is_the_candle_of_its_ticks():
    rows = [
        {"time_us": NINE_US + index * 17_000_000, "price": market.price(f"{(index * 7919) % 97}.12345678"),
         "size": market.size(f"{index % 13 + 1}.00000{index % 7}"), "tick_id": market.tick_id(1, index)}
        for index in range(900)
    ]  # fmt: skip
    found = candles.build(market.ticks(rows))

    wide = timeframes.widen(found, frame("1Hour"), SEOUL)

    hours = [[row for row in rows if (row["time_us"] - NINE_US) // HOUR_US == hour] for hour in range(len(wide))]
    assert wide.open.tolist() == [hour[0]["price"] for hour in hours]
    assert wide.close.tolist() == [hour[-1]["price"] for hour in hours]
    assert wide.high.tolist() == [max(row["price"] for row in hour) for hour in hours]
    assert wide.volume.tolist() == [sum(row["size"] for row in hour) for hour in hours]
    halves = zip(wide.value.tolist(), wide.value_frac.tolist(), strict=True)
    values = [value * VALUE_UNIT + part for value, part in halves]
    assert values == [sum(row["price"] * row["size"] for row in hour) for hour in hours]


def test_widths_that_do_not_fill_the_day_start_anew_at_local_midnight():
    seven = frame("7Min")
    midnight = NINE_US - 9 * HOUR_US

    assert seven.start(midnight - 1, SEOUL) == midnight - 5 * MINUTE_US
    assert seven.end(midnight - 1, SEOUL) == midnight
    assert seven.start(midnight, SEOUL) == midnight


def test_a_day_a_week_and_a_month_are_periods_of_trading_dates():
    def of(name, text):
        found = timeframes.parse(name)
        assert isinstance(found, timeframes.DateFrame)
        given = datetime.date.fromisoformat(text)
        days = (found.first(day(given)), found.following(day(given)))
        return [str(EPOCH + datetime.timedelta(days=number)) for number in days]

    assert of("1Day", "2026-03-16") == ["2026-03-16", "2026-03-17"]
    assert of("1Week", "2026-03-16") == ["2026-03-16", "2026-03-23"]  # a Monday
    assert of("1Week", "2026-03-22") == ["2026-03-16", "2026-03-23"]
    assert of("1Month", "2026-12-31") == ["2026-12-01", "2027-01-01"]
    assert of("3Month", "2026-12-31") == ["2026-10-01", "2027-01-01"]
    assert of("12Month", "2026-01-01") == ["2026-01-01", "2027-01-01"]
    assert of("1Week", "1969-12-31") == ["1969-12-29", "1970-01-05"]


def day(date):
    return (date - EPOCH).days


@pytest.mark.parametrize("name", ["1Min", "7Min", "1Hour", "5Hour"])
def test_buckets_follow_each_other_without_gap_or_overlap(name):
    width = frame(name)
    times = np.arange(utc("2026-03-07 00:00"), utc("2026-03-10 00:00"), 7 * MINUTE_US, dtype=np.int64)

    starts, ends = width.starts(times, CHICAGO), width.ends(times, CHICAGO)

    assert ((starts <= times) & (times < ends)).all()
    assert (width.starts(ends, CHICAGO) == ends).all()
    assert (width.starts(ends - 1, CHICAGO) == starts).all()


def test_two_candles_of_one_minute_become_one_in_the_order_of_their_ticks():
    days = minutes(0).trade_date[0]
    first = minutes(0, tick_id=market.tick_id(1, 0), trade_date=days)
    second = minutes(0, tick_id=market.tick_id(2, 0), trade_date=days + 1)
    both = market_join(second, first)

    wide = timeframes.widen(both, frame("1Min"), SEOUL)

    assert len(wide) == 1
    assert wide.n.tolist() == [2]
    assert wide.open_id.tolist() == first.open_id.tolist()


def market_join(left, right):
    from marketdata.types.minute_bars import COLUMNS, Bars

    columns = {name: np.concatenate([getattr(left, name), getattr(right, name)]) for name in COLUMNS}
    return Bars(feed=left.feed, symbols=left.symbols, **columns)


def test_minutes_of_several_symbols_that_two_trading_dates_share_become_one_each():
    rows = [
        {"symbol": symbol, "time_us": NINE_US + minute * MINUTE_US + date, "price": market.price(f"{100 + date}"),
         "trade_date": 20_000 + date, "tick_id": market.tick_id(1, number)}
        for number, (symbol, minute, date) in enumerate(
            [("A", 0, 0), ("A", 0, 1), ("A", 1, 1), ("B", 0, 1), ("B", 1, 0), ("B", 1, 1)]
        )
    ]  # fmt: skip
    merged = timeframes.by_minute(candles.build(market.ticks(rows)))

    shown = zip(merged.symbol.tolist(), merged.time_us.tolist(), merged.n.tolist(), merged.close.tolist(), strict=True)
    assert [
        (merged.symbols[symbol], (at - NINE_US) // MINUTE_US, n, close // 10**8) for symbol, at, n, close in shown
    ] == [("A", 0, 2, 101), ("A", 1, 1, 101), ("B", 0, 1, 101), ("B", 1, 2, 101)]
    assert merged.trade_date.tolist() == [20_001] * 4


def test_midnight_is_the_zone_s_own():
    day = NINE_US // DAY_US
    expected = datetime.datetime(2026, 3, 16, tzinfo=zoneinfo.ZoneInfo(SEOUL))

    assert timeframes.midnight_us(day, SEOUL) == int(expected.timestamp()) * 1_000_000
