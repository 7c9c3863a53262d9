"""Keeps several processes at the same work: forks them, replaces whichever ends, kills one that is at a thing for too
long, and ends them all together. Standard library only; what they do, their starter says."""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

# What a signal to this process says to the others. Ctrl-C reaches them too, and Celery takes a second one for haste.
# Who wants an end without the task in hand gets it at once.
ENDS = {signal.SIGTERM: signal.SIGTERM, signal.SIGINT: signal.SIGTERM, signal.SIGQUIT: signal.SIGKILL}
LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1


class Deadline:
    """When a process must be done with what it does (`time.monotonic`, 0: it does nothing), in memory that its starter
    reads."""

    def __init__(self, memory: memoryview[float], place: int) -> None:
        self._memory, self._place = memory, place

    @property
    def at(self) -> float:
        return self._memory[self._place]

    @at.setter
    def at(self, monotonic_s: float) -> None:
        self._memory[self._place] = monotonic_s


@dataclass(slots=True)
class _Place:
    """One of the processes; `pid` is 0 while there is none."""

    number: int
    deadline: Deadline
    pid: int = 0
    begins_at: float = 0.0


class WorkerProcesses:
    """`count` processes that each do `work(number, deadline)`, numbered from 1. Its answer is their exit status;
    `failed` is called for each that ended with another one than 0, or was killed, before all were told to end."""

    def __init__(
        self,
        count: int,
        work: Callable[[int, Deadline], int],
        *,
        restart_s: float = 1.0,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        memory = memoryview(mmap.mmap(-1, 8 * count)).cast("d")
        self._places = [_Place(place + 1, Deadline(memory, place)) for place in range(count)]
        self._work = work
        self._restart_s = restart_s
        self._failed = failed

    def run(self) -> None:
        """Returns when a signal to end has been handed on and all of them have ended. Of the main thread, and before
        there are others that hold what the work needs or take signals: threads do not come along into a new process."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        ending = False
        try:
            while not ending or any(place.pid for place in self._places):
                if not ending:
                    self._begin_missing()
                time.sleep(LOOK_S)
                # Without a wait of its own: where a process was stopped and goes on, CPython's makes up a signal.
                if (heard := signal.sigtimedwait(ENDS, 0)) is not None:
                    ending = True
                    self._send(ENDS[signal.Signals(heard.si_signo)])
                self._reap(ending)
                self._end_overdue()
        finally:
            self._send(signal.SIGKILL)  # nobody is left unless this process fails
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _begin_missing(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if not place.pid and now >= place.begins_at:
                place.begins_at = now + self._restart_s  # one that ends at once begins again no sooner
                place.deadline.at = 0.0
                place.pid = self._fork(place)

    def _fork(self, place: _Place) -> int:
        starter = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        if pid := os.fork():
            return pid
        status = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
            if os.getppid() == starter:  # else it died before the kernel knew of us
                status = self._work(place.number, place.deadline)
        except BaseException:  # noqa: BLE001 - nothing may return into what the starter was doing
            traceback.print_exc()
        finally:
            with suppress(OSError):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self, ending: bool) -> None:
        for place in self._places:
            if not place.pid:
                continue
            ended, status = os.waitpid(place.pid, os.WNOHANG)
            if ended:
                place.pid = 0
                if status and not ending:
                    log.warning("ended process=%d number=%d status=%d", ended, place.number, status)
                    self._failed()

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.pid and 0 < place.deadline.at < now:
                log.error("killed: beyond its time process=%d number=%d", place.pid, place.number)
                os.kill(place.pid, signal.SIGKILL)

    def _send(self, number: int) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)
