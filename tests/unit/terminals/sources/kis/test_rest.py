"""Each kind of failure is repeated as far as that helps, and no key, secret or token is ever said. Over sockets."""

import asyncio
import logging
import traceback

import httpx
import pytest

from terminals.sources.kis import answers, network, rest
from terminals.sources.kis.answers import (
    BusinessError,
    KeyRefusedError,
    TokenRefusedError,
    Trouble,
    UnavailableError,
)
from terminals.sources.kis.rest import Client, quotation
from tests.unit.terminals.sources.kis.conftest import APPKEY, APPSECRET, LONG_S, QUICK, account_at, client_of

PRICE = quotation("inquire-price", "FHKST01010100")
STOCK = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000040"}


@pytest.fixture
async def client(account, simulator, tmp_path):
    simulator.token_interval_s = 0.0
    async with client_of(account, tmp_path, token_interval_s=0.0, retries=QUICK) as opened:
        yield opened


async def test_a_call_brings_its_answer_and_when_it_came(client, simulator):
    answer = await client.get(PRICE, STOCK)

    assert answer.one()["stck_shrn_iscd"] == "000040"
    assert answer.received_us > 1_700_000_000_000_000
    assert (client.calls.made, client.calls.good) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        ("quota", Trouble.QUOTA),
        ("server", Trouble.SERVER),
        ("html", Trouble.NO_JSON),
        ("reset", Trouble.CONNECTION),
    ],
)
async def test_a_passing_failure_is_repeated_and_counted_by_its_kind(client, simulator, fault, trouble):
    simulator.faults.plan(fault, fault)

    await client.get(PRICE, STOCK)

    assert client.calls.failed == {trouble: 2}
    assert client.calls.good == 1


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        ("quota", Trouble.QUOTA),
        ("server", Trouble.SERVER),
        ("html", Trouble.NO_JSON),
        ("reset", Trouble.CONNECTION),
    ],
)
async def test_a_failure_that_stays_is_given_up_after_its_tries(client, simulator, fault, trouble):
    simulator.faults.plan(*[fault] * 20)

    with pytest.raises(UnavailableError) as failed:
        await client.get(PRICE, STOCK)

    assert failed.value.trouble is trouble
    assert client.calls.made == rest.RETRIES[trouble].tries
    assert simulator.faults.happened[fault] == rest.RETRIES[trouble].tries


async def test_no_answer_is_a_time_out_and_is_repeated_once(account, simulator, tmp_path):
    simulator.faults.plan("hang", "hang")
    async with Client(account, tmp_path, within_s=LONG_S) as patient:
        token = await patient.tokens.access_token()
    async with Client(account, tmp_path, within_s=0.2, retries=QUICK) as client:
        with pytest.raises(UnavailableError, match=r"no answer within 0\.2 s") as failed:
            await client.get(PRICE, STOCK)

    assert client.calls.failed == {Trouble.TIMEOUT: 2}
    assert not any(secret in told(failed.value) for secret in (APPKEY, APPSECRET, token))


async def test_a_slow_answer_is_an_answer(client, simulator):
    simulator.faults.slow_s = 0.1
    simulator.faults.plan("slow")

    assert (await client.get(PRICE, STOCK)).one()


async def test_a_service_that_is_not_there_is_said(tmp_path, silent_url):
    account = account_at(silent_url)
    async with Client(account, tmp_path, retries=QUICK) as client:
        with pytest.raises(UnavailableError) as failed:
            await client.get(PRICE, STOCK)

    assert failed.value.trouble is Trouble.UNREACHABLE


async def test_a_token_that_ended_is_renewed_once_and_the_call_made_again(client, simulator):
    await client.get(PRICE, STOCK)
    simulator.refuse_tokens()

    await client.get(PRICE, STOCK)

    assert client.calls.failed == {"token": 1}
    assert simulator.tokens_issued == 2


async def test_a_token_that_was_never_issued_is_renewed_too(client, simulator):
    await client.get(PRICE, STOCK)
    simulator.refuse_tokens(expired=False)

    assert (await client.get(PRICE, STOCK)).one()


