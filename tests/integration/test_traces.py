"""Spans as a collector of OpenTelemetry gets them: the real processes, and an endpoint that reads OTLP over HTTP."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from marketdata.tracing import spans
from tests.integration.serving import PATIENCE_S, connect, serving
from tests.integration.test_batch_logs import sent_by_a_terminal
from tests.integration.test_stream_served import entered, start_web
from tests.road import ROOT
from tests.servers import free_port
from tests.waiting import until

__all__ = ["serving"]

pytestmark = pytest.mark.once


class Collector:
    """Takes OTLP over HTTP; `spans` are those that came, each with what its resource says."""

    def __init__(self):
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                outer.headers.append(dict(self.headers))
                for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                    resource = told(part.resource.attributes)
                    outer.spans += [(resource, one) for scope in part.scope_spans for one in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *given):
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.port = self._server.server_address[1]

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of(self, trace):
        """name -> [(resource, span)] of a trace."""
        found = defaultdict(list)
        for resource, span in list(self.spans):
            if span.trace_id.hex() == trace:
                found[span.name].append((resource, span))
        return found


def told(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector():
    one = Collector()
    yield one
    one.close()


def sending_to(port, **more):
    return {
        "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200", **more,
    }  # fmt: skip


def get(port, headers):
    """Status and id of a request for trades."""
    address = f"http://127.0.0.1:{port}/v2/stocks/trades/latest?symbols=A&feed=replay"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status, answer.headers["X-Request-ID"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["X-Request-ID"]


async def test_a_batch_is_one_trace_from_its_terminal_to_the_socket(serving, road, tmp_path, collector):
    port = free_port()
    road._environment |= sending_to(collector.port, OTEL_EXPORTER_OTLP_HEADERS="x-api-key=hunter2-hunter2")
    road.ingest()
    road.worker()
    start_web(road, port)

    async with connect(f"ws://127.0.0.1:{port}/v2/stream/replay") as socket:
        await entered(socket, serving, trades=["*"])
        terminal = await asyncio.to_thread(sent_by_a_terminal, road, tmp_path)
        while all(message["T"] != "t" for message in json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))):
            pass
    status, request_id = await asyncio.to_thread(get, port, serving.headers)

    trace = next(
        found["trace.id"] for found in map(json.loads, terminal.splitlines())
        if found.get("event.action") == "batch spooled"
    )  # fmt: skip
    names = {"batch", "terminal", "accept", "commit", "publish", "deliver"}
    until(lambda: set(collector.of(trace)) >= names, seconds=60, what="the spans of each step")
    way = {name: found[0] for name, found in collector.of(trace).items()}
    assert set(way) == names
    whole = spans.root(trace).span.to_bytes(8)
    assert (way["batch"][1].span_id, way["batch"][1].parent_span_id) == (whole, b"")
    assert {span.parent_span_id for name, (_, span) in way.items() if name != "batch"} == {whole}
    assert {name: resource["process.command"] for name, (resource, _) in way.items()} == {
        "batch": "runingest", "terminal": "runingest", "accept": "runingest", "commit": "runworkers",
        "publish": "runworkers", "deliver": "runweb",
    }  # fmt: skip
    assert len({resource["process.pid"] for resource, _ in way.values()}) == 3
    assert all(has_loaded(resource["process.pid"]) for resource, _ in way.values())
    assert {resource["service.name"] for resource, _ in way.values()} == {"naru"}
    order = ["terminal", "accept", "commit", "publish", "deliver"]
    began = [way[name][1].start_time_unix_nano for name in order]
    assert began == sorted(began)
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for _, span in way.values())
    assert told(way["commit"][1].attributes) == {"naru.stored": 2, "naru.rejected": 0, "naru.repeated": False}
    assert told(way["publish"][1].attributes) == {"naru.feed": "replay", "naru.offset": 2}
    assert told(way["accept"][1].attributes)["naru.rows"] == 2

    # The task has a trace of its own, with links to its batches, and theirs lead back to it.
    [back] = way["commit"][1].links
    task_trace = back.trace_id.hex()
    assert way["accept"][1].links[0].trace_id.hex() == task_trace
    until(lambda: collector.of(task_trace), seconds=60, what="the task's span")
    [(_, task)] = collector.of(task_trace)["ingest.tasks.process_batches"]
    assert (task.span_id, task.parent_span_id) == (back.span_id, b"")
    assert [(link.trace_id.hex(), link.span_id) for link in task.links] == [(trace, whole)]
    assert told(task.attributes)["naru.task.id"].replace("-", "") == task_trace

    until(lambda: collector.of(spans.trace_of(request_id)), seconds=60, what="the request's span")
    [[(_, request)]] = collector.of(spans.trace_of(request_id)).values()
    assert told(request.attributes) == {
        "http.request.method": "GET", "http.route": told(request.attributes)["http.route"],
        "http.request.id": request_id, "http.response.status_code": status,
    }  # fmt: skip
    assert told(request.attributes)["http.route"].startswith("/v2/stocks/")
    until(
        lambda: {"websocket auth", "websocket subscribe"} <= {span.name for _, span in list(collector.spans)},
        seconds=60, what="the spans of what the socket asked",
    )  # fmt: skip

    everything = "".join(str(part) for pair in collector.spans for part in pair)
    assert not [word for word in (serving.secret, serving.reader.key_id, "replayer", "1.25") if word in everything]
    assert {headers["x-api-key"] for headers in collector.headers} == {"hunter2-hunter2"}
    assert "hunter2" not in "".join(road.tail(name) for name in ("ingest", "worker", "web"))


def test_with_nobody_there_batches_are_committed_all_the_same(road, redis, tmp_path):
    road._environment |= sending_to(free_port(), OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2")
    road.ingest()
    road.worker()

    assert "batch committed" in sent_by_a_terminal(road, tmp_path)

    assert redis.xlen("naru:feed:replay") == 1
    until(lambda: "spans cannot be sent" in road.tail("worker"), seconds=60, what="that it is said")
    assert "ERROR" not in road.tail("worker") + road.tail("ingest")
    assert road.stop("worker") == 0
    assert road.stop("ingest") == 0


PROGRAM = """
import os, sys, time
import django
django.setup()
from celery_app import app
from marketdata.logs import context
from marketdata.tracing import spans

