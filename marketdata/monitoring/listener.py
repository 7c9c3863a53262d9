"""Answers Prometheus on a port of this program's own: what its processes counted, what they cost, and what is looked up
for the answer. One thread; no login, so the address is loopback unless METRICS_HOST says otherwise."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Protocol

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest

from marketdata import metrics  # noqa: F401 - so that every metric there is is told
from marketdata.monitoring import disk_room, sample_files
from marketdata.monitoring.looks import Looks
from marketdata.monitoring.process_tree import ProcessTree

log = logging.getLogger(__name__)

AGAIN_S = 5.0
ASKER_S = 10.0
"""How long one who asks may take; there is one at a time."""


class Collector(Protocol):
    """What prometheus_client calls one."""

    def collect(self) -> Iterable[Metric]:
        """What is looked up now."""


class Counted:
    """What the processes of this program counted, in their files or in the memory of the only one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """For a registry of prometheus_client."""
        if self._folder is not None:
            yield from sample_files.read(self._folder)
        else:
            yield from (metric for metric in REGISTRY.collect() if metric.name.startswith("naru_"))


class Listener:
    """An HTTP server for `/metrics` in a thread of its own, which ends with the process."""

    def __init__(self, host: str, port: int, collectors: Sequence[Collector]) -> None:
        self._address = host, port
        self._registry = CollectorRegistry()
        for one in collectors:
            self._registry.register(one)
        self._server: HTTPServer | None = None

    def start(self) -> None:
        """Begin at once; where the port is taken, as soon as it is free. Signals are for the others: a thread that does
        not block them would be handed what the main thread waits for (`marketdata.launcher.worker_processes`)."""
        os.register_at_fork(after_in_child=self._let_go)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            threading.Thread(target=self._serve, name="metrics", daemon=True).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def port(self) -> int:
        """Where it listens; 0 as long as it does not."""
        return self._server.server_address[1] if self._server else 0

    def _let_go(self) -> None:
        """In a forked process: the port is its starter's, and free when that one ends."""
        if self._server is not None:
            self._server.socket.close()

    def _serve(self) -> None:
        told = False
        while self._server is None:
            try:
                self._server = _Server(self._address, _handler(self._registry))
            except OSError as error:
                if not told:
                    log.warning("metrics cannot be asked for host=%s port=%d error=%s", *self._address, error.strerror)
                told = True
                time.sleep(AGAIN_S)
        self._server.serve_forever()


class _Server(HTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # HTTPServer's own would ask for the name of the address
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("somebody who asked for metrics is gone address=%s", client_address)


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = ASKER_S
        server_version, sys_version = "naru", ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND, "metrics are at /metrics")
                return
            try:
                body = generate_latest(registry)
            except Exception:
                log.exception("metrics cannot be told")
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the log says why")
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug("metrics were asked for address=%s", self.client_address)

    return Handler


_running: Listener | None = None


def start(*collectors: Collector, looks: Looks | None = None) -> Listener | None:
    """Answer on METRICS_HOST:METRICS_PORT with these beside what is counted and what is looked at, which is the host's
    disks unless something else is said; None where no port is set. Once in a program: a worker that was forked finds
    its starter's answering."""
    global _running
    if settings.METRICS_PORT and _running is None:
        folder = Path(settings.METRICS_FOLDER) if settings.METRICS_FOLDER else None
        every: list[Collector] = [
            Counted(folder),
            ProcessTree(),
            looks or Looks({"disks": disk_room.look}),
            *collectors,
        ]
        _running = Listener(settings.METRICS_HOST, settings.METRICS_PORT, every)
        _running.start()
    return _running
