"""Settings of MariaDB that the promises rest on: of a server, of our own session, of a node of a Galera cluster. Any
node may be written to next, so the same is asked of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketdata.storage.mariadb import cluster
from marketdata.storage.promises.database import Flag

_SERVER = (
    "version", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "sync_binlog", "local_infile",
    "max_allowed_packet", "read_only",
)  # fmt: skip
_MEMBER = ("wsrep_ignore_apply_errors", "wsrep_sst_method")
_SESSION = ("sql_mode", "time_zone", "tx_isolation", "innodb_strict_mode")


def of_server(query: cluster.Query) -> list[Flag]:
    """What a server has set for everybody; of a node of a cluster also what makes it one of Naru's."""
    is_member = cluster.is_member(query)
    found = _found(query, "global", (*_SERVER, *_MEMBER) if is_member else _SERVER)
    flag = partial(Flag.of, found)
    flags = [
        flag(
            "version", _("MariaDB 10.6 or newer"), _is_new_enough(found["version"]),
            _("install it: with older ones, and with MySQL, the tests do not run"), is_vital=False,
        ),
        flag(
            "innodb_flush_log_at_trx_commit", "1", found["innodb_flush_log_at_trx_commit"] == "1",
            _(
                "SET GLOBAL innodb_flush_log_at_trx_commit=1, and in docker/mariadb/naru.cnf's place:"
                " a commit must survive a power cut"
            ),
        ),
        flag(
            "innodb_doublewrite", "ON", found["innodb_doublewrite"].upper() not in ("0", "OFF"),
            _("innodb_doublewrite=ON in the server's configuration: a page torn by a power cut must be mendable"),
        ),
        flag(
            "sync_binlog", _("1 where log_bin is on"), not _is_on(found["log_bin"]) or found["sync_binlog"] == "1",
            _(
                "SET GLOBAL sync_binlog=1, and in docker/mariadb/naru.cnf's place:"
                " with the binary log on, a commit is only as durable as it"
            ),
        ),
        flag(
            "local_infile", "ON", _is_on(found["local_infile"]),
            _(
                "SET GLOBAL local_infile=ON, and in docker/mariadb/naru.cnf's place:"
                " without it no batch can be stored, and all wait"
            ),
            is_vital=False,
        ),
        flag(
            "read_only", "OFF", found["read_only"].upper() in ("0", "OFF"),
            _("SET GLOBAL read_only=OFF, or point DATABASE_URL at the writer"), is_vital=False,
        ),
        flag(
            "max_allowed_packet", _("16777216 or more"), int(found["max_allowed_packet"]) >= 16 << 20,
            _("SET GLOBAL max_allowed_packet=67108864, and in docker/mariadb/naru.cnf's place"), is_vital=False,
        ),
    ]  # fmt: skip
    if is_member:
        flags += [
            flag(
                "wsrep_ignore_apply_errors", "0", found["wsrep_ignore_apply_errors"] == "0",
                _(
                    "SET GLOBAL wsrep_ignore_apply_errors=0, and in its configuration (docker/mariadb/galera.cnf):"
                    " a node on which a change of a table failed would go on without it, and lose a day in silence"
                ),
            ),
            flag(
                "wsrep_sst_method", "mariabackup", found["wsrep_sst_method"] == "mariabackup",
                _(
                    "SET GLOBAL wsrep_sst_method=mariabackup, and in its configuration (docker/mariadb/galera.cnf):"
                    " with another one a node that gives a whole copy takes no writes meanwhile"
                ),
                is_vital=False,
            ),
        ]  # fmt: skip
    return flags


def of_session(query: cluster.Query) -> list[Flag]:
    """What our own session has."""
    found = _found(query, "session", _SESSION)
    flag = partial(Flag.of, found)
    ours = _("take it out of DATABASE_URL: Naru sets it itself")
    is_strict = any(mode in found["sql_mode"] for mode in ("STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"))
    return [
        flag("sql_mode", _("strict"), is_strict, ours),
        flag("time_zone", "+00:00", found["time_zone"] in ("+00:00", "UTC"), ours),
        flag("tx_isolation", "READ-COMMITTED", found["tx_isolation"] == "READ-COMMITTED", ours),
        flag(
            "innodb_strict_mode", "ON", _is_on(found["innodb_strict_mode"]),
            _("SET GLOBAL innodb_strict_mode=ON, and in docker/mariadb/naru.cnf's place"), is_vital=False,
        ),
    ]  # fmt: skip


def _found(query: cluster.Query, scope: str, names: Sequence[str]) -> dict[str, str]:
    values: tuple[Any, ...] = query(f"SELECT {', '.join(f'@@{scope}.{name}' for name in names)}")[0]
    return {name: str(value) for name, value in zip(names, values, strict=True)}


def _is_on(value: str) -> bool:
    return value.upper() in ("1", "ON", "TRUE")


def _is_new_enough(version: str) -> bool:
    numbers = [int(part) for part in version.partition("-")[0].split(".")[:2] if part.isdecimal()]
    return "mariadb" in version.lower() and numbers >= [10, 6]
