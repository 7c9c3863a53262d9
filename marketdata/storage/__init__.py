"""The one place that names a database. `storage()` gives the backend of the configured one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from marketdata.storage.base import NotWholeError, Storage, StorageBusyError, StorageError, TickKey

# By Django's name of the database; imported when it is asked for, so that nobody waits for the other two's drivers.
BACKENDS = {
    "sqlite": "marketdata.storage.sqlite.ticks.SQLite",
    "mysql": "marketdata.storage.mariadb.ticks.MariaDB",
    "postgresql": "marketdata.storage.postgresql.ticks.PostgreSQL",
}

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


def __getattr__(name: str) -> Any:
    """The names of `marketdata.storage.base`, which needs numpy: Django imports this package with its engines
    for each command, and most commands calculate nothing. AttributeError for any other name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from marketdata.storage import base

    return getattr(base, name)


def storage_of(connection: BaseDatabaseWrapper) -> Storage:
    """The backend for a Django connection; StorageError for a database Naru does not know."""
    if connection.vendor not in BACKENDS:
        from marketdata.storage.base import StorageError

        known = ", ".join(sorted(BACKENDS))
        raise StorageError(
            f"database {connection.vendor!r} has no storage backend; DATABASE_URL may name one of: {known}"
        )
    backend: type[Storage] = import_string(BACKENDS[connection.vendor])
    return backend(connection)


def storage(alias: str = "default") -> Storage:
    """The backend of the database called `alias`, on this thread's connection."""
    return storage_of(connections[alias])
