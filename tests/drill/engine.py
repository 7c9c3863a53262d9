"""A Docker engine as the drill of containers uses it: the base image, and one project of compose with all that is its.

What a project made is found by the label that compose puts on it, so it is taken down whole however the drill ended.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.drill.programs import ROOT
from tests.servers.process import is_left_behind

LABEL: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
PREFIX: Final = "naru-drill-"
OWN_BASE: Final = "naru-drill-base:12"
PUBLIC_BASE: Final = "debian:bookworm-slim"
TRUSTED: Final = Path("/etc/ssl/certs/ca-certificates.crt")
BUILD_S: Final = 3600.0
ASK_S: Final = 180.0
SAMPLE_S: Final = 10.0


class EngineError(RuntimeError):
    """The engine or compose did not do what it was asked; the message has what it said."""


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    seconds: float = ASK_S,
    log: Path | None = None,
) -> str:
    """What a command prints; EngineError with the end of what it said if it fails or takes longer than `seconds`. With
    `log` all of it goes there, and nothing is answered."""
    words = " ".join(command[:8])
    with (log or Path(os.devnull)).open("ab") as output:
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output if log else subprocess.PIPE,
                stderr=output if log else subprocess.PIPE,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"{words}: not over within {seconds:g} s{_tail(log)}") from None
    if done.returncode:
        said = _tail(log) if log else (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        raise EngineError(f"{words}: status {done.returncode}: {said.strip()}")
    return "" if log else done.stdout.decode(errors="replace")


def _tail(log: Path | None) -> str:
    return "" if log is None else "\n" + log.read_text(encoding="utf-8", errors="replace")[-3000:]


def docker(*words: str, seconds: float = ASK_S) -> str:
    """What `docker WORDS` prints; EngineError as `run`."""
    return run(["docker", *words], seconds=seconds)


def need() -> list[str]:
    """The words that compose begins with; EngineError saying what is missing."""
    if shutil.which("docker") is None:
        raise EngineError("there is no `docker`: install Docker 20.10 or newer")
    docker("version", "--format", "{{.Server.Version}}")
    for words in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0
        ):
            return words
    raise EngineError("there is no compose: install the plugin `docker compose`, or docker-compose 1.29")


def base() -> str:
    """The image that all others are built from: BASE, or one of our own by mmdebstrap, made once; where neither is,
    the public one, which the engine fetches. EngineError if it cannot be made."""
    if given := os.environ.get("BASE"):
        return given
    if docker("image", "ls", "--quiet", OWN_BASE).strip():
        return OWN_BASE
    if shutil.which("mmdebstrap") is None:
        return PUBLIC_BASE
    make = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates"]
    take = ["docker", "import"]
    if (
        TRUSTED.is_file()
    ):  # pip trusts whom this machine trusts: some networks have a certificate authority of their own
        make += [f"--customize-hook=copy-in {TRUSTED} /etc"]
        take += ["--change", f"ENV PIP_CERT=/etc/{TRUSTED.name}"]
    with subprocess.Popen([*make, "bookworm", "-"], stdout=subprocess.PIPE) as made:
        taken = subprocess.run([*take, "-", OWN_BASE], stdin=made.stdout, capture_output=True, check=False)
    if made.returncode or taken.returncode:
        subprocess.run(["docker", "image", "rm", "--force", OWN_BASE], capture_output=True, check=False)
        raise EngineError(f"no base image by mmdebstrap ({made.returncode}): {taken.stderr.decode(errors='replace')}")
    return OWN_BASE


def copy_tree(target: Path) -> None:
    """The files of the repository as they are now: no secrets, no data, nothing that git does not know."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@dataclass(frozen=True, slots=True)
class Container:
    """One container as `docker inspect` tells it."""

    told: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.told["Config"]["Labels"][SERVICE])

    @property
    def id(self) -> str:
        return str(self.told["Id"])

    @property
    def pid(self) -> int:
        """Of its first process, as the host counts; 0 if it does not run."""
        return int(self.told["State"]["Pid"])

    @property
    def running(self) -> bool:
        return bool(self.told["State"]["Running"])

    @property
    def status(self) -> str:
        """healthy, unhealthy or starting; without a health check that of the container: running, exited."""
        state = self.told["State"]
        return str(state["Health"]["Status"] if state.get("Health") else state["Status"])

    @property
    def is_well(self) -> bool:
        """It runs and is healthy, or was to do one thing and did it."""
        return self.status == "healthy" if self.running else self.is_once and self.told["State"]["ExitCode"] == 0

    @property
    def is_once(self) -> bool:
        """Whether it is to end by itself, as `migrate` is."""
        return self.told["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")

    @property
    def ended(self) -> datetime.datetime:
        """When it ended last, in UTC."""
        return datetime.datetime.fromisoformat(self.told["State"]["FinishedAt"])

    @property
    def address(self) -> str:
        """Where it is in the network of the project; nothing while it is down."""
        return next((str(one["IPAddress"]) for one in self.told["NetworkSettings"]["Networks"].values()), "")


