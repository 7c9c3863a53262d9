"""Messages of the stream as bytes, JSON or MessagePack. A piece is one or more messages ready to be joined into a
frame."""

from __future__ import annotations

import datetime
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgpack
import msgspec
import numpy as np

from analytics.series import candle_texts
from api import statistics
from api.rest import jsontext
from marketdata.realtime.stats import Statistics
from marketdata.types.minute_bars import Bars
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.tick_arrays import ABSENT, Ticks, decimal_text
from terminals import wire

_EXACT_DIGITS = 15  # a double gives any decimal of so many digits back to the digit


@dataclass(frozen=True, slots=True)
class Form:
    """How a socket wants its messages. `numbered` adds the offset `o` to trades and a counter to frames."""

    packed: bool = False
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """`count` messages as bytes. One that is `alone` shares its frame with no other."""

    data: bytes
    count: int = 1
    alone: bool = False


ALONE = frozenset({"success", "error", "subscription"})
"""Clients of the dialect look for these in the first message of a frame only, and for nothing else behind one."""


def message(form: Form, content: dict[str, Any]) -> Piece:
    """A message that is not market data."""
    data = msgpack.packb(content) if form.packed else msgspec.json.encode(content)
    return Piece(data, alone=content.get("T") in ALONE)


def join(form: Form, pieces: Sequence[Piece]) -> Piece:
    """Several pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(_glue(form).join(piece.data for piece in pieces), sum(piece.count for piece in pieces))


def together(form: Form, messages: Sequence[bytes]) -> Piece:
    """Several messages as a piece."""
    return Piece(_glue(form).join(messages), len(messages))


def _glue(form: Form) -> bytes:
    return b"" if form.packed else b","


def frame(form: Form, pieces: Sequence[Piece]) -> bytes:
    """What goes over the socket: an array of messages."""
    joined = join(form, pieces)
    if not form.packed:
        return b"[" + joined.data + b"]"
    return _array_header(joined.count) + joined.data


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + struct.pack(">H", count) if count < 1 << 16 else b"\xdd" + struct.pack(">I", count)


def now() -> str:
    """The time of day for a heartbeat."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trades(form: Form, ticks: Ticks, offsets: Sequence[int]) -> list[bytes]:
    """One message a trade, in the order of `ticks`; `together` makes pieces of them."""
    names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
    if form.packed:
        return [msgpack.packb(content) for content in _packed_trades(form, ticks, names, offsets)]
    members = jsontext.trades(ticks)
    names = [_quoted(name) for name in names]
    if form.numbered:
        return [
            f'{{"T":"t","S":{name},"o":{o},{text}}}'.encode()
            for name, o, text in zip(names, offsets, members, strict=True)
        ]
    return [f'{{"T":"t","S":{name},{text}}}'.encode() for name, text in zip(names, members, strict=True)]


