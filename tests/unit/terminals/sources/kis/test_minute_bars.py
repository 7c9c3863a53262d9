"""KIS's minute bars: of today and past days, over several pages, without the minute that still runs."""

import datetime

import pytest

from terminals.sources.kis import minute_bars
from tests.simulators.kis.market import KST
from tests.unit.terminals.sources.kis.conftest import NOON, client_of

TODAY = NOON.date()
YESTERDAY = TODAY - datetime.timedelta(days=1)


@pytest.fixture
async def client(account, tmp_path):
    async with client_of(account, tmp_path) as opened:
        yield opened


def traded(market, day, first=datetime.time(9, 0), minutes=150, each=3):
    """A stock that traded `each` times in each of these minutes."""
    stock = market.stocks["000040"]
    begin = datetime.datetime.combine(day, first, KST)
    for minute in range(minutes):
        for number in range(each):
            market.trade(stock, begin + datetime.timedelta(minutes=minute, seconds=number * 10))
    return stock


@pytest.mark.parametrize("day", [TODAY, YESTERDAY])
async def test_all_pages_of_a_day_give_every_bar_once_in_order(client, simulator, day):
    stock = traded(simulator.market, day)

    bars = await minute_bars.fetch(client, stock.code, day, now=NOON)

    known = stock.day("krx", day).minutes
    assert [f"{bar.start:%H%M}" for bar in bars] == list(known)
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        tuple(price * 10**8 for price in (one.open, one.high, one.low, one.close)) for one in known.values()
    ]
    assert [bar.volume for bar in bars] == [one.volume * 10**6 for one in known.values()]
    assert bars[-1].cum_value == stock.day("krx", day).value * 100
    assert bars[0].start_us == int(datetime.datetime.combine(day, datetime.time(9), KST).timestamp()) * 1_000_000
    assert simulator.limiter_trips == 0


async def test_a_past_day_takes_four_times_fewer_calls(client, simulator):
    stock = traded(simulator.market, YESTERDAY, minutes=100)
    traded(simulator.market, TODAY, minutes=100)

    await minute_bars.fetch(client, stock.code, TODAY, now=NOON)
    today = client.calls.made
    await minute_bars.fetch(client, stock.code, YESTERDAY, now=NOON)

    assert today == 5  # 30, 30, 30, 10 and one that finds no more
    assert client.calls.made - today == 2


async def test_only_the_minutes_asked_for_come(client, simulator):
    stock = traded(simulator.market, YESTERDAY)

    bars = await minute_bars.fetch(
        client, stock.code, YESTERDAY, first=datetime.time(9, 30), last=datetime.time(9, 59), now=NOON
    )

    assert [bar.start.minute for bar in bars] == list(range(30, 60))
    assert client.calls.made == 1


async def test_the_minute_that_runs_is_left_out(client, simulator):
    # Up to 11:59, so that the service shows 12:00 with the volume of 11:59.
    stock = traded(simulator.market, TODAY, first=datetime.time(11, 30), minutes=30)

    bars = await minute_bars.fetch(client, stock.code, TODAY, now=NOON)

    assert bars[-1].start == datetime.time(11, 59)
    assert len(bars) == 30


async def test_a_day_without_trades_has_no_bars(client, simulator):
    assert await minute_bars.fetch(client, "000040", YESTERDAY, now=NOON) == []


async def test_an_empty_answer_is_no_bar(client, simulator):
    stock = traded(simulator.market, YESTERDAY, minutes=5)
    simulator.faults.plan("empty")

    assert await minute_bars.fetch(client, stock.code, YESTERDAY, now=NOON) == []
