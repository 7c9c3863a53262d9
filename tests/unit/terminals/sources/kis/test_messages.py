import json

import pytest

from terminals.sources.kis import messages
from terminals.sources.kis.messages import Meaning, Ping, Reply
from terminals.sources.kis.planner import Registration

TRADE = Registration("H0STCNT0", "005930")


def reply(code, *, tr_id="H0STCNT0", tr_key="005930", **body):
    header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "N"}
    return json.dumps({"header": header, "body": {"rt_cd": "0", "msg_cd": code, "msg1": "TEXT  ", **body}})


def test_a_command_is_what_the_portal_describes():
    text = messages.command(TRADE, register=True, approval_key="key")

    assert json.loads(text) == {
        "header": {"approval_key": "key", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
        "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}},
    }
    assert json.loads(messages.command(TRADE, register=False, approval_key="key"))["header"]["tr_type"] == "2"


@pytest.mark.parametrize("body", [{}, {"body": None}])
def test_pingpong_is_known_with_and_without_a_body(body):
    text = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": "20261120090010"}, **body})

    assert messages.parse(text) == Ping("20261120090010")


def test_an_answer_is_of_its_registration_and_brings_key_and_iv():
    found = messages.parse(reply("OPSP0000", output={"iv": "0123456789abcdef", "key": "k" * 32}))

    assert found == Reply("OPSP0000", "TEXT", TRADE, "k" * 32, "0123456789abcdef")


def test_an_answer_about_the_session_is_of_no_registration():
    found = messages.parse(reply("OPSP8996", tr_id="(null)", tr_key=""))

    assert isinstance(found, Reply)
    assert (found.registration, found.meaning) == (None, Meaning.OWNED)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("OPSP0000", Meaning.ACTIVE),
        ("OPSP0001", Meaning.INACTIVE),
        ("OPSP0002", Meaning.ACTIVE),
        ("OPSP0003", Meaning.INACTIVE),
        ("OPSP0007", Meaning.RETRY),
        ("OPSP0008", Meaning.FULL),
        ("OPSP0011", Meaning.NEW_KEY),
        ("OPSP8992", Meaning.REFUSED),
        ("OPSP8997", Meaning.STOP),
        ("OPSP9993", Meaning.RETRY),
        ("OPSP9994", Meaning.STOP),
        ("OPSP4711", Meaning.RETRY),
    ],
)
def test_a_code_has_its_meaning_whatever_its_text_says(code, meaning):
    found = messages.parse(reply(code, msg1="SUBSCRIBE SUCCESS"))

    assert isinstance(found, Reply)
    assert found.meaning is meaning


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "{}",
        '{"header":1}',
        '{"header":{},"body":{"msg_cd":5}}',
        "[" * 100_000,
        '{"header":[],"body":[]}',
    ],
)
def test_anything_else_is_no_message(text):
    assert messages.parse(text) is None


def test_a_secret_in_the_words_of_an_answer_goes_no_further():
    key = "5a3c1f0e-8d6b-4a2f-9c47-1b2e3d4f5a6b"

    found = messages.parse(reply("OPSP0011", msg1=f"invalid approval : {key} NOT FOUND, account 12345678-01"))

    assert isinstance(found, Reply)
    assert found.text == "invalid approval : *** NOT FOUND, account ***"
    assert "K" * 32 not in repr(Reply("OPSP0000", "", None, key="K" * 32, iv="K" * 32))
