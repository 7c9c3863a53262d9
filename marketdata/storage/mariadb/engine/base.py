"""Django's backend for MariaDB, with transactions that take two round trips less.

Django leaves autocommit for each transaction and comes back to it behind the COMMIT, a statement each. BEGIN does both,
as Django itself does it on SQLite.
"""

from __future__ import annotations

from django.db.backends.mysql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that stays in autocommit, but for what lies between BEGIN and the end of a transaction."""

    def _start_transaction_under_autocommit(self) -> None:
        with self.cursor() as cursor:
            cursor.execute("BEGIN")

    def _set_autocommit(self, autocommit: bool) -> None:
        if self.connection.get_autocommit() != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs lack it
