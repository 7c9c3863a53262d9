"""A private MariaDB with the settings of docker/mariadb/naru.cnf: durable, strict, its own user and database."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers import packages
from tests.servers.process import READY_SECONDS, Server, spawn, temporary_folder
from tests.waiting import until

SETTINGS = Path(__file__).resolve().parents[2] / "docker/mariadb/naru.cnf"
USER = "naru"
PASSWORD = "naru"  # reachable on loopback only, for as long as the tests run
DATABASE = "naru"
ALLOCATOR = "libjemalloc.so.2"
"""As docker/mariadb has it. redis-server depends on it, so it is where that is."""


class MariaDB(Server):
    """`with MariaDB() as server:` ... `server.url` is a DATABASE_URL; `server.sql(...)` speaks as the server's root."""

    name = "mariadb"

    def __init__(
        self, folder: Path | str | None = None, *, port: int | None = None, buffer_pool_mib: int = 1024
    ) -> None:
        super().__init__(folder, port=port)
        self.buffer_pool_mib = buffer_pool_mib
        self.data = self.folder / "data"
        self._made = self.folder / "made"
        self._sockets: Path | None = None

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    @property
    def socket(self) -> Path:
        """Beside the data it might be too deep: a socket's path has at most 107 bytes."""
        if self._sockets is None:
            self._sockets = temporary_folder("my")
        return self._sockets / "s"

    def url_of(self, database: str) -> str:
        return f"mysql://{USER}:{PASSWORD}@{self.host}:{self.port}/{database}"

    def sql(self, statements: str) -> str:
        """Run statements as the server's root over its socket; what they print, tab separated, without headings."""
        program, environment = packages.need("mariadb")
        command = [
            str(program), "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch", "--skip-column-names",
        ]  # fmt: skip
        done = subprocess.run(
            command, input=statements, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"mariadb said: {done.stderr.strip()}")
        return done.stdout

    def create_database(self, name: str) -> str:
        """A fresh, empty database for the same user; its URL."""
        self.sql(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}`;")
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS `{name}`;")

    def stop(self) -> None:
        super().stop()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    @property
    def is_made(self) -> bool:
        """Whether it has its data. Told beside them: a node that takes those of another one empties their folder."""
        return self._made.exists()

    def _prepare(self) -> None:
        if self.is_made:
            return
        program, environment = packages.need("mariadb-install-db")
        shutil.rmtree(self.data, ignore_errors=True)
        command = [
            str(program), "--no-defaults", f"--datadir={self.data}", f"--basedir={program.parents[1]}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
            f"--tmpdir={self.socket.parent}",  # a server that starts removes others' temporary tables from its tmpdir
            *_as_root(),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, timeout=300
            )
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed, status {done.returncode}:\n{self.tail(60)}")
        self._make_user()
        self._made.touch()

    def _make_user(self) -> None:
        """Before anybody can connect over TCP: the server runs once with its socket alone."""
        command, environment = self._command()
        process = spawn(
            [*self.within, *command, "--skip-networking"], environment=environment, log=self.log, cwd=self.folder
        )
        try:
            until(lambda: self._answers() or process.poll() is not None, seconds=READY_SECONDS, what="a new MariaDB")
            self.sql(
                f"CREATE DATABASE `{DATABASE}`;"
                f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
                f"CREATE USER '{USER}'@'localhost' IDENTIFIED BY '{PASSWORD}';"
                f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1'; GRANT ALL ON *.* TO '{USER}'@'localhost';"
                f"{self._more_users}"
            )
        finally:
            process.terminate()
            process.wait(60)

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = packages.need("mariadbd")
        base = program.parents[1]
        options = [
            f"--defaults-file={self._settings()}", f"--basedir={base}", f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.data}/server.pid", f"--port={self.port}", f"--bind-address={self._listens_at}",
            *self._pool_options, f"--tmpdir={self.socket.parent}",
            f"--plugin-dir={base}/lib/mysql/plugin", *texts(base), *_as_root(),
        ]  # fmt: skip
        return [str(program), *options], environment | {"LD_PRELOAD": ALLOCATOR}

    @property
    def _pool_options(self) -> list[str]:
        """How much memory its pages have, on the command line."""
        return [f"--innodb-buffer-pool-size={self.buffer_pool_mib}M"]

    @property
    def _more_users(self) -> str:
        """Statements that make users beside Naru's own of this machine."""
        return ""

    @property
    def _listens_at(self) -> str:
        return self.host

    def _settings(self) -> Path:
        """The file of settings that it is started with."""
        return SETTINGS

    def _answers(self) -> bool:
        try:
            return self.sql("SELECT 1;").strip() == "1"
        except RuntimeError:
            return False


def texts(base: Path) -> list[str]:
    """Where messages and character sets lie: since 11.0 in a folder of another name."""
    for folder in (base / "share/mariadb", base / "share/mysql"):
        if (folder / "english/errmsg.sys").exists():
            return [f"--lc-messages-dir={folder}", f"--character-sets-dir={folder}/charsets"]
    return []


def _as_root() -> list[str]:
    """mariadbd refuses to run as root unless told that it is meant."""
    return ["--user=root"] if os.geteuid() == 0 else []
