"""Of whole trading dates: room for them, which are there, how one moves to the history and how one is dropped."""

from __future__ import annotations

import abc
import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketdata.storage.promises.database import Database
from marketdata.storage.tables import MINUTES, TEMP

Progress = Callable[[str], None]
"""Told now and then during long work, with a few words; may raise to end it between two steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A partition: the trading dates start <= date < end; None is no bound. `rows` is the database's own estimate."""

    table: str
    name: str
    start: datetime.date | None
    end: datetime.date | None
    rows: int
    bytes: int


class Days(Database):
    """The trading dates of each table."""

    @abc.abstractmethod
    def ensure_partitions(self, dates: Iterable[datetime.date], tables: Sequence[str] = (TEMP, MINUTES)) -> None:
        """Make room for these trading dates. Commits, so never inside `transaction()`; cheap when the room is there.
        A row without room is kept all the same, in a partition for whatever has none."""

    @abc.abstractmethod
    def partitions(self, table: str) -> list[Part]:
        """The partitions of a table that hold named periods, oldest first; [] where the database has none. The empty
        ranges between and the last one are left out."""

    def changes_hold_up_commits(self) -> bool:
        """Whether a change of a table, such as a partition made or dropped, holds up every commit of the database until
        it is done (on all nodes of a cluster). Elsewhere it tries for a moment at a time and lets others go first."""
        return False

    @abc.abstractmethod
    def default_partition_rows(self, table: str) -> int:
        """How many rows lie in partitions for what had no room (0 where there are no partitions)."""

    @abc.abstractmethod
    def dates(self, table: str) -> list[datetime.date]:
        """The trading dates of which a table has rows, oldest first. For TEMP that includes a day on its way."""

    @abc.abstractmethod
    def dates_within(self, table: str, start: datetime.date, end: datetime.date) -> list[datetime.date]:
        """The trading dates start <= date < end of which a table has rows, oldest first. Reads the period, save for a
        single day, of which one row is enough."""

    @abc.abstractmethod
    def ledger_dates(
        self, start: datetime.date, end: datetime.date, *, besides: Collection[datetime.date] = ()
    ) -> list[datetime.date]:
        """The trading dates start <= date < end of which a batch stored anything, oldest first, but for `besides`. As
        many look-ups in an index as there are other days from the first to the last, however many batches there are."""

    @abc.abstractmethod
    def drop_days(self, table: str, dates: Sequence[datetime.date], *, unless: Callable[[], bool] | None = None) -> int:
        """Remove these trading dates (for a table by month: the months that start then) by dropping their partitions,
        where there are none by deleting in pieces. Rows of other dates stay. Of TEMP only what is empty goes. What
        `unless` says yes to stays; it is asked when nobody can write to the table, by a connection that can read every
        other one. Returns how many partitions (or periods) went. Commits."""

    @abc.abstractmethod
    def move_day(self, date: datetime.date, *, progress: Progress, count: bool = True) -> int:
        """Move all of a trading date's ticks from TEMP to HISTORY and return how many TEMP had (without `count`, what
        is known of it without looking at every row).

        Whole if HISTORY has none of that date yet, else in pieces. May be killed at any moment and called again; a
        reader of `read_ticks` sees every row at every moment; a writer waits for no longer than a moment.
        StorageBusyError when the tables stay in use by others. Commits, so never inside `transaction()`.
        """

    def differences(self, periods: Mapping[str, tuple[datetime.date, datetime.date]]) -> list[str]:
        """What other copies of the database that serve beside this one (nodes of a cluster) hold otherwise of these
        tables: their partitions, and their rows of start <= date < end, by number and checksum. In words, by copy; []
        where there is no other. StorageError when one could not be asked. Reads whole days, so it is for upkeep."""
        return []
