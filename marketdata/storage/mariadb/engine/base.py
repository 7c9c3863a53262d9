"""Django's backend for MariaDB, with transactions that take two round trips less.

Django leaves autocommit for each transaction and comes back to it behind the COMMIT, a statement each, the latter of
which also ends a transaction that is still open. BEGIN does both, as Django itself does it on SQLite; so that one which
was interrupted at its end is ended here. BEGIN is sent with or before the first statement of the transaction, and a
transaction without any is none.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.mysql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that stays in autocommit, but for what lies between BEGIN and the end of a transaction."""

    _begun = False
    """Whether a transaction was begun and neither COMMIT nor ROLLBACK came back since."""
    _unsent = False
    """Whether its BEGIN has yet to be sent."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._begun = self._unsent = False
        return super().get_new_connection(conn_params)

    def _close(self) -> None:
        self._begun = self._unsent = False  # the next connection owes no BEGIN
        super()._close()  # type: ignore[misc]  # the stubs lack it

    def _start_transaction_under_autocommit(self) -> None:
        self._end_what_is_open()
        self._begun = self._unsent = True

    def take_begin(self) -> bool:
        """Whether the statement that comes now is the first of a transaction; who asks sends BEGIN along with it."""
        unsent, self._unsent = self._unsent, False
        return unsent

    def _cursor(self, name: str | None = None) -> Any:
        if self.take_begin():
            with super()._cursor() as cursor:  # type: ignore[misc]  # the stubs lack it
                cursor.execute("BEGIN")
        return super()._cursor(name)  # type: ignore[misc]

    def _commit(self) -> None:
        if not self.take_begin():
            super()._commit()  # type: ignore[misc]
        self._begun = False

    def _rollback(self) -> None:
        if not self.take_begin():
            super()._rollback()  # type: ignore[misc]
        self._begun = False

    def _set_autocommit(self, autocommit: bool) -> None:
        self._end_what_is_open()
        if self.connection.get_autocommit() != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs lack it

    def _end_what_is_open(self) -> None:
        """Go on with a new connection where an error that is not the database's (a task's time is up, memory is) came
        at the begin or end of a transaction: the next BEGIN would commit what is left of it."""
        if self._begun:
            self.close()
            self.ensure_connection()
