"""Many sockets of one key that log in at once, and how many symbols readers may name."""

import asyncio

import pytest

from api.stream import socket_logins
from api.stream.connection_limits import ConnectionLimits
from api.stream.encoding import Form
from api.stream.send_queue import SendQueue
from api.stream.sharing import Sharing
from api.stream.socket_logins import KeyLogins
from api.stream.subscriber import Identity, NoRoomError, Subscriber
from marketdata.limits.unauthenticated import Unauthenticated

READER = Identity("client", 1), "krx", None
STRANGER = None, None, None


@pytest.fixture
def asked(monkeypatch):
    """What was asked of the database; a key of which the secret is "right" is known."""
    questions = []

    async def entry(_way, *given, feed):
        questions.append((*given, feed))
        await asyncio.sleep(0)
        if given[1] == "away":
            raise OSError("away")
        return READER if given[1] == "right" else STRANGER

    monkeypatch.setattr(socket_logins, "entry", entry)
    return questions


async def test_who_comes_with_the_same_key_at_once_is_asked_for_once(asked, monkeypatch):
    monkeypatch.setattr(socket_logins, "SAME_S", 3600.0)
    logins = KeyLogins()

    together = await asyncio.gather(*(logins.entry("key", "right", "::1", feed="krx") for _ in range(5)))
    later = await logins.entry("key", "right", "::1", feed="krx")

    assert [*together, later] == [READER] * 6
    assert asked == [("key", "right", "::1", "krx")]


@pytest.mark.parametrize("other", [("other", "right", "::1", "krx"), ("key", "wrong", "::1", "krx"),
                                   ("key", "right", "::2", "krx"), ("key", "right", "::1", "sim")])  # fmt: skip
async def test_another_key_secret_address_or_feed_is_another_question(asked, other):
    logins = KeyLogins()

    await logins.entry("key", "right", "::1", feed="krx")
    *given, feed = other
    found = await logins.entry(*given, feed=feed)

    assert asked == [("key", "right", "::1", "krx"), other]
    assert found == (STRANGER if "wrong" in other else READER)


@pytest.mark.parametrize("secret", ["wrong", "away"])
async def test_a_refusal_and_a_failure_stand_for_nobody_who_comes_later(asked, secret):
    logins = KeyLogins()

    for times in range(1, 3):
        await asyncio.gather(
            *(logins.entry("key", secret, "::1", feed="krx") for _ in range(3)), return_exceptions=True
        )
        await asyncio.sleep(0.01)  # timers of this round
        assert len(asked) == times


async def test_a_key_is_asked_for_again_after_a_while(asked, monkeypatch):
    monkeypatch.setattr(socket_logins, "SAME_S", 0.0)
    logins = KeyLogins()

    for _ in range(2):
        await logins.entry("key", "right", "::1", feed="krx")
        await asyncio.sleep(0.01)

    assert len(asked) == 2


async def test_a_person_and_all_visitors_together_have_half_of_the_room_and_then_the_oldest_goes():
    waiting: Unauthenticated[Subscriber] = Unauthenticated(most=9, most_of_caller=9)
    limits = ConnectionLimits(most=4, most_per_key=1, most_symbols=10, sharing=NoRedis(), waiting=waiting)
    given: dict[str, list[Subscriber]] = {}
    person, visitors = Identity("user", 1), Identity("page", 0)
    for who in (person, visitors, person, visitors, person):
        one = Subscriber("krx", SendQueue(Form(), max_bytes=1000))
        assert limits.add_reader(one, who)
        given.setdefault(who.kind, []).append(one)

    assert [one.ending is not None for one in given["user"]] == [True, False, False]
    assert [one.ending is not None for one in given["page"]] == [False, False]
    await limits.close()


class NoRedis(Sharing):
    """The sockets of this process alone, as while Redis is away."""

    def __init__(self):
        super().__init__(None)

    async def renew(self, inside, most):
        raise OSError("away")


def test_no_reader_alone_takes_the_room_for_the_symbols_of_all_others():
    waiting: Unauthenticated[Subscriber] = Unauthenticated(most=1, most_of_caller=1)
    limits = ConnectionLimits(most=100, most_per_key=5, most_symbols=10, sharing=Sharing(None), waiting=waiting)
    visitors, reader, other = Identity("page", 0), Identity("client", 1), Identity("user", 1)

    def comes(identity, symbols):
        one = Subscriber("krx", SendQueue(Form(), max_bytes=1000), identity=identity)
        one.add({"trades": symbols}, most=100, room=limits.room_for_symbols(identity))
        limits.inside.add(one)

    comes(visitors, "abc")
    comes(visitors, "de")

    assert [limits.room_for_symbols(one) for one in (visitors, reader)] == [0, 5]
    with pytest.raises(NoRoomError):
        comes(visitors, "f")
    comes(reader, "abcd")
    assert [limits.room_for_symbols(one) for one in (visitors, reader, other)] == [0, 1, 1]