class Project:
    """The services of compose files under a name of their own; `remove` in the end."""

    def __init__(
        self, name: str, files: Sequence[Path], profile: str, *, compose: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.name, self.environment = name, dict(environment)
        self._words = [*compose, "--project-name", name, *(word for file in files for word in ("-f", str(file)))]
        self._words += ["--profile", profile]

    def compose(self, *words: str, seconds: float = BUILD_S, log: Path | None = None) -> str:
        """`docker compose WORDS` of this project; EngineError as `run`."""
        return run([*self._words, *words], environment=self.environment, seconds=seconds, log=log)

    def containers(self) -> dict[str, Container]:
        """By service. One that `compose run` made is not among them."""
        ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={self.name}").split()
        told = json.loads(docker("inspect", *ids)) if ids else []
        found = [Container(one) for one in told if one["Config"]["Labels"].get("com.docker.compose.oneoff") != "True"]
        return {one.service: one for one in found}

    def container(self, service: str) -> Container:
        """EngineError if there is none."""
        try:
            return self.containers()[service]
        except KeyError:
            raise EngineError(f"no container of {service}") from None

    def execute(self, service: str, *words: str, seconds: float = ASK_S) -> str:
        """What a command in a container prints; EngineError as `run`."""
        return docker("exec", self.container(service).id, *words, seconds=seconds)

    def tails(self, lines: int = 40) -> str:
        """The ends of what all containers wrote."""
        said = []
        for service, one in sorted(self.containers().items()):
            done = subprocess.run(
                ["docker", "logs", "--tail", str(lines), one.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=ASK_S, check=False,
            )  # fmt: skip
            said.append(f"--- {service}: {one.status}, {json.dumps(one.told['State'].get('Health'))[-600:]}")
            said.append(done.stdout.decode(errors="replace"))
        return "\n".join(said)


def remove(project: str) -> int:
    """Everything of a project, volumes too; how many things are left all the same."""
    of = f"label={LABEL}={project}"
    left: list[str] = []
    for kind, ask, drop in (
        ("container", ["ps", "--all"], ["rm", "--force", "--volumes"]),
        ("network", ["network", "ls"], ["network", "rm"]),
        ("volume", ["volume", "ls"], ["volume", "rm", "--force"]),
    ):
        if found := docker(*ask, "--quiet", "--filter", of).split():
            subprocess.run(["docker", *drop, *found], capture_output=True, timeout=600, check=False)
        left += [f"{kind} {one}" for one in docker(*ask, "--quiet", "--filter", of).split()]
    return len(left)


def remove_left_behind() -> list[str]:
    """Take down the projects of drills that were killed; their names."""
    known: set[str] = set()
    for ask in (["ps", "--all"], ["network", "ls"], ["volume", "ls"]):
        known |= set(docker(*ask, "--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}').split())
    gone = sorted(one for one in known if one.startswith(PREFIX) and is_left_behind(Path(one)))
    for one in gone:
        remove(one)
    return gone


class Memory:
    """What the containers of a project use, looked at again and again; `most_mib` by service and of all at once."""

    def __init__(self, project: Project) -> None:
        self.most_mib: dict[str, float] = {}
        self.most_at_once_mib = 0.0
        self._project, self._stopped = project, threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.ident is not None:  # it was begun
            self._thread.join(timeout=60.0)

    def look(self) -> None:
        """Ask the engine once; EngineError if it does not answer."""
        services = {one.id: service for service, one in self._project.containers().items() if one.running}
        if not services:
            return
        told = docker("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}", *services)
        now = {}
        for line in told.splitlines():
            number, used, *_ = line.split()
            now[services[number]] = mib(used)
        for service, used_mib in now.items():
            self.most_mib[service] = max(self.most_mib.get(service, 0.0), used_mib)
        self.most_at_once_mib = max(self.most_at_once_mib, sum(now.values()))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except (EngineError, KeyError, ValueError):  # a container went away meanwhile
                time.sleep(1.0)
            self._stopped.wait(SAMPLE_S)


_UNITS: Final = {"B": 2**-20, "KiB": 2**-10, "MiB": 1.0, "GiB": 2.0**10}


def mib(told: str) -> float:
    """From `123.4MiB`; ValueError if it is no such thing."""
    number = told.rstrip("BKMGTi")
    unit = told[len(number) :]
    if unit not in _UNITS:
        raise ValueError(f"{told!r} is no amount of memory")
    return float(number) * _UNITS[unit]
