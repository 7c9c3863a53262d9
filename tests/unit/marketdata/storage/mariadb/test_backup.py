"""What is asked of a MariaDB before a backup is taken, and how an account is written down."""

import re
from contextlib import contextmanager
from typing import Any

import pytest

from marketdata.storage.backups import BackupError, Programs
from marketdata.storage.mariadb.backup import MariaDBBackup


class FakeServer:
    """Answers SHOW GLOBAL VARIABLES, as Django's connection does."""

    def __init__(self, **variables: str) -> None:
        self.variables = variables
        self.settings_dict = {"NAME": "naru"}

    @contextmanager
    def cursor(self):
        yield self

    def execute(self, sql: str) -> None:
        name = re.findall(r"'(.*)'", sql)[0]
        self.rows = [(name, self.variables[name])] if name in self.variables else []

    def fetchall(self) -> list[tuple[str, str]]:
        return self.rows


def server(**variables: str) -> Any:
    """A connection to a server with these variables."""
    return FakeServer(**variables)


def backup(tmp_path, **account: Any) -> MariaDBBackup:
    for name in ("mariadb-backup", "mariadbd"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return MariaDBBackup(Programs([tmp_path]), account)


def test_a_server_on_another_machine_is_told_apart(tmp_path):
    with pytest.raises(BackupError, match="has to run on the database's own host"):
        backup(tmp_path).ready(server(datadir="/nowhere/mysql/"))


def test_a_server_on_this_machine_will_do(tmp_path):
    (tmp_path / "data/naru").mkdir(parents=True)

    backup(tmp_path).ready(server(datadir=f"{tmp_path}/data/"))


def test_nothing_follows_a_position_that_the_server_has_not_reached(tmp_path):
    there = server(Innodb_lsn_current="99")

    assert backup(tmp_path).blocking_reason(there, "99") == ""
    assert "behind" in backup(tmp_path).blocking_reason(there, "100")
    assert "no log sequence number" in backup(tmp_path).blocking_reason(there, "")


def test_an_account_is_quoted_as_an_option_file_wants_it(tmp_path):
    written = backup(tmp_path, USER="naru", PASSWORD='a"b\\c#;', HOST="127.0.0.1", PORT="3306")._account()

    assert written.splitlines() == [
        "[mariadb-backup]",
        'user="naru"',
        'password="a\\"b\\\\c#;"',
        'port="3306"',
        'host="127.0.0.1"',
    ]


def test_a_host_that_is_a_path_is_a_socket(tmp_path):
    assert 'socket="/run/mysqld/mysqld.sock"' in backup(tmp_path, HOST="/run/mysqld/mysqld.sock")._account()
