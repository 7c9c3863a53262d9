"""What a web process lets go in circles is given back every minute.

A connection of Twisted and Autobahn refers to itself by its transport, its queues and its compression, so Python gives
back its 10 to 30 KiB only when it looks through all objects. By itself it does that when their number has grown by a
quarter, which with everything that is imported here is after thousands of connections
(https://docs.python.org/3.11/library/gc.html#gc.set_threshold).
"""

from __future__ import annotations

import gc
from typing import Any

from django.urls import get_resolver
from twisted.internet.task import LoopingCall

EVERY_S = 60.0


def settle() -> None:
    """Load what the first request would, and leave all that there is by now out of later looks: it stays for ever."""
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


def collect_regularly(clock: Any = None) -> LoopingCall:
    """Look through what came since, again and again as a clock goes on: the reactor's unless one is given."""
    call = LoopingCall(gc.collect)
    call.clock = clock or call.clock
    call.start(EVERY_S, now=False)
    return call
