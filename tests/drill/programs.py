"""A plain supervisor: programs that are started again at once when they end, until they are asked to."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.process import spawn

ROOT = Path(__file__).resolve().parents[2]
STEP_S = 0.05
POLITE_S = 45.0
LAST_WORDS = 12
AGAIN_S = 0.2


@dataclass(slots=True)
class Program:
    """One process of the stack. `since` is when it began, for the pause before a start that comes too soon."""

    name: str
    command: list[str]
    log: Path
    root: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    leaving_since: float | None = None
    since: float = field(default=0.0)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Programs:
    """`add` them; in between call `watch` often, or wait by `wait` and `until`, which do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = ROOT
        """The tree that what is started from here on belongs to."""
        self.programs: dict[str, Program] = {}
        self.own_ends: Counter[str] = Counter()
        self.last_words: list[str] = []
        self.slowest_term_s = 0.0
        (folder / "log").mkdir()

    @staticmethod
    def _environment_of(root: Path) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(root)}

    def add(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a program and keep it up; `environment` is what it has beside ours."""
        log = self.folder / "log" / f"{name}.log"
        self.programs[name] = Program(name, command, log, self.root, environment or {})
        self._begin(self.programs[name])

    def _begin(self, program: Program) -> None:
        environment = self._environment_of(program.root) | dict(program.environment)
        program.process = spawn(program.command, environment=environment, log=program.log, cwd=program.root)
        program.leaving_since, program.since = None, time.monotonic()

    # --- keeping up ------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Start again whatever ended, and insist where a polite request was not heard."""
        now = time.monotonic()
        for program in self.programs.values():
            if program.up:
                if program.leaving_since is not None and now - program.leaving_since > POLITE_S and program.process:
                    self.own_ends[f"{program.name} ignored SIGTERM"] += 1
                    program.leaving_since = None
                    program.process.kill()
            elif program.wanted and now - program.since >= AGAIN_S:
                if program.leaving_since is not None:
                    self.slowest_term_s = max(self.slowest_term_s, now - program.leaving_since)
                elif program.process is not None:
                    self.own_ends[f"{program.name} ended by itself, status {program.process.returncode}"] += 1
                    self.last_words += [f"{program.name}: {line}" for line in end_of(program.log, LAST_WORDS)]
                self._begin(program)

    def wait(self, seconds: float) -> None:
        """Let time pass and watch."""
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self.watch()
            time.sleep(min(STEP_S, left))

    def until(self, ready: Callable[[], bool], *, seconds: float) -> bool:
        """Watch until it is so; False when the time is over."""
        limit = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > limit:
                return False
            self.wait(0.2)
        return True

    # --- striking --------------------------------------------------------------------------------------------

    def kill(self, name: str) -> int:
        """SIGKILL, and start again at once. Returns the process id that was."""
        program = self.programs[name]
        pid = program.pid
        if program.process is not None:
            program.process.kill()
            program.process.wait()
        self._begin(program)
        return pid

    def term(self, name: str) -> int:
        """SIGTERM; `watch` starts it again when it has ended, which may take it a while."""
        program = self.programs[name]
        if program.process is not None and program.up:
            program.process.terminate()
            program.leaving_since = time.monotonic()
        return program.pid

    def renew(self, name: str) -> bool:
        """SIGTERM, and start it again as a program of `root`; whether it ended by itself. Others are watched."""
        program = self.programs[name]
        stubborn = self.end([name])
        program.root, program.wanted = self.root, True
        self._begin(program)
        return not stubborn

    def hold(self, name: str) -> None:
        """SIGKILL a program and leave it down until `resume`."""
        program = self.programs[name]
        program.wanted = False
        self._cut(program)

    def resume(self, name: str) -> None:
        """Start again what was held."""
        self.programs[name].wanted = True
        self._begin(self.programs[name])

    # --- ending ----------------------------------------------------------------------------------------------

    def end(self, names: Sequence[str], *, seconds: float = POLITE_S) -> list[str]:
        """Ask them to end and wait, watching the others; the names of those that had to be killed."""
        for name in names:
            self.programs[name].wanted = False
            self.term(name)
        self.until(lambda: not any(self.programs[name].up for name in names), seconds=seconds)
        stubborn = [name for name in names if self.programs[name].up]
        for name in stubborn:
            self._cut(self.programs[name])
        return stubborn

    def _cut(self, program: Program) -> None:
        program.wanted = False
        if program.process is not None and program.up:
            program.process.kill()
            program.process.wait()


def end_of(log: Path, lines: int) -> list[str]:
    """The last lines of a log."""
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
