"""Control frames as values: one frozen dataclass each, strict about types, deaf to fields of a later version."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Final, NoReturn, get_type_hints

from terminals.wire import checksums, frames, limits
from terminals.wire.answer_codes import ErrorCode

Ranges = Sequence[tuple[int, int]]
"""[first, last] pairs of batch numbers, both included."""

_Check = Callable[[Any], Any]


class MessageError(Exception):
    """A control frame that says nothing we understand; `code` is what goes into ERROR."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: ErrorCode = code
        self.message = message


def _whole(low: int = 0) -> _Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value < 2**63:
            raise ValueError(f"must be an integer from {low}")
        return value

    return check


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError("must be a number of seconds")
    return value  # type: ignore[no-any-return]  # narrowed by the exact type test above


def _matching(pattern: str, wanted: str) -> _Check:
    whole = re.compile(pattern)

    def check(value: Any) -> str:
        if type(value) is not str or not whole.fullmatch(value):
            raise ValueError(f"must be {wanted}")
        return value

    return check


def _printable(most: int) -> _Check:
    def check(value: Any) -> str:
        if type(value) is not str or not 1 <= len(value) <= most or not value.isprintable():
            raise ValueError(f"must be 1 to {most} printable characters")
        return value

    return check


def _prose(value: Any) -> str:
    if type(value) is not str or len(value) > 1000:
        raise ValueError("must be text of at most 1000 characters")
    return value.encode("utf-8", "replace").decode()


def _nullable(check: _Check) -> _Check:
    return lambda value: None if value is None else check(value)


def _ranges(value: Any) -> Ranges:
    if type(value) is not list or len(value) > limits.RANGES:
        raise ValueError(f"must be a list of at most {limits.RANGES} pairs")
    pairs = []
    for pair in value:
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not int or type(pair[1]) is not int:
            raise ValueError("must be a list of [first, last] pairs")
        if not 1 <= pair[0] <= pair[1] < 2**63:
            raise ValueError("must have 1 <= first <= last in each pair")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _packed(value: Any) -> str:
    if type(value) is not str or len(value) > limits.AUDIT_BATCHES * 11:
        raise ValueError(f"must be the checksums of at most {limits.AUDIT_BATCHES} batches")
    checksums.unpack_checksums(value)
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


def _protocols(value: Any) -> Sequence[int]:
    if type(value) is not list or not 1 <= len(value) <= 16 or any(type(one) is not int for one in value):
        raise ValueError("must be a list of version numbers")
    return tuple(value)


def _named(check: _Check) -> _Check:
    def check_all(value: Any) -> Mapping[str, Any]:
        if type(value) is not dict or len(value) > 64 or any(len(name) > 64 for name in value):
            raise ValueError("must be an object of at most 64 named numbers")
        return {name: check(number) for name, number in value.items()}

    return check_all


