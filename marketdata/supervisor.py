"""What the one-command run starts, and the supervisor's configuration for it. Standard library only; starts nothing.

supervisord is tethered to the command and every program to supervisord (`tether`), so whichever is killed, all go.
"""

import importlib.util
import os
import platform
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from marketdata import tether

# Every process of a run carries this variable with the run's folder, by which a later run finds what a killed one left.
MARK = "NARU_RUN"
_SOCKET_BYTES = 100  # a Unix socket's path has a limit of 107


@dataclass(frozen=True)
class Program:
    """One line of the run. Lower `order` starts earlier and stops later."""

    name: str
    command: list[str]
    order: int
    stop_s: int = 10
    # Celery stops its own children when they are done; a signal to the whole group would cut them off.
    stop_group: bool = True
    # A replay that has reached the end of its file is done, not dead.
    may_end: bool = False
    environment: dict[str, str] = field(default_factory=dict)


def programs(*, port: int, ingest_port: int, redis: list[str] | None, feed: Program | None) -> list[Program]:
    """Naru's processes, in order. `redis` is the command of a server of our own, if we need one."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "celery_app"]
    worker = [*celery, "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    listed = [
        Program("worker", [*worker, "-n", "ticks@%%h", "-c", "2", "-Q", "raw_market_data,processed-data"], 20, 60, False),
        Program(
            "worker-slow",
            [*worker, "-n", "slow@%%h", "-c", "1", "-Q", "chart-data,statistics-data,maintenance"], 20, 60, False,
        ),
        Program("beat", [*celery, "beat", "--loglevel", "INFO", "--pidfile="], 30),
        Program("ingest", [python, "manage.py", "runingest"], 40, 30, environment={"INGEST_PORT": str(ingest_port)}),
        Program("web", [python, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "api.asgi:application"], 50),
    ]  # fmt: skip
    if redis:
        listed.insert(0, Program("valkey", redis, 10, 30))
    if feed:
        listed.append(feed)
    return listed


def terminal(*, ingest_port: int, replay: Path | None, speed: float, name: str, key: Path, spool: Path) -> Program:
    """The simulated market, or the replay of a file."""
    what = ["replay", str(replay), "--speed", f"{speed:g}", "--register-market", "CME"] if replay else ["simulate"]
    link = ["--server", f"127.0.0.1:{ingest_port}", "--client", name, "--key-file", str(key), "--spool", str(spool)]
    return Program("terminal", [sys.executable, "-m", "terminals", *what, *link], 60, may_end=bool(replay))


def configuration(listed: Iterable[Program], *, root: Path, run: Path, log: Path, environment: dict[str, str]) -> str:
    """supervisord.conf for these programs: everything is started again, however often it dies."""
    lines = [
        "[supervisord]", "nodaemon=true", "silent=true", f"directory={_text(root)}",
        f"logfile={_text(log / 'supervisord.log')}", "logfile_maxbytes=5MB", "logfile_backups=2",
        f"pidfile={_text(run / 'supervisord.pid')}", f"environment={_variables(environment | {MARK: str(run)})}",
    ]  # fmt: skip
    control = run / "supervisor.sock"
    if len(str(control).encode()) <= _SOCKET_BYTES:
        lines += [
            "", "[unix_http_server]", f"file={_text(control)}", "chmod=0600",
            "", "[supervisorctl]", f"serverurl=unix://{_text(control)}",
            "", "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]  # fmt: skip
    for program in listed:
        lines += [
            "", f"[program:{program.name}]", f"command={_command(program)}", f"priority={program.order}",
            f"autorestart={'unexpected' if program.may_end else 'true'}", "exitcodes=0",
            # The wait before another try grows by a second each time and is over once one second went well.
            "startsecs=1", "startretries=1000000",
            f"stopsignal=TERM", f"stopwaitsecs={program.stop_s}",
            f"stopasgroup={'true' if program.stop_group else 'false'}", "killasgroup=true",
            "redirect_stderr=true", f"stdout_logfile={_text(log / program.name)}.log",
            "stdout_logfile_maxbytes=5MB", "stdout_logfile_backups=3",
        ]  # fmt: skip
        if program.environment:
            lines.append(f"environment={_variables(program.environment)}")
    return "\n".join(lines) + "\n"


def _command(program: Program) -> str:
    """Through a tether whose parent will be supervisord; its number is put in by the environment expansion."""
    return " ".join(_quoted(word) for word in tether.command(program.command))


def _text(value: object) -> str:
    return str(value).replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _variables(environment: dict[str, str]) -> str:
    return ",".join(f"{name}={_quoted(_text(value))}" for name, value in sorted(environment.items()))
