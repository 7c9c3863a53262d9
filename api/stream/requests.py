"""What a client may say over the stream. Read by type: anything else is error 400 with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from marketdata.models.reference import SYMBOL_PATTERN

CHANNELS = ("trades", "quotes", "bars", "updatedBars")
NOT_OFFERED = ("dailyBars", "statuses", "lulds", "corrections", "cancelErrors", "imbalances", "orderbooks", "news")
MOST_SYMBOLS = 5_000
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
    """Where a client wants to go on: after offset `o` of an epoch."""

    epoch: str
    o: int


class _Channels(msgspec.Struct, forbid_unknown_fields=True):
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
    news: list[str] = []

    def lists(self) -> Iterator[tuple[str, list[str]]]:
        """(channel, codes) of what is offered; RequestError for anything else."""
        refused = [name for name in NOT_OFFERED if getattr(self, name)]
        if refused:
            raise RequestError(409, f"insufficient subscription: {', '.join(refused)} is not offered")
        for name in CHANNELS:
            codes: list[str] = getattr(self, name)
            wrong = next((code for code in codes if code != "*" and not _SYMBOL.fullmatch(code)), None)
            if wrong is not None:
                raise RequestError(400, f"invalid syntax: {wrong[:40]!r} is no symbol")
            yield name, codes


class Subscribe(_Channels, tag_field="action", tag="subscribe", forbid_unknown_fields=True):
    """The opt-ins stay as they are when a later request does not name them."""

    seq: bool | None = None
    forming: bool | None = None
    heartbeat: bool | None = None
    slow: str | None = None
    from_: From | None = msgspec.field(default=None, name="from")


class Unsubscribe(_Channels, tag_field="action", tag="unsubscribe", forbid_unknown_fields=True):
    pass


Request = Auth | Subscribe | Unsubscribe
_json = msgspec.json.Decoder(Request)
_packed = msgspec.msgpack.Decoder(Request)


def read(data: str | bytes, *, packed: bool) -> Request:
    """A request from text (JSON) or bytes (MessagePack where the socket speaks it, otherwise JSON). RequestError when
    it is neither."""
    try:
        if packed and isinstance(data, bytes):
            from_packed: Request = _packed.decode(data)
            return from_packed
        from_json: Request = _json.decode(data)
        return from_json
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"invalid syntax: {error}"[:300]) from error
