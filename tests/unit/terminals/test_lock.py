"""A lock that is taken in turn: one has it, and it is free again when its holder gives it back or dies."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terminals.lock import FileLock, Locked, TurnLock

ROOT = Path(__file__).resolve().parents[3]
HOLD = (
    "import os, pathlib, sys\nfrom terminals.lock import TurnLock\n"
    "print(TurnLock(pathlib.Path(sys.argv[1])).take(), flush=True)\nsys.stdin.read()\nos._exit(7)\n"
)


def test_only_one_process_has_it_until_it_ends(tmp_path):
    lock = TurnLock(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"

        while_held = lock.take()
        other.communicate(timeout=300)

    assert not while_held
    assert lock.take()
    lock.close()


def test_it_is_given_back_for_the_next(tmp_path):
    first, second = TurnLock(tmp_path / "lock"), TurnLock(tmp_path / "lock")

    assert first.take()
    assert not second.take()
    first.give_back()
    assert second.take()

    first.close()
    second.close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_keeps_nobody_from_the_lock_and_leaves_none_behind(tmp_path, monkeypatch):
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        held = FileLock(tmp_path / "lock")
        with pytest.raises(Locked):
            FileLock(tmp_path / "lock")
    held.release()

    FileLock(tmp_path / "lock").release()


FORKED = """
import os, pathlib, sys
from terminals.lock import FileLock
read, write = os.pipe()
held = FileLock(pathlib.Path(sys.argv[1]))
if os.fork() == 0:
    os.close(write)
    os.read(read, 1)  # as long as its starter lives
    os._exit(0)
held.release()
FileLock(pathlib.Path(sys.argv[1])).release()
print("held again")
"""


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(tmp_path):
    command = [sys.executable, "-c", FORKED, str(tmp_path / "lock")]

    assert subprocess.check_output(command, cwd=ROOT, text=True, timeout=300) == "held again\n"
