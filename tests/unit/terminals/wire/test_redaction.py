"""What is taken out of a text on its way to a log, and what is left as it is."""

import pytest

from terminals.wire.redaction import Redaction


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("redis://:hunter2@10.0.0.5:6379/0 away", "redis://:***@10.0.0.5:6379/0 away"),
        ("mysql://naru:a%2Fb@db/naru", "mysql://naru:***@db/naru"),
        ("Authorization: Bearer abc.def-g", "Authorization: ***"),
        ("{'APCA-API-SECRET-KEY': 'abc', 'x': 1}", "{'APCA-API-SECRET-KEY': ***, 'x': 1}"),
        ('{"appsecret": "a b c"}', '{"appsecret": ***}'),
        ("GET /v2/stream?ticket=abc&feed=krx", "GET /v2/stream?ticket=***&feed=krx"),
        ("password=abc, user=me", "password=***, user=me"),
        ("the words correct horse", "the words ***"),
    ],
)
def test_a_secret_is_taken_out(said, left):
    assert Redaction(["correct horse"])(said) == left


@pytest.mark.parametrize(
    "said",
    [
        "joined client=desk3 source=KIS commit=4",
        "login refused client='x' reason=wrong_proof address=10.0.0.5:77",
        "Access denied for user 'naru'@'db' (using password: YES)",
        "body gone key=naru:body:7:3",
        "batch sent seq=4 trace=0123456789abcdef0000000000000004",
        "kis_token_too_soon file=a try=2",
        "http://127.0.0.1:9200/_bulk at user@example.com",
    ],
)
def test_what_is_no_secret_stays(said):
    assert Redaction(["short"])(said + " short") == said + " short"
