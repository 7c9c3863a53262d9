"""When a trading day is over, in each market, and when its rollover is due."""

import datetime
from io import StringIO

import pytest

from marketdata.calendar import trading_dates
from marketdata.maintenance import rollover
from marketdata.models import CalendarOverride, Market, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.types.units import day_of
from tests import market
from tests.builders import commit as commit_ticks
from tests.integration.rolling import MONDAY, TUESDAY, run_at, seoul_us
from tests.upkeep import seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")


@pytest.mark.parametrize(
    ("now", "current"),
    [
        ("2026-03-17 07:59:59", "2026-03-16"),
        ("2026-03-17 08:04:59", "2026-03-16"),  # the grace
        ("2026-03-17 08:05:00", "2026-03-17"),
        ("2026-03-21 12:00:00", "2026-03-20"),  # Saturday: Friday stays current
        ("2026-03-23 08:04:59", "2026-03-20"),
        ("2026-03-23 08:05:00", "2026-03-23"),
        ("2026-07-17 12:00:00", "2026-07-16"),  # Constitution Day
        ("2027-01-01 12:00:00", "2026-12-30"),  # New Year, and the last day of the year
    ],
)
def test_the_current_trading_day_changes_at_eight_and_the_grace_on_trading_days(now, current):
    assert rollover.current_date(seoul(now)).isoformat() == current


def test_a_closure_entered_in_the_admin_moves_the_rollover():
    assert rollover.due_at(MONDAY) == seoul("2026-03-17 08:05")
    CalendarOverride.objects.create(market_id="KRX", date=TUESDAY, is_open=False, note="임시 휴장")
    trading_dates.forget()

    assert rollover.due_at(MONDAY) == seoul("2026-03-18 08:05")


def test_the_time_of_day_is_a_setting(settings):
    settings.ROLLOVER_TIME, settings.ROLLOVER_GRACE_S = datetime.time(6, 30), 0.0

    assert rollover.due_at(MONDAY) == seoul("2026-03-17 06:30")


def trade_of(symbol: str, at: str, seq: int) -> None:
    """A trade of 2026-03-19 in its market, at a time in New York."""
    moment = datetime.datetime.fromisoformat(f"{at}-04:00")
    commit_ticks(
        storage(),
        market.ticks(
            [
                {
                    "symbol": symbol,
                    "time_us": int(moment.timestamp() * 1e6),
                    "tick_id": market.tick_id(seq, 0, stream=7),
                    "trade_date": day_of(datetime.date(2026, 3, 19)),
                }
            ]
        ),
    )


def test_the_evening_of_new_york_is_moved_once_when_its_day_is_over():
    """Its after hours end at 20:00 there, which is 09:00 in Seoul; the date ends at midnight, 13:00 in Seoul."""
    date = datetime.date(2026, 3, 19)
    Market.objects.get_or_create(code="NASDAQ", defaults={"name": "Nasdaq", "timezone": "America/New_York"})
    Symbol.objects.create(code="AAPL", market_id="NASDAQ", primary_feed="krx")
    trading_dates.forget()
    trade_of("AAPL", "2026-03-19 15:00", 1)

    assert run_at("2026-03-20 08:06") == [date]
    for seq, minute in enumerate((11, 12, 40), start=2):
        trade_of("AAPL", f"2026-03-19 19:{minute}", seq)
        trade_of("005930", f"2026-03-19 19:{minute}", seq + 10)
        assert run_at(f"2026-03-20 08:{minute + 1}") == []
    out = StringIO()
    out.writelines(rollover.plan_lines(seoul("2026-03-20 08:50")))
    assert "not before 03-20 13:05 KST" in out.getvalue()
    assert run_at("2026-03-20 13:04") == []
    assert run_at("2026-03-20 13:05") == [date]

    run = RolloverRun.objects.get(trade_date=date)
    assert (run.rows, run.late_rows) == (7, 6)
    Symbol.objects.filter(code="AAPL").delete()
    Market.objects.filter(code="NASDAQ").delete()
    trading_dates.forget()


@pytest.mark.parametrize(
    ("code", "date", "ends"),
    [
        ("KRX", "2026-03-19", "2026-03-20 00:00"),
        ("CME", "2026-03-19", "2026-03-20 07:00"),  # 17:00 in Chicago
        ("US", "2026-01-15", "2026-01-16 14:00"),  # midnight in New York, in winter
        ("CRYPTO", "2026-03-19", "2026-03-20 09:00"),  # midnight in UTC
    ],
)
def test_a_trading_date_is_over_in_each_market_at_its_own_time(code, date, ends):
    calendar = trading_dates.calendar(code)
    end = calendar.ends_us(datetime.date.fromisoformat(date))

    assert end == seoul_us(ends)
    assert calendar.trade_date(end - 1).isoformat() == date
    assert calendar.trade_date(end).isoformat() > date
