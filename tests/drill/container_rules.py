"""What docker/compose.yaml says of every container, asked of the engine, and of the kernel for what runs in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.drill.engine import Container

UNITS: Final = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


class Limit(NamedTuple):
    """Of one container: bytes of memory, and processors."""

    memory: int
    cpus: float


def limits(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Limit]:
    """By service, from what `compose config` prints."""
    found = {}
    for name, service in services.items():
        told = service["deploy"]["resources"]["limits"]
        found[name] = Limit(_bytes(str(told["memory"])), float(told["cpus"]))
    return found


def broken(
    containers: Mapping[str, Container], services: Mapping[str, Mapping[str, Any]], processes: Path = Path("/proc")
) -> list[str]:
    """A line for each thing that is not as it is to be; also for a service that has no container."""
    wrong = [f"{name} has no container" for name in services.keys() - containers.keys()]
    for name, limit in limits(services).items():
        if name in containers:
            wrong += [f"{name} {what}" for what in _asked(containers[name].told, limit)]
        if name in containers and (pid := containers[name].pid):
            wrong += [f"{name} {what}" for what in _in_force(processes / str(pid), limit)]
    return sorted(wrong)


def _asked(told: Mapping[str, Any], limit: Limit) -> Iterator[str]:
    """Of what the engine was asked for."""
    host, user = told["HostConfig"], str(told["Config"]["User"])
    if not host["ReadonlyRootfs"]:
        yield "may write to its root file system"
    if host["Privileged"] or host["CapAdd"] or [str(one).upper() for one in host["CapDrop"] or []] != ["ALL"]:
        yield "keeps capabilities"
    if not any(str(one).startswith("no-new-privileges") for one in host["SecurityOpt"] or []):
        yield "may get new privileges"
    if not user.partition(":")[0].isdigit() or int(user.partition(":")[0]) == 0:
        yield f"runs as {user or 'root'}"
    if host["Memory"] != limit.memory:
        yield f"has a memory of {host['Memory']} bytes and not {limit.memory}"
    if host["NanoCpus"] != round(limit.cpus * 1e9):
        yield f"has {host['NanoCpus'] / 1e9} processors and not {limit.cpus}"
    for bound in told["NetworkSettings"]["Ports"].values():
        for one in bound or []:
            if one["HostIp"] != "127.0.0.1":
                yield f"is published to other machines: {one['HostIp']}:{one['HostPort']}"


def _in_force(process: Path, limit: Limit) -> Iterator[str]:
    """Of what its first process really has."""
    is_told = dict(re.findall(r"^(\w+):\s*(.*)$", (process / "status").read_text(encoding="utf-8"), re.MULTILINE))
    if "0" in is_told["Uid"].split():
        yield "has a process of root's"
    if any(int(is_told[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
        yield f"has a process with capabilities: {is_told['CapBnd']}"
    if is_told["NoNewPrivs"] != "1":
        yield "has a process that may get new privileges"
    roots = [line.split() for line in (process / "mounts").read_text(encoding="utf-8").splitlines()]
    options = [words[3].split(",") for words in roots if words[1] == "/"]
    if not options or "ro" not in options[-1]:
        yield "has a root file system that can be written to"
    groups = process / "root/sys/fs/cgroup"
    for file in (groups / "memory/memory.limit_in_bytes", groups / "memory.max"):  # of the first and second version
        if file.is_file() and file.read_text(encoding="ascii").strip() != str(limit.memory):
            yield f"has a memory of {file.read_text(encoding='ascii').strip()} bytes in {file.name}"


def _bytes(told: str) -> int:
    """From `512m` or `536870912`; ValueError if it is neither."""
    found = re.fullmatch(r"([\d.]+)([bkmg]?)b?", told.lower())
    if found is None:
        raise ValueError(f"{told!r} is no amount of memory")
    return round(float(found[1]) * UNITS[found[2]])
