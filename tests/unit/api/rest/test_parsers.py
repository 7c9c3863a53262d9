"""Bodies in JSON that nobody can show or store are an error of whoever sent them."""

import io
import json

import pytest
from rest_framework.exceptions import ParseError

from api.rest.parsers import JSONParser


def read(content: bytes) -> object:
    return JSONParser().parse(io.BytesIO(content))


@pytest.mark.parametrize("content", [{"a": [1, 1.5, "나루", "😀", None, True, 10**30]}, [], "x", 1, None])
def test_what_is_json_is_read_as_it_is(content):
    assert read(json.dumps(content).encode()) == content
    assert read(json.dumps(content, ensure_ascii=False).encode()) == content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (rb'{"a": "\ud800"}', "surrogate"),
        (rb'{"\udfff": 1}', "surrogate"),
        (rb'[{"a": ["x", {"b": "y\ud800z"}]}]', "surrogate"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested"),
        (b"9" * 5_000, "JSON"),
        (b'{"a": NaN}', "JSON"),
        (b"\xff", "JSON"),
        (b"", "JSON"),
    ],
)
def test_what_is_not_is_said_to_be_wrong(content, told):
    with pytest.raises(ParseError, match=told):
        read(content)
