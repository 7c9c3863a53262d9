"""The simulator of KIS's REST service refuses what the real one refuses: seen through a plain HTTP client."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.simulators.kis.market import Market
from tests.simulators.kis.rest import VIRTUAL_PER_S, Faults, Key, RestSimulator

KEY, VIRTUAL = Key("PSk" + "k" * 33, "s" * 180), Key("PSv" + "v" * 33, "s" * 180, VIRTUAL_PER_S)
PRICE = "/uapi/domestic-stock/v1/quotations/inquire-price"


@pytest.fixture
async def service() -> AsyncIterator[RestSimulator]:
    service = RestSimulator(Market(seed=1, symbols=5), [KEY, VIRTUAL])
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def http(service):
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as opened:
        yield opened


async def token_of(http, key):
    body = {"grant_type": "client_credentials", "appkey": key.appkey, "appsecret": key.secret}
    return (await http.post("/oauth2/tokenP", json=body)).json()


async def price(http, key, token, code="0126Z0"):
    headers = {"authorization": f"Bearer {token}", "appkey": key.appkey, "appsecret": key.secret}
    query = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}
    return await http.get(PRICE, params=query, headers={**headers, "tr_id": "FHKST01010100"})


async def test_a_second_token_within_a_minute_is_refused_in_the_other_set_of_keys(http):
    first = await token_of(http, KEY)
    again = await http.post("/oauth2/tokenP", json={"grant_type": "x", "appkey": KEY.appkey, "appsecret": KEY.secret})

    assert first["expires_in"] == 86_400
    assert (again.status_code, again.json()["error_code"]) == (403, "EGW00133")


async def test_within_six_hours_the_same_token_is_given_again(service, http):
    service.token_interval_s = 0.0

    assert (await token_of(http, KEY))["access_token"] == (await token_of(http, KEY))["access_token"]


@pytest.mark.parametrize(("key", "allowed"), [(KEY, 18), (VIRTUAL, 1)])
async def test_one_call_too_many_in_a_second_is_refused_and_counted(service, http, monkeypatch, key, allowed):
    now = 1000.0
    monkeypatch.setattr(service, "_clock", lambda: now)
    token = (await token_of(http, key))["access_token"]

    answers = [await price(http, key, token) for _ in range(allowed + 1)]
    now += 1.0
    later = await price(http, key, token)

    assert [one.status_code for one in answers] == [200] * allowed + [500]
    assert answers[-1].json()["msg_cd"] == "EGW00201"
    assert later.status_code == 200
    assert (service.limiter_trips, service.busiest_second(key.appkey)) == (1, allowed + 1)


async def test_a_token_that_was_given_back_is_refused(http):
    token = (await token_of(http, KEY))["access_token"]
    body = {"appkey": KEY.appkey, "appsecret": KEY.secret, "token": token}

    assert (await price(http, KEY, token)).json()["rt_cd"] == "0"
    assert (await http.post("/oauth2/revokeP", json=body)).json()["code"] == 200
    assert (await price(http, KEY, token)).json()["msg_cd"] == "EGW00121"
    assert (await http.post("/oauth2/revokeP", json=body)).json()["error_code"] == "EGW00121"


async def test_values_are_texts_and_an_unknown_call_is_none(http):
    token = (await token_of(http, KEY))["access_token"]

    page = (await price(http, KEY, token)).json()

    assert all(isinstance(value, str) for value in page["output"].values())
    assert (await http.get("/uapi/nothing", headers={"appkey": KEY.appkey, "appsecret": KEY.secret})).status_code != 200


def test_faults_of_one_seed_come_in_one_order():
    def drawn(seed):
        faults = Faults(chances={"quota": 0.2, "html": 0.1}, seed=seed)
        return [faults.next() for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {None, "quota", "html"}


def test_a_script_comes_before_chance():
    faults = Faults(script=["reset", None], chances={"quota": 1.0})

    assert [faults.next() for _ in range(3)] == ["reset", None, "quota"]
    assert faults.happened == {"reset": 1, "quota": 1}
