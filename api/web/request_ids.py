"""Which request a process is answering, and its id in every line that is logged meanwhile, which stays one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("request_id", default="")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}  # all but the tab
_CONTROLS |= {code: f"\\u{code:x}" for code in (0x2028, 0x2029)}


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Within this, lines are of this request."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


class Named(logging.Filter):
    """Lets every line pass, with ` request_id=…` for its end where a request is being answered. Django logs a refusal
    behind all middleware, and names the request in the record (django.utils.log.log_response)."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = getattr(getattr(record, "request", None), "request_id", "") or _current.get()
        record.of_request = f" request_id={request_id}" if request_id else ""
        return True


class OneLine(logging.Formatter):
    """A message never ends its line: strangers choose words of some, such as a path, and would write lines of their
    own. Tracebacks keep theirs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        return super().formatMessage(record).translate(_CONTROLS)
