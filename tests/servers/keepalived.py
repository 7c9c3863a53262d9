"""A private Keepalived on a host of its own, with the files of docker/keepalived: it gives the virtual address to a
node of Galera that may be written to."""

import os
import shutil
import subprocess
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


class Keepalived(Server):
    """Of one node; `peers` are the other two."""

    name = "keepalived"

    def __init__(self, folder: Path, *, node: Node, host: Host, peers: list[Host], address: str, priority: int) -> None:
        super().__init__(folder, port=1)  # it has none
        self.node, self.on, self.within = node, host, host.within
        self._values = {
            "NODE": host.name, "INTERFACE": "eth0", "ADDRESS": host.address, "PEER1": peers[0].address,
            "PEER2": peers[1].address, "VIP": address, "PRIORITY": str(priority), "CHECK": str(self.folder / CHECK),
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
        for name in (CONFIGURATION, CHECK, RELEASE):
            shutil.copy(FILES / name, self.folder / name)
        example = (FILES / NODE).read_text(encoding="utf-8")
        (self.folder / NODE).write_text(render(example, self._values), encoding="utf-8")
        check = self.folder / "galera-check.cnf"
        check.touch(mode=0o600)
        check.write_text(
            f"[client]\nuser={CHECK_USER}\npassword={PASSWORD}\nsocket={self.node.socket}\n", encoding="utf-8"
        )

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("keepalived", packages.FAILOVER)
        asks, others = packages.need("mariadb")
        environment = environment | {
            "NARU_GALERA_CHECK": str(self.folder / "galera-check.cnf"),
            "PATH": f"{asks.parent}:{environment.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": f"{environment.get('LD_LIBRARY_PATH', '')}:{others.get('LD_LIBRARY_PATH', '')}".strip(
                ":"
            ),
        }
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
