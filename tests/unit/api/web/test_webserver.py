"""A request that does not come to its end is ended, one that is too large is not read, and who floods gives way."""

import json
import resource
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from api.management.commands import runweb
from api.web.webserver import DRAIN_S, Channel, Limits, Request
from marketdata.limits import open_files
from marketdata.limits.unauthenticated import Unauthenticated

LIMITS = Limits(body_bytes=1000, header_s=10, body_s=30, idle_s=60)


class Transport(StringTransport):
    """Remembers how it was ended; the protocol is told as a socket would tell it."""

    aborted = half_closed = False

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.aborted = True

    def loseWriteConnection(self):  # noqa: N802
        self.half_closed = True


class Site:
    """As much of Daphne's server as a request needs: it answers each with its body's size."""

    http_timeout = None
    proxy_forwarded_address_header = None
    request_buffer_size = 8192
    root_path = ""
    server_name = "naru"

    def __init__(self):
        self.clock = Clock()
        self.waiting: Unauthenticated[Channel] = Unauthenticated(most=4, most_of_caller=3)
        self.server = self
        self.seen: list[Request] = []
        self.channels: list[Channel] = []

    def protocol_connected(self, request):
        pass

    def protocol_disconnected(self, request):
        pass

    def log_action(self, *told):
        pass

    def log(self, request):
        pass

    def create_application(self, request, scope):
        self.seen.append(request)

    def answer(self):
        request = self.seen.pop(0)
        request.handle_reply({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]})
        request.handle_reply({"type": "http.response.body", "body": b"ok"})

    def connect(self, address="192.0.2.1"):
        channel: Any = Channel()
        self.channels.append(channel)
        channel.factory, channel.callLater, channel.timeOut = self, self.clock.callLater, 60
        channel.limits, channel.waiting, channel.is_shared = LIMITS, self.waiting, lambda name: name == "127.0.0.1"
        channel.requestFactory = Request
        transport: Any = Transport(peerAddress=IPv4Address("TCP", address, 1))
        transport.protocol = channel
        channel.makeConnection(transport)
        return channel, transport


@pytest.fixture
def site():
    made = Site()
    yield made
    for channel in made.channels:
        channel.connectionLost()


def refused(transport):
    """The status of the answer, and the API's code in it."""
    head, _, content = transport.value().partition(b"\r\n\r\n")
    told = json.loads(content)
    assert set(told) == {"code", "message", "request_id"}
    return int(head.split()[1]), told["code"]


def test_headers_that_come_byte_by_byte_are_given_up(site):
    channel, transport = site.connect()
    channel.dataReceived(b"GET / HTTP/1.1\r\nX-a: ")

    for _ in range(11):
        channel.dataReceived(b"a")
        site.clock.advance(1)

    assert refused(transport) == (408, 40810000)
    site.clock.advance(DRAIN_S)
    assert transport.aborted
    assert site.seen == []


def test_a_connection_that_says_nothing_is_given_up(site):
    _, transport = site.connect()

    site.clock.advance(LIMITS.header_s)

    assert refused(transport)[0] == 408


def test_a_body_that_comes_byte_by_byte_is_given_up(site):
    channel, transport = site.connect()
    channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\n")

    for _ in range(31):
        channel.dataReceived(b"a")
        site.clock.advance(1)

    assert refused(transport) == (408, 40810000)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(site):
    channel, transport = site.connect()

    channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
    channel.dataReceived(b"x" * 1001)
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")

    assert refused(transport) == (413, 41310000)
    assert transport.half_closed
    assert site.seen == []


def test_a_body_in_pieces_is_refused_once_it_is_too_large(site):
    channel, transport = site.connect()
    channel.dataReceived(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")

    for _ in range(5):
        channel.dataReceived(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    channel.dataReceived(b"0\r\n\r\n")

    assert refused(transport) == (413, 41310000)
    assert site.seen == []


def test_a_body_that_is_just_small_enough_is_taken(site):
    channel, transport = site.connect()

    channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    site.answer()

    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /?a=" + b"x" * 17_000 + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"x" * 17_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"x" * 40_000,  # and no end of it
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (at, b"x" * 1000) for at in range(17)) + b"\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: much\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nmuch\r\n",
    ],
)
def test_what_cannot_be_read_is_answered_as_any_mistake(site, head):
    channel, transport = site.connect()

    channel.dataReceived(head)
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")

    assert refused(transport) == (400, 40010000)
    assert transport.half_closed
    assert site.seen == []


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data; boundary=x", b"multipart/form-data", b"application/x-www-form-urlencoded"]
)
def test_a_form_is_read_by_the_application_alone(site, kind):
    channel, transport = site.connect()

    channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Type: " + kind + b"\r\nContent-Length: 3\r\n\r\na=1")
    asked = site.seen[0]
    site.answer()

    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")
    assert asked.args == {}


def test_an_answer_may_take_its_time_and_the_next_request_has_its_own(site):
    channel, transport = site.connect()
    for _ in range(2):
        channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        site.clock.advance(1000)
        site.answer()
        site.clock.advance(LIMITS.idle_s - 1)
    channel.dataReceived(b"GET")
    site.clock.advance(LIMITS.header_s - 1)
    assert transport.value().count(b"HTTP/1.1 200 OK\r\n") == 2
    assert not transport.disconnecting

    site.clock.advance(1)

    assert b"HTTP/1.1 408" in transport.value()


def test_a_connection_without_a_further_request_is_closed_without_a_word(site):
    channel, transport = site.connect()
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    site.answer()
    said = transport.value()

    site.clock.advance(LIMITS.idle_s)

    assert transport.disconnecting
    assert transport.value() == said


def test_a_request_sent_ahead_is_answered_in_its_turn(site):
    channel, transport = site.connect()
    channel.dataReceived(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    site.answer()

    site.clock.advance(LIMITS.idle_s + 1)  # the second takes long
    site.answer()

    assert transport.value().count(b"HTTP/1.1 200 OK\r\n") == 2


def test_the_address_with_the_most_idle_connections_gives_way(site):
    _, reader = site.connect("192.0.2.7")
    busy, working = site.connect("192.0.2.1")
    busy.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    flood = [site.connect(f"198.51.100.{number % 2}")[1] for number in range(6)]

    assert not reader.aborted
    assert not working.aborted
    assert [transport.aborted for transport in flood].count(False) == 3
    site.answer()
    assert working.value().startswith(b"HTTP/1.1 200")


def test_a_proxy_holds_as_many_as_it_likes_below_the_limit_in_all(site):
    held = [site.connect("127.0.0.1")[1] for _ in range(4)]

    assert [transport.aborted for transport in held] == [False] * 4


@pytest.mark.parametrize(
    ("files", "connections", "sockets", "room"),
    [
        (20_000, 1_000, 1_100, 1_000),
        (1_024, 1_000, 300, 1_024 - open_files.OTHER_FILES - 300),
        (1_024, 1_000, 1_100, (1_024 - open_files.OTHER_FILES) * 1_000 // 2_100),
        (20_000, 100_000, 200_000, (20_000 - open_files.OTHER_FILES) // 3),
        (200, 1_000, 1_100, runweb.LEAST_CONNECTIONS),
    ],
)
def test_connections_and_sockets_share_the_files_that_the_system_allows(files, connections, sockets, room, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    assert runweb.share_of_files(connections, sockets) == room
