"""KIS's calendar is asked once a day, by one process."""

import asyncio
import datetime

import pytest

from terminals.sources.kis import holidays
from terminals.sources.kis.answers import BusinessError, KisError, UnavailableError
from terminals.sources.kis.rest import Client
from tests.simulators.kis.market import Market
from tests.simulators.kis.rest import Key, RestSimulator
from tests.unit.terminals.sources.kis.conftest import APPKEY, APPSECRET, LONG_S, NOON, account_at

TODAY = NOON.date()
CALL = "/uapi/domestic-stock/v1/quotations/chk-holiday"


@pytest.fixture
async def service():
    closed = frozenset({datetime.date(2026, 11, 30)})
    service = RestSimulator(Market(seed=1, symbols=1), [Key(APPKEY, APPSECRET)], now=lambda: NOON, closed=closed)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def client(service, tmp_path):
    async with Client(account_at(service.url), tmp_path, within_s=LONG_S) as opened:
        yield opened


async def test_the_days_to_come_say_when_the_market_is_open(client, tmp_path):
    found = {one.day: one for one in await holidays.fetch(client, tmp_path, today=TODAY)}

    assert found[TODAY].is_open
    assert not found[datetime.date(2026, 11, 28)].is_open  # a Saturday
    assert not found[datetime.date(2026, 11, 30)].is_open
    assert list(found) == sorted(found)
    assert len(found) == 25


async def test_whoever_asks_again_the_same_day_gets_what_was_kept(client, service, tmp_path):
    first, second = await asyncio.gather(*(holidays.fetch(client, tmp_path, today=TODAY) for _ in range(2)))

    assert first == second
    assert service.requests[CALL] == 1


async def test_the_next_day_it_is_asked_again(client, service, tmp_path):
    await holidays.fetch(client, tmp_path, today=TODAY)

    found = await holidays.fetch(client, tmp_path, today=TODAY + datetime.timedelta(days=1))

    assert found[0].day == TODAY + datetime.timedelta(days=1)
    assert service.requests[CALL] == 2


async def test_after_an_error_it_is_not_asked_again_that_day(client, service, tmp_path):
    service.faults.plan("business")
    with pytest.raises(BusinessError):
        await holidays.fetch(client, tmp_path, today=TODAY)

    assert await holidays.fetch(client, tmp_path, today=TODAY) == []
    assert service.requests[CALL] == 1


@pytest.mark.parametrize("fault", ["server", "html", "quota", "reset", "expired"])
async def test_it_is_put_once_a_day_whatever_becomes_of_it_and_by_whatever_process(client, service, tmp_path, fault):
    service.faults.plan(fault)
    with pytest.raises(KisError):
        await holidays.fetch(client, tmp_path, today=TODAY)
    async with Client(account_at(service.url), tmp_path, within_s=LONG_S) as restarted:
        assert await holidays.fetch(restarted, tmp_path, today=TODAY) == []

    assert service.requests[CALL] == 1


async def test_a_question_that_did_not_reach_the_service_may_be_put_again(client, silent_url, service, tmp_path):
    async with Client(account_at(silent_url), tmp_path, within_s=LONG_S) as away:
        with pytest.raises(UnavailableError):
            await holidays.fetch(away, tmp_path, today=TODAY)

    assert await holidays.fetch(client, tmp_path, today=TODAY)
    assert service.requests[CALL] == 1


async def test_empty_values_are_no_days(client, service, tmp_path):
    service.faults.plan("empty")

    assert await holidays.fetch(client, tmp_path, today=TODAY) == []
