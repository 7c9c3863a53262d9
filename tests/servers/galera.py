"""A private Galera cluster on loopback: nodes of MariaDB with the settings of docker/mariadb, each with ports of its
own. The first node's data are copied to the others before they start, so nobody needs a transfer of the whole."""

import configparser
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.frozen import frozen
from tests.servers import packages
from tests.servers.mariadb import DATABASE, PASSWORD, SETTINGS, USER, MariaDB
from tests.servers.network import Host
from tests.servers.process import Started, free_port, temporary_folder
from tests.waiting import until

GALERA_SETTINGS = SETTINGS.with_name("galera.cnf")
NAME = "naru"
TURNS = 5
CHECK_USER = "naru_check"
PORT, MEMBERS_PORT = 3306, 4567  # of nodes with hosts of their own
PATIENCE = "evs.suspect_timeout=PT20S;evs.inactive_timeout=PT40S;evs.install_timeout=PT40S"
"""Of nodes that share a machine with other tests: one that is busy is no dead node."""


class Node(MariaDB):
    """One of a cluster; `members` are the addresses of all for the cluster's own talk."""

    name = "galera"

    def __init__(
        self,
        folder: Path,
        *,
        members: list[str],
        place: int,
        buffer_pool_mib: int,
        settings: str,
        host: Host | None = None,
        provider: str = "",
    ) -> None:
        super().__init__(folder, port=None if host is None else PORT, buffer_pool_mib=buffer_pool_mib)
        if host is not None:
            self.host, self.within = host.address, host.within
        self._loopback = host is None
        self.members, self.place = members, place
        self.new_cluster = False
        self._transfer_port, self._snapshot_port = free_port(), free_port()
        self._own_settings, self._own_provider = settings, provider

    @property
    def address(self) -> str:
        """As `wsrep_incoming_addresses` names it."""
        return f"{self.host}:{self.port}"

    def status(self, name: str) -> str:
        """The value of a status variable, "" if there is none."""
        return self.sql(f"SHOW GLOBAL STATUS LIKE '{name}';").partition("\t")[2].strip()

    @property
    def synced(self) -> bool:
        """Whether it serves: in the cluster and up to date."""
        try:
            return self.status("wsrep_ready") == "ON" and self.status("wsrep_local_state") == "4"
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    @property
    def node_name(self) -> str:
        """As the cluster calls it."""
        return f"node{self.place + 1}"

    def checksums(self) -> dict[str, str]:
        """By table, of what is in it."""
        named = self.sql(
            f"SET wsrep_sync_wait = 1; SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA ="
            f" '{DATABASE}' AND TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB';"
        ).split()
        told = (self.sql(f"CHECKSUM TABLE `{DATABASE}`.`{table}`;").strip().split("\t") for table in sorted(named))
        return {str(table): str(checksum) for table, checksum in told}

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Inside, the node is stopped as by a host that stands still."""
        with frozen(self.server_pid):
            yield

    @property
    def server_pid(self) -> int:
        """Of mariadbd itself."""
        return int((self.data / "server.pid").read_text())

    def prepare(self) -> None:
        """Make the data folder, alone and without the cluster."""
        self._prepare()

    def copy_from(self, other: "Node") -> None:
        """Take the data of a node that is not running."""
        shutil.copytree(other.data, self.data)
        self._made.touch()

    @property
    def _listens_at(self) -> str:
        return self.host if self._loopback else "0.0.0.0"

    @property
    def _more_users(self) -> str:
        if self._loopback:
            return ""
        net = self.host.rpartition(".")[0] + ".%"
        return (
            f"CREATE USER '{USER}'@'{net}' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO '{USER}'@'{net}';"
            f"CREATE USER {CHECK_USER}@localhost IDENTIFIED BY '{PASSWORD}';"
            f"CREATE USER {CHECK_USER}@'{net}' IDENTIFIED BY '{PASSWORD}';"
        )

    @property
    def _pool_options(self) -> list[str]:
        """In the file: who gives another one its data passes on what the command line says of the pool, and
        mariadb-backup does not know that option."""
        return []

    def _settings(self) -> Path:
        path = self.folder / "galera.cnf"
        path.write_text(
            f"!include {SETTINGS}\n!include {GALERA_SETTINGS}\n[mariadbd]\n"
            # Copied and kept in memory: of a size for days of some thousand ticks.
            f"innodb_log_file_size = 48M\ninnodb_buffer_pool_size = {self.buffer_pool_mib}M\n{self._own_settings}\n",
            encoding="utf-8",
        )
        return path

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command, environment = super()._command()
        library, tree = packages.need_galera()
        if tree is not None:
            known = environment.get("LD_LIBRARY_PATH")
            folders = [*map(str, tree.library_folders()), *([known] if known else [])]
            programs = [str(tree.root / "usr/bin"), str(Path(command[0]).parents[1] / "bin")]
            environment = environment | {
                "LD_LIBRARY_PATH": ":".join(folders),
                "PATH": os.pathsep.join([*programs, environment.get("PATH", os.defpath)]),
            }
        read = configparser.ConfigParser(allow_no_value=True, strict=False, interpolation=None)
        read.read(GALERA_SETTINGS)
        provider = read["mariadbd"]["wsrep_provider_options"].strip('"').replace("gcache.size=2G", "gcache.size=64M")
        options = [
            provider, f"gmcast.listen_addr=tcp://{self.members[self.place]}", f"base_host={self.host}",
            f"ist.recv_addr={self.host}:{self._transfer_port}", *([PATIENCE] if self._loopback else []),
            *([self._own_provider] if self._own_provider else []),
        ]  # fmt: skip
        command += [
            "--wsrep-on=ON", f"--wsrep-provider={library}", f"--wsrep-cluster-name={NAME}",
            f"--wsrep-cluster-address=gcomm://{','.join(self.members)}", f"--wsrep-node-name={self.node_name}",
            "--wsrep-sst-auth=root:", f"--wsrep-node-address={self.host}",
            f"--wsrep-node-incoming-address={self.address}",
            f"--wsrep-sst-receive-address={self.host}:{self._snapshot_port}",
            f"--wsrep-provider-options={';'.join(options)}",
        ]  # fmt: skip
        if self.new_cluster or not self.is_made:  # its first run makes the user, alone
            command.append("--wsrep-new-cluster")
        elif position := self._position(command, environment):
            command.append(f"--wsrep-start-position={position}")
        return command, environment

    def _position(self, command: list[str], environment: dict[str, str]) -> str:
        """Where a node that was killed stood; "" when its own file says so."""
        state = self.data / "grastate.dat"
        if not state.exists() or not re.search(r"seqno:\s*-1\b", state.read_text()):
            return ""
        log = self.folder / "recovery.log"
        log.unlink(missing_ok=True)
        subprocess.run(
            [*self.within, *command, "--wsrep-recover", f"--log-error={log}"],
            env=environment, cwd=self.folder, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        found = re.findall(r"Recovered position: (\S+)", log.read_text(errors="replace"))
        return found[-1] if found else ""

    def _answers(self) -> bool:
        return super()._answers() and (not self.is_made or self.synced)


class Cluster(Started):
    """`with Cluster() as cluster:` ... `cluster.nodes[0].url` is the DATABASE_URL of the one that is written to. With
    `hosts` each node has a host of its own and the timeouts that docker/mariadb has, otherwise all share loopback."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        size: int = 3,
        buffer_pool_mib: int = 64,
        settings: str = "",
        hosts: Sequence[Host] = (),
        provider: str = "",
    ) -> None:
        self._own_folder = folder is None
        self.folder = folder or temporary_folder("galera", in_memory=True)
        members = [f"{host.address}:{MEMBERS_PORT}" for host in hosts] or [
            f"127.0.0.1:{free_port()}" for _ in range(size)
        ]
        self.nodes = [
            Node(
                self.folder / f"node{place + 1}", members=members, place=place, buffer_pool_mib=buffer_pool_mib,
                settings=settings, host=hosts[place] if hosts else None,
                provider=provider,
            )
            for place in range(len(members))
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def start(self) -> Self:
        """A new cluster of all nodes, each up to date."""
        first = self.nodes[0]
        first.prepare()
        for node in self.nodes:
            node.new_cluster = node is first
            if node is not first and not node.data.exists():
                node.copy_from(first)
        for node in self.nodes:
            node.start()
        first.new_cluster = False
        until(lambda: all(node.synced for node in self.nodes), seconds=60, what="the cluster is whole")
        return self

    def differences(self) -> list[str]:
        """The tables that not every node has with the same rows, and the nodes that do not serve; reads all of them."""
        if away := [node.node_name for node in self.nodes if not node.synced]:
            return away
        found: set[str] = set()
        for _ in range(TURNS):  # a node may still be applying what another one has
            first, *others = (node.checksums() for node in self.nodes)
            found = {t for one in others for t in first.keys() | one.keys() if first.get(t) != one.get(t)}
            if not found:
                break
            time.sleep(1.0)
        return sorted(found)

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
