"""In a process of its own: what is tested forks, signals and waits for children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.waiting import until

PROGRAM = """
import os, signal, time
from marketdata.launcher.worker_processes import WorkerProcesses

def work(number, deadline):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(deadline, "at", time.monotonic() - 1))
    os.write(1, f"{number} {os.getpid()}\\n".encode())
    while True:
        time.sleep(0.01)

WorkerProcesses(2, work, restart_s=0.0).run()
print("all ended", flush=True)
"""


@pytest.fixture
def starter() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def begun(starter: subprocess.Popen[str]) -> tuple[int, int]:
    """(number, process id) of the next one that begins."""
    assert starter.stdout is not None
    number, pid = starter.stdout.readline().split()
    return int(number), int(pid)


def ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)  # nobody may have asked for its status
    except psutil.NoSuchProcess:
        return True


def test_one_that_is_killed_or_beyond_its_time_is_replaced_and_all_end_when_told(starter):
    pids = dict([begun(starter), begun(starter)])

    os.kill(pids[1], signal.SIGKILL)
    number, pids[1] = begun(starter)
    assert number == 1

    os.kill(pids[2], signal.SIGUSR1)  # it will be found to be at work for too long
    number, successor = begun(starter)
    assert number == 2
    assert ended(pids[2])

    starter.send_signal(signal.SIGTERM)
    assert starter.communicate(timeout=300)[0] == "all ended\n"
    assert ended(pids[1])
    assert ended(successor)


def test_an_end_without_the_task_in_hand_kills_them(starter):
    pids = dict([begun(starter), begun(starter)])

    starter.send_signal(signal.SIGQUIT)

    assert starter.communicate(timeout=300)[0] == "all ended\n"
    assert ended(pids[1])
    assert ended(pids[2])


def test_they_die_with_a_starter_that_is_killed(starter):
    _, first = begun(starter)
    _, second = begun(starter)

    starter.kill()

    until(lambda: ended(first) and ended(second), seconds=60, what="their end")


def test_a_starter_that_was_stopped_and_goes_on_has_heard_nothing(starter):
    pids = dict([begun(starter), begun(starter)])

    for _ in range(5):
        starter.send_signal(signal.SIGSTOP)
        until(lambda: psutil.Process(starter.pid).status() == psutil.STATUS_STOPPED, seconds=60, what="stopped")
        time.sleep(0.15)  # longer than it waits between two looks
        starter.send_signal(signal.SIGCONT)
    os.kill(pids[2], signal.SIGKILL)

    assert begun(starter)[0] == 2
    assert not ended(pids[1])


COUNTING = """
import os, signal, time
from marketdata.launcher.worker_processes import WorkerProcesses

failures = []

def work(number, deadline):
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
    print(os.getpid(), len(failures), flush=True)
    while True:
        time.sleep(0.01)

WorkerProcesses(1, work, restart_s=0.0, failed=lambda: failures.append(1)).run()
print(len(failures), flush=True)
"""


def test_one_that_crashes_is_told_and_one_that_ends_as_it_is_to_is_not():
    process = subprocess.Popen([sys.executable, "-c", COUNTING], stdout=subprocess.PIPE, text=True)
    try:
        first, before = begun(process)
        os.kill(first, signal.SIGUSR1)
        second, after_its_end = begun(process)
        os.kill(second, signal.SIGKILL)
        _third, after_a_crash = begun(process)
        process.send_signal(signal.SIGTERM)

        assert process.communicate(timeout=300)[0] == "1\n"
        assert (before, after_its_end, after_a_crash) == (0, 0, 1)
    finally:
        process.kill()
        process.communicate()
