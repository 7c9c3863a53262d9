"""The spans of one process: made, sampled and sent by OpenTelemetry's own SDK, as OTLP over HTTP.

Everything that the standard's variables say holds (OTEL_EXPORTER_OTLP_*, OTEL_BSP_*, OTEL_TRACES_SAMPLER,
OTEL_RESOURCE_ATTRIBUTES), save for a send, which takes SEND_S at most unless a variable says otherwise. What finds no
room in the queue, or cannot be sent, is dropped.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from marketdata import __version__
from marketdata.logs import configuration
from marketdata.tracing.spans import Place, Value, root

log = logging.getLogger(__name__)

SEND_S = 3.0
CLOSE_S = 2.0
_OURS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")


class Recorder:
    """Takes spans that are over. Of any thread; never blocks."""

    def __init__(self) -> None:
        # Once a batch that cannot be sent the SDK says so, by ERROR: `_Sender` says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._sender = _Sender()
        self._ids = _Ids()
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.sampler = _Evenly(self._provider.sampler)
        self._provider.add_span_processor(BatchSpanProcessor(self._sender))
        self._tracer = self._provider.get_tracer("naru", __version__)

    def record(
        self,
        name: str,
        trace: str,
        began_ns: int,
        ended_ns: int,
        *,
        span: int | None,
        kind: str,
        attributes: Mapping[str, Value],
        links: Sequence[Place],
        error: str,
    ) -> None:
        """As `spans.record`, which raises nothing."""
        whole = root(trace)
        self._ids.next = Place(trace, span or self._ids.generate_span_id())
        parent = None if span == whole.span else NonRecordingSpan(_context(whole))
        made = self._tracer.start_span(
            name,
            None if parent is None else set_span_in_context(parent),
            SpanKind[kind],
            attributes,
            [Link(_context(one)) for one in links],
            began_ns,
        )
        if error:
            made.set_status(Status(StatusCode.ERROR, error))
        made.end(max(began_ns, ended_ns))

    def close(self) -> None:
        """Send what is queued; no send begins after CLOSE_S."""
        self._sender.until = time.monotonic() + CLOSE_S
        self._provider.shutdown()


class _Ids(RandomIdGenerator, threading.local):
    """The ids that the next span of this thread shall have, instead of others."""

    next: Place | None = None

    def generate_trace_id(self) -> int:
        """Asked for roots alone, before the span's."""
        return int(self.next.trace, 16) if self.next is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """The one that is wanted, once."""
        wanted, self.next = self.next, None
        return wanted.span if wanted is not None else super().generate_span_id()


class _Evenly(Sampler):
    """Whole traces or nothing, in all processes alike: the sampler that the variables name, asked by the trace alone.
    The last half of a batch's trace is its small number, so it is asked by what is made of all of it."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(self, parent_context: Any, trace_id: int, *rest: Any, **named: Any) -> SamplingResult:
        """The decision for a trace."""
        spread = hashlib.blake2b(trace_id.to_bytes(16), digest_size=8).digest()
        return self._inner.should_sample(None, int.from_bytes(spread), *rest, **named)

    def get_description(self) -> str:
        """As the one that is asked."""
        return self._inner.get_description()


class _Sender(SpanExporter):
    """Says once that spans cannot be sent, and once that they can again."""

    def __init__(self) -> None:
        given = any(os.environ.get(name) for name in _OURS)
        self._exporter = OTLPSpanExporter(timeout=None if given else SEND_S)
        self._failing = False
        self.until = float("inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send, in the SDK's thread."""
        if time.monotonic() > self.until:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed != self._failing:
            self._failing = failed
            if failed:
                log.warning("spans cannot be sent and are dropped; see OTEL_EXPORTER_OTLP_ENDPOINT")
            else:
                log.info("spans are sent again")
        return result

    def shutdown(self) -> None:
        """End the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # untyped upstream


def _context(place: Place) -> SpanContext:
    return SpanContext(int(place.trace, 16), place.span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _resource() -> Resource:
    """Which process: what the variables say of it goes before."""
    ours: dict[str, str | int] = {
        "service.name": "naru", "service.version": __version__,
        "process.command": configuration.program(sys.argv), "process.pid": os.getpid(),
    }  # fmt: skip
    said = Resource.create()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return said.merge(Resource({name: value for name, value in ours.items() if not named or name != "service.name"}))