def work(name, word):
    with context.within(context.Ids(request_id=word, task_id=name, task_name="some.task")):
        with spans.task():
            spans.is_about(["0123456789abcdef0000000000000007"])

if spans.on():
    from marketdata.tracing import recording
    recording.CLOSE_S = 100.0
    work("3f333df6-90a4-4fda-8dd3-9485d27cee36", "")
if os.fork() == 0:  # as the processes of a worker are
    if spans.on():
        work("forked", "asked-for")
    spans.close()
    print("opentelemetry" in sys.modules, flush=True)
    os._exit(0)
os.wait()
"""


def run(program, tmp_path, **variables):
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "marketdata.settings", "NARU_LANG": "en", "VAR_DIR": str(tmp_path),
        **variables,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_a_process_that_was_forked_sends_its_own_and_a_task_is_a_part_of_the_request_that_asked(collector, tmp_path):
    done = run(PROGRAM, tmp_path, **sending_to(collector.port))

    assert done.returncode == 0, done.stderr
    assert len({resource["process.pid"] for resource, _ in collector.spans}) == 2
    [[(_, own)]] = collector.of("3f333df690a44fda8dd39485d27cee36").values()
    assert own.parent_span_id == b""
    request = spans.root(spans.trace_of("asked-for"))
    [[(_, asked)]] = collector.of(request.trace).values()
    assert asked.parent_span_id == request.span.to_bytes(8)
    assert asked.span_id == spans.root(spans.trace_of("forked")).span.to_bytes(8)
    assert len(collector.spans) == 2


def has_loaded(pid):
    """Whether a process has the machine code of protobuf, without which nothing is sent as OTLP."""
    return "/google/_upb/" in Path("/proc", str(pid), "maps").read_text(encoding="utf-8")


@pytest.mark.parametrize("variables", [{}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}])
def test_off_nothing_of_the_packages_is_loaded(variables, tmp_path):
    done = run(PROGRAM, tmp_path, **variables)

    assert done.stdout.strip() == "False", done.stderr


def test_off_a_worker_that_stored_a_batch_has_not_loaded_the_packages(road, redis, tmp_path):
    road.ingest()
    road.worker()
    sent_by_a_terminal(road, tmp_path)

    assert redis.xlen("naru:feed:replay") == 1
    for name in ("ingest", "worker"):
        program = psutil.Process(road.processes[name].pid)
        assert [one.pid for one in (program, *program.children(recursive=True)) if has_loaded(one.pid)] == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "it must be one of http/protobuf"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://me:hunter2@host:4318",
            "it must be an address such as http://HOST:4318",
        ),
        ("OTEL_TRACES_EXPORTER", "jaeger", "it must be one of none, otlp"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, value, why, tmp_path):
    done = run("import django; django.setup()", tmp_path, **{"OTEL_TRACES_EXPORTER": "otlp", name: value})

    assert done.returncode != 0
    assert why in done.stderr
    assert "hunter2" not in done.stderr


SAMPLED = """
import time
import django
django.setup()
from marketdata.tracing import recording, spans
from terminals.wire.traces import trace_id
recording.CLOSE_S = 100.0
for seq in range(1, 401):
    trace = trace_id("0123456789abcdef", seq)
    for name in ("terminal", "accept"):
        spans.record(name, trace, time.time_ns(), time.time_ns())
"""


def test_a_share_of_the_batches_is_sampled_whole(collector, tmp_path):
    sampling = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    done = run(SAMPLED, tmp_path, **sending_to(collector.port, **sampling))

    assert done.returncode == 0, done.stderr
    traces = {span.trace_id for _, span in collector.spans}
    assert 60 < len(traces) < 140  # the same each time: by the traces alone
    assert len(collector.spans) == 2 * len(traces)
