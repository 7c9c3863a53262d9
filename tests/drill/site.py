"""A dealing room's machines, each a host of its own: a database behind one address (three nodes of Galera here, a pair
of PostgreSQL in `tests.drill.pair`), Redis with Sentinels, two ingest servers with a web server beside each, workers on
three hosts, two beats, and desks with terminals and subscribers."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from marketdata.launcher import supervisor
from tests.drill.programs import STEP_S, Programs, end_of
from tests.drill.stack import QUEUES, Terminal
from tests.servers import MariaDB, PostgreSQL, Server
from tests.servers.galera import PORT, Cluster, Node
from tests.servers.keepalived import Check, Keepalived, of_galera
from tests.servers.mariadb import DATABASE, PASSWORD, USER
from tests.servers.network import SUBNET, Host, Network
from tests.servers.sentinel import Sentinels, Watched

NUMBERS = {
    "db1": 11, "db2": 12, "db3": 13, "kv1": 21, "kv2": 22, "app1": 31, "app2": 32, "work1": 41,
    "desk1": 51, "desk2": 52,
}  # fmt: skip
NODES, STORES, APPS, DESKS = ("db1", "db2", "db3"), ("kv1", "kv2"), ("app1", "app2"), ("desk1", "desk2")
ADDRESS = f"{SUBNET}.100"
INGEST_PORT, WEB_PORT = 7070, 8000
SENTINEL_DOWN_MS = 3_000
CARELESS = "pc.ignore_quorum=true;pc.ignore_sb=true"
"""Options of Galera by which each side of a cut goes on alone: to see that a drill would find it."""
RESTART_S = {"galera": 5.0, "keepalived": 2.0}
"""How long a service manager waits before it starts again what ended; for others 1 s, as docker/systemd has it."""


Answer = TypeVar("Answer")


class Site(Programs):
    """Start it in a network, then `watch` often. What is down for a while is `dark` (a host) or `held` (a server).

    `data` are the servers of the database by their hosts, `checks` say who of them may have the address, and
    `settings` are what Naru is told of it.
    """

    schema: str
    """Where the tables are, for a question to a server."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        *,
        data: Mapping[str, MariaDB | PostgreSQL],
        checks: Sequence[Check],
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(folder)
        self.network, self.data, self._settings = network, data, settings
        self.nodes = tuple(data)
        hosts = [network.hosts[name] for name in data]
        self.keepers = [
            Keepalived(
                folder / f"keepalived-{host.name}", check=check, host=host,
                peers=[other for other in hosts if other is not host], address=ADDRESS, priority=103 - place,
            )
            for place, (check, host) in enumerate(zip(checks, hosts, strict=True))
        ]  # fmt: skip
        self.sentinels = Sentinels(
            folder / "sentinels", down_after_ms=SENTINEL_DOWN_MS, sentinel_hosts=[network.hosts[n] for n in NODES],
            hosts=[network.hosts[name] for name in STORES],
        )  # fmt: skip
        self.at: dict[str, str] = {}  # the host of each program and server
        self.servers: dict[str, Server] = {}
        for name, keeper in zip(self.nodes, self.keepers, strict=True):
            self._place(f"keepalived-{name}", keeper, name)
        for name, server in data.items():
            self._place(f"{server.name}-{name}", server, name)
        for name, watched in zip(STORES, self.sentinels.servers, strict=True):
            self._place(f"redis-{name}", watched, name)
        for name, sentinel in zip(NODES, self.sentinels.sentinels, strict=True):
            self._place(f"sentinel-{name}", sentinel, name)
        self.dark: set[str] = set()  # hosts without power
        self.held: set[str] = set()  # servers that are not started again for now
        self._ended_at: dict[str, float] = {}
        self._reviving: dict[str, threading.Thread] = {}
        self.slow_returns: list[str] = []
        os.environ.update(self._environment())

    def _place(self, name: str, server: Server, host: str) -> None:
        self.servers[name], self.at[name] = server, host

    def _environment(self) -> dict[str, str]:
        redis_url = self.sentinels.url
        return {
            supervisor.MARK: str(self.folder),
            **self._settings,
            "REDIS_URL": redis_url,
            "BROKER_URL": redis_url,
            "INGEST_PORT": str(INGEST_PORT),
            "INGEST_ALLOW_PLAIN": "1",
            "ALLOWED_HOSTS": ",".join(self.network.hosts[app].address for app in APPS),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(self.folder / "var"),
            "METRICS_DIR": "",
            "LOG_LEVEL": "INFO",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
            "PYTHONUNBUFFERED": "1",
        }

    # --- starting --------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """The database with its address, Redis with its Sentinels."""
        self._start_database()
        self.sentinels.start()
        for keeper in self.keepers:
            if told := keeper.check():
                raise RuntimeError(f"docker/keepalived is not as Keepalived wants it: {told}")
            keeper.start()
        if not self.until(lambda: len(self.holders()) == 1, seconds=30):
            raise RuntimeError("nobody has the address")

    def start_programs(self, terminals: Iterable[Terminal]) -> None:
        """Every process of Naru's on the host where an operator would have it."""
        python = sys.executable
        for app in APPS:
            self.add_on(app, f"ingest-{app}", [python, "manage.py", "runingest"])
            self.add_on(app, f"beat-{app}", [python, "-m", "celery", "-A", "celery_app", "beat", "--pidfile="])
            web = ["--host", self.network.hosts[app].address, "--port", str(WEB_PORT)]
            self.add_on(app, f"web-{app}", [python, "manage.py", "runweb", *web])
        for host in (*APPS, "work1"):
            workers = [python, "manage.py", "runworkers", "-n", "all@%h", "-c", "1", "-Q", QUEUES]
            self.add_on(host, f"worker-{host}", workers)
        for place, terminal in enumerate(terminals):
            self.add_on(DESKS[place % len(DESKS)], terminal.name, terminal.command)

    def add_on(self, host: str, name: str, command: list[str]) -> None:
        """Start a program on a host and keep it up."""
        self.at[name] = host
        where = self.network.hosts[host]
        own = {"VAR_DIR": str(self.folder / f"var-{host}"), "INGEST_HOST": where.address}
        self.add(name, [*where.within, *command], own)

    # --- the database ------------------------------------------------------------------------------------------

    @abstractmethod
    def _start_database(self) -> None:
        """All of its servers, as one."""

    @abstractmethod
    def _database_ails(self) -> list[str]:
        """What of it is not as it should be, in words."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until every server has what was committed; TimeoutError."""

    def ask(self, host: str, question: str) -> str:
        """A server's own answer over its socket, where no cut is in the way."""
        return self.data[host].sql(question)

    def figures(self) -> dict[str, int]:
        """What else there is to tell at the end."""
        return {}

    # --- what there is -----------------------------------------------------------------------------------------

    @staticmethod
    def servers_of(turn: int) -> str:
        """The ingest servers as a terminal is told them: each has another one first."""
        return ",".join(_in_turn(INGEST_PORT, turn))

    @staticmethod
    def webs_of(turn: int) -> list[str]:
        """The web servers, likewise."""
        return _in_turn(WEB_PORT, turn)

    def node(self, host: str) -> MariaDB | PostgreSQL:
        return self.data[host]

    def store(self, host: str) -> Watched:
        return self.sentinels.servers[STORES.index(host)]

    def host(self, name: str) -> Host:
        return self.network.hosts[name]

    def holders(self) -> list[str]:
        """Hosts that have the virtual address."""
        return [name for name in self.nodes if ADDRESS in self.host(name).addresses()]

    def ailing(self) -> list[str]:
        """What is not as it should be, in words; a question to each server."""
        wrong = [f"{name} has no power" for name in sorted(self.dark)]
        wrong += self._database_ails()
        if len(self.holders()) != 1:
            wrong.append(f"the address is on {self.holders() or 'no host'}")
        roles = sorted(str(self.store(name).ask("role")) for name in STORES)
        links = [self.store(name).ask("master_link_status") for name in STORES]
        if roles != ["master", "slave"] or "up" not in links:
            wrong.append(f"Redis: {roles}, {links}")
        wrong += [f"{name} is down" for name, server in self.servers.items() if not server.running]
        wrong += [f"{name} is down" for name, program in self.programs.items() if program.wanted and not program.up]
        return wrong

    # --- keeping up ------------------------------------------------------------------------------------------

    def aside(self, do: Callable[[], Answer], *, seconds: float) -> Answer:
        """Do what takes a while, and watch meanwhile; RuntimeError if it failed (its traceback was printed),
        TimeoutError after so long."""
        answers: list[Answer] = []
        # A daemon, so that an interrupted drill need not wait for it.
        thread = threading.Thread(target=lambda: answers.append(do()), name="aside", daemon=True)
        thread.start()
        if not self.until(lambda: not thread.is_alive(), seconds=seconds):
            raise TimeoutError(f"not done after {seconds:g} s")
        if not answers:
            raise RuntimeError("it failed; what it raised was printed")
        return answers[0]

    def watch(self) -> None:
        """As each host's service manager: what ended is started again, after its pause, and where the address was kept
        by somebody who was killed it is taken away."""
        now = time.monotonic()
        for name, server in self.servers.items():
            if server.running or self.at[name] in self.dark or name in self.held or self._is_reviving(name):
                continue
            if name not in self._ended_at:
                self._ended_at[name] = now
                if isinstance(server, Keepalived):
                    server.release()
            elif now - self._ended_at[name] >= RESTART_S.get(server.name, 1.0):
                del self._ended_at[name]
                thread = threading.Thread(target=self._revive, args=(name, server), name=f"revive-{name}", daemon=True)
                self._reviving[name] = thread
                thread.start()
        super().watch()

    def _is_reviving(self, name: str) -> bool:
        return name in self._reviving and self._reviving[name].is_alive()

    def _revive(self, name: str, server: Server) -> None:
        try:
            server.start()
        except (RuntimeError, TimeoutError, OSError) as error:  # it is struck again, or cut off: the next try follows
            self.slow_returns.append(f"{name}: {str(error)[:300]}")

    # --- striking --------------------------------------------------------------------------------------------

    def power_off(self, host: str) -> int:
        """Everybody on it is gone at once, and its cable is dead; how many processes there were."""
        self.dark.add(host)
        for name, program in self.programs.items():
            if self.at[name] == host:
                program.wanted = False
        self.network.cut(host)
        killed = self.host(host).kill()
        for name, program in self.programs.items():
            if self.at[name] == host and program.process is not None:
                program.process.wait()
        return killed

    def power_on(self, host: str) -> None:
        """It boots: its own address and no other, and what is to run on it."""
        self.host(host).boot()
        self.network.join(host)
        self.dark.discard(host)
        for name in self.programs:
            if self.at[name] == host:
                self.resume(name)

    # --- ending ----------------------------------------------------------------------------------------------

    def stop(self) -> list[int]:
        """Everything, at once. The process ids of what was left of it: there should be none."""
        self.held.update(self.servers)
        for program in self.programs.values():
            program.wanted = False
        self.network.stop()
        for thread in self._reviving.values():
            thread.join(timeout=10)
        for server in self.servers.values():
            with suppress(Exception):  # its host is gone already
                server.kill()
        limit = time.monotonic() + 5.0
        while (left := self._left()) and time.monotonic() < limit:
            time.sleep(STEP_S)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        for server in self.data.values():
            server.stop()
        return left

    def _left(self) -> list[int]:
        return [pid for pid in supervisor.processes_of(self.folder) if pid != os.getpid()]

    def tails(self, lines: int = 30) -> str:
        """The ends of all logs."""
        logs = [*sorted((self.folder / "log").glob("*.log")), *(server.log for server in self.servers.values())]
        found = [(log, end_of(log, lines)) for log in logs if log.exists()]
        return "\n".join(line for log, last in found for line in [f"--- {log.parent.name}/{log.name}", *last])


