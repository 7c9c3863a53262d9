"""Django's backend for SQLite, in which a transaction that was interrupted at its end is no part of the next."""

from __future__ import annotations

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that takes back what is still open when it returns to autocommit."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Where an error that is not the database's (a task's time is up, memory is) came at the COMMIT or ROLLBACK,
        the transaction is open, and `sqlite3` commits it as the mode changes: half of the work, if it was to be taken
        back."""
        with self.wrap_database_errors:
            if self.connection.in_transaction:
                self.connection.rollback()
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs lack it
