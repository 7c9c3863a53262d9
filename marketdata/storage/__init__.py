"""The one place that names a database. `storage()` gives the backend of the configured one."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage.base import NotWholeError, Storage, StorageBusyError, StorageError, TickKey
from marketdata.storage.mariadb import MariaDB
from marketdata.storage.postgresql import PostgreSQL
from marketdata.storage.sqlite import SQLite

BACKENDS: dict[str, type[Storage]] = {"sqlite": SQLite, "mysql": MariaDB, "postgresql": PostgreSQL}

__all__ = [
    "BACKENDS",
    "NotWholeError",
    "Storage",
    "StorageBusyError",
    "StorageError",
    "TickKey",
    "storage",
    "storage_of",
]


def storage_of(connection: BaseDatabaseWrapper) -> Storage:
    """The backend for a Django connection; StorageError for a database Naru does not know."""
    try:
        return BACKENDS[connection.vendor](connection)
    except KeyError:
        known = ", ".join(sorted(BACKENDS))
        raise StorageError(
            f"database {connection.vendor!r} has no storage backend; DATABASE_URL may name one of: {known}"
        ) from None


def storage(alias: str = "default") -> Storage:
    """The backend of the database called `alias`, on this thread's connection."""
    return storage_of(connections[alias])
