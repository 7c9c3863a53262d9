"""A profile of docker/compose.yaml on the engine of this machine: built from the files as they are, under a name and
ports of its own, with clients made in it and questions to its servers. `tests.drill.containers` strikes it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

import yaml

from tests.drill import engine, recorded_state
from tests.drill.engine import EngineError, Project
from tests.drill.recorded_state import Book
from tests.drill.stack import Terminal
from tests.servers.process import free_port

FILES: Final = {"single": ("compose.yaml",), "ha": ("compose.yaml", "compose.ha.yaml")}
NODES: Final = {"single": ("mariadb",), "ha": ("mariadb", "mariadb2", "mariadb3")}
DATABASE: Final = {"single": "mariadb", "ha": "haproxy"}
IMAGE: Final = "naru-drill"
SYMBOLS: Final = 50
RAW_QUEUE: Final = "raw_market_data"
UP_S: Final = 3600.0
AWAY: Final[tuple[type[Exception], ...]] = (*recorded_state.Away, EngineError)


class ContainerSite:
    """`build`, then `up`; `take_down` in the end. All of it may raise EngineError."""

    def __init__(self, folder: Path, profile: str, compose: Sequence[str]) -> None:
        self.folder, self.profile = folder, profile
        self.docker = folder / "tree/docker"
        self.log = folder / "log/compose.log"
        self.ports = {name: free_port() for name in ("INGEST", "INGEST2", "WEB", "WEB2")}
        environment = {
            "DOCKER_BUILDKIT": "0",  # the images are for the plain builder, too
            "NARU_IMAGE": IMAGE,
            **{f"{name}_PUBLISHED": str(port) for name, port in self.ports.items()},
        }
        files = [self.docker / name for name in FILES[profile]]
        # Named as the folder is, by which a later drill sees whether this one still runs.
        name = engine.PREFIX + folder.name.removeprefix("naru-srv-").lower().replace("_", "-")
        self.project = Project(name, files, profile, compose=compose, environment=environment)

    # --- up and down -----------------------------------------------------------------------------------------

    def build(self) -> str:
        """Make all images; what they are built from."""
        base = self.project.environment["BASE"] = engine.base()
        engine.copy_tree(self.folder / "tree")
        engine.run([str(self.docker / "prepare"), "localhost"])
        self.project.compose("build", log=self.log)
        return base

    def images_mib(self) -> dict[str, int]:
        """The size of each image of ours."""
        names = sorted({one["image"].partition(":")[0] for one in self.services().values() if "build" in one})
        ask = ("image", "inspect", "--format", "{{.Size}}")
        return {name: round(int(engine.docker(*ask, name)) / 2**20) for name in names}

    def make_cluster(self) -> None:
        """Of the profile `ha`, by hand and once: the next start of the first node makes the cluster."""
        self.project.compose("run", "--rm", "-T", "mariadb", "new-cluster", log=self.log)

    def up(self) -> None:
        """Start all services, and return when compose does."""
        self.project.compose("up", "--detach", "--no-build", seconds=UP_S, log=self.log)

    def stop(self) -> None:
        """Ask all services to end, each as long as compose.yaml gives it."""
        self.project.compose("stop", log=self.log)

    def take_down(self) -> int:
        """Containers, networks, volumes and secrets; how many of them are left all the same."""
        left = engine.remove(self.project.name)
        shutil.rmtree(self.docker / "secrets", ignore_errors=True)
        return left

    # --- what it is ------------------------------------------------------------------------------------------

    def services(self) -> dict[str, dict[str, Any]]:
        """The services of the profile as compose itself reads them."""
        read: dict[str, dict[str, Any]] = yaml.safe_load(self.project.compose("config"))["services"]
        return {name: one for name, one in read.items() if self.profile in one.get("profiles", [])}

    def ill(self) -> dict[str, str]:
        """Each container that is not well, and how it is."""
        return {name: one.status for name, one in self.project.containers().items() if not one.is_well}

    # --- clients ---------------------------------------------------------------------------------------------

    def add_client(self, *words: str) -> list[str]:
        """Made as docker/README.md says: its name, key id and secret."""
        told = self.project.execute("worker-backups", "python3", "manage.py", "addclient", *words)
        return [line.split()[-1] for line in told.splitlines()]

    @property
    def ingest_addresses(self) -> str:
        """Where terminals outside find the ingest servers."""
        names = ("INGEST", "INGEST2") if self.profile == "ha" else ("INGEST",)
        return ",".join(f"localhost:{self.ports[name]}" for name in names)

    @property
    def web(self) -> str:
        """The URL of the first web server."""
        return f"http://127.0.0.1:{self.ports['WEB']}"

    def market(self, rate: int) -> Terminal:
        """A terminal outside that sends a simulated market of `rate` trades a second by TLS; it is not started."""
        name, _, secret = self.add_client("market", "--source", "SIMULATOR", "--register")
        home = self.folder / "terminal"
        home.mkdir()
        key_file, spool, journal = home / "key", home / "spool", home / "journal"
        key_file.write_text(secret, encoding="ascii")
        key_file.chmod(0o600)
        command = [
            sys.executable, "-m", "terminals", "simulate", "--symbols", str(SYMBOLS), "--rate", str(rate),
            "--books-per-s", str(max(1, rate // 10)), "--server", self.ingest_addresses, "--client", name,
            "--feed", "sim", "--key-file", str(key_file), "--ca-file", str(self.secret("ingest_cert")),
            "--spool", str(spool), "--journal", str(journal), "--register-market", "KRX",
        ]  # fmt: skip
        return Terminal(name, "SIMULATOR", "sim", command, spool, key_file, journal, "KRX")

    def secret(self, name: str) -> Path:
        """The file of a secret."""
        return self.docker / "secrets" / name

    # --- questions to its servers ----------------------------------------------------------------------------

    def book(self, service: str) -> AbstractContextManager[Book]:
        """The database in a container, which may have another address after each start; EngineError without one."""
        address = self.project.container(service).address
        if not address:
            raise EngineError(f"{service} has no address just now")
        return recorded_state.mariadb(address, 3306, self.secret("mariadb_naru").read_text(encoding="ascii"))

    def number(self, question: str) -> int:
        """The number that a question to the database has for an answer, -1 while it is away."""
        try:
            with self.book(DATABASE[self.profile]) as book:
                return book.number(question)
        except AWAY:
            return -1

    def writer(self) -> str:
        """The node that the proxy sends everybody to."""
        with self.book(DATABASE[self.profile]) as book:
            return str(next(book.rows("SELECT @@wsrep_node_name"))[0])

    def master(self) -> str:
        """The service of the Redis that takes writes."""
        for service in ("redis", "redis2"):
            with suppress(EngineError):
                if "role:master" in self._redis(service, "INFO", "replication"):
                    return service
        raise EngineError("no Redis is the master")

    def _redis(self, service: str, *words: str) -> str:
        ask = 'REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE") exec redis-cli --raw "$@"'
        return self.project.execute(service, "sh", "-c", ask, "sh", *words)

    def queued(self) -> int:
        """How many batches wait for a worker."""
        return int(self._redis(self.master(), "LLEN", RAW_QUEUE))
