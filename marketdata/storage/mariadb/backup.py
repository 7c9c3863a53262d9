"""MariaDB's backups: mariadb-backup, full and by log sequence number; restored by preparing, opened on a private server
that listens on a socket alone."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.storage import programs
from marketdata.storage.backup import Backup, BackupError, Progress, Taken, folder_bytes

PACKAGE = "mariadb-backup"
SERVER_PACKAGE = "mariadb-server-core"
CHECKPOINTS = ("xtrabackup_checkpoints", "mariadb_backup_checkpoints")
START_S = 120.0
STOP_S = 60.0
OPEN_FILES = 65_535
"""A partition is a file, and a year has many."""
FACTS = "naru_server.cnf"
# What a server has to be told again to read another's files.
_KEPT = ("innodb_page_size", "innodb_data_file_path", "innodb_undo_tablespaces")


class MariaDBBackup(Backup):
    """Of the whole server, its accounts included."""

    vendor: ClassVar[str] = "mysql"

    # --- taking -------------------------------------------------------------------------------------------------------

    def ready(self, connection: BaseDatabaseWrapper) -> None:
        self._program(connection)
        self._server(connection)
        data = Path(_variable(connection, "datadir"))
        mine = data / str(connection.settings_dict["NAME"])
        try:
            list(mine.iterdir())
        except PermissionError as error:
            raise BackupError(
                gettext_lazy(
                    "{mine} may not be read by this user: mariadb-backup reads the server's files. "
                    "docs/backups.md says how to allow it"
                ),
                mine=mine,
            ) from error
        except OSError as error:
            raise BackupError(
                gettext_lazy(
                    "{mine} is not on this machine: mariadb-backup has to run on the database's own host. "
                    "Run `manage.py backup`, or the worker that makes backups, there"
                ),
                mine=mine,
            ) from error

    def size(self, connection: BaseDatabaseWrapper) -> int:
        return folder_bytes(Path(_variable(connection, "datadir"))) - _log_bytes(connection)

    def excluded_tables(self, connection: BaseDatabaseWrapper) -> set[str]:
        return {
            name
            for (name,) in _query(
                connection,
                "SELECT TABLE_NAME FROM information_schema.TABLES"
                " WHERE TABLE_SCHEMA = DATABASE() AND ENGINE = 'MEMORY'",
            )
        }

    def blocking_reason(self, connection: BaseDatabaseWrapper, position: str) -> str:
        files, _colon, at = position.rpartition(":")
        if not files or not at.isdigit():
            return "the last backup does not say which server's files it has, up to which log sequence number"
        try:
            now_files = _files(connection)
        except BackupError as error:  # the full one is told more of it
            return str(error)
        if files != now_files:
            return "it is another server than the last backup's, or its files were copied since"
        now = _query(connection, "SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'")
        if now and int(now[0][1]) < int(at):
            return "the server's log sequence number is behind the last backup's: it is an older copy of it"
        return ""

    def take(self, connection: BaseDatabaseWrapper, folder: Path, *, since: str, progress: Progress) -> Taken:
        program = self._program(connection)
        total = None if since else self.size(connection)
        files, start = _files(connection), since.rpartition(":")[2]
        if since and files != since.rpartition(":")[0]:  # it moved between the choice and now
            raise BackupError(gettext_lazy("it is another server than the last backup's: take a full backup"))
        # Passwords are in a file that only we can read, never on a command line.
        with tempfile.TemporaryDirectory(prefix="naru-backup-") as private:
            account, log = Path(private, "account.cnf"), Path(private, "log")
            _write_private(account, self._account())
            command: list[str | Path] = [
                program, f"--defaults-file={account}", "--backup", f"--target-dir={folder}",
                f"--open-files-limit={OPEN_FILES}", f"--tmpdir={private}",
                *([f"--incremental-lsn={start}"] if since else []),
                *(["--galera-info"] if _variable(connection, "wsrep_on") in ("1", "ON") else []),
            ]  # fmt: skip
            programs.run(command, log=log, look=lambda: progress(_("copying"), folder_bytes(folder), total))
        end = _checkpoints(folder).get("to_lsn", "")
        if not end.isdigit():
            raise BackupError("mariadb-backup left no log sequence number; the backup cannot be used")
        if _files(connection) != files:
            raise BackupError(
                gettext_lazy("another server took over while the backup was made; the next one is made anew")
            )
        names = int(_variable(connection, "lower_case_table_names"))
        folder.joinpath(FACTS).write_text(f"lower_case_table_names={names}\n", encoding="utf-8")
        progress(_("copying"), folder_bytes(folder), None)
        facts = {"version": _variable(connection, "version"), "from": since or "0", "server": _place(connection)}
        return Taken(position=f"{files}:{end}", facts=facts)

    def _account(self) -> str:
        options = self.account.get("OPTIONS") or {}
        host = str(self.account.get("HOST") or "")
        place = {
            "user": self.account.get("USER"),
            "password": self.account.get("PASSWORD"),
            "port": self.account.get("PORT"),
            "socket": options.get("unix_socket") or (host if host.startswith("/") else None),
            "host": None if host.startswith("/") else host,
        }
        lines = [f"{name}={_quoted(str(value))}" for name, value in place.items() if value]
        return "\n".join(["[mariadb-backup]", *lines, ""])

    def _program(self, connection: BaseDatabaseWrapper | None = None) -> Path:
        return self.programs.find("mariadb-backup", "mariabackup", package=PACKAGE, also=_server_folders(connection))

    def _server(self, connection: BaseDatabaseWrapper | None = None) -> Path:
        """The server's program: to restore, one must be here."""
        return self.programs.find("mariadbd", "mysqld", package=SERVER_PACKAGE, also=_server_folders(connection))

    # --- restoring ----------------------------------------------------------------------------------------------------

    def restorable(self) -> None:
        self._program()
        self._server()

    def begin(self, target: Path, *, progress: Progress) -> None:
        self._prepare(target, None, progress)

    def apply(self, target: Path, increment: Path, *, progress: Progress) -> None:
        facts = increment / FACTS
        if facts.exists():
            facts.replace(target / FACTS)
        self._prepare(target, increment, progress)

    def _prepare(self, target: Path, increment: Path | None, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(prefix="naru-backup-") as private:
            command: list[str | Path] = [
                self._program(), "--no-defaults", "--prepare", f"--target-dir={target}",
                f"--open-files-limit={OPEN_FILES}", f"--tmpdir={private}",
                *([f"--incremental-dir={increment}"] if increment else []),
            ]  # fmt: skip
            programs.run(command, log=Path(private, "log"), look=lambda: progress(_("preparing")))

    def finish(self, target: Path, *, progress: Progress) -> None:
        if not any((target / name).exists() for name in CHECKPOINTS):
            raise BackupError(f"{target} is no prepared backup")

    @contextmanager
    def opened(self, target: Path) -> Iterator[dict[str, Any]]:
        program = self._server()
        base = program.parents[1]
        # Its own folder: a socket's path has at most 107 bytes. Only we can enter it, so no password is needed.
        with tempfile.TemporaryDirectory(prefix="naru-my-") as private:
            place, log = Path(private, "s"), Path(private, "log")
            command = [
                str(program), "--no-defaults", f"--basedir={base}", f"--datadir={target}", f"--socket={place}",
                f"--pid-file={private}/pid", f"--tmpdir={private}", "--skip-networking", "--skip-grant-tables",
                "--skip-log-bin", "--skip-slave-start", "--performance-schema=OFF", "--default-time-zone=+00:00",
                "--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=0",
                f"--plugin-dir={base}/lib/mysql/plugin", *_texts(base), *_told(target),
                *(["--user=root"] if os.geteuid() == 0 else []),
            ]  # fmt: skip
            with log.open("ab") as output:
                process = subprocess.Popen(
                    programs.as_child(command), env=programs.environment(program), stdin=subprocess.DEVNULL,
                    stdout=output, stderr=output, cwd=private,
                )  # fmt: skip
            try:
                programs.wait(lambda: _listens(place), process, seconds=START_S, log=log)
                options = {
                    "charset": "utf8mb4",
                    "isolation_level": "read committed",
                    "init_command": "SET time_zone='+00:00'",
                    "read_timeout": 86_400,
                }
                yield {"ENGINE": "django.db.backends.mysql", "HOST": str(place), "USER": "root", "OPTIONS": options}
            finally:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def examine(self, connection: BaseDatabaseWrapper) -> list[str]:
        wrong = []
        for table in connection.introspection.table_names():
            for name, _operation, kind, text in _query(connection, f"CHECK TABLE {connection.ops.quote_name(table)}"):
                if kind == "error" or (kind == "status" and text not in ("OK", "Table is already up to date")):
                    wrong.append(f"{name}: {text}")
        return wrong

    def advice(self, target: Path) -> str:
        return _(
            "1. stop MariaDB and move its old data folder aside\n"
            "2. put {target} in its place; chown -R mysql:mysql\n"
            "3. start MariaDB, then manage.py migrate --check\n"
            "4. start Naru: terminals send again what the restored ledger lacks (24 h)"
        ).format(target=target)


def _query(connection: BaseDatabaseWrapper, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _variable(connection: BaseDatabaseWrapper, name: str) -> str:
    rows = _query(connection, f"SHOW GLOBAL VARIABLES LIKE '{name}'")
    return str(rows[0][1]) if rows else ""


def _place(connection: BaseDatabaseWrapper) -> str:
    """Which server it is, for a person: its host and port, and its name in a cluster."""
    names = ("hostname", "port", "wsrep_node_name")
    return " ".join(filter(None, (_variable(connection, name) for name in names)))


def _files(connection: BaseDatabaseWrapper) -> str:
    """Which files a log sequence number is of. Each node of a cluster counts for itself, and one that was given the
    files of another (a state transfer, a restored backup) goes on from that one's numbers: so it is the server and
    when its first file came into being, as far as the file system knows."""
    home = Path(_variable(connection, "innodb_data_home_dir") or _variable(connection, "datadir"))
    first = home / (_variable(connection, "innodb_data_file_path").partition(":")[0] or "ibdata1")
    found = subprocess.run(
        ["stat", "--format=%i %W", first], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    if found.returncode:
        raise BackupError(gettext_lazy("{first} cannot be looked at: {error}"), first=first, error=found.stderr.strip())
    told = (_variable(connection, "server_uid"), _place(connection), found.stdout.strip())
    return hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]


def _log_bytes(connection: BaseDatabaseWrapper) -> int:
    """The redo log, of which a backup has only the end."""
    text = _variable(connection, "innodb_log_file_size")
    return int(text) if text.isdigit() else 0


def _server_folders(connection: BaseDatabaseWrapper | None) -> list[str]:
    """Where the running server's own programs are."""
    base = _variable(connection, "basedir") if connection is not None else ""
    return [f"{base.rstrip('/')}/{name}" for name in ("bin", "sbin")] if base else []


def _checkpoints(folder: Path) -> dict[str, str]:
    for name in CHECKPOINTS:
        if (folder / name).exists():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    return {}


def _told(target: Path) -> list[str]:
    """Options that the restored files ask for."""
    found: dict[str, str] = {}
    for name in ("backup-my.cnf", FACTS):
        if (target / name).exists():
            found |= dict(re.findall(r"^([a-z_]+)=(.*)$", (target / name).read_text(encoding="utf-8"), re.MULTILINE))
    return [f"--{name}={found[name]}" for name in (*_KEPT, "lower_case_table_names") if name in found]


def _texts(base: Path) -> list[str]:
    """Where messages and character sets lie: since 11.0 in a folder of another name."""
    for folder in (base / "share/mariadb", base / "share/mysql"):
        if (folder / "english/errmsg.sys").exists():
            return [f"--lc-messages-dir={folder}", f"--character-sets-dir={folder}/charsets"]
    return []


def _listens(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(place))
        except OSError:
            return False
        return bool(probe.recv(1))  # the server greets first


def _quoted(value: str) -> str:
    """A value of an option file."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
