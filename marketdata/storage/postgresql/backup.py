"""PostgreSQL's backups: pg_basebackup, and in between the write-ahead log since the last one, which a replication slot
keeps; restored by replaying it, opened on a private server that listens on a socket alone."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.storage import programs
from marketdata.storage.backup import Backup, BackupError, BackupUnavailable, Progress, Taken, folder_bytes

SLOT, TAKING = "naru_backup", "naru_backup_taking"
"""SLOT keeps the log from the last stored backup on. TAKING is a copy: SLOT moves only once a backup is stored."""
WAL = "naru_wal"
FACTS = "naru_server"
PORT = "5432"
START_S, RECOVERY_S, STOP_S = 120.0, 6 * 3600.0, 120.0


class PostgreSQLBackup(Backup):
    """Of the whole cluster, its roles included; configuration that lies elsewhere is not in it."""

    vendor: ClassVar[str] = "postgresql"

    # --- taking -------------------------------------------------------------------------------------------------------

    def ready(self, connection: BaseDatabaseWrapper) -> None:
        major = _major(connection)
        for name in ("pg_basebackup", "pg_receivewal", "postgres"):
            self._program(name, major)
        _server_user()
        with self._as_account(connection) as account:
            for name, least in (("max_wal_senders", 3), ("max_replication_slots", 2)):
                if int(_one(account, f"SHOW {name}")) < least:
                    raise BackupError(
                        gettext_lazy("{name} must be at least {least} in postgresql.conf, for backups"),
                        name=name,
                        least=least,
                    )
            if _one(account, "SHOW wal_level") == "minimal":
                raise BackupError("wal_level=minimal: must be replica in postgresql.conf, for backups")
            if not _one(account, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user"):
                role = _one(account, "SELECT current_user")
                raise BackupError(
                    gettext_lazy(
                        "the role {role} may not take backups: ALTER ROLE {role} REPLICATION, or name another "
                        "in BACKUP_DATABASE_URL"
                    ),
                    role=role,
                )
            spaces = _one(account, "SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default','pg_global')")
            if spaces:
                raise BackupError(gettext_lazy("backups know no tablespaces beyond the default one"))

    def size(self, connection: BaseDatabaseWrapper) -> int:
        return int(_one(connection, "SELECT sum(pg_database_size(oid)) FROM pg_database WHERE datallowconn"))

    def excluded_tables(self, connection: BaseDatabaseWrapper) -> set[str]:
        rows = _query(connection, "SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'p')")
        return {name for (name,) in rows}

    def blocking_reason(self, connection: BaseDatabaseWrapper, position: str) -> str:
        try:
            system, timeline, at = position.split(":")
        except ValueError:
            return "the last backup has no position in the write-ahead log"
        with self._as_account(connection) as account:
            if _system(account) != system:
                return "it is another server than the last backup's"
            if _timeline(account) != timeline:
                return "the server was promoted since the last backup"
            found = _query(
                account,
                "SELECT wal_status, restart_lsn <= %s::pg_lsn, pg_current_wal_insert_lsn() >= %s::pg_lsn"
                " FROM pg_replication_slots WHERE slot_name = %s AND slot_type = 'physical'",
                [at, at, SLOT],
            )
        if not found:
            return f"the replication slot {SLOT} is not there"
        status, reaches_back, is_ahead = found[0]
        if status in ("lost", "unreserved") or not reaches_back:
            return f"the replication slot {SLOT} does not reach back to it any more"
        return "" if is_ahead else "the server is behind the last backup: it was restored from an older one"

    def take(self, connection: BaseDatabaseWrapper, folder: Path, *, since: str, progress: Progress) -> Taken:
        with self._as_account(connection) as account, self._variables() as variables:
            facts = {"version": _one(account, "SHOW server_version"), "from": since or "0"}
            if since:
                end = self._log_since(account, folder, variables, progress)
            else:
                end = self._base(account, folder, variables, progress)
            superuser = _one(
                account, "SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY rolname <> 'postgres' LIMIT 1"
            )
            (folder / FACTS).write_text(json.dumps({"superuser": superuser}), encoding="utf-8")
            return Taken(position=f"{_system(account)}:{_timeline(account)}:{end}", facts=facts)

    def _base(
        self, account: BaseDatabaseWrapper, folder: Path, variables: Mapping[str, str], progress: Progress
    ) -> str:
        total = self.size(account)
        _drop_slot(account, SLOT)
        _query(account, "SELECT pg_create_physical_replication_slot(%s, true)", [SLOT])
        program = self._program("pg_basebackup", _major(account))
        with tempfile.TemporaryDirectory(prefix="naru-backup-") as private:
            programs.run(
                [program, "--pgdata", folder, "--wal-method=stream", "--checkpoint=fast", "--no-password"],
                log=Path(private, "log"),
                variables=programs.environment(program, **variables),
                look=lambda: progress(_("copying"), folder_bytes(folder), total),
            )
        manifest = json.loads((folder / "backup_manifest").read_text(encoding="utf-8"))
        return str(manifest["WAL-Ranges"][-1]["End-LSN"])

    def _log_since(
        self, account: BaseDatabaseWrapper, folder: Path, variables: Mapping[str, str], progress: Progress
    ) -> str:
        program = self._program("pg_receivewal", _major(account))
        wal = folder / WAL
        wal.mkdir()
        _drop_slot(account, TAKING)
        _query(account, "SELECT pg_copy_physical_replication_slot(%s, %s)", [SLOT, TAKING])
        end = str(_one(account, "SELECT pg_current_wal_insert_lsn()"))
        # It ends when it sees something after `end`, so there has to be something.
        _query(account, "SELECT pg_logical_emit_message(true, 'naru', 'backup')")
        try:
            with tempfile.TemporaryDirectory(prefix="naru-backup-") as private:
                programs.run(
                    [
                        program, "--directory", wal, "--slot", TAKING, "--endpos", end, "--no-loop", "--no-password",
                        "--synchronous",
                    ],
                    log=Path(private, "log"),
                    variables=programs.environment(program, **variables),
                    look=lambda: progress(_("copying"), folder_bytes(folder)),
                )  # fmt: skip
        finally:
            with contextlib.suppress(DatabaseError):  # it may take the server a moment to see that nobody uses it
                _drop_slot(account, TAKING)
        return end

    def stored(self, connection: BaseDatabaseWrapper, position: str) -> None:
        with self._as_account(connection) as account:
            _query(account, "SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [SLOT, position.rsplit(":", 1)[-1]])

    @contextmanager
    def _as_account(self, connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
        """A connection like the given one, by the account that may take backups."""
        other = connection.copy()
        for name in ("HOST", "PORT", "USER", "PASSWORD"):
            if name in self.account:
                other.settings_dict[name] = self.account[name]
        try:
            yield other
        finally:
            other.close()

    @contextmanager
    def _variables(self) -> Iterator[dict[str, str]]:
        """What the programs read from their environment; the password is in a file that only we can read."""
        place = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER"}
        variables = {name: str(self.account[key]) for name, key in place.items() if self.account.get(key)}
        if mode := (self.account.get("OPTIONS") or {}).get("sslmode"):
            variables["PGSSLMODE"] = str(mode)
        with tempfile.TemporaryDirectory(prefix="naru-backup-") as private:
            if self.account.get("PASSWORD"):
                file = Path(private, "password")
                file.touch(mode=0o600)
                secret = re.sub(r"([\\:])", r"\\\1", str(self.account["PASSWORD"]))
                file.write_text(f"*:*:*:*:{secret}\n", encoding="utf-8")
                variables["PGPASSFILE"] = str(file)
            yield variables

    def _program(self, name: str, major: str) -> Path:
        return self.programs.find(name, package=f"postgresql-{major}", also=[f"/usr/lib/postgresql/{major}/bin"])

    # --- restoring ----------------------------------------------------------------------------------------------------

    def begin(self, target: Path, *, progress: Progress) -> None:
        if not (target / "PG_VERSION").is_file():
            raise BackupError(f"{target} is no PostgreSQL data folder")
        (target / WAL).mkdir()

    def apply(self, target: Path, increment: Path, *, progress: Progress) -> None:
        for path in sorted((increment / WAL).iterdir()):
            # The last file is not full; the next increment brings it whole.
            path.replace(target / WAL / path.name.removesuffix(".partial"))
        (increment / FACTS).replace(target / FACTS)

    def finish(self, target: Path, *, progress: Progress) -> None:
        (target / "recovery.signal").touch()
        _hand_over(target)
        with self._running(target, RECOVERY_S, lambda: progress(_("replaying the log"))):
            pass
        shutil.rmtree(target / WAL)

    @contextmanager
    def opened(self, target: Path) -> Iterator[dict[str, Any]]:
        facts = json.loads((target / FACTS).read_text(encoding="utf-8"))
        with self._running(target, START_S) as place:
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": str(place),
                "PORT": PORT,
                "USER": facts["superuser"],
            }

    @contextmanager
    def _running(self, target: Path, seconds: float, look: Any = None) -> Iterator[Path]:
        major = _major_of(target)
        program, isready = self._program("postgres", major), self._program("pg_isready", major)
        user = _server_user()
        # Its own folder: a socket's path has at most 107 bytes. Only we can enter it, so no password is needed.
        with tempfile.TemporaryDirectory(prefix="naru-pg-") as private:
            place, log = Path(private), Path(private, "log")
            (place / "hba").write_text("local all all trust\n", encoding="utf-8")
            (place / "ident").touch()
            (place / "conf").write_text(_configuration(place), encoding="utf-8")
            log.touch()
            _hand_over(place)
            _see_reachable(target, user)
            with log.open("ab") as output:
                process = subprocess.Popen(
                    programs.as_child(
                        [str(program), "-D", str(target), "-c", f"config_file={place / 'conf'}"], user=user
                    ),
                    env=programs.environment(program), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    cwd="/",
                )  # fmt: skip
            try:
                programs.wait(lambda: _answers(isready, place, look), process, seconds=seconds, log=log)
                yield place
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGQUIT)
                    process.wait(STOP_S)

    def examine(self, connection: BaseDatabaseWrapper) -> list[str]:
        try:
            _query(connection, "CREATE EXTENSION IF NOT EXISTS amcheck")
        except DatabaseError:  # not installed: every row has been read all the same
            return []
        wrong = []
        indexes = _query(
            connection,
            "SELECT c.oid, c.relname FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i"
            " ON i.indexrelid = c.oid WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid"
            " AND c.relpersistence = 'p'",
        )
        for oid, name in indexes:
            try:
                _query(connection, "SELECT bt_index_check(%s::oid::regclass, true)", [oid])
            except DatabaseError as error:
                wrong.append(f"{name}: {error}")
        tables = _query(connection, "SELECT oid, relname FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p'")
        for oid, name in tables:
            found = _query(connection, "SELECT blkno, offnum, msg FROM verify_heapam(%s::oid::regclass) LIMIT 3", [oid])
            wrong += [f"{name} ({block}, {row}): {text}" for block, row, text in found]
        return wrong

    def advice(self, target: Path) -> str:
        return _(
            "1. stop PostgreSQL and move its old data folder aside\n"
            "2. put {target} in its place; chown -R postgres:postgres\n"
            "3. start PostgreSQL, then manage.py migrate --check\n"
            "4. start Naru: terminals send again what the restored ledger lacks (24 h)"
        ).format(target=target)


def _major_of(target: Path) -> str:
    """The major version of a data folder."""
    return (target / "PG_VERSION").read_text(encoding="utf-8").strip()


def _configuration(place: Path) -> str:
    """Nothing of the original's own configuration: it may lie elsewhere, and want what is not here."""
    return f"""
listen_addresses = ''
port = {PORT}
unix_socket_directories = '{place}'
unix_socket_permissions = 0700
hba_file = '{place / "hba"}'
ident_file = '{place / "ident"}'
external_pid_file = ''
hot_standby = off
restore_command = 'test -f {WAL}/%f && cp {WAL}/%f %p'
recovery_target_timeline = 'current'
archive_mode = off
autovacuum = off
fsync = off
full_page_writes = off
max_wal_size = 4GB
shared_buffers = 256MB
max_connections = 20
timezone = 'UTC'
logging_collector = off
"""


