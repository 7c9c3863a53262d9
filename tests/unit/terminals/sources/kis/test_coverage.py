"""What a session does not bring is polled as far as there is room, and what is not polled either is said."""

import pytest

from terminals.sources.kis import coverage
from terminals.sources.kis.credentials import Account, AccountKind
from terminals.sources.kis.planner import Coverage, Kind, Wish, registration_of
from terminals.sources.kis.rest import Client
from terminals.sources.kis.wanted import read_wanted
from tests.unit.terminals.sources.kis.conftest import APPKEY, APPSECRET, VIRTUAL_APPKEY


def wish(symbol, kind, feed="krx"):
    registration = registration_of(symbol, kind, feed)
    assert registration is not None
    return Wish(registration, symbol, kind)


def test_what_is_active_is_streamed_and_the_rest_is_polled_while_there_is_room():
    wishes = [wish(symbol, Kind.BOOK) for symbol in ("000001", "000002", "000003", "000004")]
    active = {wishes[1].registration}

    found = coverage.covered(wishes, active, {Kind.BOOK: 2})

    assert list(found.values()) == [Coverage.POLLING, Coverage.WEBSOCKET, Coverage.POLLING, Coverage.NONE]


@pytest.mark.parametrize(
    "pushed",
    [
        wish("000001", Kind.EXPECTED),
        wish("000001", Kind.STATUS),
        wish("DNASAAPL", Kind.TRADE, "overseas"),
        wish("DNASAAPL", Kind.BOOK, "overseas"),
    ],
)
def test_what_rest_does_not_have_is_not_said_to_be_polled(pushed):
    assert coverage.covered([pushed], set(), dict.fromkeys(Kind, 9)) == {pushed: Coverage.NONE}


@pytest.mark.parametrize(
    ("kinds", "stocks", "cycle_s", "room"),
    [
        ((AccountKind.REAL,), 30, 1.0, {Kind.TRADE: 300, Kind.INDEX: 10, Kind.BOOK: 14}),
        ((AccountKind.REAL,), 600, 1.0, {Kind.TRADE: 300, Kind.INDEX: 10, Kind.BOOK: 3}),
        ((AccountKind.REAL, AccountKind.REAL), 60, 1.0, {Kind.TRADE: 600, Kind.INDEX: 20, Kind.BOOK: 28}),
        ((AccountKind.VIRTUAL,), 5, 1.0, {Kind.TRADE: 1, Kind.INDEX: 1, Kind.BOOK: 0}),
        ((AccountKind.VIRTUAL,), 1, 5.0, {Kind.TRADE: 3, Kind.INDEX: 3, Kind.BOOK: 4}),
        ((), 5, 1.0, {}),
    ],
)
async def test_order_books_have_the_calls_that_prices_leave(tmp_path, kinds, stocks, cycle_s, room):
    keys = {AccountKind.REAL: APPKEY, AccountKind.VIRTUAL: VIRTUAL_APPKEY}
    accounts = [
        Account("main", kind, keys[kind], APPSECRET, "http://127.0.0.1:1", "ws://127.0.0.1:1") for kind in kinds
    ]
    clients = [Client(account, tmp_path) for account in accounts]
    wanted = read_wanted(",".join(f"{number:06}" for number in range(stocks)), {})

    assert coverage.room_of(clients, wanted, cycle_s) == room
    for client in clients:
        await client.close()
