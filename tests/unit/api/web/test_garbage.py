import ctypes
import gc
import os
import subprocess
import sys
import weakref

import pytest
from twisted.internet.task import Clock

from api.web import garbage

BEGINS = """
import gc
import django
django.setup()
from api.web import garbage, webserver
from django.core.management import call_command

def run(_server):
    from twisted.internet import reactor
    calls = [one.func.f for one in reactor.getDelayedCalls() if hasattr(one.func, "f")]
    ours = sum(type(one).__module__.startswith("django.urls") for one in gc.get_objects())
    print(gc.get_freeze_count() > len(gc.get_objects()), ours, calls == [garbage.collect])

webserver.Server.run = run
call_command("runweb", port=0)
"""


HOLES_BYTES = 400 * 100_000
HOLES = """
import os
from pathlib import Path
from api.web import garbage

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

kept = [(bytearray(b"x") * 100_000, bytearray(b"x") * 1_000) for _ in range(400)]
kept = [small for _, small in kept]
print(resident())
garbage.collect()
print(resident())
"""


class Circle:
    def __init__(self):
        self.itself = self


@pytest.fixture
def by_nobody_else():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("by_nobody_else")
def test_what_refers_to_itself_is_given_back_every_minute():
    clock = Clock()
    call = garbage.collect_regularly(clock)
    for _ in range(2):
        circle = weakref.ref(Circle())
        clock.advance(59)
        assert circle() is not None
        clock.advance(1)
        assert circle() is None
    call.stop()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_is_free_between_what_is_used_is_given_back_to_the_system():
    """In a process of its own: what others freed before would hide it."""
    before, after = subprocess.run(
        [sys.executable, "-c", HOLES], env=os.environ, capture_output=True, text=True, check=True
    ).stdout.split()

    assert int(before) - int(after) > HOLES_BYTES // 2


def test_a_web_server_does_so_and_leaves_out_what_stays_for_ever():
    told = subprocess.run([sys.executable, "-c", BEGINS], env=os.environ, capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["True", "0", "True"]
