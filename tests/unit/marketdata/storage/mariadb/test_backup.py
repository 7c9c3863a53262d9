"""What is asked of a MariaDB before a backup is taken, and how an account is written down."""

import re
from contextlib import contextmanager
from typing import Any

import pytest

from marketdata.backups.progress import silent
from marketdata.storage.backups import BackupError, Programs
from marketdata.storage.mariadb.backup import MariaDBBackup
from marketdata.storage.mariadb.backup import _files as files_of


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
    (tmp_path / "ibdata1").touch()
    there = server(Innodb_lsn_current="99", datadir=f"{tmp_path}/")
    files = files_of(there)

    assert backup(tmp_path).blocking_reason(there, f"{files}:99") == ""
    assert "behind" in backup(tmp_path).blocking_reason(there, f"{files}:100")
    assert "does not say which server" in backup(tmp_path).blocking_reason(there, "99")  # of a version before
    assert "does not say which server" in backup(tmp_path).blocking_reason(there, "")


def test_another_server_and_another_servers_files_are_told_apart(tmp_path):
    """A node of a cluster counts for itself, and may be given the files of another one, with its numbers."""
    for node in ("one", "two"):
        (tmp_path / node).mkdir()
        (tmp_path / node / "ibdata1").touch()
    facts = {"Innodb_lsn_current": "99", "hostname": "db", "port": "3306", "server_uid": "abc="}
    mine = server(datadir=f"{tmp_path}/one/", **facts)
    others = (
        server(datadir=f"{tmp_path}/two/", **facts),
        server(datadir=f"{tmp_path}/one/", **facts | {"server_uid": "def="}),
        server(datadir=f"{tmp_path}/one/", **facts | {"wsrep_node_name": "node2"}),
        server(innodb_data_home_dir=f"{tmp_path}/two/", innodb_data_file_path="ibdata1:12M:autoextend", **facts),
    )

    assert files_of(mine) == files_of(server(datadir=f"{tmp_path}/one/", **facts))
    for other in others:
        assert "another server" in backup(tmp_path).blocking_reason(other, f"{files_of(mine)}:99")
    with pytest.raises(BackupError, match="another server than the last"):
        backup(tmp_path).take(others[0], tmp_path, since=f"{files_of(mine)}:99", progress=silent)
    assert "cannot be looked at" in backup(tmp_path).blocking_reason(server(datadir="/nowhere/"), "abc:99")


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
