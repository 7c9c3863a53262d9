"""What a client may say over the stream. Read by type: anything else is error 400 with the reason. What is wrong with
one channel of a request is told and voids nothing else of it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated

import msgspec

from marketdata.models.reference import SYMBOL_PATTERN

CHANNELS = (
    "trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "orderbooks", "cancelErrors", "stats",
    "alerts",
)  # fmt: skip
NOT_OFFERED = ("corrections", "imbalances", "news")
LISTED = (*CHANNELS, "corrections")
"""What a `subscription` lists: the clients of the dialect take each of them to be there."""
WITH_TRADES = ("cancelErrors",)
"""What comes with the trades of a symbol unasked. No trade is corrected: one is taken back, and another one comes."""
MOST_SNAPSHOTS = 200
"""Of how many symbols one request is told where they stand."""
MOST_NAMED = 5  # of what is wrong, in one error
_SYMBOL = re.compile(SYMBOL_PATTERN)


class RequestError(Exception):
    """A request that cannot be followed, with the dialect's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Auth(msgspec.Struct, tag_field="action", tag="auth", forbid_unknown_fields=True):
    key: str = ""
    secret: str = ""
    ticket: str = ""


class From(msgspec.Struct, forbid_unknown_fields=True):
    """Where a client wants to go on: after offset `o` of an epoch. Where Redis no longer has that, from `at` on, the
    time of a commit that a heartbeat told."""

    epoch: str
    o: int
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None


class _Channels(msgspec.Struct):
    trades: list[str] = []
    quotes: list[str] = []
    bars: list[str] = []
    updatedBars: list[str] = []  # noqa: N815 - the dialect's name
    dailyBars: list[str] = []  # noqa: N815
    statuses: list[str] = []
    lulds: list[str] = []
    corrections: list[str] = []
    cancelErrors: list[str] = []  # noqa: N815
    imbalances: list[str] = []
    orderbooks: list[str] = []
    stats: list[str] = []
    alerts: list[str] = []
    news: list[str] = []

    def lists(self) -> dict[str, list[str]]:
        """The codes of each channel that is offered, without those that cannot be codes."""
        return {name: [code for code in getattr(self, name) if _is_code(code)] for name in CHANNELS}

    def faults(self, fields: Iterable[str]) -> list[RequestError]:
        """What of it is not done: `fields` nobody knows, channels that are not offered, codes that are none."""
        found = []
        unknown = [name for name in fields if name not in _fields(type(self))]
        if unknown:
            named = ", ".join(name[:40] for name in unknown[:MOST_NAMED])
            found.append(RequestError(400, f"invalid syntax: unknown field {named}"))
        refused = [name for name in NOT_OFFERED if getattr(self, name)]
        if refused:
            found.append(RequestError(409, f"insufficient subscription: {', '.join(refused)} is not offered"))
        for name in CHANNELS:
            wrong = [code for code in getattr(self, name) if not _is_code(code)]
            if wrong:
                named = ", ".join(repr(code[:40]) for code in wrong[:MOST_NAMED])
                found.append(RequestError(400, f"invalid syntax: no symbol, and left out of {name}: {named}"))
        return found


def _is_code(code: str) -> bool:
    return code == "*" or _SYMBOL.fullmatch(code) is not None


class Subscribe(_Channels, tag_field="action", tag="subscribe"):
    """The opt-ins stay as they are when a later request does not name them; `snapshot` and `from` are of this one."""

    seq: bool | None = None
    forming: bool | None = None
    heartbeat: bool | None = None
    slow: str | None = None
    snapshot: bool = False
    from_: From | None = msgspec.field(default=None, name="from")

    def wants_snapshots_of(self) -> list[str]:
        """The symbols of which it wants to be told where they stand. RequestError 400 if they are too many."""
        if not self.snapshot:
            return []
        named = sorted({code for codes in self.lists().values() for code in codes} - {"*"})
        if len(named) > MOST_SNAPSHOTS:
            raise RequestError(400, f"invalid syntax: snapshots of at most {MOST_SNAPSHOTS} symbols in one request")
        return named


class Unsubscribe(_Channels, tag_field="action", tag="unsubscribe"):
    pass


Request = Auth | Subscribe | Unsubscribe
_json = msgspec.json.Decoder(Request)
_packed = msgspec.msgpack.Decoder(Request)
_json_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_packed_fields = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


@cache
def _fields(kind: type[_Channels]) -> frozenset[str]:
    return frozenset({"action", *(field.encode_name for field in msgspec.structs.fields(kind))})


def read(data: str | bytes, *, packed: bool) -> tuple[Request, list[RequestError]]:
    """A request from text (JSON) or bytes (MessagePack where the socket speaks it, otherwise JSON), and what of it is
    not done. RequestError when it is neither."""
    typed, fields = (_packed, _packed_fields) if packed and isinstance(data, bytes) else (_json, _json_fields)
    try:
        request: Request = typed.decode(data)  # type: ignore[arg-type]  # text goes to the decoder of JSON only
        if isinstance(request, Auth):
            return request, []
        return request, request.faults(fields.decode(data))  # type: ignore[arg-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"invalid syntax: {error}"[:300]) from error
