"""What a web process lets go in circles is given back every minute.

A connection of Twisted and Autobahn refers to itself by its transport, its queues and its compression, so Python gives
back its 10 to 30 KiB only when it looks through all objects. By itself it does that when their number has grown by a
quarter, which with everything that is imported here is after thousands of connections
(https://docs.python.org/3.11/library/gc.html#gc.set_threshold).

What was freed the C library keeps, unless it lies at the end of the heap: of buffers of 30 to 260 KiB that came and
went it kept 2.4 MB more within ten minutes, while what was in use stayed at 39.4 MB. `malloc_trim` gives every whole
page of that back to the system (malloc_trim(3)).
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

from django.urls import get_resolver
from twisted.internet.task import LoopingCall

EVERY_S = 60.0
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone


def settle() -> None:
    """Load what the first request would, and leave all that there is by now out of later looks: it stays for ever."""
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


def collect() -> None:
    """Look through what came since, and give back what is free."""
    gc.collect()
    if _trim is not None:
        _trim(0)


def collect_regularly(clock: Any = None) -> LoopingCall:
    """Do so again and again as a clock goes on: the reactor's unless one is given."""
    call = LoopingCall(collect)
    call.clock = clock or call.clock
    call.start(EVERY_S, now=False)
    return call
