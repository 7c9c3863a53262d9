"""What may be a secret does not reach a log; what an operator needs to read does."""

import pytest

from terminals.masking import masked, masked_start


@pytest.mark.parametrize(
    "secret",
    [
        "5a3c1f0e-8d6b-4a2f-9c47-1b2e3d4f5a6b",  # an approval key
        "PSk" + "Ab3" * 11,  # an appkey
        "q7Zp/" * 36,  # an appsecret
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJ0b2tlbiJ9.Zm9vYmFyMTIz",  # a token
        "12345678-01",
        "1234567801",
        "12345678",
    ],
)
@pytest.mark.parametrize("text", ["{}", "invalid approval : {}", "계좌({})가 없습니다", "key={}, again", '"{}"'])
def test_what_may_be_a_key_a_token_or_an_account_is_taken_out(text, secret):
    found = masked(text.format(secret))

    assert secret not in found
    assert found == text.format("***")


@pytest.mark.parametrize(
    "text",
    [
        "OPSP0011 invalid approval : NOT FOUND: H0STCNT0 005930",
        "no connection: ConnectionRefusedError [Errno 111] Connect call failed ('127.0.0.1', 21000)",
        "초당 거래건수를 초과하였습니다. (20건)",
        "ws://ops.koreainvestment.com:21000 rejected the connection: HTTP 403",
        "registration: H0IFCNT0 101W09000, 201W07360, DNASAAPL, Q500001",
        "91.2 s at 153000, number 1234567",
        "NO_AUTH / SUBSCRIBER_NOT_ENTITLED / Not authorized for FEED",
    ],
)
def test_what_an_operator_has_to_read_stays(text):
    assert masked(text) == text


def test_a_megabyte_without_a_digit_stays_and_one_with_a_digit_goes():
    letters = "a" * 1_000_000

    assert masked(letters) == letters
    assert masked(f"{letters} {letters}1") == f"{letters} ***"


def test_the_start_of_a_long_text_has_no_half_of_a_secret():
    key = "PSk" + "Ab3" * 11
    words = "word " * 818  # up to 6 characters before where looking ends

    assert masked_start(words + key, 5000) == words + "***"
    assert masked_start(key * 30_000, 32) == "***"
    assert masked_start("a" * 1_000_000, 32) == "***"
    assert masked_start(f"refused: {key}, again", 14) == "refused: ***, "
