"""Ends a worker's pool process at the worst moments of its transaction, where a blow from outside rarely falls, and
delivers messages twice, as a broker may.

Workers of the drill import it (`celery -I`); FAULTS names a file and how seldom a point strikes.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.signals import task_prerun
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from kombu.exceptions import OperationalError

FAULTS = "NARU_DRILL_FAULTS"
AFTER = {"ingest_batch": "after the claim", "LOAD DATA": "after the ticks", "market_data_minute": "after the candles"}
TASK = "ingest.tasks.process_batches"
TWICE, ONCE_IN = "delivered twice", 40
BEFORE_COMMIT, AFTER_COMMIT = "before the commit", "after the commit"


def point(sql: str) -> str | None:
    """Which point of a worker's transaction a statement that writes ends at."""
    if not sql.lstrip().startswith(("INSERT", "LOAD")):
        return None
    return next((name for words, name in AFTER.items() if words in sql[:80]), None)


def counted(file: Path) -> dict[str, int]:
    """How often each point struck."""
    told = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return {name: told.count(name) for name in sorted(set(told))}


class Faults:
    """Strikes by chance; `end` is what a strike does."""

    def __init__(self, file: Path, seldom: int, *, end: Callable[[], None], chance: random.Random) -> None:
        self._file, self._seldom, self._end, self._chance = file, seldom, end, chance
        self._wrote = False

    def at(self, name: str) -> None:
        """Perhaps the end."""
        if self._chance.randrange(self._seldom) == 0:
            with self._file.open("a", encoding="ascii") as file:
                file.write(name + "\n")
            self._end()

    def execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Around each statement: Django's execute_wrapper."""
        result = execute(sql, params, many, context)
        if (name := point(sql)) is not None:
            self._wrote = True
            self.at(name)
        return result

    def commit(self, commit: Callable[[], None]) -> None:
        """Around each commit of a transaction that wrote what counts."""
        wrote, self._wrote = self._wrote, False
        if wrote:
            self.at(BEFORE_COMMIT)
        commit()
        if wrote:
            self.at(AFTER_COMMIT)


def deliver_twice(sender: Any, kwargs: dict[str, Any], **_: object) -> None:
    """One message in forty is sent again while it is being processed, so that two workers may have it at once."""
    if sender.name != TASK or random.SystemRandom().randrange(ONCE_IN):
        return
    with suppress(OperationalError):  # the broker is away just now
        sender.apply_async(kwargs=kwargs)
        with Path(os.environ[FAULTS].rsplit(":", 1)[0]).open("a", encoding="ascii") as file:
            file.write(TWICE + "\n")


def install(sender: object, connection: BaseDatabaseWrapper, **_: object) -> None:
    """A new connection to the database gets the faults, once however often it reconnects."""
    if getattr(connection, "faults", None) is not None:
        return
    file, seldom = os.environ[FAULTS].rsplit(":", 1)
    # A process that was forked must not repeat the chances of its sister.
    faults = Faults(Path(file), int(seldom), end=_die, chance=random.Random(os.urandom(8)))
    commit = connection._commit  # type: ignore[attr-defined]
    connection.faults = faults  # type: ignore[attr-defined]
    connection.execute_wrappers.append(faults.execute)
    connection._commit = lambda: faults.commit(commit)  # type: ignore[attr-defined]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get(FAULTS):
    connection_created.connect(install)
    task_prerun.connect(deliver_twice)
