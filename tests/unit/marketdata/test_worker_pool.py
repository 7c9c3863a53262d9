import signal
import socket
import time
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import state

from marketdata.launcher.worker_processes import Deadline
from marketdata.realtime.worker_pool import TaskPool, node_name

DONE = (0, None, 0.0)


@pytest.fixture(autouse=True)
def own_handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    state.should_stop = None


class Limited(TaskPool):
    deadline = Deadline(memoryview(bytearray(8)).cast("d"), 0)


def run(pool: TaskPool, target: Any, **limits: float) -> list[Any]:
    """What Celery is told of a task."""
    told: list[Any] = []
    pool.apply_async(target, callback=told.append, accept_callback=lambda *_: None, **limits)
    return told


def started(**options: Any) -> Limited:
    pool = Limited(1, **options)
    pool.start()
    return pool


def test_a_task_is_interrupted_at_its_soft_limit_and_the_next_one_is_not():
    caught = []

    def endless() -> tuple[int, None, float]:
        try:
            while True:
                time.sleep(0.01)
        except SoftTimeLimitExceeded as error:
            caught.append(error)
        return DONE

    pool = started(soft_timeout=0.2)

    assert run(pool, endless) == [DONE]
    assert len(caught) == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert run(pool, lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 1000, soft_timeout=3600) == [True]


def test_while_a_task_runs_its_starter_sees_until_when_it_may():
    seen = []
    pool = started(timeout=60.0)

    run(pool, lambda: seen.append(Limited.deadline.at))
    run(pool, lambda: seen.append(Limited.deadline.at), timeout=10_000)

    assert 0 < seen[0] < seen[1]
    assert Limited.deadline.at == 0.0


@pytest.mark.parametrize("options", [{"maxtasksperchild": 2}, {"max_memory_per_child": 1}])
def test_a_worker_ends_after_its_number_of_tasks_or_when_it_has_grown_too_large(options):
    pool = started(**options)

    run(pool, lambda: DONE)
    after_one = state.should_stop
    run(pool, lambda: DONE)

    assert (after_one is None) == ("maxtasksperchild" in options)
    assert state.should_stop == 0


def test_the_workers_of_two_machines_have_names_of_their_own():
    assert node_name("ticks@%h", 2) == f"ticks2@{socket.gethostname()}"
