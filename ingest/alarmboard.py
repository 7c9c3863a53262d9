"""What an ingest server finds wrong, until the database has it as alarms: a sick database may not even take an alarm.

Set on the event loop, written in a thread.
"""

from __future__ import annotations

import datetime
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils.functional import Promise

from marketdata import alarms, connections

log = logging.getLogger(__name__)

REPEAT_S = 10.0  # how often an alarm that stands is told again


@dataclass(slots=True)
class _Entry:
    message: str | Promise
    since: str = ""
    written: bool = False  # the database knows
    ended: bool = False  # nothing more will be said of it
    again_at: float = float("-inf")


@dataclass(slots=True)
class AlarmBoard:
    """The alarms of one server by (code, subject). What an earlier process left standing is cleared by the first
    `set` without a message."""

    _entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, code: str, message: str | Promise, *, subject: str = "") -> None:
        """There is this trouble; without a message: there is none."""
        with self._lock:
            entry = self._entries.get((code, subject))
            if entry is None or bool(entry.message) != bool(message):
                since = datetime.datetime.now(datetime.UTC).isoformat() if message else ""
                self._entries[code, subject] = _Entry(message, since)
            else:
                entry.message = message

    def end(self, code: str, *, subject: str) -> None:
        """The subject is gone, a client that left: what stands of it is cleared, and it is forgotten."""
        with self._lock:
            if (code, subject) in self._entries:
                self._entries[code, subject] = _Entry("", ended=True)

    def active(self) -> list[dict[str, Any]]:
        """What is wrong now, whether the database knows it or not."""
        with self._lock:
            return [
                {
                    "code": code,
                    "subject": subject,
                    "since": entry.since,
                    "message": alarms.english(entry.message),
                    "texts": alarms.translations(entry.message),
                }
                for (code, subject), entry in self._entries.items()
                if entry.message
            ]

    def pending(self, now: float) -> bool:
        """Whether there is anything to write."""
        with self._lock:
            return any(_is_due(entry, now) for entry in self._entries.values())

    def write(self, now: float) -> None:
        """Bring the database up to date; what it refuses is tried again a little later. In a thread."""
        connections.refresh()
        with self._lock:
            due = [(key, entry, entry.message) for key, entry in self._entries.items() if _is_due(entry, now)]
        for (code, subject), entry, message in due:
            try:
                if message:
                    alarms.raise_alarm(code, message, subject=subject)
                else:
                    alarms.resolve(code, subject=subject)
            except (DatabaseError, InterfaceError) as error:
                log.warning("alarm not written code=%s error=%s", code, type(error).__name__)
                return
            entry.written, entry.again_at = True, now + REPEAT_S
            with self._lock:
                if entry.ended and self._entries.get((code, subject)) is entry:
                    del self._entries[code, subject]


def _is_due(entry: _Entry, now: float) -> bool:
    return not entry.written or (bool(entry.message) and now >= entry.again_at)
