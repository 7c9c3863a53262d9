"""How both sides write a log line: for people, or as JSON in the fields of the Elastic Common Schema (ECS).

A record may carry `traces` (batches that it is about), `task_id`, `task_name`, `request_id` and `batches` (their
numbers in the ledger); on the server a filter puts them there (`marketdata.logs.context`).
"""

import datetime
import json
import logging
import os
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

ECS: Final = "9.0.0"
"""The version of the schema whose names and types are used."""
OURS: Final = ("naru", "marketdata", "ingest", "analytics", "api", "fanout")
"""Whose messages are an event with fields: `joined client=%s commit=%d`."""
_FIELD_CHARACTERS: Final = 1024
_STACK_CHARACTERS: Final = 32_000
_TRACES_IN_A_LINE: Final = 8
TRACES: Final = 256
"""So many batches of one record are named in its JSON; a message to a worker has no more."""
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))} | {
    code: f"\\u{code:x}" for code in (0x2028, 0x2029)
}  # all but the tab
_PLACE: Final = re.compile(r"(?:(?P<key>[a-z][a-z0-9_]*)=)?%(?P<spec>[#0\-+ ]*\d*(?:\.\d+)?[a-zA-Z%])", re.ASCII)
_FIRST_FIELD: Final = re.compile(r"[a-z][a-z0-9_]*=|%|:", re.ASCII)

Redact = Callable[[str], str]


class PlainFormatter(logging.Formatter):
    """A line for people, which a message never ends: strangers choose words of some, such as a path, and would write
    lines of their own. Tracebacks keep theirs."""

    def __init__(self, format: str, *, redact: Redact) -> None:
        super().__init__(format)
        self._redact = redact

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        record.message = self._redact(record.message) + ids_in_words(record)
        return super().formatMessage(record).translate(_CONTROLS)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return self._redact(super().formatException(ei))


def ids_in_words(record: logging.LogRecord) -> str:
    """What the end of a line for people says of batches, task and request; of many batches the first eight."""
    traces, words = getattr(record, "traces", ()), ""
    if traces:
        left = len(traces) - _TRACES_IN_A_LINE
        words += " trace=" + ",".join(traces[:_TRACES_IN_A_LINE]) + (f",+{left}" if left > 0 else "")
    for name, word in (("task_id", "task"), ("request_id", "request_id")):
        if value := getattr(record, name, ""):
            words += f" {word}={value}"
    return words


class EcsFormatter(logging.Formatter):
    """A JSON object on one line. `service` are fields that are the same in all of them, by their dotted names;
    `dataset` tells the file that a logger's lines belong to."""

    def __init__(self, *, service: Mapping[str, str], redact: Redact, dataset: Callable[[str], str]) -> None:
        super().__init__()
        self._redact, self._dataset = redact, dataset
        self._same = {"ecs.version": ECS, "event.module": "naru", "host.hostname": socket.gethostname(), **service}

    def format(self, record: logging.LogRecord) -> str:
        """The record as ECS has it. `message` reads as the line for people does; of our own events `event.action` is
        what happened, always in the same words, and `labels` are its fields."""
        fields: dict[str, object] = {
            "@timestamp": _time(record.created),
            "event.id": uuid.uuid4().hex,
            "log.level": record.levelname.lower(),
            "message": self._redact(record.getMessage()),
            "log.logger": record.name,
            "event.dataset": self._dataset(record.name),
            **self._same,
            "process.pid": os.getpid(),
            "process.thread.name": record.threadName,
            "log.origin.file.name": record.filename,
            "log.origin.file.line": record.lineno,
            "log.origin.function": record.funcName,
            **_ids(record),
        }
        if record.name.partition(".")[0] in OURS and isinstance(record.msg, str):
            action, places = _template(record.msg)
            if action:
                fields["event.action"] = action
            if labels := self._labels(record, places):
                fields["labels"] = labels
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["error.type"] = type(error).__name__
            fields["error.message"] = self._redact(str(error))[:_FIELD_CHARACTERS]
            # The end of a long one says what happened.
            fields["error.stack_trace"] = self._redact(self.formatException(record.exc_info))[-_STACK_CHARACTERS:]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)

    def _labels(self, record: logging.LogRecord, places: tuple[tuple[str, str], ...]) -> dict[str, str]:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        if len(places) != len(args):
            return {}
        # Looked at with its name: `secret=…` is to be found.
        said = ((key, f"{key}={_as_text(spec, value)}") for (key, spec), value in zip(places, args, strict=True) if key)
        return {key: self._redact(text)[len(key) + 1 :][:_FIELD_CHARACTERS] for key, text in said}


def _as_text(spec: str, value: object) -> str:
    return str(value) if spec[-1] in "rsa" else ("%" + spec) % value


@lru_cache(maxsize=2048)
def _template(message: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What happened, in the words before the first field; and each place of a value, with its key if it has one."""
    found = _FIRST_FIELD.search(message)
    action = message[: found.start()] if found else message
    places = [(place["key"] or "", place["spec"]) for place in _PLACE.finditer(message) if place["spec"][-1] != "%"]
    return action.strip(" ,;(").lower()[:_FIELD_CHARACTERS], tuple(places)


def _ids(record: logging.LogRecord) -> dict[str, object]:
    """Of several batches `trace.id` is the first."""
    fields: dict[str, object] = {}
    if traces := getattr(record, "traces", ()):
        fields |= {"trace.id": traces[0], "naru.traces": list(traces[:TRACES])}
    if batches := getattr(record, "batches", ()):
        fields["naru.batches"] = list(batches[:TRACES])
    if task_id := getattr(record, "task_id", ""):
        fields |= {
            "transaction.id": task_id,
            "naru.task.id": task_id,
            "naru.task.name": getattr(record, "task_name", ""),
        }
    if request_id := getattr(record, "request_id", ""):
        fields["http.request.id"] = request_id
    return fields


def _time(seconds: float) -> str:
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
