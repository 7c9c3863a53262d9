"""Clients that ask by HTTP/1.1 over kept connections, in a process of their own: `python -m tests.bench.api.clients`
with a plan as JSON on its standard input. Each asks again as soon as it has its answer, of which no more is read than
where it ends. The last line of the output is JSON."""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
READ_BYTES = 1 << 18
WAIT_S = 30.0  # for one answer


@dataclass(frozen=True, slots=True)
class Plan:
    """One client of each of `clients`; they take the ports in turn."""

    ports: list[int]
    path: str
    headers: dict[str, str]
    clients: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """`waits_ms` has every answer's; CPU seconds are of the clients themselves."""

    answers: int
    seconds: float
    waits_ms: list[float]
    cpu_s: float


class _Client:
    """One connection with one request under way at most."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head, self._left = b"", -1
        self.asked_at = 0.0

    def ask(self) -> None:
        self.asked_at = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Take what came; whether the answer is whole. RuntimeError unless it is a good one."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise RuntimeError("the server closed the connection")
        if self._left < 0:
            self._head += data
            head, end, body = self._head.partition(_END)
            if not end:
                return False
            status, *lines = head.split(b"\r\n")
            if b" 200 " not in status + b" ":
                raise RuntimeError(f"{status.decode()}: {body[:300]!r}")
            length = next(line for line in lines if line.lower().startswith(_LENGTH))
            self._left, data = int(length[len(_LENGTH) :]), body
        self._left -= len(data)
        if self._left:
            return False
        self._head, self._left = b"", -1
        return True


def ask(plan: Plan) -> Answered:
    """Ask for so many seconds. RuntimeError for an answer that is not a good one or does not come."""
    lines = [
        f"GET {plan.path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {text}" for name, text in plan.headers.items()),
    ]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    waits_ms: list[float] = []
    cpu_s, began = time.process_time(), time.perf_counter()
    with selectors.DefaultSelector() as ready, ExitStack() as opened:
        for number in range(plan.clients):
            client = _Client(plan.ports[number % len(plan.ports)], request)
            opened.enter_context(client.socket)
            ready.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
        while time.perf_counter() - began < plan.seconds:
            events = ready.select(WAIT_S)
            if not events:
                raise RuntimeError(f"no answer within {WAIT_S:g} s")
            for key, _ in events:
                if key.data.read():
                    waits_ms.append((time.perf_counter() - key.data.asked_at) * 1e3)
                    key.data.ask()
        seconds = time.perf_counter() - began
    return Answered(len(waits_ms), seconds, waits_ms, time.process_time() - cpu_s)


if __name__ == "__main__":
    print(json.dumps(asdict(ask(Plan(**json.loads(sys.stdin.read()))))), flush=True)
