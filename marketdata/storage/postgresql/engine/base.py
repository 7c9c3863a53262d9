"""Django's backend for PostgreSQL, in which a transaction that was interrupted at its end is no part of the next."""

from __future__ import annotations

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that changes its mode only between transactions."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Go on with a new connection where an error that is not the database's (a task's time is up, memory is) came
        at the COMMIT or ROLLBACK: the mode cannot be changed inside of a transaction, and the next one would be a
        savepoint of it that nobody commits."""
        if self.connection.info.transaction_status != TransactionStatus.IDLE:
            self.close()
            self.ensure_connection()
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs lack it