def _in_turn(port: int, turn: int) -> list[str]:
    """A port of each host of applications, that of number `turn` first."""
    addresses = [f"{SUBNET}.{NUMBERS[app]}:{port}" for app in APPS]
    return addresses[turn:] + addresses[:turn]


class GaleraSite(Site):
    """Three nodes of Galera, one of which is written to by the address. `careless`: a cluster that ignores quorum."""

    schema = DATABASE

    def __init__(self, folder: Path, network: Network, *, careless: bool = False) -> None:
        self.cluster = Cluster(
            folder / "galera", buffer_pool_mib=192, hosts=[network.hosts[name] for name in NODES],
            provider=CARELESS if careless else "",
        )  # fmt: skip
        settings = {
            "DATABASE_URL": f"mysql://{USER}:{PASSWORD}@{ADDRESS}:{PORT}/{DATABASE}",
            "CACHE_ENGINE": "InnoDB",
        }
        nodes: dict[str, Node] = dict(zip(NODES, self.cluster.nodes, strict=True))
        checks = [of_galera(node) for node in nodes.values()]
        super().__init__(folder, network, data=nodes, checks=checks, settings=settings)

    def _start_database(self) -> None:
        self.cluster.start()

    def _database_ails(self) -> list[str]:
        return [
            f"the node of {name} is not in the cluster of three"
            for name, node in zip(NODES, self.cluster.nodes, strict=True)
            if not node.synced or node.status("wsrep_cluster_size") != "3"
        ]

    def settle(self) -> None:
        """Each question waits by itself (wsrep_sync_wait)."""

    def ask(self, host: str, question: str) -> str:
        """At once, also from a node that waits for a quorum."""
        return super().ask(host, f"SET wsrep_sync_wait = 0; {question}")
