"""The spans of a batch, by its own trace: from the terminal that closed it to the commit that the terminal was told of.
Numbers of rows and bytes, no content, nobody's name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ingest.batch_decoding import Batch
from ingest.in_flight import InFlightBatch
from marketdata.logs import context
from marketdata.tracing import spans
from marketdata.tracing.spans import Value
from terminals import wire
from terminals.wire.traces import trace_id


def accepted(entries: Iterable[InFlightBatch], task_id: str) -> None:
    """The broker has them. A terminal runs on a bare Python and may reach nobody but us, so its part is told here: from
    the close of the batch, on our clock, to its receipt."""
    now_ns, task = time.time_ns(), spans.root(spans.trace_of(task_id))
    for entry in entries:
        if not entry.epoch:
            continue
        trace, received_ns = trace_id(entry.epoch, entry.seq), entry.received_us * 1000
        again = entry.publishes > 0
        if not again:
            spans.record("terminal", trace, _captured_ns(entry), received_ns, kind="PRODUCER")
        told: dict[str, Value] = {
            "naru.batch": entry.number, "naru.rows": entry.rows, "naru.bytes": len(entry.payload),
            "naru.publishes": entry.publishes + 1,
        }  # fmt: skip
        spans.record("dispatch again" if again else "accept", trace, received_ns, now_ns, attributes=told, links=[task])


def settled(entry: InFlightBatch, code: str) -> None:
    """The terminal is told of its commit, or by `code` why it was refused: the whole way, the root of its trace."""
    if entry.epoch:
        trace = trace_id(entry.epoch, entry.seq)
        told: dict[str, Value] = {"naru.batch": entry.number, "naru.code": code or "-"}
        span = spans.root(trace).span
        spans.record("batch", trace, _captured_ns(entry), time.time_ns(), span=span, kind="CONSUMER", attributes=told)


def committed(batches: Iterable[Batch], repeated: Mapping[int, int], began_ns: int) -> None:
    """The transaction that began then is over."""
    ended_ns = time.time_ns()
    for batch in batches:
        again = batch.number in repeated
        told: dict[str, Value] = {
            "naru.stored": 0 if again else batch.stored, "naru.rejected": batch.rejected, "naru.repeated": again,
        }  # fmt: skip
        _of_task("commit", batch.number, began_ns, ended_ns, told)


def announced(batches: Iterable[Batch], feed: str, offset: int, began_ns: int) -> None:
    """They are in the feed, up to this offset."""
    ended_ns = time.time_ns()
    for batch in batches:
        _of_task("publish", batch.number, began_ns, ended_ns, {"naru.feed": feed, "naru.offset": offset})


def _of_task(name: str, number: int, began_ns: int, ended_ns: int, told: dict[str, Value]) -> None:
    task = spans.task_at_work()
    for trace in context.traces_of([number], context.current().epochs):
        spans.record(name, trace, began_ns, ended_ns, attributes=told, links=[task] if task else [])


def _captured_ns(entry: InFlightBatch) -> int:
    """When its terminal closed it, by our clock; at the latest when it came."""
    try:
        captured_us = wire.parse_header(entry.payload).captured_us
    except wire.BatchError:
        return entry.received_us * 1000
    return max(0, min(captured_us - (entry.offset_us or 0), entry.received_us)) * 1000
