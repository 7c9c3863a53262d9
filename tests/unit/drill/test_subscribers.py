"""What the drills say of subscribers."""

import math

import numpy as np

from tests.drill.feed_clients import Client
from tests.drill.merge import Message, Told
from tests.drill.subscribers import account

PLAN = {"key": "", "secret": "", "stalls": False, "waits": False}


def ids(*found: int) -> np.ndarray:
    return np.array(found, np.int64)


def test_what_each_lacks_has_twice_or_invented_is_counted():
    kept = [ids(1, 3, 2, 4), ids(1, 2, 2, 4), ids(3, 4, 9)]

    assert account(kept, due=ids(2, 3, 4), stored=ids(1, 2, 3, 4)) == {"gaps": 2, "duplicates": 1, "unknown": 1}


def test_a_trade_of_before_they_listened_may_be_there_and_may_not():
    assert account([ids(1, 2), ids(2)], due=ids(2), stored=ids(1, 2)) == {"gaps": 0, "duplicates": 0, "unknown": 0}


async def test_the_longest_time_between_two_trades_of_a_subscriber():
    client = Client(PLAN, 0, Told())
    for trade, heard_at in enumerate((10.0, 11.0, 14.5, 15.0)):
        client._heard_at = heard_at
        await client._take(Message(T="t", i=trade, o=trade), 0)
        assert math.isfinite(client.pause_s)

    assert client.pause_s == 3.5
