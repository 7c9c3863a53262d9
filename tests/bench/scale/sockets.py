"""What more sockets cost: the same ticks while 10, 100, 1,000 sockets listen to some symbols each, how late the ticks
are then at one more that listens to all, and what a socket takes of memory. 1,000 of them twice: with as many messages
together as 100 have, and with as many each."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass

import psutil

from marketdata.launcher import child_process
from tests.bench import latency
from tests.bench.processes import family
from tests.bench.scale import listeners
from tests.bench.stack import ROOT, Stack

MANY = 20  # symbols of a socket
SOCKETS = ((0, MANY), (10, MANY), (100, MANY), (1_000, 2), (1_000, MANY))
"""How many, and symbols of each."""
WORKERS = 2
QUEUE_MS = 1_000.0
"""Longer waits than these are those of a queue that grows as long as the load lasts."""
# Many sockets of one key and one address: what is measured is not the limits.
LIMITS = dict.fromkeys(
    (
        "WS_MAX_PER_KEY", "WS_MAX_CONNECTIONS", "WS_MAX_UNAUTHENTICATED", "WS_MAX_UNAUTHENTICATED_OF_ADDRESS",
        "WEB_MAX_CONNECTIONS", "WEB_MAX_CONNECTIONS_OF_ADDRESS",
    ),
    "100000",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sockets:
    """So many sockets with so many symbols each beside the one that hears all: waits of its ticks in ms; messages a
    second to all together, bytes of one; CPU of the web process in percent of a core, and in microseconds for one
    message beyond what it costs with no such socket; memory of the web process in MiB; how busy the machine was, of
    all its cores and with the listeners, in percent."""

    sockets: int
    symbols_each: int
    p50: float
    p99: float
    messages_per_s: float
    messages_a_frame: float
    bytes_a_message: float
    web_percent: float
    web_us_a_message: float
    web_mib: float
    machine_percent: float


def run(database: str, *, seconds: float) -> list[Sockets]:
    """All numbers on one stack, fewer sockets first."""
    found: list[Sockets] = []
    with Stack(database, workers=WORKERS, settings=LIMITS) as stack:
        for number, each in SOCKETS:
            alone = found[0].web_percent if found else 0.0
            found.append(_measured(stack, number, each, seconds, alone))
            one = found[-1]
            print(
                f"{number:,} sockets, {each} symbols each: p50 {one.p50} ms, p99 {one.p99} ms,"
                f" {one.messages_per_s:,.0f} messages/s, {one.web_us_a_message:.2f} us each,"
                f" web {one.web_percent:.0f} % of a core, {one.web_mib:.0f} MiB, machine {one.machine_percent:.0f} %",
                flush=True,
            )
    return found


def _measured(stack: Stack, number: int, each: int, seconds: float, alone_percent: float) -> Sockets:
    listening = _start(stack, number, each) if number else None
    memory_mib = web_mib(stack)
    psutil.cpu_percent()  # the next one tells since this one
    try:
        small = asyncio.run(latency.measure(stack, seconds))
        machine_percent = psutil.cpu_percent()
        told = _ended(listening) if listening is not None else listeners.Told()
    finally:
        if listening is not None and listening.poll() is None:
            listening.kill()
            listening.wait()
    sent_s = seconds + latency.SETTLE_S
    percent = small.cpu_us["web"] * small.per_s / 1e4
    per_s = told.messages / sent_s
    return Sockets(
        sockets=number,
        symbols_each=each,
        p50=small.p50,
        p99=small.p99,
        messages_per_s=per_s,
        messages_a_frame=told.messages / told.frames if told.frames else 0.0,
        bytes_a_message=told.bytes / told.messages if told.messages else 0.0,
        web_percent=percent,
        web_us_a_message=(percent - alone_percent) * 1e4 / per_s if per_s else 0.0,
        web_mib=memory_mib,
        machine_percent=machine_percent,
    )


def web_mib(stack: Stack) -> float:
    """Memory of the web process, pages that it shares counted whole."""
    return float(sum(psutil.Process(pid).memory_info().rss for pid in family(stack.processes["web"].pid))) / 2**20


def _start(stack: Stack, number: int, each: int) -> subprocess.Popen[str]:
    from api.auth import authentication

    codes = [code for of_terminal in stack.symbols for code in of_terminal]
    plan = listeners.Plan(
        port=stack.web_port,
        feed="sim",
        headers={authentication.KEY_HEADER: stack.key_id, authentication.SECRET_HEADER: stack.secret},
        sockets=number,
        symbols=[codes[at : at + each] for at in range(0, len(codes), each)],
    )
    process = subprocess.Popen(
        child_process.command([sys.executable, "-m", "tests.bench.scale.listeners"]), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process without standard input and output")
    process.stdin.write(json.dumps(asdict(plan)) + "\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != "ready":
        process.kill()
        process.wait()
        raise RuntimeError(f"{number} sockets did not subscribe; the end of web's log:\n{stack.tail('web')}")
    return process


def _ended(process: subprocess.Popen[str]) -> listeners.Told:
    output, _ = process.communicate(timeout=60)
    if process.returncode:
        raise RuntimeError(f"the listeners ended with status {process.returncode}")
    return listeners.Told(**json.loads(output))