def _answers(isready: Path, place: Path, look: Any) -> bool:
    if look is not None:
        look()
    done = subprocess.run(
        [isready, "--quiet", "--host", place, "--port", PORT],
        env=programs.environment(isready), stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def _server_user() -> int | None:
    """PostgreSQL refuses to run as root: as whom it runs then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise BackupUnavailable(gettext_lazy("PostgreSQL does not run as root, and there is no user postgres here"))


def _hand_over(folder: Path) -> None:
    """To the user that the server runs as, where we are root."""
    user = _server_user()
    if user is None:
        return
    group = pwd.getpwuid(user).pw_gid
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group, follow_symlinks=False)


def _see_reachable(folder: Path, user: int | None) -> None:
    if user is None:
        return
    command = programs.as_child(["test", "-e", str(folder / "PG_VERSION")], user=user)
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
        name = pwd.getpwuid(user).pw_name
        raise BackupUnavailable(
            gettext_lazy(
                "{folder} cannot be reached by the user {name}, as whom PostgreSQL runs: name a folder "
                "that can be in BACKUP_WORK_DIR, or run backups as that user"
            ),
            folder=folder,
            name=name,
        )


def _query(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params) if params else None)
        return list(cursor.fetchall()) if cursor.description else []


def _one(connection: BaseDatabaseWrapper, sql: str) -> Any:
    return _query(connection, sql)[0][0]


def _major(connection: BaseDatabaseWrapper) -> str:
    return str(int(_one(connection, "SHOW server_version_num")) // 10_000)


def _system(connection: BaseDatabaseWrapper) -> str:
    return str(_one(connection, "SELECT system_identifier FROM pg_control_system()"))


def _timeline(connection: BaseDatabaseWrapper) -> str:
    return str(_one(connection, "SELECT timeline_id FROM pg_control_checkpoint()"))


def _drop_slot(connection: BaseDatabaseWrapper, name: str) -> None:
    _query(
        connection,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active",
        [name],
    )
