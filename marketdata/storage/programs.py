"""Finds the programs that take and restore backups, and runs them. Knows none of them itself."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from marketdata.launcher import child_process
from marketdata.storage.base import StorageError

SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")
SYSTEM_PREFIXES = ("/", "/usr", "/usr/local")
LOOK_S = 0.5
LAST_LINES = 6
DAC_OVERRIDE = 1


class ProgramMissing(StorageError):
    """A program is not installed here; the message says which package has it."""


class ProgramFailed(StorageError):
    """A program ended with an error; the message has the last it said."""


class Programs:
    """Looks into `folders` first, then where the system keeps programs."""

    def __init__(self, folders: Sequence[str | Path] = ()) -> None:
        self._folders = [str(folder) for folder in folders]

    def find(self, *names: str, package: str, also: Sequence[str | Path] = ()) -> Path:
        """The first of these names (a program and its older ones) that is anywhere. ProgramMissing if there is none."""
        path = os.pathsep.join(
            [*self._folders, *map(str, also), os.environ.get("PATH", os.defpath), *map(str, SYSTEM_FOLDERS)]
        )
        for name in names:
            found = shutil.which(name, path=path)
            if found:
                return Path(found)
        raise ProgramMissing(
            _("{program} is not installed on this machine. Install {package}, or name its folder in BACKUP_PROGRAMS"),
            program=names[0],
            package=package,
        )


def environment(program: Path, **more: str) -> dict[str, str]:
    """What a program is started with: a tree of its own (not the system's) brings its libraries along."""
    variables = {**os.environ, "LC_ALL": "C", **more}
    triplet = f"{platform.machine()}-linux-gnu"
    folders: list[str] = []
    for prefix in program.parents[1:]:
        if str(prefix) in SYSTEM_PREFIXES:
            break
        libraries = (prefix / "lib" / triplet, *([prefix / "lib"] if prefix == program.parents[1] else []))
        folders += [str(folder) for folder in libraries if folder.is_dir()]
    known = variables.get("LD_LIBRARY_PATH")
    return variables | ({"LD_LIBRARY_PATH": ":".join([*folders, *([known] if known else [])])} if folders else {})


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    variables: Mapping[str, str] | None = None,
    look: Callable[[], None] = lambda: None,
    user: int | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a program to its end and call `look` twice a second; ProgramFailed with its last words. What it says goes to
    `log`. It dies with us, and when `look` raises it is killed."""
    program = Path(command[0])
    with log.open("ab") as output:
        process = subprocess.Popen(
            as_child([str(part) for part in command], user=user),
            env=dict(variables or environment(program)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
        )
    try:
        while True:
            try:
                process.wait(LOOK_S)
                break
            except subprocess.TimeoutExpired:
                look()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise ProgramFailed(
            _("{name} failed, status {returncode}: {last_words}"),
            name=program.name,
            returncode=process.returncode,
            last_words=last_words(log),
        )


def as_child(command: list[str], *, user: int | None = None) -> list[str]:
    """The command line of a program that dies with this process; as another user when we are root. ProgramMissing
    without setpriv."""
    if user is None:
        return child_process.command(command)
    setpriv = shutil.which("setpriv", path=os.pathsep.join(SYSTEM_FOLDERS))
    if setpriv is None:
        raise ProgramMissing(_("setpriv is not installed: package util-linux"))
    # Not through Python: its folder may be closed to that user. Where we may look into every folder, so may the
    # program: it runs for us, and a folder for backups is closed to others.
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapPrm"))
    may = "-all,+dac_override" if int(held.split()[1], 16) >> DAC_OVERRIDE & 1 else "-all"
    group = pwd.getpwuid(user).pw_gid
    return [
        setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups", f"--inh-caps={may}", f"--ambient-caps={may}",
        "--pdeathsig=KILL", *command,
    ]  # fmt: skip


def last_words(log: Path, lines: int = LAST_LINES) -> str:
    """The end of a log, errors before everything else, on one line."""
    try:
        said = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return "(it said nothing)"
    wrong = [line for line in said if any(word in line.lower() for word in ("error", "fatal", "panic", "failed"))]
    return " | ".join((wrong or said)[-lines:])[:1500] or "(it said nothing)"


def wait(answers: Callable[[], bool], process: subprocess.Popen[bytes], *, seconds: float, log: Path) -> None:
    """Until a server answers; ProgramFailed when it ended instead or does not within the time."""
    limit = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise ProgramFailed(
                _("the private server ended, status {returncode}: {last_words}"),
                returncode=process.returncode,
                last_words=last_words(log),
            )
        if time.monotonic() > limit:
            raise ProgramFailed(_("the private server does not answer: {last_words}"), last_words=last_words(log))
        time.sleep(0.05)
