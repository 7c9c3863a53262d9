"""Keys come from a private file or the environment, and are shown nowhere."""

import datetime
from pathlib import Path

import pytest

from terminals.sources.kis import credentials
from terminals.sources.kis.credentials import AccountKind, CredentialsError

APPKEY, SECRET = "PS" + "a" * 34, "b" * 180
GOOD = f"""
[[account]]
name = "main"
appkey = "{APPKEY}"
appsecret = "{SECRET}"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "kis.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def test_an_account_has_the_addresses_of_its_kind_and_shows_no_secret(tmp_path):
    (account,) = credentials.load(written(tmp_path, GOOD))

    assert account.rest_url == credentials.REAL_REST
    assert account.websocket_url == credentials.REAL_WEBSOCKET
    assert (account.appkey, account.appsecret) == (APPKEY, SECRET)
    for shown in (repr(account), str(account), f"{account}", repr([account]), account.key_id):
        assert APPKEY not in shown
        assert SECRET not in shown


def test_several_accounts_of_both_kinds(tmp_path):
    second = f'[[account]]\nkind = "virtual"\nappkey = "{"c" * 36}"\nappsecret = "{SECRET}"\n'

    real, virtual = credentials.load(written(tmp_path, GOOD + second))

    assert (real.kind, virtual.kind) == (AccountKind.REAL, AccountKind.VIRTUAL)
    assert virtual.rest_url == credentials.VIRTUAL_REST
    today = datetime.date(2026, 11, 27)
    assert (real.calls_per_s(today), virtual.calls_per_s(today)) == (15, 1)
    assert real.key_id != virtual.key_id


def test_a_limit_holds_from_its_day_on(tmp_path):
    rates = "calls_per_s = [{ since = 2026-11-22, calls = 3 }, { since = 2026-11-25, calls = 12 }]\n"

    (account,) = credentials.load(written(tmp_path, GOOD + rates))

    days = [datetime.date(2026, 11, day) for day in (21, 22, 24, 25)]
    assert [account.calls_per_s(day) for day in days] == [1, 3, 3, 12]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_may_read_is_refused_with_what_to_do(tmp_path, mode):
    file = written(tmp_path, GOOD, mode)

    with pytest.raises(CredentialsError, match=f"chmod 600 {file}"):
        credentials.load(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no \\[\\[account\\]\\] table"),
        ("[[account]]\nappkey = 5\n", "appkey must be a text"),
        (f'[[account]]\nappkey = "{APPKEY}"\n', "appsecret is missing"),
        (GOOD + 'kind = "demo"\n', "real or virtual"),
        (GOOD + 'custtype = "P"\n', "unknown custtype"),
        (GOOD + 'customer = "X"\n', "customer must be P"),
        (GOOD + GOOD.replace("main", "other"), "other and main have the same appkey"),
        (GOOD + 'rest_url = "http://prices.example:80"\n', "over https only"),
        (GOOD + 'rest_url = "prices.example"\n', "must be like https://host:port"),
        (GOOD + "calls_per_s = 0\n", "calls = 1 to 1000"),
        (GOOD + 'calls_per_s = "15"\n', "must be a number or a list"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, reason):
    with pytest.raises(CredentialsError, match=reason):
        credentials.load(written(tmp_path, text))


def test_a_file_that_is_no_toml_is_refused_without_quoting_it(tmp_path):
    with pytest.raises(CredentialsError) as refused:
        credentials.load(written(tmp_path, f"appsecret = {SECRET}"))

    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(CredentialsError, match="cannot be read"):
        credentials.load(tmp_path / "none.toml")


def test_the_environment_has_one_account_or_more():
    environment = {
        "NARU_KIS_APPKEY": APPKEY,
        "NARU_KIS_APPSECRET": SECRET,
        "NARU_KIS_REST_URL": "http://127.0.0.1:8000/",
        "NARU_KIS_APPKEY_2": "c" * 36,
        "NARU_KIS_APPSECRET_2": SECRET,
        "NARU_KIS_KIND_2": "virtual",
    }

    first, second = credentials.load(environment=environment)

    assert first.rest_url == "http://127.0.0.1:8000"
    assert (first.kind, second.kind) == (AccountKind.REAL, AccountKind.VIRTUAL)
    assert (first.name, second.name) == ("account_1", "account_2")


def test_an_environment_without_keys_says_what_to_set():
    with pytest.raises(CredentialsError, match="NARU_KIS_APPKEY"):
        credentials.load(environment={})
