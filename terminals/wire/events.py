"""Events of a market as JSON objects: a status, a VI, an index, a halt, whatever a source has to tell."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from terminals.wire import limits, packing
from terminals.wire.batch_header import BatchError, BatchHeader, Buffer, Encoding, pack_header
from terminals.wire.batches import parse_rows

EPOCH_DATE = datetime.date(1970, 1, 1)
_EVENT = re.compile(r"[a-z0-9_]{1,32}")
_FIELDS = frozenset({"time_us", "kind", "event", "symbol", "seq", "trade_date", "body"})


class Events:
    """Collects events, writes them as a JSON array."""

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """No further event may be added."""
        return len(self._rows) >= limits.BATCH_ROWS or self._bytes >= limits.FRAME_BYTES // 4

    def append(self, **row: Any) -> None:
        """One event: `event`, `time_us` and, if it has them, `symbol`, `seq`, `trade_date` (days since 1970-01-01) and
        `body`, a JSON object. BatchError if one of them can be none, or the body is too long or too deep."""
        if unknown := row.keys() - _FIELDS:
            raise BatchError("bad_batch", f"an event has no {', '.join(sorted(unknown))}")
        given = {name: value for name, value in row.items() if value is not None and name != "kind"}
        if not is_event(given.get("event")):
            raise BatchError("bad_batch", f"event {given.get('event')!r} must be 1 to 32 of a-z, 0-9, _")
        for name in ("time_us", "seq"):
            if name in given and not (type(given[name]) is int and -(2**63) < given[name] < 2**63):
                raise BatchError("bad_batch", f"{name} is an integer of 64 bits, not {given[name]!r}")
        if "symbol" in given:
            packing.check_symbol(given["symbol"])
        if "trade_date" in given:
            given["trade_date"] = date_text(given["trade_date"])
        check_body(given.setdefault("body", {}))
        if "time_us" in given:
            given["time"] = given.pop("time_us")
        text = json.dumps(given, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._rows.append(text)
        self._bytes += len(text.encode())

    def encode(self, seq: int, feed: str, captured_us: int) -> bytes:
        """The payload of the batch; BatchError if the feed can be none."""
        return _payload(seq, feed, captured_us, self._rows)


def encode_events(seq: int, feed: str, captured_us: int, rows: Sequence[object]) -> bytes:
    """A batch of JSON objects as they are, whether they are events or not; BatchError if the feed can be none."""
    return _payload(seq, feed, captured_us, [json.dumps(row, ensure_ascii=False) for row in rows])


def _payload(seq: int, feed: str, captured_us: int, rows: Sequence[str]) -> bytes:
    body = f"[{','.join(rows)}]".encode("utf-8", "backslashreplace")  # half a character stays JSON's escape
    return pack_header(seq, Encoding.EVENTS, feed, len(rows), captured_us) + body


def parse_events(payload: Buffer, header: BatchHeader) -> list[object]:
    """The JSON rows, each as `parse_rows` gives it, except that fractions are numbers: a body is kept as JSON has it.
    BatchError if the payload holds anything else."""
    return parse_rows(payload, header, number=float)


def is_event(word: object) -> bool:
    """Whether this may be the name of an event: 1 to 32 of a-z, 0-9, _."""
    return type(word) is str and _EVENT.fullmatch(word) is not None


def check_body(body: object) -> str:
    """What an event tells, as text; BatchError unless it is a JSON object of at most 4 KiB that every database takes:
    at most 16 levels deep (MariaDB takes 32), without NaN, infinities, NUL (PostgreSQL) and halves of characters."""
    if not isinstance(body, Mapping):
        raise BatchError("bad_batch", f"body must be a JSON object, not {type(body).__name__}")
    _check_values(body, limits.BODY_DEPTH)
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise BatchError("bad_batch", f"body is no JSON: {str(error)[:200]}") from None
    if size > limits.BODY_BYTES:
        raise BatchError("bad_batch", f"body has {size} bytes, at most {limits.BODY_BYTES}")
    return text


def date_text(days: object) -> str:
    """Days since 1970-01-01 as YYYY-MM-DD; BatchError if there is no such date."""
    try:
        return str(EPOCH_DATE + datetime.timedelta(days=days)) if type(days) is int else _no_date(days)
    except OverflowError:
        return _no_date(days)


def _no_date(days: object) -> str:
    raise BatchError("bad_batch", f"trade_date counts days since 1970-01-01, not {days!r}")


def _check_values(value: object, levels: int) -> None:
    """BatchError if there are more levels than that, a name is no text, or a text holds a NUL."""
    if isinstance(value, str) and "\0" in value:
        raise BatchError("bad_batch", "body holds a NUL")
    if not isinstance(value, Mapping | list | tuple):
        return
    if levels == 0:
        raise BatchError("bad_batch", f"body has more than {limits.BODY_DEPTH} levels")
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise BatchError("bad_batch", "the names in body are text")
        for name in value:
            _check_values(name, 0)
    for one in value.values() if isinstance(value, Mapping) else value:
        _check_values(one, levels - 1)
