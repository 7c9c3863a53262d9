"""What is missing, as a batch: dropped by a terminal, lost on the way to it, or found out by a source."""

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terminals.wire import limits, numbers, packing
from terminals.wire.batch_header import BatchError, BatchHeader, Buffer, Encoding, check_rows, pack_header
from terminals.wire.events import EPOCH_DATE, date_text

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Gap:
    """`rows` rows (0: nobody knows how many) are missing from `from_us` to `to_us`, both included. `symbol`: of this
    one only, else of the feed. `missing`: this volume, in 1e-6. `trade_date`: days since 1970-01-01."""

    from_us: int
    to_us: int
    rows: int = 0
    reason: str = ""
    symbol: str | None = None
    missing: int | None = None
    trade_date: int | None = None


def encode_gap(seq: int, feed: str, captured_us: int, from_us: int, to_us: int, rows: int, reason: str) -> bytes:
    """A batch that says how many rows were dropped, and between which event times."""
    return encode_gaps(seq, feed, captured_us, [Gap(from_us, to_us, rows, reason)])


def encode_gaps(seq: int, feed: str, captured_us: int, gaps: Sequence[Gap]) -> bytes:
    """A batch of one or more gaps; BatchError if one of them says nothing. A single one is written as servers of any
    version read it."""
    contents = [gap_content(one) for one in gaps]
    content: object = contents[0] if len(contents) == 1 else contents
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    payload = pack_header(seq, Encoding.GAP, feed, 0, captured_us) + body
    for one in contents:
        _gap(one)
    return payload


def parse_gaps(payload: Buffer, header: BatchHeader) -> list[Gap]:
    """The gaps a terminal reports. BatchError if they say none."""
    try:
        content: Any = json.loads(bytes(payload[header.body_offset :]).decode("utf-8"), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise BatchError("bad_batch", f"the gap is no JSON: {str(error)[:200]}") from None
    contents = content if type(content) is list else [content]
    if header.rows != 0 or not contents:
        raise BatchError("bad_batch", "a gap is one JSON object or an array of them, and its header says 0 rows")
    check_rows(len(contents), limits.BATCH_GAPS)
    return [_gap(one) for one in contents]


def gap_content(gap: Gap) -> dict[str, object]:
    """The JSON object of a gap; BatchError if its trading date is none."""
    content: dict[str, object] = {
        "from_us": gap.from_us, "to_us": gap.to_us, "rows": gap.rows, "reason": gap.reason
    }  # fmt: skip
    if gap.symbol is not None:
        content["symbol"] = gap.symbol
    if gap.missing is not None:
        content["missing"] = numbers.write(gap.missing, limits.SIZE_SCALE)
    if gap.trade_date is not None:
        content["trade_date"] = date_text(gap.trade_date)
    return content


def gap_of(content: object) -> Gap | None:
    """The gap that a JSON object tells of; None if it is none."""
    try:
        return _gap(content)
    except BatchError:
        return None


def _gap(content: Any) -> Gap:
    if not isinstance(content, dict):
        raise BatchError("bad_batch", "a gap is a JSON object")
    values: list[Any] = [content.get(name) for name in ("from_us", "to_us", "rows", "reason")]
    from_us, to_us, rows, reason = values
    if any(type(one) is not int or not -(2**63) < one < 2**63 for one in values[:3]) or type(reason) is not str:
        raise BatchError("bad_batch", "a gap has integers from_us, to_us, rows and a text reason")
    if rows < 0 or from_us > to_us or not 1 <= len(reason) <= 200:
        raise BatchError("bad_batch", "a gap has rows >= 0, from_us <= to_us and a reason of 1 to 200 characters")
    symbol, missing, date = (content.get(name) for name in ("symbol", "missing", "trade_date"))
    if symbol is not None:
        packing.check_symbol(symbol)
    return Gap(
        from_us,
        to_us,
        rows,
        reason.encode("utf-8", "replace").decode(),
        symbol,
        None if missing is None else _missing(missing),
        None if date is None else _days(date),
    )


def _missing(value: object) -> int:
    try:
        if type(value) not in (int, str):
            raise ValueError(value)
        volume, _noisy = numbers.read(str(value), limits.SIZE_SCALE)
    except ValueError:
        volume = -1
    if volume < 0:
        raise BatchError("bad_batch", f"missing is a volume of at most {limits.SIZE_SCALE} decimal places")
    return volume


def _days(date: object) -> int:
    try:
        if type(date) is not str or not _DATE.fullmatch(date):
            raise ValueError(date)
        return (datetime.date.fromisoformat(date) - EPOCH_DATE).days
    except ValueError:
        raise BatchError("bad_batch", "trade_date is YYYY-MM-DD") from None
