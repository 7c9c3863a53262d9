"""What happens to batches, tasks and requests as spans of OpenTelemetry, where OTEL_TRACES_EXPORTER=otlp is set.

Nobody hands ids on: a batch has the trace of its log lines (terminals/wire/traces.py), a task and a request have theirs
from the ids that they have already, and the root of each trace has an id that is made of the trace. Off, no package is
loaded, and each place asks `on` and does nothing more.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings

from marketdata.logs import context

if TYPE_CHECKING:
    from marketdata.tracing.recording import Recorder

log = logging.getLogger(__name__)

Value = str | int | bool
_ID = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)


class Place(NamedTuple):
    """A span of a trace: 32 hexadecimal digits, and the span's id (1 to 2**64 - 1)."""

    trace: str
    span: int


def on() -> bool:
    """Whether anybody wants spans."""
    return bool(settings.TRACES)


def trace_of(word: str) -> str:
    """The trace of a task's or request's id: the id itself where it is a UUID or 32 hexadecimal digits, else made of
    it."""
    plain = word.replace("-", "").lower()
    return plain if _ID.fullmatch(plain) else hashlib.blake2b(word.encode(), digest_size=16).hexdigest()


def root(trace: str) -> Place:
    """The span that all others of a trace are part of."""
    return Place(trace, int.from_bytes(hashlib.blake2b(bytes.fromhex(trace), digest_size=8).digest()) or 1)


def record(
    name: str,
    trace: str,
    began_ns: int,
    ended_ns: int,
    *,
    span: int | None = None,
    kind: str = "INTERNAL",
    attributes: Mapping[str, Value] | None = None,
    links: Sequence[Place] = (),
    error: str = "",
) -> None:
    """Queue a span that is over (Unix nanoseconds), to be sent by a thread of its own. It is the root of its trace if
    `span` is that root's id, else a part of the root. Raises nothing: what is told of work ends no work."""
    try:
        _recorder().record(
            name, trace, began_ns, ended_ns, span=span, kind=kind, attributes=attributes or {}, links=links, error=error
        )
    except Exception as failed:  # noqa: BLE001 - as logging's own handlers
        log.debug("span cannot be recorded error=%s", type(failed).__name__)


# --- tasks ------------------------------------------------------------------------------------------------------------

_about: ContextVar[list[Place] | None] = ContextVar("about", default=None)


def task_at_work() -> Place | None:
    """The span of the task that is at work: in the trace of the request that asked for it, else in one of its own."""
    ids = context.current()
    if not ids.task_id:
        return None
    own = root(trace_of(ids.task_id))
    return Place(trace_of(ids.request_id), own.span) if ids.request_id else own


def task() -> AbstractContextManager[None]:
    """Until its end the task that is at work is one span. A task called as a function is a part of what calls it."""
    return _task() if on() and _about.get() is None and context.current().task_id else nullcontext()


def is_about(traces: Iterable[str]) -> None:
    """The task at work is about these batches: its span has links to theirs."""
    if (links := _about.get()) is not None:
        links += [root(trace) for trace in traces]


@contextmanager
def _task() -> Iterator[None]:
    links: list[Place] = []
    token = _about.set(links)
    began_ns, error = time.time_ns(), ""
    try:
        yield
    except BaseException as failed:
        error = type(failed).__name__
        raise
    finally:
        _about.reset(token)
        ids, place = context.current(), task_at_work()
        if place is not None:
            told: dict[str, Value] = {
                "messaging.system": "celery", "naru.task.id": ids.task_id, "naru.batches": len(links),
            }  # fmt: skip
            if ids.request_id:
                told["http.request.id"] = ids.request_id
            record(
                ids.task_name, place.trace, began_ns, time.time_ns(), span=place.span, kind="CONSUMER",
                attributes=told, links=links, error=error,
            )  # fmt: skip


# --- this process -----------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_made: Recorder | None = None


def close() -> None:
    """Send what is queued, for some seconds at most; what comes later is not sent."""
    with _lock:
        if _made is not None:
            _made.close()


def _recorder() -> Recorder:
    """Made with the first span: its thread would not come along into a process that is forked."""
    global _made
    if _made is None:
        with _lock:
            if _made is None:
                from marketdata.tracing.recording import Recorder  # its packages are not installed where this is off

                made = Recorder()
                atexit.register(close)
                _made = made
    return _made


def _forked() -> None:
    global _lock, _made
    _lock, _made = threading.Lock(), None


os.register_at_fork(after_in_child=_forked)