# The types of the fields, each with the check that a received value has to pass.
_Hex256 = Annotated[str, _matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits")]
_Hex64 = Annotated[str, _matching("[0-9a-f]{16}", "16 lower-case hexadecimal digits")]
_Code = Annotated[str, _matching("[a-z0-9_]{1,64}", "1 to 64 of a-z, 0-9, _")]
_Word = Annotated[str, _matching("[A-Z0-9_]{1,16}", "1 to 16 of A-Z, 0-9, _")]
_MaybeWord = Annotated[str | None, _nullable(_matching("[A-Z0-9_]{1,16}", "null or 1 to 16 of A-Z, 0-9, _"))]
_Name = Annotated[str, _printable(64)]
_Line = Annotated[str, _printable(200)]
_Prose = Annotated[str, _prose]
_Count = Annotated[int, _whole()]
_Seq = Annotated[int, _whole(1)]
_Seconds = Annotated[float, _seconds]
_Ranges = Annotated[Ranges, _ranges]
_Packed = Annotated[str, _packed]
_Flag = Annotated[bool, _flag]
_Protocols = Annotated[Sequence[int], _protocols]
_Counts = Annotated[Mapping[str, int], _named(_whole())]
_Timers = Annotated[Mapping[str, float], _named(_seconds)]


class _Encodable:
    """Gives each message its `encode`; the field names are the JSON names, in their order. A field with a default came
    later than the others: it is left out where it says nothing, and may be missing."""

    __slots__ = ()
    type: ClassVar[frames.FrameType]

    def encode(self) -> bytes:
        """The whole frame."""
        content = {
            name: getattr(self, name)
            for name, _check, default in _CHECKS[self.type]
            if default is NO_DEFAULT or getattr(self, name) != default
        }
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return frames.encode(self.type, text.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Challenge(_Encodable):
    """Server: the first frame of a connection."""

    type: ClassVar[frames.FrameType] = frames.FrameType.CHALLENGE
    nonce: _Hex256
    protocol: _Protocols
    limits: _Counts
    timers: _Timers


@dataclass(frozen=True, slots=True)
class Hello(_Encodable):
    """Client: who it is, which spool it has, and the proof. An empty spool has last = first - 1. `compares`: it
    compares checksums, and begins a new epoch by itself where its spool and the ledger differ."""

    type: ClassVar[frames.FrameType] = frames.FrameType.HELLO
    client: _Name
    epoch: _Hex64
    nonce: _Hex256
    first: _Seq
    last: _Count
    source: _Word
    register_market: _MaybeWord
    agent: _Line
    time_us: _Count
    proof: _Hex256
    compares: _Flag = False


@dataclass(frozen=True, slots=True)
class Welcome(_Encodable):
    """Server: its own proof, and where to resume. `commit` is cumulative, `ranges` are committed above it.
    `audit_batches` is how many batches it compares by one AUDIT (0: it compares none), every `audit_s` seconds;
    `time_us` is its clock (0: a server of before)."""

    type: ClassVar[frames.FrameType] = frames.FrameType.WELCOME
    proof: _Hex256
    session: _Name
    commit: _Count
    ranges: _Ranges
    credit: _Count
    heartbeat_s: _Seconds
    dead_s: _Seconds
    audit_batches: _Count = 0
    audit_s: _Seconds = 0.0
    time_us: _Count = 0


@dataclass(frozen=True, slots=True)
class Ack(_Encodable):
    """Server: `recv` is flow only; what `commit` and `ranges` name is in the database."""

    type: ClassVar[frames.FrameType] = frames.FrameType.ACK
    recv: _Count
    commit: _Count
    ranges: _Ranges
    credit: _Count


@dataclass(frozen=True, slots=True)
class Reject(_Encodable):
    """Server: rows of a batch were refused (and kept with their reasons); the batch itself is settled."""

    type: ClassVar[frames.FrameType] = frames.FrameType.REJECT
    seq: _Seq
    code: _Code
    message: _Prose
    rows: _Count
    reasons: _Counts


@dataclass(frozen=True, slots=True)
class Heartbeat(_Encodable):
    """Either: still there. `last` is the last batch number sent (client) or received (server). When the server's
    `audit` changes, its database was away: everything kept is to be compared again. `dropped` is how many rows the
    client has dropped since it began, for want of room: the gaps that say which come behind what waits."""

    type: ClassVar[frames.FrameType] = frames.FrameType.HEARTBEAT
    time_us: _Count
    last: _Count
    audit: _Count = 0
    dropped: _Count = 0


@dataclass(frozen=True, slots=True)
class Audit(_Encodable):
    """Client: these batches are in my spool and I believe them committed; `rows` is their sum. `checksums` has one for
    each batch, in the order of the ranges (0: the bytes are damaged here). `closing`: what the ledger lacks is never
    to enter it under this epoch, for it is sent in the next one."""

    type: ClassVar[frames.FrameType] = frames.FrameType.AUDIT
    ranges: _Ranges
    rows: _Count
    checksums: _Packed = ""
    closing: _Flag = False


@dataclass(frozen=True, slots=True)
class Missing(_Encodable):
    """Server: of the audited batches these are not in the ledger, and `differs` are there with another checksum."""

    type: ClassVar[frames.FrameType] = frames.FrameType.MISSING
    ranges: _Ranges
    differs: _Ranges = ()


@dataclass(frozen=True, slots=True)
class GoAway(_Encodable):
    """Server: this session ends; `retry_after_s` is the earliest moment to come back."""

    type: ClassVar[frames.FrameType] = frames.FrameType.GOAWAY
    code: _Code
    message: _Prose
    retry_after_s: _Seconds


@dataclass(frozen=True, slots=True)
class Bye(_Encodable):
    """Either: an orderly end."""

    type: ClassVar[frames.FrameType] = frames.FrameType.BYE


@dataclass(frozen=True, slots=True)
class Error(_Encodable):
    """Server: what was wrong; it closes after this."""

    type: ClassVar[frames.FrameType] = frames.FrameType.ERROR
    code: _Code
    message: _Prose


Message = Challenge | Hello | Welcome | Ack | Reject | Heartbeat | Audit | Missing | GoAway | Bye | Error

_CLASSES: Final[dict[frames.FrameType, type[Any]]] = {
    one.type: one for one in (Challenge, Hello, Welcome, Ack, Reject, Heartbeat, Audit, Missing, GoAway, Bye, Error)
}


def _checks(cls: type[Any]) -> tuple[tuple[str, _Check, Any], ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple((one.name, hints[one.name].__metadata__[0], one.default) for one in fields(cls))


_CHECKS = {kind: _checks(cls) for kind, cls in _CLASSES.items()}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def decode(frame: frames.Frame) -> Message:
    """The message in a control frame. A missing field is an error unless it has a default, an unknown one is let pass.
    MessageError says what is wrong."""
    cls = _CLASSES.get(frame.type)
    if cls is None:
        raise MessageError("unexpected_frame", f"{frame.type.name} carries no control message")
    try:
        content = json.loads(frame.payload.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError("bad_json", f"{frame.type.name} is no JSON: {str(error)[:200]}") from None
    if type(content) is not dict:
        raise MessageError("bad_json", f"{frame.type.name} must be one JSON object")
    values = {}
    for name, check, default in _CHECKS[frame.type]:
        if name not in content:
            if default is not NO_DEFAULT:
                continue
            raise MessageError("bad_message", f"{frame.type.name} lacks the field {name}")
        try:
            values[name] = check(content[name])
        except ValueError as error:
            raise MessageError("bad_message", f"{frame.type.name}.{name} {error}") from None
    return cls(**values)  # type: ignore[no-any-return]  # one of Message by construction
