"""Becomes another program that dies with the process that started it, however that ended. Standard library only.

`python -I -S child_process.py PARENT PROGRAM ARGUMENT...`: PARENT is the starter's process id, 0 if it is not known.
The kernel's "parent died" means the thread that did the starting: start from one that lives as long as the program
should.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def command(program: list[str], *, parent: int | None = None) -> list[str]:
    """The command line under which `program` is tethered to its starter: this process unless said otherwise."""
    starter = os.getpid() if parent is None else parent
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(starter), *program]


def main(parent: int, program: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:  # it died before the kernel knew of us
        sys.exit(1)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
