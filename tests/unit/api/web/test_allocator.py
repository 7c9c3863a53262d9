"""Large answers are given back to the system, however many there were before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
OTHERS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""What would change it from outside."""
MAPPED = """
import ctypes, sys
from api.web import allocator
if sys.argv[1] == "settled" and not allocator.settle():
    sys.exit(3)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
class Told(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
libc.mallinfo2.restype = Told
libc.free(libc.malloc(4 << 20))  # from which glibc learns
before = libc.mallinfo2().hblkhd
libc.malloc(1 << 20)
print(libc.mallinfo2().hblkhd - before)
"""


def mapped(how):
    """Bytes mapped by themselves for a mebibyte, after a larger piece was freed."""
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, how],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(OTHERS)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode == 3 or "mallinfo2" in done.stderr:
        pytest.skip("not glibc 2.33 or newer")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_large_piece_is_mapped_by_itself_after_larger_ones_were_freed():
    assert mapped("settled") >= 1 << 20
    assert mapped("as it comes") == 0
