"""What a thread or task is at work on, put into every line that is logged meanwhile: request, task, batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from terminals.wire import limits, traces


@dataclass(frozen=True, slots=True)
class Ids:
    """`batches` are numbers of the ledger; `epochs` are the spools (by their number) that some of them belong to."""

    request_id: str = ""
    task_id: str = ""
    task_name: str = ""
    batches: Sequence[int] = ()
    epochs: Mapping[int, str] = field(default_factory=dict)


_current: ContextVar[Ids] = ContextVar("ids", default=Ids())  # noqa: B039 - frozen, and nobody writes into its mapping


def current() -> Ids:
    """What this thread or task is at work on."""
    return _current.get()


@contextmanager
def within(ids: Ids) -> Iterator[None]:
    """Until its end, lines are of this."""
    token = _current.set(ids)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Until its end, lines are of this request."""
    with within(replace(_current.get(), request_id=request_id)):
        yield


@contextmanager
def storing(batches: Sequence[int]) -> Iterator[None]:
    """Until its end, lines are of these batches."""
    with within(replace(_current.get(), batches=batches)):
        yield


def traces_of(batches: Sequence[int], epochs: Mapping[int, str]) -> tuple[str, ...]:
    """The traces of batches whose spools are known."""
    split = ((epochs.get(number // (limits.MAX_SEQ + 1)), number % (limits.MAX_SEQ + 1)) for number in batches)
    return tuple(traces.trace_id(epoch, seq) for epoch, seq in split if epoch)


def traces_at_work() -> tuple[str, ...]:
    """The traces of the batches that are at work."""
    ids = _current.get()
    return traces_of(ids.batches, ids.epochs)


def of(batches: Sequence[int], epochs: Mapping[int, str]) -> dict[str, object]:
    """`extra` of a line that is about these batches, and not about all that is at work."""
    return {"batches": batches, "epochs": epochs}


class Named(logging.Filter):
    """Lets every line pass, with the ids of what is at work. What the line says itself goes before: `extra` with
    `batches` and `epochs`, or `traces`, or the request in a record of Django's, which logs a refusal behind all
    middleware (django.utils.log.log_response)."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = _current.get()
        batches = getattr(record, "batches", None) or ids.batches
        record.batches = tuple(batches)
        if not hasattr(record, "traces"):
            record.traces = traces_of(batches, getattr(record, "epochs", None) or ids.epochs)
        record.task_id, record.task_name = ids.task_id, ids.task_name
        record.request_id = getattr(getattr(record, "request", None), "request_id", "") or ids.request_id
        return True
