import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream import requests
from api.stream.encoding import Form
from api.stream.requests import Auth, RequestError, Subscribe
from api.stream.send_queue import SendQueue
from api.stream.subscriber import NoRoomError, Subscriber


def test_requests_are_read_in_both_forms():
    content = {"action": "auth", "key": "k", "secret": "s"}

    assert requests.read(json.dumps(content), packed=False) == (Auth(key="k", secret="s"), [])
    assert requests.read(msgpack.packb(content), packed=True) == (Auth(key="k", secret="s"), [])


def test_a_subscription_may_say_where_to_go_on():
    text = '{"action":"subscribe","trades":["*"],"seq":true,"from":{"epoch":"abc","o":7}}'

    request, _ = requests.read(text, packed=False)

    assert isinstance(request, Subscribe)
    assert request.from_ is not None
    assert (request.from_.epoch, request.from_.o, request.seq) == ("abc", 7, True)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "7", '"x"', '{"action":"dance"}',
        '{"trades":["*"]}', '{"action":"subscribe","trades":"005930"}',
        '{"action":"subscribe","trades":[5930]}', '{"action":"auth","unheard":[]}', '{"action":"auth","key":1}',
        '{"action":"subscribe","from":{"o":1}}', '{"action":"subscribe","from":{"epoch":"a","o":1.5}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_request_is_invalid_syntax(text):
    with pytest.raises(RequestError) as error:
        requests.read(text, packed=False)

    assert error.value.code == 400


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_request_or_invalid_syntax(data, packed):
    with pytest.raises(RequestError):
        requests.read(b"\xc1" + data, packed=packed)


@pytest.mark.parametrize(
    ("channels", "codes"),
    [
        ({"news": ["*"]}, [409]),
        ({"trades": ["bad,symbol", "005930"]}, [400]),
        ({"quotes": [""]}, [400]),
        ({"unheard": {"deep": [1]}}, [400]),
        ({"unheard": 1, "news": ["*"], "quotes": [""]}, [400, 409, 400]),
        ({"news": []}, []),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_cannot_be_done_is_named_and_the_rest_is_done(channels, codes, packed):
    content = {"action": "subscribe", "bars": ["*", "000660"], **channels}

    request, faults = requests.read(msgpack.packb(content) if packed else json.dumps(content), packed=packed)

    assert isinstance(request, Subscribe)
    assert [fault.code for fault in faults] == codes
    assert request.lists()["bars"] == ["*", "000660"]
    assert request.lists()["trades"] == [code for code in channels.get("trades", []) if code == "005930"]


def test_too_many_symbols_are_refused_as_a_whole():
    one = Subscriber("krx", SendQueue(Form(), max_bytes=1000))

    one.add({"trades": ["1"], "bars": ["1"]}, most=4, room=2)

    with pytest.raises(RequestError, match="at most 4") as error:
        one.add({"trades": ["1", "2", "3", "4"]}, most=4, room=9)
    with pytest.raises(NoRoomError, match="room for 1 more") as full:
        one.add({"trades": ["1", "2", "3"]}, most=4, room=1)

    assert (error.value.code, full.value.code) == (405, 405)
    assert (one.named, one.channels["trades"]) == (2, {"1"})
    one.add({"trades": ["1"]}, most=4, room=-1)  # it is there already


def test_star_is_taken_back_by_star():
    one = Subscriber("krx", SendQueue(Form(), max_bytes=1000))
    one.add({"trades": ["*", "005930"]}, most=9, room=9)

    one.remove({"trades": ["*"]})

    assert one.subscription()["trades"] == ["005930"]


def test_snapshots_are_told_of_every_symbol_that_is_named_and_of_so_many_at_most():
    codes = [f"{number:06}" for number in range(requests.MOST_SNAPSHOTS)]

    def wanted(**channels):
        request, _ = requests.read(json.dumps({"action": "subscribe", **channels}), packed=False)
        assert isinstance(request, Subscribe)
        return request.wants_snapshots_of()

    assert wanted(trades=codes) == []
    assert wanted(trades=[*codes, "*"], bars=codes[:3], snapshot=True) == codes
    with pytest.raises(RequestError, match="at most 200 symbols"):
        wanted(trades=codes, bars=["005930"], snapshot=True)
