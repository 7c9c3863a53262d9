"""Of the database itself: what is committed, what an error is to be blamed on, its settings, its clock, and whole
tables."""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.storage.tables import HISTORY, TEMP
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import SIZES


class StorageError(Exception):
    """The database did not do what was asked; the message says what to look at. A text of the catalogues
    (`gettext_lazy`) is filled in with `values`, and told in the language in which somebody reads it
    (`marketdata.models.texts`)."""

    def __init__(self, text: str | Promise = "", **values: object) -> None:
        super().__init__(format_lazy(cast(str, text), **values) if values else text)


class StorageBusyError(StorageError):
    """Somebody holds what was needed, and waiting longer would have held up the writers. Worth another try later."""


class NotWholeError(StorageError):
    """What was to be replaced has more in it than what would replace it; nothing was changed."""


class Blame(enum.Enum):
    """What an error in a transaction is to be blamed on. Only UNKNOWN can be the content of a batch, and it takes more
    than the error to say so: a transaction of the same shape that succeeds at the same time (`ingest.failures`)."""

    TRANSIENT = "transient"  # the same transaction may succeed at once: deadlock, lock wait, lost connection
    INFRASTRUCTURE = "infrastructure"  # the database would refuse whatever it was given: a flag, a right, a table, room
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A setting of the database that a promise rests on. `is_vital`: with it wrong, what was acknowledged may be lost
    or wrong; with others batches only wait, or something is slower."""

    name: str
    value: str
    wanted: str | Promise
    is_right: bool
    remedy: str | Promise
    is_vital: bool = True

    @classmethod
    def of(
        cls, found: Mapping[str, str], name: str, wanted: str | Promise, is_right: bool, remedy: Promise, *,
        is_vital: bool = True,
    ) -> Flag:  # fmt: skip
        """The setting `name` with the value that was found."""
        return cls(name=name, value=found[name], wanted=wanted, is_right=is_right, remedy=remedy, is_vital=is_vital)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherNode:
    """A node of the database's cluster that is not the one we are connected to: what it has set, or, in `trouble`, why
    it could not be asked."""

    address: str | Promise
    flags: tuple[Flag, ...] = ()
    trouble: str | Promise = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """How the database's server is doing, for who watches it; None where it has no such thing or does not tell."""

    connections: int | None = None
    connection_limit: int | None = None
    replicas: int | None = None
    replica_lag_s: float | None = None
    galera_ready: bool | None = None
    galera_primary: bool | None = None
    galera_nodes: int | None = None
    galera_queue: int | None = None
    galera_paused_s: float | None = None


REMEDY = _("the database's own log says more")
"""What to do about an error of which nothing better is known."""


class Database(abc.ABC):
    """One database, on one connection."""

    vendor: ClassVar[str]

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed when it ends, durably, or not at all."""
        with transaction.atomic(using=self.connection.alias, durable=not self.connection.in_atomic_block):
            yield

    def notice_silence(self) -> None:  # noqa: B027 - a file has no server to fall silent
        """Of a new connection: see that it fails when the server falls silent (settings_dict["SILENCE_S"], seconds)
        or its host is gone, whatever the client library would do."""

    @contextmanager
    def long_running(self) -> Iterator[None]:
        """For upkeep: inside, a question may take an hour where a worker's would be given up after seconds."""
        yield

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """All questions inside see one and the same moment."""

    @abc.abstractmethod
    def create_tables(self) -> None:
        """Make the tables that are not there, and give those of an older version the columns they lack."""

    @abc.abstractmethod
    def refine_sizes(self) -> None:
        """Give tables that were made when sizes had four decimal places those of now, with what is in them; does
        nothing where that is done. For a migration: nobody may write meanwhile. StorageError, with nothing changed, if
        a number does not fit any more."""

    @abc.abstractmethod
    def drop_tables(self) -> None:
        """Remove the tables and what is in them."""

    @abc.abstractmethod
    def blame(self, error: BaseException) -> Blame:
        """What to blame for an error of a transaction; UNKNOWN for whatever this database is not known to say of its
        own state."""

    def is_transient(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed when tried again: deadlock, lock wait, lost connection, node not
        ready."""
        return self.blame(error) is Blame.TRANSIENT

    def remedy(self, error: BaseException) -> str | Promise:
        """What an operator should do about an error, in a few words of the reader's language."""
        return REMEDY

    @abc.abstractmethod
    def flags(self) -> list[Flag]:
        """The settings of the server and of this session that the promises rest on, and whether they are right."""

    def other_nodes(self) -> list[OtherNode]:
        """The other nodes of a cluster in which each may be written to next; none where there is no cluster."""
        return []

    def server_state(self) -> ServerState:
        """How the server is doing; a file has none."""
        return ServerState()

    def state_though_refused(self, error: BaseException) -> ServerState:
        """What a server tells of itself that has refused a question with this error: a node of a cluster that has lost
        the others, or is not yet in step with them, answers nothing else."""
        return ServerState()

    def cipher(self) -> str:
        """What this session is encrypted by; empty if by nothing."""
        return ""

    def keep_events(self) -> str:
        """See that the database's own timed events exist and run on this node, and that the cache table has the engine
        of CACHE_ENGINE. What is wrong and what to do, or "" if nothing is; databases without events have no trouble."""
        return ""

    @abc.abstractmethod
    def clock_us(self) -> int:
        """The database's own clock, in microseconds UTC."""

    @property
    @abc.abstractmethod
    def clock_sql(self) -> str:
        """An expression that is `clock_us` inside a statement."""

    @abc.abstractmethod
    def count(self, table: str) -> int:
        """How many rows a table has, exactly."""

    @abc.abstractmethod
    def table_figures(self, table: str) -> dict[str, Figure]:
        """Count and checksum of any table's rows, over all columns: by trading date (ISO text) where it has one, else
        under "". Only comparable between databases of one vendor."""

    def execute_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Run statements that give no rows, each with its parameters, one after the other; a server gets them at once.
        The error of the first that fails; those behind it are not run."""
        with self.connection.cursor() as cursor:
            for sql, params in statements:
                cursor.execute(sql, params)

    @abc.abstractmethod
    def _moment(self, us: int) -> Any:
        """A time in microseconds as a parameter of a question."""

    @abc.abstractmethod
    def _day(self, days: int) -> Any:
        """A date in days since 1970 as a parameter of a question."""

    def _refuse_what_is_too_large(self, most: int | str) -> None:
        """For `refine_sizes`; `most` is what a size may be, in the table's own unit."""
        for table in (TEMP, HISTORY):
            places = " OR ".join(f"{name} >= {most} OR {name} <= -{most}" for name in SIZES)
            rows = self._query(f"SELECT symbol, feed, trade_date, tick_id FROM {table} WHERE {places} LIMIT 1")
            if rows:
                symbol, feed, date, tick_id = rows[0]
                raise StorageError(
                    _(
                        "{table}: a size or cumulative volume of 10^12 or more cannot have six decimal places "
                        "(symbol {symbol}, feed {feed}, trading date {date}, tick {tick_id}); nothing was "
                        "changed. Keep a backup, set such values to NULL, then migrate again."
                    ),
                    table=table,
                    symbol=symbol,
                    feed=feed,
                    date=date,
                    tick_id=tick_id,
                )

    def _query(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
