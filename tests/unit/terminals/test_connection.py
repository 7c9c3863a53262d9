"""Where a terminal connects to, and that prices in plain text stay on this machine."""

import pytest

from terminals.connection import Address, Connection, RefusedByRule


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9700", "127.0.0.1", 9700), ("[::1]:1", "::1", 1), ("나루.kr:65535", "나루.kr", 65535)],
)
def test_an_address_is_host_and_port(text, host, port):
    address = Address.parse(text)

    assert (address.host, address.port, address.tls) == (host, port, False)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "host:٣"])
def test_what_is_no_address_is_told(text):
    with pytest.raises(ValueError, match="host:port"):
        Address.parse(text)


def test_an_own_authority_means_tls():
    assert Address.parse("a:1", ca_file="ca.pem").tls


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "localhost.example.com", "0.0.0.0"])
def test_plain_text_to_another_machine_needs_an_explicit_word(host):
    with pytest.raises(RefusedByRule, match="--plain"):
        Connection(Address(host, 1))
