"""X-Forwarded-For is believed of our own proxies, and read as addresses only."""

import pytest

from api.web.proxies import Proxies

OURS = Proxies(["127.0.0.1", "::1", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # no proxy of ours: its word is worth nothing
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the left one was written by the caller
        ("127.0.0.1", "198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("127.0.0.1", "8.8.8.8 reason=ok client=admin", "127.0.0.1"),
        ("127.0.0.1", "A" * 4000, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("::1", " 2001:db8::7 ", "2001:db8::7"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_caller_is_the_last_address_that_is_not_ours(peer, forwarded, caller):
    assert OURS.caller(peer, forwarded) == caller


def scope(peer, *headers, kind="http"):
    found = OURS.scope({"type": kind, "client": [peer, 1], "headers": list(headers)})
    return found["client"][0], found["scheme"], [name for name, _ in found["headers"]]


def test_a_request_is_seen_as_its_caller_made_it():
    headers = (b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https"), (b"accept", b"*/*")

    assert scope("127.0.0.1", *headers) == ("203.0.113.9", "https", [b"accept"])
    assert scope("127.0.0.1", *headers, kind="websocket") == ("203.0.113.9", "wss", [b"accept"])
    assert scope("203.0.113.5", *headers) == ("203.0.113.5", "http", [b"accept"])
    assert scope("127.0.0.1", (b"x-forwarded-proto", b"https, http"))[1] == "http"


def test_several_lines_of_the_header_are_one_list():
    lines = (b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"203.0.113.9")

    assert scope("127.0.0.1", *lines)[0] == "203.0.113.9"


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="proxy"):
        Proxies(["proxy.example.com"])
