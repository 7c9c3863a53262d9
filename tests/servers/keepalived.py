"""A private Keepalived on a host of its own, with the files of docker/keepalived: it gives the virtual address to a
server of the database that may be written to."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import packages
from tests.servers.galera import CHECK_USER, Node
from tests.servers.mariadb import PASSWORD
from tests.servers.network import Host
from tests.servers.process import Server

FILES = Path(__file__).resolve().parents[2] / "docker/keepalived"
CONFIGURATION, NODE, CHECK, RELEASE = "keepalived.conf", "node.conf", "galera-writable", "release-address"


def render(example: str, values: dict[str, str]) -> str:
    """A node.conf with other values of the same names; ValueError if one is not in the example."""
    lines, left = [], dict(values)
    for line in example.splitlines():
        name = line.removeprefix("$").partition("=")[0]
        lines.append(f"${name}={left.pop(name)}" if line.startswith("$") and name in left else line)
    if left:
        raise ValueError(f"{NODE} has no {', '.join(sorted(left))}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Check:
    """Who says whether a host may have the address: a script, and the environment that it is to have."""

    script: Path
    environment: Mapping[str, str]


def of_galera(node: Node) -> Check:
    """For a node of Galera; its password is in a file beside the node's data."""
    settings = node.folder / "galera-check.cnf"
    settings.touch(mode=0o600)
    settings.write_text(f"[client]\nuser={CHECK_USER}\npassword={PASSWORD}\nsocket={node.socket}\n", encoding="utf-8")
    asks, environment = packages.need("mariadb")
    paths = f"{asks.parent}:{environment.get('PATH', os.defpath)}"
    return Check(FILES / CHECK, {**environment, "NARU_GALERA_CHECK": str(settings), "PATH": paths})


class Keepalived(Server):
    """Of one host; `peers` are the other ones, two at most."""

    name = "keepalived"

    def __init__(
        self, folder: Path, *, check: Check, host: Host, peers: Sequence[Host], address: str, priority: int
    ) -> None:
        super().__init__(folder, port=1)  # it has none
        self.asks, self.on, self.within = check, host, host.within
        others = [one.address for one in peers]
        self._values = {
            "NODE": host.name, "INTERFACE": "eth0", "ADDRESS": host.address, "PEER1": others[0],
            "PEER2": "".join(others[1:]), "VIP": address, "PRIORITY": str(priority),
            "CHECK": str(self.folder / check.script.name),
        }  # fmt: skip
        self.address = address

    @property
    def url(self) -> str:
        return self.address

    @property
    def holds(self) -> bool:
        """Whether its host has the virtual address."""
        return self.address in self.on.addresses()

    def _prepare(self) -> None:
        for file in (FILES / CONFIGURATION, self.asks.script, FILES / RELEASE):
            shutil.copy(file, self.folder / file.name)
        example = (FILES / NODE).read_text(encoding="utf-8")
        (self.folder / NODE).write_text(render(example, self._values), encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("keepalived", packages.FAILOVER)
        libraries = [one.get("LD_LIBRARY_PATH", "") for one in (environment, self.asks.environment)]
        environment = {**environment, **self.asks.environment, "LD_LIBRARY_PATH": ":".join(filter(None, libraries))}
        options = [
            "--dont-fork", "--vrrp", "--log-console", "--log-detail", "--no-syslog",
            f"--use-file={self.folder / CONFIGURATION}", f"--pid={self.folder}/pid",
            f"--vrrp_pid={self.folder}/vrrp.pid",
        ]  # fmt: skip
        return [str(program), *options], environment

    def check(self) -> str:
        """What it says against its configuration; "" if nothing."""
        self._prepare()
        command, environment = self._command()
        told = subprocess.run(
            [*self.within, *command, "--config-test"], env=environment, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        return "" if told.returncode == 0 else told.stderr + told.stdout

    def release(self) -> None:
        """What systemd does after it ended (ExecStopPost)."""
        self.on.run(str(self.folder / RELEASE), str(self.folder / NODE))

    def kill(self) -> None:
        """All of it, and nothing after it."""
        super().kill()
        for pid in self.on.processes():
            if self._is_ours(pid):
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue

    def _is_ours(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"keepalived")
        except OSError:
            return False

    def _answers(self) -> bool:
        return (self.folder / "vrrp.pid").exists()
