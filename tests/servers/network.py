"""Hosts of a network that is nobody else's: each is a namespace of the kernel with one interface on a bridge.

Whoever makes a `Network` leaves the machine's own network for the one with the bridge. The namespaces have no names:
they are gone with the last process in them, and those die with whoever started them.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers.process import Started, spawn
from tests.waiting import until

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
SUBNET = "10.77.0"
BRIDGE, OTHER_BRIDGE = "side-a", "side-b"
DYING_S = 10.0


class Host:
    """A namespace with an address; its name is its host's name inside."""

    def __init__(self, name: str, number: int, pid: int) -> None:
        self.name, self.pid = name, pid
        self.address = f"{SUBNET}.{number}"
        self._place = _network_of(pid)

    @property
    def within(self) -> list[str]:
        """What a command begins with that is to run on this host."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--uts=/proc/{self.pid}/ns/uts", "--"]

    def run(self, *command: str) -> None:
        """Run a command on this host; CalledProcessError if it fails."""
        _run(*self.within, *command)

    def addresses(self) -> set[str]:
        """The IPv4 addresses that it has now."""
        found, last = set(), ""
        for line in Path(f"/proc/{self.pid}/net/fib_trie").read_text(encoding="ascii").splitlines():
            if "|--" in line:
                last = line.split()[-1]
            elif "host LOCAL" in line:
                found.add(last)
        return found

    def processes(self) -> list[int]:
        """Whoever runs on it, save the process that holds the namespace."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != self.pid:
                with suppress(OSError):  # gone meanwhile
                    if _network_of(int(folder.name)) == self._place:
                        found.append(int(folder.name))
        return found

    def kill(self) -> int:
        """SIGKILL everybody on it at once, as a power cut does; how many there were."""
        killed = 0
        limit = time.monotonic() + DYING_S
        while (left := self.processes()) and time.monotonic() < limit:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            time.sleep(0.05)
        return killed

    def boot(self) -> None:
        """What an interface has after a power cut: its own address and no other."""
        self.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")


class Network(Started):
    """`with Network({"db1": 11}, folder) as network:` ... `network.hosts["db1"].within` begins a command on it. The
    process itself is on the bridge, at number 1. Make it before any thread: only the thread that makes it moves.

    Root only: PermissionError otherwise.
    """

    def __init__(self, numbers: dict[str, int], folder: Path) -> None:
        self._numbers, self._folder = numbers, folder
        self.hosts: dict[str, Host] = {}
        self._holders: list[subprocess.Popen[bytes]] = []

    def start(self) -> Self:
        """Leave the machine's network, and make the hosts and the bridge between them."""
        _unshare()
        _run("ip", "link", "set", "lo", "up")
        for bridge in (BRIDGE, OTHER_BRIDGE):
            _run("ip", "link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
            _run("ip", "link", "set", bridge, "up")
        _run("ip", "address", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        for name, number in self._numbers.items():
            self.hosts[name] = self._host(name, number)
        return self

    def stop(self) -> None:
        for host in self.hosts.values():
            host.kill()
        for holder in self._holders:
            holder.kill()
            holder.wait()
        for bridge in (BRIDGE, OTHER_BRIDGE):
            subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)

    def _host(self, name: str, number: int) -> Host:
        sleeper = f"echo {name} >/proc/sys/kernel/hostname && ip link set lo up && exec sleep infinity"
        holder = spawn(
            ["unshare", "--net", "--uts", "sh", "-c", sleeper],
            environment=dict(os.environ), log=self._folder / f"{name}.log", cwd=self._folder,
        )  # fmt: skip
        self._holders.append(holder)
        program = Path(f"/proc/{holder.pid}/exe")
        until(lambda: holder.poll() is not None or program.resolve().name == "sleep", seconds=30, what=f"host {name}")
        host = Host(name, number, holder.pid)
        _run("ip", "link", "add", _port(name), "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "set", _port(name), "master", BRIDGE, "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        return host

    # --- what goes wrong ---------------------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """Pull a host's cable; it notices."""
        _run("ip", "link", "set", _port(name), "down")

    def join(self, name: str) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", _port(name), "up")

    def part(self, names: Iterable[str]) -> None:
        """These hosts hear each other and nobody else; no cable says so."""
        for name in names:
            _run("ip", "link", "set", _port(name), "master", OTHER_BRIDGE)

    def mend(self, names: Iterable[str]) -> None:
        """All of them hear everybody again."""
        for name in names:
            _run("ip", "link", "set", _port(name), "master", BRIDGE)


def _port(name: str) -> str:
    return f"to-{name}"


def _network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _unshare() -> None:
    if os.geteuid() != 0:
        raise PermissionError("hosts of their own are namespaces of the kernel, which only root may make")
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK) != 0:
        error = ctypes.get_errno()
        raise PermissionError(error, f"no namespace of its own for the network: {os.strerror(error)}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
