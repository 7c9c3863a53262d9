"""Where a webhook may go, and where it may not whatever its name says."""

import ipaddress

import pytest

from analytics.delivery.addresses import Endpoint, RefusedError, Resolve, parse, resolved, system_resolve
from analytics.delivery.webhooks import signature

INSIDE = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")]
HOOK = Endpoint("https", "hook.example", 443, "/")


def leads_to(answers: list[str]) -> Resolve:
    return lambda host, port: answers


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "::ffff:0:7f00:1", "10.2.0.1", "nonsense",
        "fec0::1", "192.0.0.8", "192.88.99.1", "64:ff9b:1::7f00:1", "3fff::1", "::127.0.0.1", "2001:0:0:0::80ff:fffe",
    ],
)  # fmt: skip
def test_what_is_not_of_the_public_internet_is_refused_and_so_is_a_name_that_also_leads_there(address):
    for answers in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
        with pytest.raises(RefusedError):
            resolved(HOOK, INSIDE, leads_to(answers))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"])
def test_the_public_internet_and_the_networks_of_the_settings_are_allowed(address):
    assert resolved(HOOK, INSIDE, leads_to([address])) == str(ipaddress.ip_address(address))


def test_plain_http_is_for_the_networks_of_the_settings():
    plain = Endpoint("http", "hook.example", 80, "/")

    assert resolved(plain, INSIDE, lambda host, port: ["10.1.0.1"]) == "10.1.0.1"
    with pytest.raises(RefusedError, match="https"):
        resolved(plain, INSIDE, lambda host, port: ["93.184.216.34"])


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "017700000001", "127.1", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "0", "2852039166",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::7f00:1]", "[::]",
    ],
)  # fmt: skip
def test_no_way_of_writing_an_address_gets_inside(host):
    """As this machine reads them: decimal, octal, hexadecimal, short, in the clothes of IPv6."""
    with pytest.raises(RefusedError):
        resolved(parse(f"https://{host}/"), [], system_resolve)


def test_a_name_that_leads_nowhere_is_refused():
    def fails(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    for resolve in (fails, leads_to([])):
        with pytest.raises(RefusedError, match=r"hook\.example"):
            resolved(HOOK, [], resolve)


@pytest.mark.parametrize(
    "url",
    [
        "https://hook.example/\x7f",
        "", "hook.example", "//hook.example/x", "ftp://hook.example/", "file:///etc/passwd", "gopher://hook.example",
        "https://", "https:///path", "https://user@hook.example/", "https://user:pw@hook.example/",
        "https://hook.example/#x", "https://hook.example:99999/", "https://hook.example/a b", "https://훅.example/",
        "https://hook.example\\@127.0.0.1/", "https://[::1", "javascript:alert(1)", "https://hook.example/\nHost:x",
        "https://hook.example/" + "x" * 500,
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook_is_refused(url):
    with pytest.raises(RefusedError):
        parse(url)


def test_an_address_in_parts():
    assert parse("https://Hook.example/in?key=1") == Endpoint("https", "hook.example", 443, "/in?key=1")
    assert parse("http://[fd00:1::5]:8080") == Endpoint("http", "fd00:1::5", 8080, "/")


def test_a_signature_is_of_the_moment_and_the_body():
    """By openssl: printf '1795500000.{}' | openssl dgst -sha256 -hmac secret"""
    given = signature("secret", 1_795_500_000, b"{}")

    assert given == "t=1795500000,v1=3937a5f51d8ae4a03538101606369ba6fb90dfba741563b6ec890504c5dfaf83"
    assert len({given, signature("other", 1_795_500_000, b"{}"), signature("secret", 1_795_500_001, b"{}"),
                signature("secret", 1_795_500_000, b"[]")}) == 4  # fmt: skip