def cancels(form: Form, ticks: Ticks) -> list[Piece]:
    """One piece a trade that was taken back, as the dialect's cancel: its id, price and size."""
    pieces = []
    names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
    for content in _packed_trades(Form(packed=True), ticks, names, range(len(ticks))):
        told = {"T": "x", **{name: content[name] for name in ("S", "i", "x", "p", "s", "z", "t")}, "a": "C"}
        if not form.packed:
            told["t"] = jsontext.time(told["t"].to_unix_nano() // 1000)
        pieces.append(message(form, told))
    return pieces


def quotes(form: Form, ticks: Ticks) -> list[Piece]:
    """One piece a quote."""
    names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
    if form.packed:
        return [Piece(msgpack.packb(content)) for content in _packed_quotes(ticks, names)]
    members = jsontext.quotes(ticks)
    names = [_quoted(name) for name in names]
    return [Piece(f'{{"T":"q","S":{name},{text}}}'.encode()) for name, text in zip(names, members, strict=True)]


def bars(form: Form, found: Bars, *, kind: str, closed: bool) -> list[Piece]:
    """One piece a candle; `kind` is `b`, `u` or `d`."""
    names = [found.symbols[index] for index in found.symbol.tolist()]
    if form.packed:
        return [Piece(msgpack.packb(content)) for content in _packed_bars(found, names, kind, closed)]
    members = candle_texts.bars(found, closed=_flags(found, closed))
    names = [_quoted(name) for name in names]
    return [Piece(f'{{"T":"{kind}","S":{name},{text}}}'.encode()) for name, text in zip(names, members, strict=True)]


def books(form: Form, found: Sequence[OrderBook]) -> list[Piece]:
    """One piece an order book, which is always a whole one (`r`)."""
    pieces = []
    for one, members in zip(found, jsontext.books(found), strict=True):
        text = f'{{"T":"o","S":{_quoted(one.symbol)},{members},"r":true}}'
        if form.packed:
            pieces.append(message(form, json.loads(text, parse_float=_exact) | {"t": _moment(one.time_us)}))
        else:
            pieces.append(Piece(text.encode()))
    return pieces


def stats(form: Form, found: Sequence[Statistics]) -> list[Piece]:
    """One piece of each symbol's statistics, with the members that REST has."""
    pieces = []
    for one in found:
        text = f'{{"T":"stats","S":{_quoted(one.symbol)},'.encode() + bytes(statistics.text(one))[1:]
        pieces.append(message(form, json.loads(text, parse_float=_exact)) if form.packed else Piece(text))
    return pieces


def alert(form: Form, told: Mapping[str, Any]) -> Piece:
    """An alert of a rule."""
    return message(form, {
        "T": "alert", "S": told["symbol"], "i": told["id"], "rule": told["rule"], "name": told["name"],
        "kind": told["kind"], "x": told["feed"], "value": told["value"], "msg": told["message"],
        "texts": told["texts"], "quiet": told["quiet"], "owner": told["owner"],
        **{
            name: _moment(told[of]) if form.packed else jsontext.time(told[of])
            for name, of in (("t", "event_us"), ("fired", "fired_us"))
        },
    })  # fmt: skip


def snapshots(form: Form, found: Mapping[str, Mapping[str, Any]]) -> list[Piece]:
    """One piece of where each symbol stands, with the members that REST has."""
    pieces = []
    for symbol, members in found.items():
        content = {"T": "snapshot", "S": symbol, **members}
        if form.packed:
            content = json.loads(msgspec.json.encode(content), parse_float=_exact)
        pieces.append(message(form, content))
    return pieces


def _exact(text: str) -> float | str:
    """A number with a fraction as MessagePack shows it."""
    return float(text) if len(text.lstrip("-0.").replace(".", "")) <= _EXACT_DIGITS else text


@dataclass(frozen=True, slots=True)
class DayLimits:
    """Between which prices, in 1e-8, a symbol of a feed may trade on a trading date, which begins at `time_us`."""

    symbol: str
    feed: str
    date: datetime.date
    time_us: int
    lower: int
    upper: int


def limits(form: Form, found: Sequence[DayLimits]) -> list[Piece]:
    """One piece a symbol's price limits, as the dialect tells its price bands."""
    return [
        message(form, {
            "T": "l", "S": one.symbol, "u": _price(form, one.upper), "d": _price(form, one.lower), "i": "",
            "t": _moment(one.time_us) if form.packed else jsontext.time(one.time_us), "z": "", "x": one.feed,
            "td": one.date.isoformat(),
        })
        for one in found
    ]  # fmt: skip


def _price(form: Form, value: int) -> Any:
    """An exact number as this form shows it."""
    return (
        number(value, wire.PRICE_SCALE) if form.packed else msgspec.Raw(decimal_text(value, wire.PRICE_SCALE).encode())
    )


def statuses(form: Form, found: Sequence[MarketEvent]) -> list[Piece]:
    """One piece a status: in the dialect's words, and what the source told (`type`, `body`) beside them."""
    pieces = []
    for one in found:
        code, words, reason = _status(one)
        pieces.append(message(form, {
            "T": "s", "S": one.symbol, "sc": code, "sm": words, "rc": reason, "rm": _REASONS.get(reason, ""),
            "t": _moment(one.time_us) if form.packed else jsontext.time(one.time_us), "z": "", "x": one.feed,
            "i": one.event_id, "type": one.kind, "body": one.body,
        }))  # fmt: skip
    return pieces


_REASONS = {"LUDP": "Volatility Trading Pause"}


def _status(one: MarketEvent) -> tuple[str, str, str]:
    """(status code, its words, reason code) as the dialect has them: `H` halted, `P` paused, `T` trades again."""
    if one.kind == "halt":
        return ("H", "Trading Halt", "") if one.is_on else ("T", "Trading Resumption", "")
    if one.kind == "vi":
        return ("P", "Volatility Trading Pause", "LUDP") if one.is_on else ("T", "Trading Resumption", "LUDP")
    return "", str(one.body.get("state", "")), ""


@lru_cache(maxsize=65_536)
def _quoted(name: str) -> str:
    """A symbol as JSON text: it may have quotation marks in it."""
    return msgspec.json.encode(name).decode()


def _flags(found: Bars, closed: bool) -> jsontext.Flags:
    return np.full(len(found), closed, np.bool_)


# --- MessagePack, which has no decimals: a number that a double would not give back to the digit goes as text ---------


def number(value: int, scale: int) -> int | float | str:
    """A scaled integer as MessagePack shows it."""
    if value % 10**scale == 0:
        return int(value // 10**scale)
    text = decimal_text(value, scale)
    digits = text.lstrip("-0.").replace(".", "")
    return float(text) if len(digits) <= _EXACT_DIGITS else text


def _moment(time_us: int) -> msgpack.Timestamp:
    seconds, rest = divmod(time_us, 1_000_000)
    return msgpack.Timestamp(seconds, rest * 1000)


def _packed_trades(form: Form, ticks: Ticks, names: list[str], offsets: Sequence[int]) -> Iterable[dict[str, Any]]:
    columns = (
        ticks.time_us.tolist(),
        ticks.price.tolist(),
        ticks.size.tolist(),
        ticks.tick_id.tolist(),
        ticks.side.tolist(),
    )
    for name, o, time_us, price, size, tick_id, side in zip(names, offsets, *columns, strict=True):
        content: dict[str, Any] = {
            "T": "t", "S": name, "i": tick_id, "x": ticks.feed, "p": number(price, wire.PRICE_SCALE),
            "s": 0 if size == ABSENT else number(size, wire.SIZE_SCALE), "t": _moment(time_us),
            "c": [word] if (word := jsontext.condition(size)) else [], "z": "", "tks": jsontext.TAKER[side],
        }  # fmt: skip
        if form.numbered:
            content["o"] = o
        yield content


def _packed_quotes(ticks: Ticks, names: list[str]) -> Iterable[dict[str, Any]]:
    columns = (ticks.time_us, ticks.bid, ticks.bid_size, ticks.ask, ticks.ask_size)
    for name, time_us, bid, bid_size, ask, ask_size in zip(
        names, *(column.tolist() for column in columns), strict=True
    ):
        yield {
            "T": "q", "S": name, "t": _moment(time_us), "bx": ticks.feed, "ax": ticks.feed, "c": [], "z": "",
            "bp": 0 if bid == ABSENT else number(bid, wire.PRICE_SCALE),
            "ap": 0 if ask == ABSENT else number(ask, wire.PRICE_SCALE),
            "bs": 0 if bid_size == ABSENT else number(bid_size, wire.SIZE_SCALE),
            "as": 0 if ask_size == ABSENT else number(ask_size, wire.SIZE_SCALE),
        }  # fmt: skip


def _packed_bars(found: Bars, names: list[str], kind: str, closed: bool) -> Iterable[dict[str, Any]]:
    columns = (found.time_us, found.open, found.high, found.low, found.close, found.volume, found.n, found.rev)
    told = (names, candle_texts.average_prices(found), candle_texts.dates(found.trade_date))
    for name, average, date, time_us, *prices, volume, n, rev in zip(
        *told, *(column.tolist() for column in columns), strict=True
    ):
        content = {
            "T": kind,
            "S": name,
            "t": _moment(time_us),
            "v": number(volume, wire.SIZE_SCALE),
            "n": n,
            "rev": rev,
            "td": date,
        }
        content |= {key: number(price, wire.PRICE_SCALE) for key, price in zip("ohlc", prices, strict=True)}
        content |= {"vw": None if average is None else number(average, wire.PRICE_SCALE), "x": closed}
        yield content
