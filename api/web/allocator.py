"""How a web process asks the C library for memory. It answers for months, each answer another size: glibc learns from
the first large one that is freed to keep such sizes on its heap, and gives every thread a heap of its own. Both break
into pieces that small objects hold on to, so the process grows for hours although what it uses does not."""

from __future__ import annotations

import ctypes

LARGE_BYTES = 128 << 10
"""From this size on a piece of memory is mapped by itself, and given back when it is freed. It is glibc's own first
value, which is no longer changed once it is set (mallopt(3))."""
HEAPS = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h


def settle() -> bool:
    """Ask for that, before threads are started; whether the C library knows how."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc: musl, macOS
        return False
    wanted = ((_MMAP_THRESHOLD, LARGE_BYTES), (_TRIM_THRESHOLD, LARGE_BYTES), (_ARENA_MAX, HEAPS))
    answers = [mallopt(parameter, value) for parameter, value in wanted]
    return all(answer == 1 for answer in answers)
