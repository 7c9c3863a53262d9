"""What a person waits for: a command that begins, the second `make run`, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from marketdata.launcher import supervisor
from tests.bench.processes import cpu_s
from tests.servers import free_port
from tests.servers.process import spawn, temporary_folder
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).with_name("waiting.md")
COMMANDS = ("help", "check", "migrate --check", "doctor")
TIMES = 5
LIMIT_S = 300.0
_OWN = ("REDIS_URL", "BROKER_URL", "SECRET_KEY", "METRICS_DIR")


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds; `commands` has (wall, CPU) of each repetition."""

    load: float
    commands: dict[str, list[tuple[float, float]]]
    moving: float
    moving_cpu: float
    ending: float


def run() -> Waits:
    """Measure in a folder of its own, which is removed."""
    load = os.getloadavg()[0]
    home = temporary_folder("waiting")
    environment = {name: value for name, value in os.environ.items() if name not in _OWN}
    environment |= {"VAR_DIR": str(home), "DATABASE_URL": f"sqlite:///{home / 'naru.sqlite3'}", "LOG_LEVEL": "WARNING"}
    program = [sys.executable, "manage.py", "runall", "--port", str(free_port()), "--ingest-port", str(free_port())]
    printed = home / "printed"
    try:
        print("a first run makes everything, which is not measured", flush=True)
        sample = _first(spawn(program, environment=environment, log=printed, cwd=ROOT), printed)
        print("the second run, until a bar moves", flush=True)
        began = time.monotonic()
        second = spawn(program, environment=environment, log=printed, cwd=ROOT)
        before = until(lambda: _trades(sample), seconds=LIMIT_S, what="a bar of the second run")
        until(lambda: _trades(sample) not in (0, before), seconds=LIMIT_S, what="a bar that moves")
        moving, used = time.monotonic() - began, _cpu(home / "run")
        print(f"{moving:.1f} s; Ctrl-C", flush=True)
        began = time.monotonic()
        second.send_signal(signal.SIGINT)
        second.wait(LIMIT_S)
        ending = time.monotonic() - began
        print(f"{ending:.1f} s; {len(COMMANDS)} commands, {TIMES} times each", flush=True)
        commands = {command: [_command(command, environment) for _ in range(TIMES)] for command in COMMANDS}
    finally:
        _end(home / "run")
        shutil.rmtree(home, ignore_errors=True)
    return Waits(load, commands, moving, used, ending)


def section(waits: Waits) -> str:
    """The part of docs/benchmarks.md that tells of it."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        load=waits.load,
        cores=os.cpu_count(),
        times=TIMES,
        commands="\n".join(
            f"| `manage.py {command}` | 1 s of CPU | {_told([wall for wall, _ in found])} "
            f"| {_told([cpu for _, cpu in found])} |"
            for command, found in waits.commands.items()
        ),
        moving=waits.moving,
        moving_cpu=waits.moving_cpu,
        ending=waits.ending,
    )


def _first(process: subprocess.Popen[bytes], printed: Path) -> urllib.request.Request:
    """Let a first run make everything, and end it; the request for bars that it prints holds for the second."""
    text = ""
    while "Ctrl-C" not in text:
        if process.poll() is not None:
            raise RuntimeError(f"runall ended at once:\n{text}")
        time.sleep(0.2)
        text = printed.read_text(encoding="utf-8")
    process.send_signal(signal.SIGINT)
    process.wait(LIMIT_S)
    line = next(line for line in text.splitlines() if line.strip().startswith("curl"))
    *headers, address = re.findall(r"'([^']*)'", line)
    return urllib.request.Request(address, headers=dict(header.split(": ") for header in headers))


def _trades(sample: urllib.request.Request) -> int:
    """The trades in the bars that the page shows; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(sample, timeout=5) as answer:
            return sum(int(bar["n"]) for bars in json.load(answer)["bars"].values() for bar in bars)
    except OSError:
        return 0


def _end(run: Path) -> None:
    """Kill every process of a run; one that was being started meanwhile is found the next time."""
    while processes := supervisor.processes_of(run):
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def _cpu(run: Path) -> float:
    """User and system seconds of every process of a run, and of their children that ended."""
    return cpu_s(supervisor.processes_of(run))


def _command(command: str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one run of it; what it answers is not looked at."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "manage.py", *command.split()], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _told(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
