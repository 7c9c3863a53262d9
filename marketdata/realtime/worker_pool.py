"""Celery's pool of one, with limits: tasks run in the process that fetches them, so a message is handed to nobody.

Celery's own pool of one has no limits. These are the settings' (`task_soft_time_limit`, `task_time_limit`,
`worker_max_tasks_per_child`, `worker_max_memory_per_child`), and mean what they mean to its pool of processes.
docs/adr/0020 has the measurements.
"""

from __future__ import annotations

import logging
import resource
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

from celery import Celery, bootsteps
from celery.concurrency import solo
from celery.concurrency.base import apply_target
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.nodenames import default_nodename, host_format
from celery.worker import state
from celery.worker.consumer import Consumer
from django.conf import settings

from marketdata.launcher import liveness
from marketdata.launcher.worker_processes import Deadline
from marketdata.tracing import spans

log = logging.getLogger(__name__)


class TaskPool(solo.TaskPool):
    """One task at a time. When it has run for the soft limit, SoftTimeLimitExceeded is raised in it; beyond the hard
    limit `deadline` lets the process' starter kill it; after a number of tasks, or when it has grown too large, the
    worker ends with the task and is replaced."""

    deadline: ClassVar[Deadline | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_apply: Callable[..., None] = self._apply
        self._tasks = 0

    def on_start(self) -> None:
        """After Celery has set its own handlers."""
        signal.signal(signal.SIGALRM, _interrupt)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # Celery would start the whole command anew within this process

    def _apply(
        self,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        *,
        timeout: float | None = None,
        soft_timeout: float | None = None,
        **options: Any,
    ) -> None:
        timeout = timeout or self.options.get("timeout")
        soft_s = soft_timeout or self.options.get("soft_timeout") or 0.0

        def limited(*args: Any, **kwargs: Any) -> Any:
            answer: Any = (0, None, 0.0)
            try:
                signal.setitimer(signal.ITIMER_REAL, soft_s)
                answer = target(*args, **kwargs)
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            except SoftTimeLimitExceeded:  # Celery catches what is raised in the task: it had ended by then
                log.info("a task took all of its time")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            return answer

        if self.deadline is not None and timeout:
            self.deadline.at = time.monotonic() + timeout
        try:
            apply_target(limited, args, kwargs, **options)
        finally:
            if self.deadline is not None:
                self.deadline.at = 0.0
        self._tasks += 1
        if self._used_up():
            state.should_stop = 0  # type: ignore[assignment]  # an exit status

    def _used_up(self) -> bool:
        tasks, kib = self.options.get("maxtasksperchild"), self.options.get("max_memory_per_child")
        if tasks and self._tasks >= tasks:
            return True
        return bool(kib) and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > kib


class Alive(bootsteps.StartStopStep):
    """Renews ALIVE_FILE as long as the worker's main loop turns: between tasks where they run in it, and not while it
    waits for a broker that is away."""

    requires = ("celery.worker.components:Timer",)

    def start(self, worker: Any) -> None:
        """With the worker."""
        worker.timer.call_repeatedly(liveness.EVERY_S, liveness.renew, (settings.ALIVE_FILE,))


# Celery declares 28 queues for messages that are to come later, and warns of each of ours, wherever one is a quorum
# queue. We send none.
Consumer.Blueprint.default_steps.remove("celery.worker.consumer.delayed_delivery:DelayedDelivery")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise SoftTimeLimitExceeded


def node_name(name: str, number: int) -> str:
    """The name of worker `number` of this machine: `ticks@%h` and 2 give ticks2@host."""
    before, at, host = name.partition("@")
    return str(host_format(default_nodename(f"{before}{number}{at}{host}")))


def serve(app: Celery, *, name: str, number: int, queues: list[str], loglevel: str, deadline: Deadline) -> int:
    """Be worker `number` of these queues until it is told to end; the exit status. `name` is a node name of Celery's,
    `ticks@%h`, and gets the number."""
    app.conf.worker_soft_shutdown_timeout = 0  # waiting in the thread that runs the task would keep the task waiting
    worker = app.Worker(
        hostname=node_name(name, number),
        pool_cls=type("TaskPool", (TaskPool,), {"deadline": deadline, "__module__": __name__}),
        concurrency=1,
        queues=queues,
        loglevel=loglevel,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    try:
        worker.start()
    finally:
        spans.close()
    return int(worker.exitcode or 0)
