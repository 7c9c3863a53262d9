"""Becomes another program that dies with the process that started it, however that ended. Standard library only.

`python -I -S child_process.py PARENT NOT_BEFORE PROGRAM ARGUMENT...`: PARENT is the starter's process id, 0 if it is
not known; NOT_BEFORE is a reading of the machine's monotonic clock in seconds, until which it waits (0: not at all).
The kernel's "parent died" means the thread that did the starting: start from one that lives as long as the program
should.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def command(program: list[str], *, parent: int | None = None, not_before: float = 0.0) -> list[str]:
    """The command line under which `program` is tethered to its starter: this process unless said otherwise. It begins
    once `time.monotonic()` is at `not_before`."""
    starter = os.getpid() if parent is None else parent
    place = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", place, str(starter), f"{not_before:.3f}", *program]


def main(parent: int, not_before: float, program: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:  # it died before the kernel knew of us
        sys.exit(1)
    time.sleep(max(0.0, not_before - time.monotonic()))
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
