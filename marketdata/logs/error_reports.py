"""Errors told to Sentry, or to what speaks its protocol (SENTRY_DSN). By an allow-list: what happened, where in the
source, and the ids to find it in the log. No field of a line, no variable, no request, nobody's name; and in the text
of an error each number is 0, for it may be a price.

The SDK is used for its reports and its transport alone (a queue of 100 in a thread of its own, full: dropped): it is
not switched on for the process, so it hooks into nothing.
"""

from __future__ import annotations

import datetime
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from marketdata.logs import areas
from terminals.wire.redaction import Redaction

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
CLOSE_S = 2.0


class Reporter(logging.Handler):
    """Reports records of level ERROR and above."""

    def __init__(self, dsn: str, *, environment: str, version: str, secrets: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._dsn, self._environment, self._version = dsn, environment, version
        self._redact = Redaction(secrets)
        self._client: Client | None = None
        self._pid = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a report; one that cannot be made is told on stderr."""
        try:
            client = self._of_this_process()
            client.capture_event(self._event(record, client.options))
        except Exception:  # noqa: BLE001 - as each of logging's own handlers does: a line ends no work
            self.handleError(record)

    def close(self) -> None:
        """Send what is queued, for two seconds at most."""
        if self._client is not None and self._pid == os.getpid():
            self._client.close(timeout=CLOSE_S)
        self._client = None
        super().close()

    def _of_this_process(self) -> Client:
        """Made with the first error: by then a process that others are forked from has done that."""
        if self._client is None or self._pid != os.getpid():
            from sentry_sdk import Client  # not installed where SENTRY_DSN is not set

            self._pid = os.getpid()
            self._client = Client(
                self._dsn,
                environment=self._environment,
                release=f"naru@{self._version}",
                default_integrations=False,
                auto_session_tracking=False,
                send_client_reports=False,
                send_default_pii=False,
                include_local_variables=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                shutdown_timeout=CLOSE_S,
            )
        return self._client

    def _event(self, record: logging.LogRecord, options: dict[str, Any]) -> Event:
        tags = {
            "area": areas.area_of(record.name),
            "request_id": getattr(record, "request_id", ""),
            "task_id": getattr(record, "task_id", ""),
            "task": getattr(record, "task_name", ""),
            "trace": next(iter(getattr(record, "traces", ())), ""),
        }
        event: Event = {
            "level": "fatal" if record.levelno >= logging.CRITICAL else "error",
            "logger": record.name,
            "timestamp": datetime.datetime.fromtimestamp(record.created, datetime.UTC),
            "logentry": {"message": self._plain(str(record.msg))},  # without what is filled in
            "tags": {name: value for name, value in tags.items() if value},
        }
        if record.exc_info and record.exc_info[1] is not None:
            from sentry_sdk.utils import event_from_exception

            told, _ = event_from_exception(record.exc_info, client_options=options)
            event["exception"] = told["exception"]
            for one in event["exception"]["values"]:
                one["value"] = self._plain(str(one.get("value") or ""))
        return event

    def _plain(self, text: str) -> str:
        return _NUMBER.sub("0", self._redact(text))[:1024]