async def test_many_calls_with_one_old_token_renew_it_once(client, simulator):
    await client.get(PRICE, STOCK)
    simulator.refuse_tokens()

    await asyncio.gather(*(client.get(PRICE, STOCK) for _ in range(10)))

    assert simulator.tokens_issued == 2
    assert client.calls.good == 11


async def test_a_service_that_refuses_its_new_token_as_well_is_not_asked_a_third_time(client, simulator):
    simulator.faults.plan("expired", "expired", "expired")

    with pytest.raises(TokenRefusedError, match="EGW00123"):
        await client.get(PRICE, STOCK)

    assert client.calls.made == 2


async def test_a_business_error_is_not_repeated(client, simulator):
    with pytest.raises(BusinessError, match="OPSQ2001"):
        await client.get(PRICE, {**STOCK, "FID_INPUT_ISCD": "999999"})

    assert client.calls.made == 1


async def test_a_wrong_key_is_not_repeated(simulator, tmp_path):
    async with Client(account_at(simulator.url, appkey="PSx" + "x" * 33), tmp_path) as client:
        with pytest.raises(KeyRefusedError):
            await client.get(PRICE, STOCK)

    assert simulator.requests["/oauth2/tokenP"] == 1


async def test_fifty_calls_of_one_client_wait_for_each_other_and_all_come(client, simulator):
    found = await asyncio.gather(*(client.get(PRICE, STOCK) for _ in range(50)))

    assert len(found) == 50
    assert simulator.busiest_second(APPKEY) <= 18
    assert simulator.limiter_trips == 0


async def test_no_secret_is_in_any_log_or_error(client, simulator, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    simulator.faults.plan(*["html"] * 4, *["quota"] * 6, *["reset"] * 4, "expired", "expired", "business")
    said = [repr(vars(client))]
    secrets = {APPKEY, APPSECRET, await client.tokens.access_token(), await client.tokens.approval_key()}
    for _ in range(5):
        with pytest.raises(answers.KisError) as failed:
            await client.get(PRICE, STOCK)
        said.append(told(failed.value))
        secrets.add(await client.tokens.access_token())

    printed = capsys.readouterr()
    everything = "\n".join([*said, caplog.text, printed.out, printed.err])
    assert "kis_issued" in caplog.text
    assert not any(secret in everything for secret in secrets)


def told(error: BaseException | None) -> str:
    """All that an error and those behind it say, as a log or an error collector would write it."""
    said = []
    while error is not None:
        assert not isinstance(error, httpx.HTTPError)  # it holds the request and its headers
        said += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


async def test_an_error_that_echoes_the_key_is_told_without_it(account):
    body = {"error_code": "EGW00103", "error_description": f"no such key {APPKEY} with {APPSECRET}"}

    async def echo(request):
        return httpx.Response(403, json=body)

    async with httpx.AsyncClient(base_url=account.rest_url, transport=httpx.MockTransport(echo)) as http:
        with pytest.raises(KeyRefusedError) as refused:
            await network.request(http, account, "POST", "/oauth2/tokenP", body={})

    assert str(refused.value) == "EGW00103 no such key *** with ***"


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (200, b'{"rt_cd":"0","msg_cd":"MCA00000","output":{}}', None),
        (200, b'{"rt_cd":"1","msg_cd":"EGW00201","msg1":"x"}', UnavailableError),
        (500, b'{"rt_cd":"1","msg_cd":"EGW00121","msg1":"x"}', TokenRefusedError),
        (200, b'{"error_code":"EGW00123","error_description":"x"}', TokenRefusedError),
        (429, b'{"message":"too many"}', UnavailableError),
        (503, b'{"rt_cd":"1","msg_cd":"","msg1":""}', UnavailableError),
        (200, b"[]", UnavailableError),
        (200, b"", UnavailableError),
        (200, b"\xff\xfe", UnavailableError),
        (404, b'{"rt_cd":"1","msg_cd":"EGW00304","msg1":"x"}', UnavailableError),
        (400, b'{"rt_cd":"7","msg_cd":"OPSQ0002","msg1":"x"}', BusinessError),
    ],
)
def test_an_answer_is_judged_by_its_body_before_its_status(status, content, kind):
    if kind is None:
        assert answers.read(status, content)["output"] == {}
        return
    with pytest.raises(kind):
        answers.read(status, content)


def test_a_call_leaves_no_line_in_the_log():
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
