"""A private PostgreSQL with the settings of docker/postgresql/naru.conf: durable, its own user and database."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.servers import packages
from tests.servers.network import Host
from tests.servers.process import STOP_SECONDS, Server, temporary_folder
from tests.waiting import until

SETTINGS = Path(__file__).resolve().parents[2] / "docker/postgresql/naru.conf"
USER = "naru"
PASSWORD = "naru"  # reachable on loopback only, for as long as the tests run
DATABASE = "naru"
PORT = 5432  # of servers with hosts of their own
NOBODY = 65534
DAC_OVERRIDE = 1


class PostgreSQL(Server):
    """`with PostgreSQL() as server:` ... `server.url` is a DATABASE_URL; `server.sql(...)` speaks as its superuser.

    With `on` it runs on a host of its own, and all hosts of that network may come in.
    """

    name = "postgresql"

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        port: int | None = None,
        shared_buffers_mib: int = 1024,
        on: Host | None = None,
    ) -> None:
        super().__init__(folder, port=port if on is None else PORT)
        self._has_a_host = on is not None
        if on is not None:
            self.host, self.within = on.address, on.within
        self.shared_buffers_mib = shared_buffers_mib
        self.data = self.folder / "data"
        self._sockets: Path | None = None

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    @property
    def sockets(self) -> Path:
        """Beside the data it might be too deep: a socket's path has at most 107 bytes."""
        if self._sockets is None:
            self._sockets = temporary_folder("pg")
            hand_over(self._sockets)
        return self._sockets

    def url_of(self, database: str) -> str:
        return f"postgres://{USER}:{PASSWORD}@{self.host}:{self.port}/{database}"

    def sql(self, statements: str, *, database: str = DATABASE) -> str:
        """Run statements as the server's superuser over its socket; what they print, tab separated, no headings."""
        program, environment = packages.need("psql")
        command = [
            str(program), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t",
            "--set=ON_ERROR_STOP=1", f"--host={self.sockets}", f"--port={self.port}", "--username=postgres",
            f"--dbname={database}",
        ]  # fmt: skip
        done = subprocess.run(
            command, input=statements, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql said: {done.stderr.strip()}")
        return done.stdout

    def create_database(self, name: str) -> str:
        """A fresh, empty database for the same user; its URL."""
        self.drop_database(name)
        self.sql(f'CREATE DATABASE "{name}" OWNER {USER};')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE);')

    def promote(self) -> None:
        """It follows nobody any more, and serves writers from now on."""
        self.sql("SELECT pg_promote(true, 120);")

    def kill(self) -> None:
        """Its processes too, at once: left alone they would notice only after a while, and hold the data until then."""
        children = self._children()
        super().kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        until(lambda: not any(_runs(child) for child in children), seconds=20, what="the end of PostgreSQL's processes")

    def shut_down(self) -> None:
        """Ask it to end, and wait; a replica gets all that was written first. Data and port are kept."""
        os.kill(self.pid, signal.SIGINT)  # SIGTERM alone waits for clients to leave
        until(lambda: not self.running, seconds=STOP_SECONDS, what="the end of PostgreSQL")

    def stop(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGINT)
        super().stop()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _children(self) -> list[int]:
        if not self.running:
            return []
        with suppress(OSError):
            return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def _prepare(self) -> None:
        if not (self.data / "ready").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            self.data.mkdir(mode=0o700)
            hand_over(self.data)
            self._initialise()
            (self.data / "ready").touch()
        (self.data / "postgresql.conf").write_text(SETTINGS.read_text(encoding="utf-8"), encoding="utf-8")

    def _initialise(self) -> None:
        """Its user and database are made before anybody can connect."""
        program, environment = packages.need("initdb")
        made = [
            str(program), f"--pgdata={self.data}", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8",
            "--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        self._run(made, environment, "")
        if self._has_a_host:
            with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.writelines(f"host {what} all samenet scram-sha-256\n" for what in ("all", "replication"))
        server, environment = packages.need("postgres")
        self._run(
            [str(server), "--single", "-j", "-D", str(self.data), "postgres"],
            environment,
            f"CREATE ROLE {USER} LOGIN CREATEDB REPLICATION PASSWORD '{PASSWORD}';\n\n"
            f"CREATE DATABASE {DATABASE} OWNER {USER};\n\n",
        )

    def _run(self, command: list[str], environment: dict[str, str], given: str) -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*as_nobody(), *command], input=given.encode(), env=environment, stdout=log, stderr=log, cwd="/",
                check=False, timeout=300,
            )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{Path(command[0]).name} failed, status {done.returncode}:\n{self.tail()}")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("postgres")
        settings = {
            "port": self.port,
            "listen_addresses": "*" if self._has_a_host else "127.0.0.1",
            "unix_socket_directories": self.sockets,
            "shared_buffers": f"{self.shared_buffers_mib}MB",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [*as_nobody(), str(program), "-D", str(self.data), *options], environment

    def _answers(self) -> bool:
        try:
            return self.sql("SELECT 1;").strip() == "1"
        except RuntimeError:
            return False


def as_nobody() -> list[str]:
    """PostgreSQL refuses to run as root. As nobody it may still look into root's folders, where root itself may; and it
    is tethered again, for the kernel cuts the tether where the user changes."""
    if os.geteuid() != 0:
        return []
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapPrm"))
    may = "+dac_override" if int(held.split()[1], 16) >> DAC_OVERRIDE & 1 else "-all"
    return [
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps=-all,{may}",
        f"--ambient-caps=-all,{may}", "--pdeathsig=KILL",
    ]  # fmt: skip


def hand_over(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)


def _runs(process: int) -> bool:
    """Whether it is there; one that has ended may wait for its adoptive parent to collect it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Standby(PostgreSQL):
    """A copy of another server that follows it, synchronously, until it is promoted. `copy_from` before the start."""

    name = "standby"

    def copy_from(self, other: PostgreSQL) -> None:
        """Take the data of a running server, and have it wait for this one with each commit from then on."""
        program, environment = packages.need("pg_basebackup")
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        hand_over(self.data)
        login = f"host=127.0.0.1 port={other.port} user={USER} password={PASSWORD} application_name={self.name}"
        self._run(
            [str(program), f"--pgdata={self.data}", f"--dbname={login}", "--write-recovery-conf", "--checkpoint=fast"],
            environment,
            "",
        )
        (self.data / "ready").touch()
