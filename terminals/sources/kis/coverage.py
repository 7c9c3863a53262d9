"""How each wish is covered now: by the WebSocket if its registration is active, else by REST as far as that has room,
else not at all. What cannot be registered (the session is down or another program's, the service refused it)
is polled without anybody's doing, and no more once it is active again.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from terminals.sources.kis import quotes
from terminals.sources.kis.planner import Coverage, Kind, Registration, Wish
from terminals.sources.kis.rest import Client
from terminals.sources.kis.wanted import Wanted

_STOCKS: Final = ("krx", "nxt", "unified")
_OTHERS: Final = ("futures", "options", "stock_futures", "index")


def covered(wishes: Iterable[Wish], active: Container[Registration], room: Mapping[Kind, int]) -> dict[Wish, Coverage]:
    """`wishes` with the most wanted first; `room` is for how many of a kind REST has calls."""
    left, found = dict(room), dict[Wish, Coverage]()
    for wish in wishes:
        if wish.registration in active:
            found[wish] = Coverage.WEBSOCKET
        elif wish.is_polled and left.get(wish.kind, 0) > 0:
            left[wish.kind] -= 1
            found[wish] = Coverage.POLLING
        else:
            found[wish] = Coverage.NONE
    return found


def room_of(clients: Sequence[Client], wanted: Iterable[Wanted], cycle_s: float) -> dict[Kind, int]:
    """For how many of a kind these have calls in a cycle. Prices of all stocks and indexes are asked for in any case;
    order books, one a call, have what is left, and a fifth at least."""
    calls = int(sum(client.calls_per_s() for client in clients) * cycle_s)
    if not calls:
        return {}
    a_call = quotes.MOST_CODES if any(client.offers_multi_quote for client in clients) else 1
    feeds = [one.feed for one in wanted]
    taken = math.ceil(sum(feed in _STOCKS for feed in feeds) / a_call) + sum(feed in _OTHERS for feed in feeds)
    most = max(1, 2 * calls // 3)
    return {Kind.TRADE: most * a_call, Kind.INDEX: most, Kind.BOOK: max(calls - taken, calls // 5)}
