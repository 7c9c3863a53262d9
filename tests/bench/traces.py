"""`make bench-traces`: what spans for OpenTelemetry cost. Small batches at a steady pace, alternating without them and
with them, each turn a stack of its own; a collector counts what comes. Writes nothing, ends with one JSON line."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from terminals import wire
from tests.bench import calibration, latency, processes

ROUNDS = 3
STOPPED = 130


class Collector:
    """`with Collector() as collector:` takes OTLP over HTTP at `collector.url`; `spans` is how many came."""

    def __init__(self) -> None:
        self.spans = 0
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = ExportTraceServiceRequest.FromString(body)
                with lock:
                    outer.spans += sum(len(scope.spans) for part in told.resource_spans for scope in part.scope_spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.traces", description=__doc__)
    parser.add_argument("--seconds", type=wire.options.decimal(0), default=15.0, help="of a turn (15)")
    parser.add_argument("--rounds", type=wire.options.between(1, 100), default=ROUNDS, help=f"alternations ({ROUNDS})")
    parser.add_argument("--workers", type=wire.options.between(1, 100), default=2, help="worker processes (2)")
    parser.add_argument("--collector", help="one turn with spans that go there; what it found is written --into")
    parser.add_argument("--into", type=Path, help="one turn: a file that gets what it found, as JSON")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _turn(given) if given.into else _all(given)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED


def _turn(given: argparse.Namespace) -> int:
    settings = {"OTEL_TRACES_EXPORTER": "none"}
    if given.collector:
        settings = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": given.collector}
    found = latency.run("mariadb", seconds=given.seconds, workers=given.workers, settings=settings)
    given.into.write_bytes(msgspec.json.encode(found))
    return 0


def _all(given: argparse.Namespace) -> int:
    before = calibration.measure()
    print(f"calibration {before.ms:.0f} ms, load {before.load:.1f}", flush=True)
    off: list[latency.Latency] = []
    on: list[latency.Latency] = []
    spans = []
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as folder, Collector() as collector:
        into = Path(folder) / "turn.json"
        turn = ["tests.bench.traces", f"--seconds={given.seconds:g}", f"--workers={given.workers}", f"--into={into}"]
        for number in range(given.rounds):
            for found, more in ((off, []), (on, [f"--collector={collector.url}"])):
                print(f"\n[{number + 1}/{given.rounds}] {'with' if more else 'without'} spans", flush=True)
                came = collector.spans
                if status := processes.run_apart([*turn, *more]):
                    return status
                found.append(msgspec.json.decode(into.read_bytes(), type=latency.Latency))
                if bool(more) != (collector.spans > came):
                    raise RuntimeError(
                        f"{collector.spans - came} spans came of a stack that was to make some: {bool(more)}"
                    )
                if more:
                    spans.append((collector.spans - came) / found[-1].sent)
    after = calibration.measure()
    print(f"\ncalibration {after.ms:.0f} ms, load {after.load:.1f}", flush=True)
    told = {
        "ticks_per_s": latency.RATE,
        "rows_of_a_batch": latency.BATCH_ROWS,
        "p50_ms": [_median([one.p50 for one in turns]) for turns in (off, on)],
        "p99_ms": [_median([one.p99 for one in turns]) for turns in (off, on)],
        "cpu_us_per_tick": {name: [_cpu(turns, name) for turns in (off, on)] for name in sorted(off[0].cpu_us)},
        "cpu_ratio": _median([_sum(with_) / _sum(without) for without, with_ in zip(off, on, strict=True)]),
        "spans_per_tick": _median(spans),
    }
    print(json.dumps(told))
    return 0


def _cpu(turns: Sequence[latency.Latency], name: str) -> float:
    return _median([one.cpu_us.get(name, 0.0) for one in turns])


def _sum(turn: latency.Latency) -> float:
    return sum(turn.cpu_us.values())


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    sys.exit(main())
